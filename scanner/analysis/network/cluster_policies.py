"""AdminNetworkPolicy, BaselineAdminNetworkPolicy (v1alpha1) and ClusterNetworkPolicy (v1alpha2) as rules.

Their selectors never mean pods on the network of a node; `networks` means pods with such an address too. A peer with no
field that is known fails closed, as the API demands: an Allow rule then matches nothing, others deny everything.

Source: https://network-policy-api.sigs.k8s.io/reference/spec/, and the comments of
sigs.k8s.io/network-policy-api/apis/v1alpha2/clusternetworkpolicy_types.go.
"""

from collections.abc import Iterator

import msgspec

from scanner.analysis.network.addresses import network_span
from scanner.analysis.network.ports import port_span
from scanner.analysis.network.rules import (
    Action,
    Block,
    BlockMeaning,
    Everyone,
    HostPods,
    NamedPort,
    Nodes,
    Peer,
    Pods,
    Policy,
    Port,
    Rule,
    Tier,
    Undecided,
)
from scanner.analysis.network.selectors import complaint
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot

_GROUP = "policy.networking.k8s.io"
ADMIN = GroupKind(_GROUP, "AdminNetworkPolicy")
BASELINE = GroupKind(_GROUP, "BaselineAdminNetworkPolicy")
CLUSTER = GroupKind(_GROUP, "ClusterNetworkPolicy")
CLUSTER_POLICY_KINDS = (ADMIN, BASELINE, CLUSTER)

_MAX_PRIORITY = 1000
#: The two versions have different words for the same.
_ACTIONS = {"Allow": Action.ALLOW, "Accept": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS}
_TIERS = {"Admin": Tier.ADMIN, "Baseline": Tier.BASELINE}


class _Pods(msgspec.Struct, rename="camel"):
    pod_selector: LabelSelector = LabelSelector()
    namespace_selector: LabelSelector = LabelSelector()


class _Peer(msgspec.Struct, rename="camel"):
    namespaces: LabelSelector | None = None
    pods: _Pods | None = None
    nodes: LabelSelector | None = None
    networks: tuple[str, ...] | None = None
    domain_names: tuple[str, ...] | None = None


class _PortNumber(msgspec.Struct):
    port: int = 0
    protocol: str = "TCP"


class _PortRange(msgspec.Struct):
    start: int = 0
    end: int = 0
    protocol: str = "TCP"


class _AdminPort(msgspec.Struct, rename="camel"):
    port_number: _PortNumber | None = None
    port_range: _PortRange | None = None
    named_port: str | None = None


class _DestinationPort(msgspec.Struct):
    number: int | None = None
    range: _PortRange | None = None


class _Destination(msgspec.Struct, rename="camel"):
    destination_port: _DestinationPort | None = None


class _Protocol(msgspec.Struct, rename="camel"):
    tcp: _Destination | None = None
    udp: _Destination | None = None
    sctp: _Destination | None = None
    destination_named_port: str | None = None


class _Rule(msgspec.Struct):
    action: str = ""
    name: str = ""
    from_: tuple[_Peer, ...] | None = msgspec.field(default=None, name="from")
    to: tuple[_Peer, ...] | None = None
    ports: tuple[_AdminPort, ...] | None = None
    protocols: tuple[_Protocol, ...] | None = None


class _Spec(msgspec.Struct):
    subject: _Peer = msgspec.field(default_factory=_Peer)
    priority: int = 0
    tier: str = ""
    ingress: tuple[_Rule, ...] | None = None
    egress: tuple[_Rule, ...] | None = None


