"""CEL policies on one snapshot: each container, pod template and object handed to the engine once, for all policies."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel

from scanner.errors import PolicyError
from scanner.model.finding import Fact, Finding, Outcome
from scanner.model.objects import KubeObject
from scanner.model.policy import Policy
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Container, PodTemplate, Workload
from scanner.policy.cel import CelFailure, Expression, activation, compile_expression, evaluate_expression
from scanner.policy.paths import Step, steps_of, value_at
from scanner.policy.subjects import NAMESPACE, WORKLOAD, variables_of

#: Variables on which a verdict can rest that is shared by all workloads with the same pod spec.
_SHARED = frozenset({"container", "pod"})


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A CEL policy, compiled."""

    policy: Policy
    forbid: Expression
    message: Expression | None
    field_steps: tuple[Step, ...]
    #: The variables that its expressions may read.
    reads: frozenset[str]


def rule_of(policy: Policy) -> Rule:
    """Compile a CEL policy; raises `PolicyError` if it does not compile."""
    variables = variables_of(policy.subject)
    forbid = compile_expression(policy.forbid, variables)
    message = compile_expression(policy.message, variables) if policy.message else None
    reads = forbid.reads | message.reads if message else forbid.reads
    return Rule(policy, forbid, message, steps_of(policy.field_path), reads)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a policy says of one subject: its outcome, and the message of a failure or the reason why it is unknown."""

    outcome: Outcome
    text: str = ""


_PASS = _Verdict(Outcome.PASS)


@dataclass(frozen=True, slots=True)
class _Verdicts:
    """What the rules of a bench say of one subject, in their order."""

    each: list[_Verdict]
    #: Which of them are no passes: few, so that most rules need not be looked at.
    notable: frozenset[int]


@dataclass(frozen=True, slots=True)
class Passed:
    """Policies pass for a resource; there are too many of them to make findings that no one asked for."""

    policies: tuple[Policy, ...]
    resource: ObjectRef


class Bench:
    """Rules on one kind of subject, evaluated all at once.

    One list of all expressions costs half of what they cost one by one; only where that list has no value, because one
    of them breaks, is each evaluated for itself.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Compile the rules, which are about the same kind of subject, into one expression."""
        self.rules = rules
        self.variables = variables_of(rules[0].policy.subject)
        self.reads = frozenset(name for rule in rules for name in rule.reads)
        # The line end keeps a comment at the end of an expression from swallowing the bracket.
        joined = ", ".join(f"({rule.policy.forbid}\n)" for rule in rules)
        try:
            self._all: Expression | None = compile_expression(f"[{joined}]", self.variables)
        except PolicyError:  # beyond the engine's limit of 100,000 characters
            self._all = None

        self._passing: dict[tuple[frozenset[str], frozenset[int]], tuple[Policy, ...]] = {}

    def passing(self, roles: frozenset[str], notable: frozenset[int]) -> tuple[Policy, ...]:
        """Return the policies that judge containers of some of these roles, but for the notable ones; made once."""
        key = (roles, notable)
        if key not in self._passing:
            self._passing[key] = tuple(
                rule.policy
                for index, rule in enumerate(self.rules)
                if index not in notable and ("" in roles or not roles.isdisjoint(rule.policy.container_roles))
            )
        return self._passing[key]

    def verdicts(self, values: Mapping[str, Any]) -> _Verdicts:
        """Give the verdict of each rule on a subject with these variables."""
        handed = activation(self.variables, values)
        found = evaluate_expression(self._all, handed) if self._all else None
        if not isinstance(found, list):
            found = [evaluate_expression(rule.forbid, handed) for rule in self.rules]
        each = [
            _PASS if value is False else _verdict(rule, value, handed)
            for rule, value in zip(self.rules, found, strict=True)
        ]
        return _Verdicts(each, frozenset(index for index, verdict in enumerate(each) if verdict is not _PASS))


def benches_of(rules: Iterable[Rule]) -> tuple[Bench, ...]:
    """Put rules together that can be evaluated together: about the same kind of subject, and shared or not alike."""
    groups: dict[tuple[str, bool], list[Rule]] = defaultdict(list)
    for rule in rules:
        groups[rule.policy.subject, rule.reads <= _SHARED].append(rule)
    return tuple(Bench(group) for group in groups.values())


@dataclass(frozen=True, slots=True)
class _Subject:
    """One thing that policies judge: its variables, and where it stands."""

    values: Mapping[str, Any]
    #: Where the `path` of a policy starts.
    judged: Mapping[str, Any]
    owner: ObjectRef
    path: str
    container: str = ""
    role: str = ""
    #: Other workloads have the very same pod spec.
    is_shared: bool = False


class Judge:
    """Judges the parts of one snapshot, and remembers verdicts on what several workloads share."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Find out which pod specs are shared; nothing is judged yet."""
        self._snapshot = snapshot
        self._verdicts: dict[tuple[int, int], _Verdicts] = {}
        self._namespaces: dict[str, dict[str, Any]] = {}
        used = Counter(id(template.spec) for workload in snapshot.workloads for template in workload.templates)
        self._shared_specs = frozenset(spec for spec, count in used.items() if count > 1)

    def workload(self, workload: Workload, benches: Sequence[Bench]) -> Iterator[Finding | Passed]:
        """Give the outcome of each policy on containers and workloads, one for the root owner.

        A policy on roles of containers that the workload does not have gives none.
        """
        pods, containers = self._subjects(workload, frozenset(name for bench in benches for name in bench.reads))
        for bench in benches:
            subjects = pods if bench.rules[0].policy.subject == WORKLOAD else containers
            yield from _outcomes(bench, workload.ref, [(s, self._bench_verdicts(bench, s)) for s in subjects])

    def object(self, thing: KubeObject, benches: Sequence[Bench]) -> Iterator[Finding | Passed]:
        """Give the outcome of each policy on this kind of object."""
        values: dict[str, Any] = {"object": thing.as_dict()}
        if any("namespaceObject" in bench.reads for bench in benches):
            values |= self._namespace(thing.meta.namespace)
        subject = _Subject(values, values["object"], thing.ref, "")
        for bench in benches:
            yield from _outcomes(bench, thing.ref, [(subject, bench.verdicts(values))])

    def _subjects(self, workload: Workload, reads: frozenset[str]) -> tuple[list[_Subject], list[_Subject]]:
        """Return the pod templates of a workload, and its containers."""
        pods: list[_Subject] = []
        containers: list[_Subject] = []
        for template in workload.templates:
            around = self._around(template.owner, reads) | {"pod": template.spec}
            pods.append(_pod(template, around, is_shared=id(template.spec) in self._shared_specs))
            containers += [_container(c, around, is_shared=pods[-1].is_shared) for c in template.containers]
        for container in workload.extra_containers:
            around = self._around(container.owner, reads | {"object"})
            if "object" in around:
                around["pod"] = around["object"]["spec"]
            containers.append(_container(container, around, is_shared=False))
        return pods, containers

    def _around(self, owner: ObjectRef, reads: frozenset[str]) -> dict[str, Any]:
        """Return the variables about the object that holds a subject, those of them that any expression reads.

        What is not known is left out: expressions that read it fail, and the outcome is unknown.
        """
        found: dict[str, Any] = {}
        if "object" in reads:
            holder = self._snapshot.find(owner.group, owner.kind, owner.namespace, owner.name)
            if holder is not None:
                found["object"] = holder.as_dict()
        if "namespaceObject" in reads:
            found |= self._namespace(owner.namespace)
        return found

    def _namespace(self, name: str) -> dict[str, Any]:
        if name not in self._namespaces:
            found = namespace_object(self._snapshot, name)
            self._namespaces[name] = {} if found is None else {"namespaceObject": found}
        return self._namespaces[name]

    def _bench_verdicts(self, bench: Bench, subject: _Subject) -> _Verdicts:
        if not (subject.is_shared and bench.reads <= _SHARED):
            return bench.verdicts(subject.values)
        # The snapshot keeps these values, so that their identity stands for them as long as this judge lives.
        key = (id(bench), id(subject.judged))
        if key not in self._verdicts:
            self._verdicts[key] = bench.verdicts(subject.values)
        return self._verdicts[key]


