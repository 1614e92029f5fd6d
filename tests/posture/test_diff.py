"""What a scan changes: examples of each rule, then random histories against a plain model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from scanner.model.finding import Evaluation, Finding, Fingerprint, Outcome
from scanner.model.news import Transition
from scanner.model.policy import Policy, PolicyId, Severity
from scanner.model.refs import ClusterName
from scanner.posture.diff import Changes, Known, State, content_of, diff, judgements_of
from tests.builders import cel_policy, evaluation, finding

CLUSTER = ClusterName("test")
POLICY = "pods/privileged-container"
POLICIES = (cel_policy(POLICY),)


def compare(known: Mapping[Fingerprint, Known], judged: Evaluation, policies: tuple[Policy, ...] = POLICIES) -> Changes:
    """Compare an evaluation with what is known."""
    return diff(known, judgements_of(judged.findings, CLUSTER, policies), judged, policies)


def remembered(known: Mapping[Fingerprint, Known], changes: Changes) -> dict[Fingerprint, Known]:
    """Return what is known after a scan: what the store does, as values."""
    result = dict(known)
    for written in (*changes.inserted, *changes.updated):
        result[written.id] = Known(
            written.finding.policy,
            written.finding.resource.namespace,
            written.state,
            written.finding.outcome,
            written.content,
            severity=written.finding.severity,
            has_failed=bool(written.transition) or (written.id in known and known[written.id].has_failed),
            is_expected=bool(written.finding.expected),
        )
    for id_ in (*changes.resolved, *changes.settled):
        result[id_] = result[id_]._replace(state=State.RESOLVED, outcome=Outcome.FAIL, is_expected=False)
    for id_ in changes.forgotten:
        del result[id_]
    return result


def after(*scans: Evaluation) -> dict[Fingerprint, Known]:
    """Return what is known after some scans."""
    known: dict[Fingerprint, Known] = {}
    for judged in scans:
        known = remembered(known, compare(known, judged))
    return known


FAILING = finding(POLICY)
UNKNOWN = replace(FAILING, outcome=Outcome.UNKNOWN, missing=("list pods",))
EXPECTED = replace(FAILING, expected="Kubernetes' own, unchanged")
ID = FAILING.fingerprint(CLUSTER)


def transitions(changes: Changes) -> list[tuple[Fingerprint, Transition]]:
    """Return the news of a scan."""
    return list(changes.transitions)


def test_a_new_failure_is_opened() -> None:
    """A finding that was never seen before is opened."""
    assert transitions(compare({}, evaluation(FAILING))) == [(ID, Transition.OPENED)]


def test_an_unchanged_finding_is_not_touched() -> None:
    """A scan that finds the same again changes nothing."""
    assert compare(after(evaluation(FAILING)), evaluation(FAILING)) == Changes()


def test_changed_evidence_is_written_without_news() -> None:
    """A finding whose content changes gets a new row and no event."""
    changes = compare(after(evaluation(FAILING)), evaluation(replace(FAILING, message="it is worse")))
    assert [(w.id, w.state, w.transition) for w in changes.updated] == [(ID, State.OPEN, None)]


def test_a_failure_that_becomes_more_severe_is_news() -> None:
    """Who was not told of a low one has to hear of a high one."""
    changes = compare(after(evaluation(replace(FAILING, severity=Severity.LOW))), evaluation(FAILING))
    assert [(w.id, w.state, w.transition) for w in changes.updated] == [(ID, State.OPEN, Transition.WORSENED)]


def test_an_acknowledged_failure_stays_so_until_it_is_more_severe() -> None:
    """Who acknowledged it had seen something less severe."""
    low = replace(FAILING, severity=Severity.LOW)
    known = {ID: after(evaluation(low))[ID]._replace(state=State.ACKNOWLEDGED)}

    changed = compare(known, evaluation(replace(low, message="it is otherwise")))
    worse = compare(known, evaluation(FAILING))

    assert [(w.state, w.transition) for w in changed.updated] == [(State.ACKNOWLEDGED, None)]
    assert [(w.state, w.transition) for w in worse.updated] == [(State.OPEN, Transition.WORSENED)]


def test_an_acknowledged_failure_is_resolved_as_any_other() -> None:
    """And what can't be judged leaves it as it is."""
    known = {ID: after(evaluation(FAILING))[ID]._replace(state=State.ACKNOWLEDGED)}

    assert compare(known, evaluation()).resolved == (ID,)
    assert compare(known, evaluation(replace(FAILING, outcome=Outcome.UNKNOWN))) == Changes()


