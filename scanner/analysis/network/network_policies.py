"""Kubernetes' own NetworkPolicy as rules.

Source: https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/, and
https://kubernetes.io/docs/concepts/services-networking/network-policies/.
"""

from collections.abc import Iterator

from scanner.analysis.network.addresses import network_span, without
from scanner.analysis.network.isolation import NETWORK_POLICY
from scanner.analysis.network.ports import port_span
from scanner.analysis.network.rules import (
    Action,
    Block,
    BlockMeaning,
    Everyone,
    HostPods,
    NamedPort,
    Peer,
    Pods,
    Policy,
    Port,
    Rule,
    Tier,
    Undecided,
)
from scanner.analysis.network.selectors import complaint
from scanner.model.network import IPBlock, NetworkPolicyBody, NetworkPolicyPeer, NetworkPolicyPort
from scanner.model.objects import KubeObject
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot

#: Where Calico asks them among its own policies; others have no order there.
_ORDER = 1000


def network_policies(snapshot: Snapshot, *, policy_only: bool) -> Iterator[Policy]:
    """Yield every NetworkPolicy; by policies alone, network plugins' differences are left out of account."""
    reader = _Reader(policy_only)
    for policy in snapshot.of(*NETWORK_POLICY):
        yield reader.policy(policy)


class _Reader:
    """Reads NetworkPolicies with one meaning of what the API leaves to network plugins."""

    def __init__(self, policy_only: bool) -> None:
        self._host_pods = HostPods.ALWAYS if policy_only else HostPods.PLUGIN
        self._block = BlockMeaning.OUTSIDE if policy_only else BlockMeaning.PLUGIN

    def policy(self, policy: KubeObject) -> Policy:
        """Return one NetworkPolicy."""
        spec = policy.decode(NetworkPolicyBody).spec
        namespace = policy.meta.namespace
        fault = complaint(spec.pod_selector)
        subject = self._pods(spec.pod_selector, None, namespace)
        ingress = [(f"spec.ingress[{i}]", r.from_, r.ports) for i, r in enumerate(spec.ingress or ())]
        egress = [(f"spec.egress[{i}]", r.to, r.ports) for i, r in enumerate(spec.egress or ())]
        return Policy(
            ref=policy.ref,
            tier=Tier.NETWORK_POLICY,
            subject=Undecided(f"{policy.ref}: spec.podSelector: {fault}") if fault else subject,
            ingress=self._rules(policy, ingress) if spec.isolates_ingress else None,
            egress=self._rules(policy, egress) if spec.isolates_egress else None,
            priority=_ORDER,
        )

    def _rules(
        self,
        policy: KubeObject,
        rules: list[tuple[str, tuple[NetworkPolicyPeer, ...] | None, tuple[NetworkPolicyPort, ...] | None]],
    ) -> tuple[Rule, ...]:
        return tuple(self._rule(policy, *rule) for rule in rules)

    def _rule(
        self,
        policy: KubeObject,
        path: str,
        peers: tuple[NetworkPolicyPeer, ...] | None,
        ports: tuple[NetworkPolicyPort, ...] | None,
    ) -> Rule:
        try:
            found = tuple(self._peer(peer, policy.meta.namespace) for peer in peers or ()) or (Everyone(),)
            return Rule(Action.ALLOW, found, tuple(_port(port) for port in ports or ()) or None, path)
        except ValueError as error:  # only a file can hold what the API server refuses
            return Rule(Action.UNDECIDED, (Undecided(f"{policy.ref}: {path}: {error}"),), None, path)

    def _peer(self, peer: NetworkPolicyPeer, namespace: str) -> Peer:
        if peer.ip_block is not None:
            if peer.pod_selector is not None or peer.namespace_selector is not None:
                raise ValueError("ipBlock stands beside a selector")
            return Block(_spans(peer.ip_block), self._block)
        if peer.pod_selector is None and peer.namespace_selector is None:
            raise ValueError("an empty peer")
        pods = peer.pod_selector or LabelSelector()
        fault = complaint(pods) or complaint(peer.namespace_selector or LabelSelector())
        if fault:
            raise ValueError(fault)
        return self._pods(pods, peer.namespace_selector, namespace)

    def _pods(self, pods: LabelSelector, namespaces: LabelSelector | None, namespace: str) -> Pods:
        return Pods(pods, namespaces, "" if namespaces is not None else namespace, self._host_pods)


def _spans(block: IPBlock) -> tuple[tuple[int, int], ...]:
    whole, holes = network_span(block.cidr), [network_span(hole) for hole in block.except_ or ()]
    if any(not whole[0] <= first <= last <= whole[1] for first, last in holes):
        raise ValueError(f"except is not within {block.cidr}")
    return without(whole, holes)


def _port(port: NetworkPolicyPort) -> Port:
    if port.port is None:
        if port.end_port is not None:
            raise ValueError("endPort without port")
        return port_span(port.protocol)
    if isinstance(port.port, str):
        if port.end_port is not None:
            raise ValueError("endPort beside a named port")
        return NamedPort(port.port, port.protocol)
    return port_span(port.protocol, port.port, port.port if port.end_port is None else port.end_port)
