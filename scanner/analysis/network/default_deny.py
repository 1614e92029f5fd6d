"""Which workloads have pods that no policy isolates, whatever kind of policy may.

The engine tells: a pod is isolated in a direction if a policy is for it that denies what it does not allow
(NetworkPolicy, Cilium's, Calico's), or if policies whose rules are asked in order deny everyone on every port
(AdminNetworkPolicy, ClusterNetworkPolicy of either tier, Cilium's denials). Everyone is every pod for ingress, since
such rules cannot name addresses there, and every pod and address for egress. What is allowed before that does not
count: that is what isolation with exceptions looks like, and more policies never undo it.

Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/, "The two sorts of pod isolation";
https://network-policy-api.sigs.k8s.io/api-overview/; https://docs.cilium.io/en/stable/security/policy/intro/.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from scanner.analysis.network.connectivity import Connectivity
from scanner.analysis.network.matching import LABELS_UNKNOWN
from scanner.analysis.network.ports import EVERY_PORT
from scanner.analysis.network.reach import full_connectivity
from scanner.analysis.network.rules import Action, Direction, End
from scanner.analysis.network.selection import labels_at, unread_pods
from scanner.analysis.network.verdicts import ReadyPolicy
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Workload

_CONSEQUENCES = {
    "ingress": "No NetworkPolicy isolates ingress: every pod and address may reach its pods",
    "egress": "No NetworkPolicy isolates egress: its pods may connect to every pod and address",
}


@dataclass(frozen=True, slots=True)
class _Isolation:
    """What isolates the pods of a class: certainly, and possibly where nothing certainly does."""

    by: tuple[ObjectRef, ...]
    perhaps_by: tuple[ReadyPolicy, ...]

    @property
    def is_open(self) -> bool:
        return not self.by and not self.perhaps_by


def workloads_without_isolation(snapshot: Snapshot, *, now: dt.datetime, direction: str) -> Iterator[Answer]:
    """Answer for each workload whether some of its pods are isolated by no policy in a direction.

    `direction` is `ingress` or `egress`. Pods on the host network are nothing that NetworkPolicies are made for: they
    pass here with a message that says so. Pods that have ended are left out. Where only policies that are not
    evaluated, or could not be read, may isolate a workload, it is unknown.
    """
    del now  # nothing here depends on the time
    found = snapshot.derive(full_connectivity)
    chosen = Direction(direction)
    judged = [_isolation(found, number, chosen) for number in range(len(found.grouping.classes))]
    for workload in snapshot.workloads:
        classes = found.grouping.workloads.get(workload.ref, ())
        if workload.template.spec.get("hostNetwork") is True:
            yield _on_host_network(workload)
        elif classes:
            yield _judge(snapshot, found, workload, {number: judged[number] for number in classes}, chosen)


def _isolation(found: Connectivity, number: int, direction: Direction) -> _Isolation:
    matcher = found.matcher
    everyone = matcher.pods & ~matcher.host_pods
    if direction is Direction.EGRESS:
        everyone |= matcher.outside
    sure: list[ReadyPolicy] = []
    perhaps: list[ReadyPolicy] = []
    denying: list[ReadyPolicy] = []
    perhaps_denying: list[ReadyPolicy] = []
    denied = perhaps_denied = 0
    for index, is_sure in found.applied[direction][number]:
        policy = found.policies[index]
        if policy.policy.tier.end is End.DENY:
            (sure if is_sure else perhaps).append(policy)
            continue
        certain, possible = _denials(policy, direction)
        if certain and is_sure:
            denied |= certain
            denying.append(policy)
        if possible:
            perhaps_denied |= possible
            perhaps_denying.append(policy)
    if everyone & ~denied == 0:
        sure += denying
    elif everyone & ~perhaps_denied == 0:
        perhaps += perhaps_denying
    return _Isolation(by=tuple(sorted({p.policy.ref for p in sure})), perhaps_by=() if sure else tuple(perhaps))


def _denials(policy: ReadyPolicy, direction: Direction) -> tuple[int, int]:
    """Return whom a policy certainly, and possibly, denies on every port."""
    certain = possible = 0
    for rule in policy.rules(direction) or ():
        for piece in rule.pieces:
            if piece.span == EVERY_PORT and rule.rule.action in {Action.DENY, Action.UNDECIDED}:
                certain |= piece.match.sure if rule.rule.action is Action.DENY else 0
                possible |= piece.match.maybe
    return certain, possible


def _on_host_network(workload: Workload) -> Answer:
    template = workload.template
    path = f"{template.path}.hostNetwork"
    holder = None if template.owner == workload.ref else template.owner
    message = "Its pods use the network of their node, which NetworkPolicies are not made for; see pods/host-network"
    return Answer(
        resource=workload.ref,
        outcome=Outcome.PASS,
        message=message,
        evidence=(Fact(path=path, value=True, object=holder),),
    )


def _judge(
    snapshot: Snapshot,
    found: Connectivity,
    workload: Workload,
    classes: dict[int, _Isolation],
    direction: Direction,
) -> Answer:
    order = found.grouping.in_order.get(workload.ref, tuple(classes))
    opened = next((index for index, number in enumerate(order) if classes[number].is_open), None)
    if opened is not None:
        evidence = (labels_at(workload, opened).fact(workload.ref),)
        message = _CONSEQUENCES[direction]
        return Answer(resource=workload.ref, outcome=Outcome.FAIL, message=message, evidence=evidence)
    unclear = next((index for index, number in enumerate(order) if classes[number].perhaps_by), None)
    if unclear is not None:
        shown = labels_at(workload, unclear).fact(workload.ref)
        return _unknown(snapshot, found, workload.ref, shown, classes[order[unclear]].perhaps_by, direction)
    names = sorted({ref for one in classes.values() for ref in one.by})
    return Answer(
        resource=workload.ref,
        outcome=Outcome.PASS,
        message=f"{names[0]} isolates {direction} of its pods",
        evidence=tuple(Fact(object=name) for name in names),
    )


def _unknown(  # noqa: PLR0913, PLR0917 - a workload, one of its pods, and what may isolate it
    snapshot: Snapshot,
    found: Connectivity,
    workload: ObjectRef,
    shown: Fact,
    perhaps_by: tuple[ReadyPolicy, ...],
    direction: Direction,
) -> Answer:
    """Return what can be said of a workload with a pod that something may isolate."""
    # A policy without a name stands for all of a kind that could not be read.
    missing = [p.policy.doubt.removeprefix("not read: ") for p in perhaps_by if not p.policy.ref.name]
    named = [p for p in perhaps_by if p.policy.ref.name]
    evidence = (shown, *(Fact(object=p.policy.ref) for p in named[:1]))
    if missing:
        message = f"No policy that could be read certainly isolates {direction} of its pods"
    else:
        reason = _reason(found, named[0], direction)
        message = f"Whether {named[0].policy.ref} isolates {direction} of its pods is not known: {reason}"
        missing = list(unread_pods(snapshot)) if reason == LABELS_UNKNOWN else []
    return Answer(
        resource=workload,
        outcome=Outcome.UNKNOWN,
        message=message,
        evidence=evidence,
        missing=tuple(sorted(set(missing))),
    )


def _reason(found: Connectivity, policy: ReadyPolicy, direction: Direction) -> str:
    reasons = [policy.policy.doubt, *(d.reason for d in found.matcher.doubts([policy.policy.subject]))]
    reasons += [d.reason for rule in policy.rules(direction) or () for d in rule.doubts]
    return next((reason for reason in reasons if reason), LABELS_UNKNOWN)
