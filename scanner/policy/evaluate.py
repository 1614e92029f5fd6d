"""(Snapshot, policies) → findings.

Whatever one policy does, the others go on: an expression or a question that breaks gives `unknown` with the reason.
What was not read gives `unknown` with the read, and never a pass.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from scanner.errors import PolicyError
from scanner.model.answer import Answer
from scanner.model.coverage import Read
from scanner.model.finding import Evaluation, Finding, Outcome
from scanner.model.objects import KubeObject
from scanner.model.policy import Policy, PolicyId
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot, object_ref_of_cluster
from scanner.model.workload import TEMPLATE_PATHS
from scanner.policy.blocked import weighed
from scanner.policy.judge import Judge, Passed, Rule, benches_of, rule_of, sorted_facts
from scanner.policy.questions import QUESTIONS
from scanner.policy.subjects import NAMESPACE, kind_of, kinds_read_for

#: Told how many steps of how many are done.
Progress = Callable[[int, int], None]

_Step = Callable[[], Iterable[Finding | Passed]]


def evaluate(
    snapshot: Snapshot,
    policies: Sequence[Policy],
    *,
    now: dt.datetime,
    all_outcomes: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Judge everything in a snapshot by all policies, at a moment.

    Failing and unknown outcomes are listed, passing ones only with `all_outcomes`. Where a kind that a policy rests on
    was not wholly read, failing outcomes stay, passes are neither counted nor listed, and one unknown finding on the
    cluster (or the namespace, where only that is concerned) says which reads were missing.
    """
    books = _Books(snapshot, policies, all_outcomes=all_outcomes)
    rules: list[Rule] = []
    for policy in policies:
        if policy.forbid:
            try:
                rules.append(rule_of(policy))
            except PolicyError as error:
                books.broke(policy, error)
    asked = [policy for policy in policies if policy.ask]
    steps: list[_Step] = [*_cel_steps(snapshot, rules), *(partial(_answers, snapshot, p, now, books) for p in asked)]
    for number, step in enumerate(steps):
        if progress is not None:
            progress(number, len(steps))
        for outcome in step():
            books.add(outcome)
    if progress is not None:
        progress(len(steps), len(steps))
    return books.evaluation()


def joined(one: Evaluation, other: Evaluation) -> Evaluation:
    """Return what two sets of policies, none in both, say of one snapshot."""
    return Evaluation(
        findings=tuple(sorted((*one.findings, *other.findings), key=_order)),
        passed={**one.passed, **other.passed},
        inconclusive={**one.inconclusive, **other.inconclusive},
    )


def _order(finding: Finding) -> tuple[PolicyId, ObjectRef, str, str]:
    return (finding.policy, finding.resource, finding.key, finding.message)


def reads_of(policy: Policy) -> tuple[GroupKind, ...]:
    """Return the kinds that must have been read wholly before a pass of this policy is proven."""
    if policy.ask:
        return QUESTIONS[policy.ask].reads
    kinds = kinds_read_for(policy.subject)
    reads_namespace = "namespaceObject" in policy.forbid or "namespaceObject" in policy.message
    return (*kinds, NAMESPACE) if reads_namespace else kinds


def _cel_steps(snapshot: Snapshot, rules: Sequence[Rule]) -> Iterator[_Step]:
    """Give the work of all CEL policies: a step a workload, and a step an object."""
    judge = Judge(snapshot)
    of_workloads = benches_of(rule for rule in rules if kind_of(rule.policy.subject) is None)
    if of_workloads:
        for workload in snapshot.workloads:
            yield partial(judge.workload, workload, of_workloads)
    for subject in sorted({rule.policy.subject for rule in rules}):
        kind = kind_of(subject)
        if kind is not None:
            of_kind = benches_of(rule for rule in rules if rule.policy.subject == subject)
            for thing in _roots(snapshot, kind):
                yield partial(judge.object, thing, of_kind)


def _roots(snapshot: Snapshot, kind: GroupKind) -> Iterable[KubeObject]:
    """Return the objects of a kind; of kinds that hold pods only those that no other such object made."""
    if kind in TEMPLATE_PATHS:
        return [w.object for w in snapshot.workloads if w.object is not None and w.ref.group_kind == kind]
    return snapshot.of(*kind)


