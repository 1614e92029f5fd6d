"""Who can connect to whom, on which ports: the whole of a cluster, as sets.

Pods that policies treat alike are one class, classes with the same flows one group; a connection needs the egress of
its source and the ingress of its destination. Results are rectangles: every class of one set to every class of another,
on the same ports. Nothing here looks at pairs of workloads.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from scanner.analysis.network.addresses import AddressSpace
from scanner.analysis.network.calico_policies import CALICO_KINDS, calico_policies
from scanner.analysis.network.calico_world import CALICO_REFERENCES
from scanner.analysis.network.cilium_policies import CILIUM_KINDS, cilium_policies
from scanner.analysis.network.cluster_policies import CLUSTER_POLICY_KINDS, cluster_policies
from scanner.analysis.network.isolation import NETWORK_POLICY
from scanner.analysis.network.matching import Matcher, node_spans, ones
from scanner.analysis.network.network_policies import network_policies
from scanner.analysis.network.plugin_policies import PLUGIN_KINDS, plugin_policies
from scanner.analysis.network.pod_classes import Grouping, Vocabulary, group
from scanner.analysis.network.ports import EVERY_PORT, Span
from scanner.analysis.network.rules import (
    Action,
    Block,
    Direction,
    Nodes,
    Pods,
    Policy,
    Rule,
    Tier,
    Undecided,
    parts_of,
)
from scanner.analysis.network.verdicts import Flow, Flows, ReadyPolicy, flows, prepared
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot

#: Every kind of policy that has a say, and what policies refer to.
POLICY_KINDS: tuple[GroupKind, ...] = (
    NETWORK_POLICY,
    *CLUSTER_POLICY_KINDS,
    *CILIUM_KINDS,
    *CALICO_KINDS,
    *CALICO_REFERENCES,
    *PLUGIN_KINDS,
)


class Rectangle(NamedTuple):
    """Every source can connect to every destination on a span of ports, certainly or possibly."""

    sources: int
    destinations: int
    span: Span
    is_sure: bool


@dataclass(frozen=True)
class Connectivity:
    """The answer for one snapshot."""

    grouping: Grouping
    space: AddressSpace
    matcher: Matcher
    policies: tuple[ReadyPolicy, ...]
    #: The policies that concern each class in a direction, by number, and whether they certainly do.
    applied: Mapping[Direction, tuple[tuple[tuple[int, bool], ...], ...]]
    #: The classes of each group with the same flows out; ranges of addresses have a group of their own.
    senders: Mapping[Flows, int]
    #: Likewise in.
    receivers: Mapping[Flows, int]

    def flows(self, number: int, direction: Direction) -> Flows:
        """Return what gets through to a class, or from it; through ranges of addresses everything does."""
        groups = self.receivers if direction is Direction.INGRESS else self.senders
        return next(found for found, members in groups.items() if members >> number & 1)

    def rectangles(self) -> Iterator[Rectangle]:
        """Yield all connections; rectangles do not overlap on a port, except where one is certain and one is not."""
        receivers = list(self.receivers.items())
        meeting = self._meeting()
        for number, (out, sources) in enumerate(self.senders.items()):
            for other in ones(meeting[number]):
                into, destinations = receivers[other]
                yield from _crossed(out, sources, into, destinations)

    def _meeting(self) -> list[int]:
        """Return, for each group of senders, the groups of receivers that both sides have a rule for."""
        reached = _touched(list(self.senders), list(self.receivers.values()))
        accepted = _touched(list(self.receivers), list(self.senders.values()))
        meeting = [0] * len(self.senders)
        for receiver, senders in enumerate(accepted):
            for sender in ones(senders):
                meeting[sender] |= 1 << receiver
        return [found & reached[number] for number, found in enumerate(meeting)]


def _touched(flows_of: list[Flows], groups: list[int]) -> list[int]:
    """Return, for each of these flows, the groups of which some member is among the peers."""
    group_of: dict[int, int] = {}
    for number, members in enumerate(groups):
        for member in ones(members):
            group_of[member] = number
    found: list[int] = []
    for out in flows_of:
        left, touched = 0, 0
        for flow in out:
            left |= flow.maybe
        while left:
            number = group_of[(left & -left).bit_length() - 1]
            touched |= 1 << number
            left &= ~groups[number]
        found.append(touched)
    return found


def _crossed(out: Flows, sources: int, into: Flows, destinations: int) -> Iterator[Rectangle]:
    """Yield where the egress of one group meets the ingress of another."""
    for span, sender, receiver in _overlaps(out, into):
        to, by = sender.sure & destinations, receiver.sure & sources
        if to and by:
            yield Rectangle(by, to, span, is_sure=True)
        to_maybe, by_maybe = sender.maybe & destinations, receiver.maybe & sources
        if to_maybe and by_maybe & ~by:
            yield Rectangle(by_maybe & ~by, to_maybe, span, is_sure=False)
        if by and to_maybe & ~to:
            yield Rectangle(by, to_maybe & ~to, span, is_sure=False)


def _overlaps(one: Flows, other: Flows) -> Iterator[tuple[Span, Flow, Flow]]:
    """Walk two covers of the line of ports side by side."""
    i = j = 0
    while i < len(one) and j < len(other):
        a, b = one[i], other[j]
        yield (max(a.span[0], b.span[0]), min(a.span[1], b.span[1])), a, b
        if a.span[1] <= b.span[1]:
            i += 1
        if b.span[1] <= a.span[1]:
            j += 1


def connectivity(snapshot: Snapshot, *, policy_only: bool = False) -> Connectivity:
    """Return who can connect to whom.

    By policies alone, what the API leaves to network plugins is taken one way: pods on the network of their node are
    like any other, an ipBlock means no pods, rules about nodes mean nobody. They are the policies that were read: what
    could not be read is in the coverage.
    """
    policies = tuple(effective_policies(snapshot, policy_only=policy_only))
    space = AddressSpace.cut_at(spans_told_apart(snapshot, policies))
    grouping = group(snapshot, Vocabulary.of(policies), space, policy_only=policy_only)
    matcher = Matcher(snapshot, grouping.classes, space)
    ready = prepared(policies, matcher)
    applied = {direction: _applied(ready, len(grouping.classes), direction) for direction in Direction}
    return Connectivity(
        grouping=grouping,
        space=space,
        matcher=matcher,
        policies=ready,
        applied=applied,
        senders=_groups(ready, applied[Direction.EGRESS], grouping, matcher, Direction.EGRESS),
        receivers=_groups(ready, applied[Direction.INGRESS], grouping, matcher, Direction.INGRESS),
    )


def effective_policies(snapshot: Snapshot, *, policy_only: bool) -> Iterator[Policy]:
    """Yield the policies of every kind; without `policy_only` also one for each that may exist and was not read."""
    yield from network_policies(snapshot, policy_only=policy_only)
    yield from cluster_policies(snapshot, policy_only=policy_only)
    yield from cilium_policies(snapshot, policy_only=policy_only)
    yield from calico_policies(snapshot, policy_only=policy_only)
    yield from plugin_policies(snapshot)
    if not policy_only:
        yield from _unread_policies(snapshot)


def _unread_policies(snapshot: Snapshot) -> Iterator[Policy]:
    """Yield a policy that may do anything for each that may exist and could not be read."""
    everywhere = Pods(LabelSelector(), LabelSelector())
    for kind in (*CLUSTER_POLICY_KINDS, *CILIUM_KINDS, *CALICO_KINDS, *PLUGIN_KINDS):
        yield from _unread(snapshot, kind, everywhere, Tier.PLUGIN_DENY)
    for namespace in snapshot.namespaces:
        own = Pods(LabelSelector(), namespace=namespace)
        yield from _unread(snapshot, NETWORK_POLICY, own, Tier.NETWORK_POLICY)


def _unread(snapshot: Snapshot, kind: GroupKind, subject: Pods, tier: Tier) -> Iterator[Policy]:
    missing = snapshot.inconclusive([kind], subject.namespace)
    if missing:
        reason = f"not read: {missing[0].missing}"
        ref = ObjectRef(kind.group, kind.kind, subject.namespace, "")
        rule = Rule(Action.UNDECIDED, (Undecided(reason),), None, "spec")
        yield Policy(ref=ref, tier=tier, subject=subject, ingress=(rule,), egress=(rule,), doubt=reason)


def spans_told_apart(snapshot: Snapshot, policies: tuple[Policy, ...]) -> Iterator[Span]:
    """Yield every span of addresses that some rule tells apart."""
    peers = [
        part
        for p in policies
        for peer in (p.subject, *(peer for r in (*(p.ingress or ()), *(p.egress or ())) for peer in r.peers))
        for part in parts_of(peer)
    ]
    for peer in peers:
        if isinstance(peer, Block):
            yield from peer.spans
    if any(isinstance(peer, Nodes) for peer in peers):
        yield from node_spans(snapshot)


def _applied(
    policies: tuple[ReadyPolicy, ...], classes: int, direction: Direction
) -> tuple[tuple[tuple[int, bool], ...], ...]:
    found: list[list[tuple[int, bool]]] = [[] for _ in range(classes)]
    for number, policy in enumerate(policies):
        if policy.rules(direction) is not None:
            for selected in ones(policy.selected.maybe):
                found[selected].append((number, bool(policy.selected.sure >> selected & 1)))
    return tuple(tuple(policies) for policies in found)


def _groups(
    policies: tuple[ReadyPolicy, ...],
    applied: tuple[tuple[tuple[int, bool], ...], ...],
    grouping: Grouping,
    matcher: Matcher,
    direction: Direction,
) -> dict[Flows, int]:
    """Join classes with the same flows. Addresses outside the cluster are nobody's to isolate."""
    known: dict[object, Flows] = {}
    names: dict[tuple[tuple[int, bool], ...], frozenset[str]] = {}
    found: dict[Flows, int] = defaultdict(int)
    for number, (chosen, pod) in enumerate(zip(applied, grouping.classes, strict=True)):
        if chosen not in names:
            names[chosen] = _port_names((policies[n] for n, _ in chosen), direction)
        ports = tuple(port for port in pod.ports if port[0] in names[chosen])
        key = (chosen, ports, pod.on_host_network)
        if key not in known:
            known[key] = flows([(policies[n], is_sure) for n, is_sure in chosen], pod, direction, matcher)
        found[known[key]] |= 1 << number
    # What does not pass the cluster is no connection of it.
    outside = (Flow(EVERY_PORT, matcher.pods, matcher.pods),)
    found[outside] |= matcher.outside
    return dict(found)


def _port_names(policies: Iterable[ReadyPolicy], direction: Direction) -> frozenset[str]:
    """Return the names of ports that rules of these policies look for in the pods that they are on."""
    return frozenset(port.name for p in policies for rule in p.rules(direction) or () for port in rule.named)
