"""Which pods NetworkPolicies isolate, and which NetworkPolicies isolate none.

A pod is isolated in a direction as soon as one NetworkPolicy of its namespace selects it and names that direction in
its policyTypes; what is allowed is then the union of all of them. So more policies never undo isolation.

Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/, "The two sorts of pod isolation".
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from scanner.analysis.network.cilium import CILIUM_KINDS, CiliumRule, cilium_rules
from scanner.analysis.network.selection import (
    WORKLOAD_KINDS,
    PodLabels,
    judge_selection,
    missing_reads,
    pods_by_namespace,
    pods_of,
    selects,
    unread_pods,
)
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.network import NetworkPolicyBody, NetworkPolicySpec
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Workload

NETWORK_POLICY = GroupKind("networking.k8s.io", "NetworkPolicy")

#: Policies of network plugins and of the policy API's working group whose rules are not evaluated. Where one is
#: present, a pod without a NetworkPolicy may be isolated all the same.
OTHER_POLICY_KINDS: tuple[GroupKind, ...] = (
    GroupKind("policy.networking.k8s.io", "AdminNetworkPolicy"),
    GroupKind("policy.networking.k8s.io", "BaselineAdminNetworkPolicy"),
    GroupKind("policy.networking.k8s.io", "ClusterNetworkPolicy"),
    GroupKind("crd.projectcalico.org", "NetworkPolicy"),
    GroupKind("crd.projectcalico.org", "GlobalNetworkPolicy"),
    GroupKind("crd.antrea.io", "NetworkPolicy"),
    GroupKind("crd.antrea.io", "ClusterNetworkPolicy"),
    # Names that these products accept in files beside those under which the API server keeps them.
    GroupKind("projectcalico.org", "NetworkPolicy"),
    GroupKind("projectcalico.org", "GlobalNetworkPolicy"),
)
#: Whatever may isolate pods and is read by a live scan.
_ISOLATING_KINDS = (
    NETWORK_POLICY,
    *CILIUM_KINDS,
    *(kind for kind in OTHER_POLICY_KINDS if kind.group != "projectcalico.org"),
)

_CONSEQUENCES = {
    "ingress": "No NetworkPolicy isolates ingress: every pod and address may reach its pods",
    "egress": "No NetworkPolicy isolates egress: its pods may connect to every pod and address",
}

#: What the answers rest on.
READS: tuple[GroupKind, ...] = (NETWORK_POLICY, *WORKLOAD_KINDS)


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A NetworkPolicy with its name."""

    ref: ObjectRef
    spec: NetworkPolicySpec

    def isolates(self, direction: str) -> bool:
        """Tell whether it isolates the pods that it selects, `ingress` or `egress`."""
        return self.spec.isolates_ingress if direction == "ingress" else self.spec.isolates_egress

    def selects(self, pod: PodLabels) -> bool | None:
        """Tell whether it selects a pod of its namespace; None if that depends on labels yet to come."""
        return selects(self.spec.pod_selector, pod)


#: Whatever may isolate a pod.
Isolator = NamedPolicy | CiliumRule


def network_policies(snapshot: Snapshot) -> Mapping[str, tuple[NamedPolicy, ...]]:
    """Return the NetworkPolicies by namespace, each sorted by name."""
    found: dict[str, list[NamedPolicy]] = {}
    for o in snapshot.of(*NETWORK_POLICY):
        found.setdefault(o.meta.namespace, []).append(NamedPolicy(o.ref, o.decode(NetworkPolicyBody).spec))
    return {namespace: tuple(policies) for namespace, policies in found.items()}


def isolating(policies: Iterable[Isolator], pod: PodLabels, direction: str) -> Isolator | bool | None:
    """Return the first policy that isolates a pod, False if none does, None if that depends on labels not known."""
    is_certain = True
    for policy in policies:
        if policy.isolates(direction):
            answer = policy.selects(pod)
            if answer:
                return policy
            is_certain = is_certain and answer is not None
    return False if is_certain else None


def isolators(snapshot: Snapshot, namespace: str) -> tuple[Isolator, ...]:
    """Return what may isolate the pods of a namespace: its NetworkPolicies, then Cilium's rules."""
    return (*snapshot.derive(network_policies).get(namespace, ()), *cilium_rules(snapshot, namespace))