def _answers(snapshot: Snapshot, policy: Policy, now: dt.datetime, books: "_Books") -> Iterable[Finding | Passed]:
    try:
        answers = list(QUESTIONS[policy.ask].ask(snapshot, now=now, **policy.arguments))
    except Exception as error:  # noqa: BLE001 - one broken question must not end the scan; its outcome says so
        books.broke(policy, error)
        return ()
    return _merged(policy, answers, with_passes=books.lists_passes)


def _answered(policy: Policy, answer: Answer) -> Finding:
    severity = answer.severity or policy.severity
    return Finding(
        policy=policy.id,
        outcome=answer.outcome,
        severity=severity.milder if answer.is_milder else severity,
        confidence=answer.confidence or policy.confidence,
        resource=answer.resource,
        message=answer.message or policy.title,
        evidence=sorted_facts(answer.evidence),
        key=answer.key,
        missing=tuple(sorted(set(answer.missing))),
        frameworks=policy.frameworks,
        fix=policy.remediation if answer.outcome is Outcome.FAIL and not answer.expected else "",
        expected=answer.expected,
    )


def _merged(policy: Policy, answers: Iterable[Answer], *, with_passes: bool) -> Iterable[Finding | Passed]:
    """Make one of answers with the same identity: the worst outcome, and the evidence of all that have it.

    Passes, which are most of them, become findings only where they are wanted.
    """
    found: dict[tuple[ObjectRef, str], Finding | Passed] = {}
    for answer in answers:
        key = (answer.resource, answer.key)
        other = found.get(key)
        if answer.outcome is Outcome.PASS and not with_passes:
            if other is None:
                found[key] = Passed((policy,), answer.resource)
            continue
        finding = _answered(policy, answer)
        found[key] = _worse(other, finding) if isinstance(other, Finding) else finding
    return found.values()


def _place(finding: Finding) -> int:
    """Order outcomes, the worst first: a failure that is expected says less than one that nobody could judge."""
    if finding.stands_out:
        return 0
    return (Outcome.UNKNOWN, Outcome.FAIL, Outcome.PASS).index(finding.outcome) + 1


def _worse(one: Finding, other: Finding) -> Finding:
    first, second = sorted((one, other), key=lambda f: (_place(f), -f.severity.rank, f.message))
    if _place(first) != _place(second):
        return first
    messages = first.message if second.message in first.message else f"{first.message}; {second.message}"
    return replace(
        first,
        message=messages,
        evidence=sorted_facts((*first.evidence, *second.evidence)),
        missing=tuple(sorted({*first.missing, *second.missing})),
        expected="; ".join(sorted({reason for reason in (first.expected, second.expected) if reason})),
    )