def test_a_failure_that_becomes_less_severe_is_written_without_news() -> None:
    """Nobody has to do anything sooner."""
    changes = compare(after(evaluation(FAILING)), evaluation(replace(FAILING, severity=Severity.LOW)))
    assert [w.transition for w in changes.updated] == [None]


def test_an_expected_failure_that_becomes_more_severe_is_no_news() -> None:
    """It concerns nobody."""
    known = after(evaluation(replace(EXPECTED, severity=Severity.LOW)))
    assert [w.transition for w in compare(known, evaluation(EXPECTED)).updated] == [None]


def test_a_finding_that_is_gone_is_resolved() -> None:
    """A failure that a conclusive policy no longer finds is resolved."""
    assert compare(after(evaluation(FAILING)), evaluation()).resolved == (ID,)


def test_a_resolved_finding_that_fails_again_regresses_under_its_id() -> None:
    """A failure that comes back keeps its id and is told apart from a new one."""
    changes = compare(after(evaluation(FAILING), evaluation()), evaluation(FAILING))
    assert [(w.id, w.state, w.transition) for w in changes.updated] == [(ID, State.REGRESSED, Transition.REGRESSED)]


def test_what_an_inconclusive_policy_does_not_show_stays_open() -> None:
    """A policy that missed a read everywhere resolves nothing."""
    assert compare(after(evaluation(FAILING)), evaluation(inconclusive={POLICY: [""]})) == Changes()


def test_a_gap_in_the_namespace_of_a_finding_keeps_it_open() -> None:
    """A policy that missed a read in `shop` resolves nothing in `shop`."""
    assert compare(after(evaluation(FAILING)), evaluation(inconclusive={POLICY: ["shop"]})) == Changes()


def test_a_gap_in_another_namespace_does_not_keep_a_finding_open() -> None:
    """A policy that missed a read in `bank` still resolves in `shop`."""
    assert compare(after(evaluation(FAILING)), evaluation(inconclusive={POLICY: ["bank"]})).resolved == (ID,)


def test_a_gap_in_any_namespace_keeps_a_finding_about_the_cluster_open() -> None:
    """What shows a finding about a ClusterRole may lie in the namespace that was not read."""
    known = after(evaluation(finding(POLICY, "ClusterRole admin")))
    assert compare(known, evaluation(inconclusive={POLICY: ["bank"]})) == Changes()


def test_a_policy_that_did_not_run_resolves_nothing() -> None:
    """Findings of a policy that was left out of the scan stay as they are."""
    assert compare(after(evaluation(FAILING)), evaluation(), (cel_policy("pods/host-network"),)) == Changes()


def test_a_failure_that_becomes_unknown_stays_as_it_was() -> None:
    """Not knowing any more is no reason to close or to rewrite a failure."""
    assert compare(after(evaluation(FAILING)), evaluation(UNKNOWN)) == Changes()


def test_an_unknown_outcome_is_kept_without_news() -> None:
    """What cannot be judged is listed as unknown, but nobody is told."""
    changes = compare({}, evaluation(UNKNOWN))
    assert [(w.state, w.transition) for w in changes.inserted] == [(State.OPEN, None)]


def test_an_unknown_outcome_that_becomes_a_failure_is_opened() -> None:
    """The first failure after not knowing is news."""
    assert transitions(compare(after(evaluation(UNKNOWN)), evaluation(FAILING))) == [(ID, Transition.OPENED)]


def test_an_unknown_outcome_that_becomes_a_pass_is_forgotten() -> None:
    """What never failed leaves no resolved finding behind."""
    assert compare(after(evaluation(UNKNOWN)), evaluation()) == Changes(forgotten=(ID,))


def test_a_resolved_finding_that_becomes_unknown_is_listed_as_unknown() -> None:
    """What was fine and cannot be judged now does not look fine."""
    changes = compare(after(evaluation(FAILING), evaluation()), evaluation(UNKNOWN))
    assert [(w.state, w.finding.outcome, w.transition) for w in changes.updated] == [
        (State.OPEN, Outcome.UNKNOWN, None)
    ]


def test_a_resolved_finding_that_was_unknown_for_a_while_regresses() -> None:
    """Not knowing in between does not make an old failure a new one."""
    known = after(evaluation(FAILING), evaluation(), evaluation(UNKNOWN))
    assert transitions(compare(known, evaluation(FAILING))) == [(ID, Transition.REGRESSED)]


def test_a_resolved_finding_that_was_unknown_for_a_while_settles_without_news() -> None:
    """It was told as resolved already."""
    known = after(evaluation(FAILING), evaluation(), evaluation(UNKNOWN))
    assert compare(known, evaluation()) == Changes(settled=(ID,))