class _Body(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


def cluster_policies(snapshot: Snapshot, *, policy_only: bool) -> Iterator[Policy]:
    """Yield every policy of these kinds; by policies alone, no rule is about nodes.

    Then `networks` means pods, whose addresses such a question leaves open, only as far as it is all addresses.
    """
    for kind in CLUSTER_POLICY_KINDS:
        for o in snapshot.of(*kind):
            yield _policy(o, policy_only=policy_only)


def _policy(policy: KubeObject, *, policy_only: bool) -> Policy:
    try:
        spec = policy.decode(_Body).spec
        subject = _subject(spec.subject)
    except (msgspec.ValidationError, ValueError) as error:
        return _undecided(policy, Undecided(f"{policy.ref}: {error}"), str(error))
    fault = _fault(policy, spec)
    if fault:
        return _undecided(policy, subject, fault)
    ingress = [_rule(policy, f"spec.ingress[{i}]", rule, policy_only) for i, rule in enumerate(spec.ingress or ())]
    egress = [_rule(policy, f"spec.egress[{i}]", rule, policy_only) for i, rule in enumerate(spec.egress or ())]
    return Policy(
        ref=policy.ref,
        tier=_tier(policy, spec),
        subject=subject,
        ingress=tuple(ingress) or None,
        egress=tuple(egress) or None,
        priority=spec.priority,
    )


def _tier(policy: KubeObject, spec: _Spec) -> Tier:
    if policy.group_kind == CLUSTER:
        return _TIERS[spec.tier]
    return Tier.ADMIN if policy.group_kind == ADMIN else Tier.BASELINE


def _fault(policy: KubeObject, spec: _Spec) -> str:
    """Return what an API server would have refused the policy for, empty if nothing."""
    if policy.group_kind == CLUSTER and spec.tier not in _TIERS:
        return f"unknown tier {spec.tier!r}"
    if policy.group_kind == BASELINE and policy.meta.name != "default":
        return "a BaselineAdminNetworkPolicy must be named default"
    if not 0 <= spec.priority <= _MAX_PRIORITY:
        return f"priority {spec.priority} is not between 0 and {_MAX_PRIORITY}"
    return ""


def _undecided(policy: KubeObject, subject: Pods | Undecided, fault: str) -> Policy:
    """Return a policy that may do anything, in the tier that is asked first."""
    rule = Rule(Action.UNDECIDED, (Undecided(f"{policy.ref}: {fault}"),), None, "spec")
    return Policy(ref=policy.ref, tier=Tier.ADMIN, subject=subject, ingress=(rule,), egress=(rule,))


def _subject(subject: _Peer) -> Pods:
    if (subject.namespaces is None) == (subject.pods is None):
        raise ValueError("spec.subject must have one of namespaces and pods")
    return _selected(subject)


def _selected(peer: _Peer) -> Pods:
    if peer.pods is not None:
        pods = Pods(peer.pods.pod_selector, peer.pods.namespace_selector, host_pods=HostPods.NEVER)
    else:
        pods = Pods(LabelSelector(), peer.namespaces, host_pods=HostPods.NEVER)
    fault = complaint(pods.pods) or complaint(pods.namespaces or LabelSelector())
    if fault:
        raise ValueError(fault)
    return pods


def _rule(policy: KubeObject, path: str, rule: _Rule, policy_only: bool) -> Rule:
    try:
        action = _action(policy, rule)
        peers = _peers(rule, path)
        if any(peer == _Peer() for peer in peers):
            closed: tuple[Peer, ...] = () if action is Action.ALLOW else (Everyone(),)
            return Rule(Action.ALLOW if action is Action.ALLOW else Action.DENY, closed, None, path, rule.name)
        found = tuple(p for peer in peers for p in _peer(peer, policy_only))
        return Rule(action, found, _ports(rule), path, rule.name)
    except ValueError as error:
        fault = Undecided(f"{policy.ref}: {path}: {error}")
        return Rule(Action.UNDECIDED, (fault,), None, path, rule.name)


def _peers(rule: _Rule, path: str) -> tuple[_Peer, ...]:
    peers = rule.from_ if ".ingress" in path else rule.to
    if not peers:
        raise ValueError("no peers")
    return peers


def _action(policy: KubeObject, rule: _Rule) -> Action:
    action = _ACTIONS.get(rule.action)
    if action is None or (action is Action.PASS and policy.group_kind == BASELINE):
        raise ValueError(f"unknown action {rule.action!r}")
    return action


def _peer(peer: _Peer, policy_only: bool) -> tuple[Peer, ...]:
    if sum(f is not None for f in (peer.namespaces, peer.pods, peer.nodes, peer.networks, peer.domain_names)) != 1:
        raise ValueError("a peer has more than one field")
    if peer.networks is not None:
        meaning = BlockMeaning.WHOLE if policy_only else BlockMeaning.PODS
        return (Block(tuple(network_span(network) for network in peer.networks), meaning),)
    if peer.nodes is not None:
        if complaint(peer.nodes):
            raise ValueError(complaint(peer.nodes))
        return () if policy_only else (Nodes(peer.nodes),)
    if peer.domain_names is not None:
        names = ", ".join(peer.domain_names)
        return (Undecided(f"which addresses {names} has is not in the cluster", outside_only=True),)
    return (_selected(peer),)


def _ports(rule: _Rule) -> tuple[Port, ...] | None:
    ports = [_admin_port(port) for port in rule.ports or ()]
    ports += [_protocol(protocol) for protocol in rule.protocols or ()]
    return tuple(ports) or None


def _admin_port(port: _AdminPort) -> Port:
    if sum(f is not None for f in (port.port_number, port.port_range, port.named_port)) != 1:
        raise ValueError("a port must have one of portNumber, portRange and namedPort")
    if port.port_number is not None:
        return port_span(port.port_number.protocol, port.port_number.port, port.port_number.port)
    if port.port_range is not None:
        return port_span(port.port_range.protocol, port.port_range.start, port.port_range.end)
    return NamedPort(port.named_port or "")


def _protocol(protocol: _Protocol) -> Port:
    given = [(n, d) for n, d in (("TCP", protocol.tcp), ("UDP", protocol.udp), ("SCTP", protocol.sctp)) if d]
    if len(given) + (protocol.destination_named_port is not None) != 1:
        raise ValueError("a protocol must have one of tcp, udp, sctp and destinationNamedPort")
    if not given:
        return NamedPort(protocol.destination_named_port or "")
    name, destination = given[0]
    port = destination.destination_port
    if port is None:
        return port_span(name)
    if (port.number is None) == (port.range is None):
        raise ValueError("destinationPort must have one of number and range")
    if port.range is not None:
        return port_span(name, port.range.start, port.range.end)
    return port_span(name, port.number or 0, port.number or 0)
