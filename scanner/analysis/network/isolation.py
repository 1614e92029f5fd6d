"""Which directions NetworkPolicies isolate, and which NetworkPolicies isolate no pod.

A pod is isolated in a direction as soon as one NetworkPolicy of its namespace selects it and names that direction in
its policyTypes; what is allowed is then the union of all of them. Which workloads no policy isolates is told by
`default_deny`.

Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/, "The two sorts of pod isolation".
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from scanner.analysis.network.selection import (
    WORKLOAD_KINDS,
    PodLabels,
    judge_selection,
    pods_by_namespace,
)
from scanner.model.answer import Answer
from scanner.model.finding import Fact
from scanner.model.network import NetworkPolicyBody, NetworkPolicySpec
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot

NETWORK_POLICY = GroupKind("networking.k8s.io", "NetworkPolicy")

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


def network_policies(snapshot: Snapshot) -> Mapping[str, tuple[NamedPolicy, ...]]:
    """Return the NetworkPolicies by namespace, each sorted by name."""
    found: dict[str, list[NamedPolicy]] = {}
    for o in snapshot.of(*NETWORK_POLICY):
        found.setdefault(o.meta.namespace, []).append(NamedPolicy(o.ref, o.decode(NetworkPolicyBody).spec))
    return {namespace: tuple(policies) for namespace, policies in found.items()}


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
