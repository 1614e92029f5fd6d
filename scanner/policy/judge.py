"""CEL policies on one snapshot: each container, pod template and object handed to the engine once, for all policies."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cel_expr_python import cel

from scanner.model.finding import Fact, Finding, Outcome
from scanner.model.objects import KubeObject
from scanner.model.policy import Policy
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Container, Workload
from scanner.policy.cel import CelFailure, Expression, activation, compile_expression, evaluate_expression
from scanner.policy.paths import Step, steps_of, value_at
from scanner.policy.subjects import CONTAINER, NAMESPACE, WORKLOAD, variables_of

#: Variables whose values live as long as the snapshot, so that their identity can stand for their content.
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


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a subject stands."""

    owner: ObjectRef
    path: str
    container: str = ""
    is_in_template: bool = False


class _Subject:
    """One thing that policies judge: its variables, handed to the engine when the first policy needs them."""

    def __init__(self, kind: str, values: Mapping[str, Any], judged: Mapping[str, Any], place: _Place) -> None:
        """Take the variables and the value that `path` of a policy starts at."""
        self.values = values
        self.judged = judged
        self.place = place
        #: Whether containers and pod specs live as long as the snapshot, so that their identity stands for them.
        self.is_lasting = place.is_in_template
        self._variables = variables_of(kind)

    @cached_property
    def activation(self) -> cel.Activation | CelFailure:
        """The variables in the engine's form."""
        return activation(self._variables, self.values)


class Judge:
    """Judges the parts of one snapshot, and remembers verdicts on what several workloads share."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Start with nothing judged."""
        self._snapshot = snapshot
        self._verdicts: dict[tuple[int, ...], _Verdict] = {}
        self._namespaces: dict[str, dict[str, Any]] = {}

    def workload(self, workload: Workload, rules: Sequence[Rule]) -> Iterator[Finding]:
        """Give the outcome of each policy on containers and workloads, one for the root owner.

        A policy on roles of containers that the workload does not have gives none.
        """
        pods, containers = self._subjects(workload, frozenset(name for rule in rules for name in rule.reads))
        for rule in rules:
            if rule.policy.subject == WORKLOAD:
                subjects = pods
            else:
                subjects = [s for role, s in containers if role in rule.policy.container_roles]
            if subjects:
                yield _finding(rule, workload.ref, [(s, self._verdict(rule, s)) for s in subjects])

    def object(self, thing: KubeObject, rules: Sequence[Rule]) -> Iterator[Finding]:
        """Give the outcome of each policy on this kind of object."""
        values: dict[str, Any] = {"object": thing.as_dict()}
        if any("namespaceObject" in rule.reads for rule in rules):
            values |= self._namespace(thing.meta.namespace)
        subject = _Subject(rules[0].policy.subject, values, values["object"], _Place(thing.ref, ""))
        for rule in rules:
            yield _finding(rule, thing.ref, [(subject, self._verdict(rule, subject))])

    def _subjects(self, workload: Workload, reads: frozenset[str]) -> tuple[list[_Subject], list[tuple[str, _Subject]]]:
        """Return the pod templates of a workload, and its containers with their roles."""
        pods: list[_Subject] = []
        containers: list[tuple[str, _Subject]] = []
        for template in workload.templates:
            around = self._around(template.owner, reads) | {"pod": template.spec}
            meta = {"labels": template.labels, "annotations": template.annotations}
            place = _Place(template.owner, template.path, is_in_template=True)
            pods.append(_Subject(WORKLOAD, around | {"podMeta": meta}, template.spec, place))
            containers += [_container(c, around, is_in_template=True) for c in template.containers]
        for container in workload.extra_containers:
            around = self._around(container.owner, reads | {"object"})
            if "object" in around:
                around["pod"] = around["object"]["spec"]
            containers.append(_container(container, around, is_in_template=False))
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

    def _verdict(self, rule: Rule, subject: _Subject) -> _Verdict:
        if not (subject.is_lasting and rule.reads <= _SHARED):
            return _verdict(rule, subject)
        key = (id(rule), *(id(subject.values.get(name)) for name in sorted(rule.reads)))
        if key not in self._verdicts:
            self._verdicts[key] = _verdict(rule, subject)
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


def _container(container: Container, around: Mapping[str, Any], *, is_in_template: bool) -> tuple[str, _Subject]:
    place = _Place(container.owner, container.path, container.name, is_in_template)
    return container.role, _Subject(CONTAINER, {**around, "container": container.spec}, container.spec, place)


def _verdict(rule: Rule, subject: _Subject) -> _Verdict:
    forbidden = evaluate_expression(rule.forbid, subject.activation)
    if forbidden is False:
        return _Verdict(Outcome.PASS)
    if forbidden is True:
        message = evaluate_expression(rule.message, subject.activation) if rule.message else None
        return _Verdict(Outcome.FAIL, message if isinstance(message, str) else "")
    if isinstance(forbidden, CelFailure):
        return _Verdict(Outcome.UNKNOWN, forbidden.reason)
    return _Verdict(Outcome.UNKNOWN, f"forbid gave {type(forbidden).__name__} instead of true or false")


def _finding(rule: Rule, resource: ObjectRef, judged: Sequence[tuple[_Subject, _Verdict]]) -> Finding:
    """Make one finding of the verdicts on all parts of a resource: one that fails is enough, then one unknown."""
    outcomes = {verdict.outcome for _, verdict in judged}
    outcome = next(o for o in (Outcome.FAIL, Outcome.UNKNOWN, Outcome.PASS) if o in outcomes)
    policy = rule.policy
    shown = [] if outcome is Outcome.PASS else [(s, v) for s, v in judged if v.outcome is outcome]
    return Finding(
        policy=policy.id,
        outcome=outcome,
        severity=policy.severity,
        confidence=policy.confidence,
        resource=resource,
        message=_message(policy.title, outcome, shown),
        evidence=sorted_facts(_fact(rule, resource, subject) for subject, _ in shown),
        frameworks=policy.frameworks,
        fix=policy.remediation if outcome is Outcome.FAIL else "",
    )


def _message(title: str, outcome: Outcome, shown: Sequence[tuple[_Subject, _Verdict]]) -> str:
    texts = "; ".join(sorted({verdict.text for _, verdict in shown if verdict.text}))
    match outcome:
        case Outcome.PASS:
            return "passes"
        case Outcome.UNKNOWN:
            return f"cannot be judged: {texts}"
        case Outcome.FAIL:
            containers = ", ".join(sorted({subject.place.container for subject, _ in shown} - {""}))
            return texts or (f"{title}: {containers}" if containers else title)


def _fact(rule: Rule, resource: ObjectRef, subject: _Subject) -> Fact:
    place = subject.place
    return Fact(
        path=".".join(part for part in (place.path, rule.policy.field_path) if part),
        value=value_at(subject.judged, rule.field_steps) if rule.field_steps else None,
        container=place.container,
        object=place.owner if place.owner != resource else None,
    )


def sorted_facts(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """Return facts in the order of their paths, each once; values have no order of their own."""
    by_key = {(f.path, f.container, str(f.object or ""), f.note): f for f in facts}
    return tuple(by_key[key] for key in sorted(by_key))
