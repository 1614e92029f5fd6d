"""What a scan changes in what was known: opened, resolved, regressed, worsened, or nothing.

Two rules stand above the others. What a scan could not see, it does not resolve: a finding ends only where its policy
ran and was conclusive. And an unknown outcome is no news: it is kept so that nothing looks green by ignorance, but only
a failure opens a finding, and one that can no longer be judged stays as it was.

A failure that becomes more severe has worsened, which is news: who hears of high severities only was never told of it.
So a certificate that runs out is told of once at each step (30, 14 and 3 days before, and when it has). One that
becomes less severe is written without news.

An *expected* failure (`Finding.expected`: Kubernetes' own grant, unchanged) is remembered like an unknown outcome, in
state `open` and without news. Once it is expected no more, because someone changed the role or bound another subject,
it is opened, under the same id. When what stood out is put back as it was, those who were told that it opened are told
that it is resolved, and history keeps that event; the finding itself stays, open and expected. Should it stand out
again, it has regressed. If an expected failure can no longer be judged, it is unknown: it may have been changed since.
"""

import enum
import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from scanner.model.finding import FINGERPRINT_BYTES, Evaluation, Finding, Fingerprint, Outcome, fingerprint
from scanner.model.news import Transition
from scanner.model.policy import Policy, PolicyId, Severity
from scanner.model.refs import ClusterName


class State(enum.StrEnum):
    """Where a finding stands in its life."""

    OPEN = "open"
    #: Open, and somebody has said that they deal with it; it counts as before.
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    #: Resolved once, and back.
    REGRESSED = "regressed"

    @property
    def is_open(self) -> bool:
        """Tell whether it concerns people now."""
        return self is not State.RESOLVED


class Known(NamedTuple):
    """What is remembered of one finding, as far as a comparison needs it."""

    policy: PolicyId
    namespace: str
    state: State
    outcome: Outcome
    #: As `content_of` made it.
    content: str
    #: Whether it was ever opened: an unknown one that was had been resolved before.
    has_failed: bool
    severity: Severity
    #: Whether it is an expected failure.
    is_expected: bool = False

    @property
    def stands_out(self) -> bool:
        """Tell whether it concerns people now, as a failure that nobody expects."""
        return self.state.is_open and self.outcome is Outcome.FAIL and not self.is_expected