def workloads_without_isolation(snapshot: Snapshot, *, now: dt.datetime, direction: str) -> Iterator[Answer]:
    """Answer for each workload whether some of its pods are isolated by no NetworkPolicy in a direction.

    `direction` is `ingress` or `egress`. Pods on the host network are nothing that NetworkPolicies are made for: they
    pass here with a message that says so. Pods that have ended are left out. Cilium's policies isolate as well. Where
    policies of another kind are in force, or could not be read, a workload that is not isolated is unknown.
    """
    del now  # nothing here depends on the time
    by_namespace: dict[str, tuple[Isolator, ...]] = {}
    for workload in snapshot.workloads:
        pods = pods_of(workload, snapshot.source)
        if workload.template.spec.get("hostNetwork") is True:
            yield _on_host_network(workload)
        elif pods:
            namespace = workload.ref.namespace
            if namespace not in by_namespace:
                by_namespace[namespace] = isolators(snapshot, namespace)
            yield _judge_isolation(snapshot, workload, by_namespace[namespace], pods, direction)


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


def _judge_isolation(
    snapshot: Snapshot,
    workload: Workload,
    policies: tuple[Isolator, ...],
    pods: tuple[PodLabels, ...],
    direction: str,
) -> Answer:
    found = [(pod, isolating(policies, pod, direction)) for pod in pods]
    open_pods = [pod for pod, policy in found if policy is False]
    if open_pods:
        return _open(snapshot, workload, open_pods[0], direction)
    if any(policy is None for _, policy in found):
        message = f"Whether a policy isolates {direction} depends on labels that its pods get when they start"
        return Answer(resource=workload.ref, outcome=Outcome.UNKNOWN, message=message, missing=unread_pods(snapshot))
    names = sorted({policy.ref for _, policy in found if isinstance(policy, NamedPolicy | CiliumRule)})
    return Answer(
        resource=workload.ref,
        outcome=Outcome.PASS,
        message=f"{names[0]} isolates {direction} of its pods",
        evidence=tuple(Fact(object=name) for name in names),
    )


def _open(snapshot: Snapshot, workload: Workload, pod: PodLabels, direction: str) -> Answer:
    """Return what can be said of a workload with a pod that no NetworkPolicy isolates."""
    evidence: tuple[Fact, ...] = (pod.fact(workload.ref),)
    namespace = workload.ref.namespace
    missing = missing_reads(snapshot, _ISOLATING_KINDS, namespace)
    if missing:
        message = f"No NetworkPolicy that could be read isolates {direction} of its pods"
        return Answer(
            resource=workload.ref, outcome=Outcome.UNKNOWN, message=message, evidence=evidence, missing=missing
        )
    other = next(iter(_other_policies(snapshot, namespace)), None)
    if other:
        message = (
            f"No NetworkPolicy isolates {direction} of its pods; {other.group_kind} {other.name} may, "
            "and its rules are not evaluated"
        )
        evidence = (*evidence, Fact(object=other))
        return Answer(resource=workload.ref, outcome=Outcome.UNKNOWN, message=message, evidence=evidence)
    return Answer(resource=workload.ref, outcome=Outcome.FAIL, message=_CONSEQUENCES[direction], evidence=evidence)


def _other_policies(snapshot: Snapshot, namespace: str) -> Iterator[ObjectRef]:
    """Yield policies of other kinds that may concern a namespace: its own, and the cluster's."""
    for kind in OTHER_POLICY_KINDS:
        for o in snapshot.of(*kind):
            if o.meta.namespace in {"", namespace}:
                yield o.ref


def policies_selecting_nothing(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each NetworkPolicy with a selector whether it selects no pod and no template of its namespace.

    An empty selector waits for whatever comes, so such policies pass. In files, a policy whose pods may be elsewhere,
    or be made by an operator, is unknown.
    """
    del now  # nothing here depends on the time
    pods = snapshot.derive(pods_by_namespace)
    for namespace, policies in sorted(snapshot.derive(network_policies).items()):
        for policy in policies:
            yield _judge_selector(snapshot, policy, pods.get(namespace, ()))


def _judge_selector(snapshot: Snapshot, policy: NamedPolicy, pods: tuple[PodLabels, ...]) -> Answer:
    selector, namespace = policy.spec.pod_selector, policy.ref.namespace
    return judge_selection(
        snapshot,
        selector,
        pods,
        resource=policy.ref,
        shown=Fact(path="spec.podSelector", value=msgspec.json.decode(msgspec.json.encode(selector))),
        nothing=f"Its podSelector matches no pod and no pod template in namespace {namespace}: it does nothing",
    )