def namespace_object(snapshot: Snapshot, name: str) -> dict[str, Any] | None:
    """Return a namespace as CEL sees it; None if it is not known, because namespaces could not all be read.

    A namespace that only its objects tell of (manifests) has the label that the API server gives to all.
    """
    labels = dict(snapshot.namespaces.get(name, {}))
    found = snapshot.find(NAMESPACE.group, NAMESPACE.kind, "", name)
    if found is not None:
        whole = found.as_dict()
        whole["metadata"]["labels"] = labels
        return whole
    if snapshot.inconclusive((NAMESPACE,)):
        return None
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _pod(template: PodTemplate, around: Mapping[str, Any], *, is_shared: bool) -> _Subject:
    meta = {"labels": template.labels, "annotations": template.annotations}
    return _Subject({**around, "podMeta": meta}, template.spec, template.owner, template.path, is_shared=is_shared)


def _container(container: Container, around: Mapping[str, Any], *, is_shared: bool) -> _Subject:
    return _Subject(
        values={**around, "container": container.spec},
        judged=container.spec,
        owner=container.owner,
        path=container.path,
        container=container.name,
        role=container.role,
        is_shared=is_shared,
    )


def _verdict(rule: Rule, value: Any, handed: cel.Activation | CelFailure) -> _Verdict:
    """Read what `forbid` gave, other than false."""
    if value is True:
        message = evaluate_expression(rule.message, handed) if rule.message else None
        return _Verdict(Outcome.FAIL, message if isinstance(message, str) else "")
    if isinstance(value, CelFailure):
        return _Verdict(Outcome.UNKNOWN, value.reason)
    return _Verdict(Outcome.UNKNOWN, f"forbid gave {type(value).__name__} instead of true or false")