class Judgement(NamedTuple):
    """One finding of a scan, with the ids under which it may be known."""

    id: Fingerprint
    finding: Finding
    content: str
    #: The ids that it had under former names of its policy.
    former: tuple[Fingerprint, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """A finding whose row is new or different, and the news of it, if it is any."""

    id: Fingerprint
    finding: Finding
    content: str
    state: State
    transition: Transition | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a scan changes; what it names nowhere stays untouched. All in the order of the findings or ids."""

    inserted: tuple[Written, ...] = ()
    updated: tuple[Written, ...] = ()
    #: Failed before, and seen to be fine now.
    resolved: tuple[Fingerprint, ...] = ()
    #: Had been resolved, was unknown or expected for a while, and is seen to be fine again: no news.
    settled: tuple[Fingerprint, ...] = ()
    #: Never were anything but unknown or expected, and are seen to be fine: nothing to remember.
    forgotten: tuple[Fingerprint, ...] = ()

    @property
    def transitions(self) -> tuple[tuple[Fingerprint, Transition], ...]:
        """Every change that history keeps, and people are told."""
        written = [(w.id, w.transition) for w in (*self.inserted, *self.updated) if w.transition]
        return (*written, *((id_, Transition.RESOLVED) for id_ in self.resolved))


def content_of(finding: Finding) -> str:
    """Hash what may change of a finding while its identity stays."""
    parts = (
        finding.policy,
        finding.outcome,
        finding.severity,
        finding.confidence,
        finding.resource.api_version,
        finding.message,
        finding.evidence,
        finding.missing,
        finding.fix,
        finding.expected,
    )
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=FINGERPRINT_BYTES).hexdigest()


def judgements_of(
    findings: Iterable[Finding], cluster: ClusterName, policies: Iterable[Policy]
) -> tuple[Judgement, ...]:
    """Return the failing and unknown findings with their ids, each id once.

    Where two share an id, the worse one stands: a failure over an unknown, that over what is expected, then the higher
    severity.
    """
    former = {p.id: p.formerly for p in policies if p.formerly}
    found: dict[Fingerprint, Judgement] = {}
    for finding in findings:
        if finding.outcome is Outcome.PASS:
            continue
        names = former.get(finding.policy, ())
        judgement = Judgement(
            finding.fingerprint(cluster),
            finding,
            content_of(finding),
            tuple(fingerprint(name, cluster, finding.resource, finding.key) for name in names) if names else (),
        )
        other = found.get(judgement.id)
        if other is None or _weight(judgement) > _weight(other):
            found[judgement.id] = judgement
    return tuple(found.values())


def _weight(judgement: Judgement) -> tuple[bool, bool, int, str]:
    finding = judgement.finding
    return (finding.stands_out, not finding.expected, finding.severity.rank, judgement.content)


def diff(
    known: Mapping[Fingerprint, Known],
    judgements: Iterable[Judgement],
    evaluation: Evaluation,
    policies: Collection[Policy],
) -> Changes:
    """Compare what a scan found with what is known.

    Args:
        known: Every open finding of the cluster, and those resolved ones whose ids are among the judgements'.
        judgements: What `judgements_of` made of the evaluation's findings.
        evaluation: Tells which policies were inconclusive, and where.
        policies: Those that ran; a finding of any other stays as it is.
    """
    inserted: list[Written] = []
    updated: list[Written] = []
    seen: set[Fingerprint] = set()
    for judgement in judgements:
        id_ = judgement.id
        if judgement.former and id_ not in known:
            id_ = next((old for old in judgement.former if old in known), id_)
        seen.add(id_)
        before = known.get(id_)
        verdict = _verdict(before, judgement)
        if verdict is None:
            continue
        written = Written(id_, judgement.finding, judgement.content, *verdict)
        (inserted if before is None else updated).append(written)
    current = {old: p.id for p in policies for old in (p.id, *p.formerly)}
    ended = [
        (id_, before)
        for id_, before in known.items()
        if id_ not in seen and before.state.is_open and _is_conclusive(before, current, evaluation.inconclusive)
    ]
    return Changes(
        inserted=tuple(inserted),
        updated=tuple(updated),
        resolved=tuple(sorted(i for i, k in ended if k.stands_out)),
        settled=tuple(sorted(i for i, k in ended if not k.stands_out and k.has_failed)),
        forgotten=tuple(sorted(i for i, k in ended if not k.stands_out and not k.has_failed)),
    )


def _verdict(before: Known | None, judgement: Judgement) -> tuple[State, Transition | None] | None:
    """Return the state and the news of a finding of this scan, or None if its row stays as it is."""
    fails = judgement.finding.stands_out
    if before is None:
        return State.OPEN, Transition.OPENED if fails else None
    failed = before.stands_out
    if fails and not failed:
        again = before.has_failed
        return (State.REGRESSED, Transition.REGRESSED) if again else (State.OPEN, Transition.OPENED)
    if failed and not fails:
        return (State.OPEN, Transition.RESOLVED) if judgement.finding.expected else None
    if before.state is State.RESOLVED:
        return State.OPEN, None
    if before.content == judgement.content:
        return None
    has_worsened = fails and judgement.finding.severity.rank > before.severity.rank
    # Who acknowledged it had seen something less severe.
    state = State.OPEN if has_worsened and before.state is State.ACKNOWLEDGED else before.state
    return state, Transition.WORSENED if has_worsened else None


def _is_conclusive(
    before: Known, current: Mapping[PolicyId, PolicyId], inconclusive: Mapping[PolicyId, frozenset[str]]
) -> bool:
    """Tell whether not seeing a finding proves that it has ended.

    A gap in one namespace also leaves open what is about the whole cluster: its proof may lie in that namespace.
    """
    policy = current.get(before.policy)
    if policy is None:
        return False
    gaps = inconclusive.get(policy, frozenset())
    return not gaps or bool(before.namespace and not gaps & {"", before.namespace})