def test_an_expected_failure_is_kept_without_news() -> None:
    """Kubernetes' own grants are listed, but nobody is told."""
    changes = compare({}, evaluation(EXPECTED))
    assert [(w.state, w.transition) for w in changes.inserted] == [(State.OPEN, None)]


def test_a_failure_that_is_expected_no_more_is_opened_under_its_id() -> None:
    """Someone changed the role: that is news."""
    assert transitions(compare(after(evaluation(EXPECTED)), evaluation(FAILING))) == [(ID, Transition.OPENED)]


def test_a_failure_that_becomes_expected_is_told_as_resolved_and_stays() -> None:
    """Someone put the role back as it was: those who heard that it opened hear that it is over."""
    changes = compare(after(evaluation(FAILING)), evaluation(EXPECTED))
    assert [(w.id, w.state, w.transition) for w in changes.updated] == [(ID, State.OPEN, Transition.RESOLVED)]


def test_a_failure_that_was_expected_for_a_while_regresses() -> None:
    """It opened, was put back, and stands out again."""
    known = after(evaluation(FAILING), evaluation(EXPECTED))
    assert transitions(compare(known, evaluation(FAILING))) == [(ID, Transition.REGRESSED)]


def test_an_expected_failure_that_is_gone_is_forgotten() -> None:
    """What never stood out leaves no resolved finding behind."""
    assert compare(after(evaluation(EXPECTED)), evaluation()) == Changes(forgotten=(ID,))


def test_an_expected_failure_that_stood_out_once_settles_without_news() -> None:
    """It was told as resolved already."""
    known = after(evaluation(FAILING), evaluation(EXPECTED))
    assert compare(known, evaluation()) == Changes(settled=(ID,))


def test_an_expected_failure_that_cannot_be_judged_is_unknown() -> None:
    """It may have been changed since."""
    changes = compare(after(evaluation(EXPECTED)), evaluation(UNKNOWN))
    assert [(w.finding.outcome, w.transition) for w in changes.updated] == [(Outcome.UNKNOWN, None)]


def test_of_a_failure_and_an_expected_one_with_one_id_the_failure_stands() -> None:
    """What is expected hides nothing, whichever comes first."""
    changes = compare({}, evaluation(EXPECTED, FAILING))
    assert [w.finding.expected for w in changes.inserted] == [""]


def test_a_passing_outcome_is_no_finding() -> None:
    """Passes may be listed by an evaluation; they are not remembered."""
    assert compare({}, evaluation(replace(FAILING, outcome=Outcome.PASS))) == Changes()


def test_of_two_findings_with_one_id_the_worse_stands() -> None:
    """A failure wins over an unknown outcome, whichever comes first."""
    changes = compare({}, evaluation(FAILING, UNKNOWN))
    assert [w.finding.outcome for w in changes.inserted] == [Outcome.FAIL]


RENAMED = (cel_policy("pods/privileged", formerly=(PolicyId(POLICY),)),)


def test_a_renamed_policy_keeps_the_ids_of_its_findings() -> None:
    """A finding of the old name is updated to the new one, without news."""
    changes = compare(after(evaluation(FAILING)), evaluation(finding("pods/privileged")), RENAMED)
    assert [(w.id, w.finding.policy, w.transition) for w in changes.updated] == [(ID, "pods/privileged", None)]


def test_a_renamed_policy_resolves_findings_of_its_old_name() -> None:
    """The policy ran, under its new name."""
    assert compare(after(evaluation(FAILING)), evaluation(), RENAMED).resolved == (ID,)


def test_a_severity_that_changes_is_written() -> None:
    """What the policy says of its severity is part of the content."""
    assert content_of(FAILING) != content_of(replace(FAILING, severity=Severity.LOW))


# Random histories.

_IDS = ("pods/a", "pods/b", "rbac/c")
_SUBJECTS = tuple(
    finding(policy, resource)
    for policy in _IDS
    for resource in ("Deployment shop/cart", "Deployment bank/ledger", "ClusterRole admin")
)


@dataclass(frozen=True)
class _Scan:
    """A scan of the model's world: one outcome for each subject, whatever the policies that ran could see."""

    ran: frozenset[str]
    gaps: Mapping[str, frozenset[str]]
    outcomes: tuple[str, ...]

    @property
    def policies(self) -> tuple[Policy, ...]:
        return tuple(cel_policy(policy) for policy in sorted(self.ran))

    def is_conclusive(self, subject: Finding) -> bool:
        gaps = self.gaps.get(subject.policy, frozenset())
        return not gaps if not subject.resource.namespace else not gaps & {"", subject.resource.namespace}

    @property
    def evaluation(self) -> Evaluation:
        found = [
            replace(
                subject,
                outcome=Outcome.UNKNOWN if outcome == "unknown" else Outcome.FAIL,
                message=outcome,
                expected="it is so by itself" if outcome == "expected" else "",
            )
            for subject, outcome in zip(_SUBJECTS, self.outcomes, strict=True)
            if outcome != "pass" and subject.policy in self.ran
        ]
        return Evaluation(
            findings=tuple(found),
            passed={},
            inconclusive={PolicyId(p): gaps for p, gaps in self.gaps.items() if gaps and p in self.ran},
        )