def _outcomes(
    bench: Bench, resource: ObjectRef, rows: Sequence[tuple[_Subject, _Verdicts]]
) -> Iterator[Finding | Passed]:
    """Give the outcome of each rule for a resource, of whose parts it judges those with its roles."""
    failed: set[int] = set()
    for index in sorted(frozenset[int]().union(*(verdicts.notable for _, verdicts in rows))):
        rule = bench.rules[index]
        roles = rule.policy.container_roles
        not_passed = [
            (subject, verdicts.each[index])
            for subject, verdicts in rows
            if index in verdicts.notable and (not subject.role or subject.role in roles)
        ]
        if not_passed:
            failed.add(index)
            yield _finding(rule, resource, not_passed)
    if rows:
        yield Passed(bench.passing(frozenset(subject.role for subject, _ in rows), frozenset(failed)), resource)


def _finding(rule: Rule, resource: ObjectRef, not_passed: Sequence[tuple[_Subject, _Verdict]]) -> Finding:
    """Make one outcome of the verdicts on all parts of a resource: one that fails is enough, then one unknown."""
    fails = any(verdict.outcome is Outcome.FAIL for _, verdict in not_passed)
    outcome = Outcome.FAIL if fails else Outcome.UNKNOWN
    shown = [(s, v) for s, v in not_passed if v.outcome is outcome]
    policy = rule.policy
    return Finding(
        policy=policy.id,
        outcome=outcome,
        severity=policy.severity,
        confidence=policy.confidence,
        resource=resource,
        message=_message(policy.title, outcome, shown),
        evidence=sorted_facts(_fact(rule, resource, subject) for subject, _ in shown),
        frameworks=policy.frameworks,
        fix=policy.remediation if fails else "",
    )


def _message(title: str, outcome: Outcome, shown: Sequence[tuple[_Subject, _Verdict]]) -> str:
    texts = "; ".join(sorted({verdict.text for _, verdict in shown if verdict.text}))
    if outcome is Outcome.UNKNOWN:
        return f"cannot be judged: {texts}"
    containers = ", ".join(sorted({subject.container for subject, _ in shown} - {""}))
    return texts or (f"{title}: {containers}" if containers else title)


def _fact(rule: Rule, resource: ObjectRef, subject: _Subject) -> Fact:
    return Fact(
        path=".".join(part for part in (subject.path, rule.policy.field_path) if part),
        value=value_at(subject.judged, rule.field_steps) if rule.field_steps else None,
        container=subject.container,
        object=subject.owner if subject.owner != resource else None,
    )


def sorted_facts(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """Return facts in the order of their paths, each once; values have no order of their own."""
    by_key = {(f.path, f.container, str(f.object or ""), f.note): f for f in facts}
    return tuple(by_key[key] for key in sorted(by_key))
