"""Who gets where nobody meant them to: into kube-system, and from one tenant to another.

Decided by the engine on classes of pods: what counts is who certainly connects, whatever policies there are.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from scanner.analysis.network.explanations import why_unknown
from scanner.analysis.network.matching import ones
from scanner.analysis.network.reach import Reach, reach
from scanner.analysis.network.rules import Direction
from scanner.analysis.network.selection import WORKLOAD_KINDS, pods_of
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Workload

_NAMESPACE = GroupKind("", "Namespace")

#: What the answers rest on; where policies were not read, the engine says unknown itself.
READS: tuple[GroupKind, ...] = (_NAMESPACE, *WORKLOAD_KINDS)

#: How many names a message spells out; the evidence has all of them.
_SHOWN_NAMES = 5


def system_workloads_reachable(
    snapshot: Snapshot, *, now: dt.datetime, namespaces: Sequence[str], for_everyone: Mapping[str, Sequence[str]]
) -> Iterator[Answer]:
    """Answer for each workload of these namespaces whether pods of other namespaces certainly connect to it.

    Pods with a label of `for_everyone` (key → values), such as DNS, pass, and so do pods on the network of their node,
    which NetworkPolicies are not made for. It is milder where only some of the other namespaces do.
    """
    del now  # nothing here depends on the time
    chosen = [w for w in snapshot.workloads if w.ref.namespace in namespaces and not _on_host_network(w)]
    for workload in chosen:
        found = snapshot.derive(reach)
        classes = found.classes_of(workload.ref)
        if classes and _has_label(snapshot, workload, for_everyone):
            yield Answer(resource=workload.ref, outcome=Outcome.PASS, message="Everyone must reach it")
        elif classes:
            yield _judge_system(snapshot, found, workload, frozenset(namespaces))


def _on_host_network(workload: Workload) -> bool:
    return workload.template.spec.get("hostNetwork") is True


def _has_label(snapshot: Snapshot, workload: Workload, wanted: Mapping[str, Sequence[str]]) -> bool:
    labels = [pod.labels for pod in pods_of(workload, snapshot.source)]
    return any(found.get(key, "") in values for found in labels for key, values in wanted.items())


def _judge_system(snapshot: Snapshot, found: Reach, workload: Workload, own: frozenset[str]) -> Answer:
    classes = found.classes_of(workload.ref)
    callers = found.namespaces(found.sure(classes)) - own
    if callers:
        everyone = found.namespaces(found.found.matcher.pods) - own
        who = "every other namespace" if callers == everyone else _names(callers)
        return Answer(
            resource=workload.ref,
            outcome=Outcome.FAIL,
            message=f"Pods of {who} can connect to it",
            evidence=_why_open(snapshot, found, workload, classes),
            is_milder=callers != everyone,
        )
    if found.namespaces(found.maybe(classes)) - own:
        return _unknown(found, workload.ref, classes, own, "Whether other namespaces can connect to it")
    return Answer(resource=workload.ref, outcome=Outcome.PASS, message="No pod of another namespace can connect to it")


def _names(names: Iterable[str]) -> str:
    ordered = sorted(names)
    rest = len(ordered) - _SHOWN_NAMES
    return ", ".join(ordered[:_SHOWN_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def _why_open(snapshot: Snapshot, found: Reach, workload: Workload, classes: tuple[int, ...]) -> tuple[Fact, ...]:
    """Return the policies that let others in, or the labels that no policy selects."""
    letting = _policies_on(found, classes)
    if letting:
        return tuple(Fact(path="spec.ingress", object=ref) for ref in letting)
    return tuple(pod.fact(workload.ref) for pod in pods_of(workload, snapshot.source)[:1])


def _policies_on(found: Reach, classes: Iterable[int]) -> tuple[ObjectRef, ...]:
    applied = found.found.applied[Direction.INGRESS]
    return tuple(sorted({found.found.policies[n].policy.ref for c in classes for n, is_sure in applied[c] if is_sure}))


def _unknown(found: Reach, resource: ObjectRef, classes: Iterable[int], own: frozenset[str], what: str) -> Answer:
    """Return that it cannot be told, with the reasons of the first pair that shows it."""
    pairs = (
        (source, number)
        for number in classes
        for source in ones(found.maybe([number]))
        if found.namespaces(1 << source) - own
    )
    source, number = next(pairs)
    reasons = "; ".join(why_unknown(found.found, source, number))
    return Answer(resource=resource, outcome=Outcome.UNKNOWN, message=f"{what} is not known: {reasons}")


def namespaces_that_other_tenants_reach(
    snapshot: Snapshot, *, now: dt.datetime, labels: Sequence[str], shared: Sequence[str]
) -> Iterator[Answer]:
    """Answer for each namespace of a tenant whether pods of another tenant certainly connect to its workloads.

    A tenant is all namespaces with one value of the first of these labels that they have. A key that starts with `*`
    stands for the keys that end like that: its tenant is what the star stands for, of several the one whose value is
    the greatest number. Namespaces without such a label, and those whose names match a pattern of `shared`, are no
    tenant's, neither here nor there; without two tenants there is no answer. It is milder where a policy isolates all
    that is reached, so that someone let the others in.
    """
    del now  # nothing here depends on the time
    tenants = {
        name: tenant
        for name, own in snapshot.namespaces.items()
        if not any(fnmatchcase(name, pattern) for pattern in shared) and (tenant := _tenant(own, labels))
    }
    if len(set(tenants.values())) > 1:
        by_namespace: dict[str, list[ObjectRef]] = {name: [] for name in tenants}
        for workload in snapshot.workloads:
            if workload.ref.namespace in tenants and not _on_host_network(workload):
                by_namespace[workload.ref.namespace].append(workload.ref)
        for name, workloads in by_namespace.items():
            yield _judge_tenant(snapshot, name, workloads, tenants)


def _tenant(own: Mapping[str, str], keys: Sequence[str]) -> str:
    """Return the tenant that the labels of a namespace name; empty if none does."""
    for key in keys:
        if key.startswith("*"):
            named = {k.removesuffix(key[1:]): v for k, v in own.items() if k.endswith(key[1:])}
            deepest = max(((int(v), k) for k, v in named.items() if v.isascii() and v.isdigit()), default=(0, ""))
            if deepest[1]:
                return deepest[1]
        elif own.get(key):
            return own[key]
    return ""


def _judge_tenant(snapshot: Snapshot, name: str, workloads: Sequence[ObjectRef], tenants: Mapping[str, str]) -> Answer:
    found = snapshot.derive(reach)
    known = snapshot.find(*_NAMESPACE, "", name)
    resource = known.ref if known else ObjectRef("v1", "Namespace", "", name)
    others = {n: t for n, t in tenants.items() if t != tenants[name]}
    reached: list[ObjectRef] = []
    callers: set[str] = set()
    for ref in workloads:
        from_others = found.namespaces(found.sure(found.classes_of(ref))) & others.keys()
        if from_others:
            reached.append(ref)
            callers |= {others[n] for n in from_others}
    if reached:
        isolated = all(_policies_on(found, found.classes_of(ref)) for ref in reached)
        return Answer(
            resource=resource,
            outcome=Outcome.FAIL,
            message=(
                f"Pods of {'tenant' if len(callers) == 1 else 'tenants'} {_names(callers)} can connect to "
                f"{len(reached)} of its {len(workloads)} workloads, which are of tenant {tenants[name]}"
            ),
            evidence=tuple(Fact(object=ref) for ref in reached),
            is_milder=isolated,
        )
    for ref in workloads:
        classes = found.classes_of(ref)
        if found.namespaces(found.maybe(classes)) & others.keys():
            own = found.namespaces(found.found.matcher.pods) - others.keys()
            return _unknown(found, resource, classes, own, f"Whether other tenants can connect to {ref}")
    return Answer(resource=resource, outcome=Outcome.PASS, message="No pod of another tenant can connect to it")