_SCANS = st.builds(
    _Scan,
    ran=st.frozensets(st.sampled_from(_IDS)),
    gaps=st.dictionaries(st.sampled_from(_IDS), st.frozensets(st.sampled_from(["", "shop", "bank"]))),
    outcomes=st.tuples(
        *(st.sampled_from(["fail", "fail otherwise", "expected", "unknown", "pass"]) for _ in _SUBJECTS)
    ),
)


@dataclass
class _Life:
    """What the plain model believes of one subject."""

    is_failing: bool = False
    is_unknown: bool = False
    is_expected: bool = False
    has_failed: bool = False

    def live(self, outcome: str, *, is_conclusive: bool) -> Transition | None:
        """Pass through one scan in which the policy ran."""
        match outcome:
            case "unknown":
                self.is_unknown, self.is_expected = not self.is_failing, False
            case "pass" if is_conclusive:
                was_failing, self.is_failing, self.is_unknown, self.is_expected = self.is_failing, False, False, False
                return Transition.RESOLVED if was_failing else None
            case "expected":
                was_failing, self.is_failing, self.is_unknown, self.is_expected = self.is_failing, False, False, True
                return Transition.RESOLVED if was_failing else None
            case "fail" | "fail otherwise" if not self.is_failing:
                again, self.is_failing, self.is_unknown, self.has_failed = self.has_failed, True, False, True
                self.is_expected = False
                return Transition.REGRESSED if again else Transition.OPENED
        return None


@given(st.lists(_SCANS, max_size=8))
def test_random_histories_agree_with_a_plain_model(scans: list[_Scan]) -> None:
    """Whatever is scanned in whatever order, news and open findings are those of a model of one subject at a time."""
    lives = {subject.fingerprint(CLUSTER): _Life() for subject in _SUBJECTS}
    known: dict[Fingerprint, Known] = {}
    for scan in scans:
        changes = compare(known, scan.evaluation, scan.policies)
        known = remembered(known, changes)
        news = {
            subject.fingerprint(CLUSTER): lives[subject.fingerprint(CLUSTER)].live(
                outcome, is_conclusive=scan.is_conclusive(subject)
            )
            for subject, outcome in zip(_SUBJECTS, scan.outcomes, strict=True)
            if subject.policy in scan.ran
        }
        assert dict(changes.transitions) == {id_: transition for id_, transition in news.items() if transition}
        standing = {id_: (k.outcome, k.is_expected) for id_, k in known.items() if k.state.is_open}
        assert standing == {
            id_: (Outcome.UNKNOWN if life.is_unknown else Outcome.FAIL, life.is_expected)
            for id_, life in lives.items()
            if life.is_failing or life.is_unknown or life.is_expected
        }


@given(st.lists(_SCANS, max_size=4), _SCANS)
def test_a_scan_compared_with_itself_changes_nothing(history: list[_Scan], scan: _Scan) -> None:
    """Replaying a scan any number of times is as replaying it once."""
    known: dict[Fingerprint, Known] = {}
    for each in (*history, scan):
        known = remembered(known, compare(known, each.evaluation, each.policies))
    assert compare(known, scan.evaluation, scan.policies) == Changes()


@given(st.lists(_SCANS, max_size=4), _SCANS, st.frozensets(st.sampled_from(_IDS)))
def test_reads_that_fail_resolve_nothing(history: list[_Scan], scan: _Scan, blind: frozenset[str]) -> None:
    """Whichever policies miss a read everywhere, and whatever they then don't show, none of their findings ends."""
    known: dict[Fingerprint, Known] = {}
    for each in history:
        known = remembered(known, compare(known, each.evaluation, each.policies))
    partial = replace(
        scan,
        gaps={**scan.gaps, **dict.fromkeys(blind, frozenset({""}))},
        outcomes=tuple(
            "pass" if subject.policy in blind else outcome
            for subject, outcome in zip(_SUBJECTS, scan.outcomes, strict=True)
        ),
    )
    changes = compare(known, partial.evaluation, partial.policies)
    ended = (*changes.resolved, *changes.settled, *changes.forgotten)
    assert not [id_ for id_ in ended if known[id_].policy in blind]