def _broken(policy: Policy, snapshot: Snapshot, error: Exception) -> Finding:
    """Say that a policy could not be evaluated at all."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return _unknown(policy, object_ref_of_cluster(snapshot.cluster), "broken", f"the policy broke: {reason}", ())


def _not_read(policy: Policy, snapshot: Snapshot, namespace: str, reads: Sequence[Read]) -> Finding:
    """Say which reads a policy lacked, in one namespace or (empty) everywhere."""
    concerned = [read for read in reads if not namespace or read.namespace == namespace]
    if namespace:
        known = snapshot.find(NAMESPACE.group, NAMESPACE.kind, "", namespace)
        resource = known.ref if known else ObjectRef("v1", "Namespace", "", namespace)
    else:
        resource = object_ref_of_cluster(snapshot.cluster)
    why = "; ".join(f"{read.resource}: {read.reason or read.state}" for read in concerned)
    return _unknown(policy, resource, "unread", f"not everything could be judged: {why}", concerned)


def _unknown(policy: Policy, resource: ObjectRef, key: str, message: str, reads: Iterable[Read]) -> Finding:
    return Finding(
        policy=policy.id,
        outcome=Outcome.UNKNOWN,
        severity=policy.severity,
        confidence=policy.confidence,
        resource=resource,
        message=message,
        key=key,
        missing=_named(reads),
        frameworks=policy.frameworks,
    )


def _named(reads: Iterable[Read]) -> tuple[str, ...]:
    """Name reads as a person would ask for them: `list secrets`, `list pods in shop`."""
    return tuple(
        sorted(
            {
                f"list {read.resource} in {read.namespace}" if read.namespace else f"list {read.resource}"
                for read in reads
            }
        )
    )


class _Books:
    """Gathers outcomes, and turns passes that are not proven into what they are."""

    def __init__(self, snapshot: Snapshot, policies: Sequence[Policy], *, all_outcomes: bool) -> None:
        """Start with no outcome."""
        self._snapshot = snapshot
        self._policies = policies
        self._by_id = {policy.id: policy for policy in policies}
        #: Whether passes are listed too.
        self.lists_passes = all_outcomes
        self._findings: list[Finding] = []
        self._passed: dict[PolicyId, int] = dict.fromkeys(self._by_id, 0)
        self._reads: dict[tuple[PolicyId, str], tuple[Read, ...]] = {}
        self._inconclusive: dict[PolicyId, frozenset[str]] = {}
        #: Policies whose reads were conclusive everywhere, so that no namespace need be looked at: mostly all of them.
        self._proven = frozenset(p.id for p in policies if not snapshot.inconclusive(reads_of(p)))

    def broke(self, policy: Policy, error: Exception) -> None:
        """Note that a policy says nothing at all; what was known of it before stays."""
        self._inconclusive[policy.id] = frozenset({""})
        self._findings.append(_broken(policy, self._snapshot, error))

    def add(self, outcome: Finding | Passed) -> None:
        """Count or list one outcome."""
        if isinstance(outcome, Passed):
            for policy in outcome.policies:
                if policy.id in self._proven and not self.lists_passes:
                    self._passed[policy.id] += 1
                else:
                    listed = _passing(policy, outcome.resource) if self.lists_passes else None
                    self._passes(policy, listed, outcome.resource)
        elif outcome.outcome is Outcome.PASS:
            self._passes(self._by_id[outcome.policy], outcome if self.lists_passes else None, outcome.resource)
        elif outcome.outcome is Outcome.UNKNOWN and not outcome.missing:
            missing = self._missing(outcome.policy, outcome.resource.namespace)
            self._findings.append(replace(outcome, missing=_named(missing)))
        else:
            self._findings.append(outcome)

    def _passes(self, policy: Policy, finding: Finding | None, resource: ObjectRef) -> None:
        """Count a pass that is proven; one that is not becomes unknown, which is listed if every outcome is."""
        missing = self._missing(policy.id, resource.namespace)
        if not missing:
            self._passed[policy.id] += 1
        if finding is not None:
            if missing:
                message = "passes as far as could be read"
                finding = replace(finding, outcome=Outcome.UNKNOWN, message=message, missing=_named(missing))
            self._findings.append(finding)

    def evaluation(self) -> Evaluation:
        """Close the books: add what was not read, and sort."""
        for policy in self._policies:
            reads = self._snapshot.inconclusive(reads_of(policy))
            where = frozenset(read.namespace for read in reads)
            if where and policy.id not in self._inconclusive:
                self._inconclusive[policy.id] = frozenset({""}) if "" in where else where
                for namespace in self._inconclusive[policy.id]:
                    self._findings.append(_not_read(policy, self._snapshot, namespace, reads))
        return Evaluation(
            findings=tuple(sorted(weighed(self._snapshot, self._findings), key=_order)),
            passed=self._passed,
            inconclusive=self._inconclusive,
        )

    def _missing(self, policy: PolicyId, namespace: str) -> tuple[Read, ...]:
        """Return the reads without which nothing is proven there."""
        if policy in self._proven:
            return ()
        key = (policy, namespace)
        if key not in self._reads:
            self._reads[key] = self._snapshot.inconclusive(reads_of(self._by_id[policy]), namespace)
        return self._reads[key]


def _passing(policy: Policy, resource: ObjectRef) -> Finding:
    return Finding(
        policy=policy.id,
        outcome=Outcome.PASS,
        severity=policy.severity,
        confidence=policy.confidence,
        resource=resource,
        message="passes",
        frameworks=policy.frameworks,
    )
