"""From claims about peers to sets of them: one bit for each class of pods, then one for each range of addresses.

Of every claim two sets are made: the peers that it certainly means, and those that it may mean. They differ where the
API leaves something to the network plugin, or where the objects do not tell; all that follows carries both along.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_

import msgspec

from scanner.analysis.network.addresses import EVERY_IPV4, EVERY_IPV6, AddressSpace, address_place
from scanner.analysis.network.pod_classes import PodClass
from scanner.analysis.network.ports import Span, merged
from scanner.analysis.network.rules import (
    AllOf,
    AnyOf,
    Block,
    BlockMeaning,
    Entities,
    Everyone,
    HostPods,
    LabelTest,
    Nodes,
    Not,
    Peer,
    Pods,
    Selected,
    Undecided,
)
from scanner.analysis.network.selection import GENERATED_LABELS
from scanner.model.objects import labels_of
from scanner.model.selectors import LabelSelector, Requirement
from scanner.model.snapshot import Snapshot, SourceKind

_NAMESPACE_NAME = "kubernetes.io/metadata.name"

HOST_NETWORK = "NetworkPolicies for pods on the network of their node are up to the network plugin"
BLOCK_OF_PODS = "whether an ipBlock means pods with such an address is up to the network plugin"
ADDRESS_UNKNOWN = "the addresses of pods that do not run are not known"
LABELS_UNKNOWN = "a selector asks for labels that are not known"
NODES_UNKNOWN = "which addresses the nodes have is not known"

#: Why such a claim may leave open whom it means.
_REASONS: Mapping[type, str] = {Block: ADDRESS_UNKNOWN, Nodes: NODES_UNKNOWN, LabelTest: LABELS_UNKNOWN}


@dataclass(frozen=True, slots=True)
class Match:
    """Peers that are certainly meant, and peers that may be, which include them."""

    sure: int
    maybe: int

    def __or__(self, other: "Match") -> "Match":
        """Return what one or the other means."""
        return Match(self.sure | other.sure, self.maybe | other.maybe)

    def __and__(self, other: "Match") -> "Match":
        """Return what both mean."""
        return Match(self.sure & other.sure, self.maybe & other.maybe)


NOBODY = Match(0, 0)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Peers of which something cannot be told, and why."""

    peers: int
    reason: str


def ones(bits: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, in order."""
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


class _Labels:
    """Which classes have which labels."""

    def __init__(self, found: Iterable[tuple[int, Iterable[tuple[str, str]]]], everyone: int) -> None:
        self._having: dict[str, int] = defaultdict(int)
        self._with_value: dict[tuple[str, str], int] = defaultdict(int)
        self._everyone = everyone
        for number, labels in found:
            for key, value in labels:
                self._having[key] |= 1 << number
                self._with_value[key, value] |= 1 << number

    def select(self, selector: LabelSelector, hidden: Mapping[str, int], otherwise_hidden: int) -> Match:
        """Return the classes that a selector means; classes may have labels with `hidden` keys that do not show."""
        found = Match(self._everyone, self._everyone)
        wanted = [Requirement(k, "In", (v,)) for k, v in (selector.match_labels or {}).items()]
        for requirement in (*wanted, *(selector.match_expressions or ())):
            holds = self._holds(requirement)
            open_ = hidden.get(requirement.key, otherwise_hidden) & ~self._having.get(requirement.key, 0)
            found &= Match(holds & ~open_, holds | open_)
        return found

    def _holds(self, requirement: Requirement) -> int:
        having = self._having.get(requirement.key, 0)
        values = reduce(or_, (self._with_value.get((requirement.key, v), 0) for v in requirement.values or ()), 0)
        match requirement.operator:
            case "In":
                return values
            case "NotIn":
                return self._everyone & ~values
            case "Exists":
                return having
            case "DoesNotExist":
                return self._everyone & ~having
            case _:
                return 0


class Matcher:
    """Tells which peers a claim means, for one set of classes and ranges."""

    def __init__(self, snapshot: Snapshot, classes: tuple[PodClass, ...], space: AddressSpace) -> None:
        self._classes = classes
        self._space = space
        self.pods = (1 << len(classes)) - 1
        self.outside = ((1 << len(space)) - 1) << len(classes)
        self.everyone = self.pods | self.outside
        self.host_pods = self._where(lambda c: c.on_host_network)
        self._unaddressed = self._where(lambda c: c.addresses is None)
        self._pods_at: dict[int, int] = defaultdict(int)
        for number, pod in enumerate(classes):
            for place in pod.addresses or ():
                self._pods_at[place] |= 1 << number
        self._pod_labels = _Labels(((i, c.labels) for i, c in enumerate(classes)), self.pods)
        self._namespace_labels = _Labels(((i, c.namespace_labels) for i, c in enumerate(classes)), self.pods)
        templates = self._where(lambda c: not c.is_running)
        self._hidden_of_pods = dict.fromkeys(GENERATED_LABELS, templates)
        self._unread_namespaces = self._where(lambda c: c.is_namespace_unread)
        self._in_namespace: dict[str, int] = defaultdict(int)
        for number, pod in enumerate(classes):
            self._in_namespace[pod.namespace] |= 1 << number
        self._nodes = _node_addresses(snapshot)
        self._knows_nodes = snapshot.source is SourceKind.LIVE and bool(self._nodes)
        self._tests: dict[LabelTest, Match] = defaultdict(lambda: NOBODY)
        for number, pod in enumerate(classes):
            for test in pod.holds:
                self._tests[test] |= Match(1 << number, 1 << number)
            for test in pod.hidden:
                self._tests[test] |= Match(0, 1 << number)
        self._cache: dict[bytes, Match] = {}
        #: The ranges of blocks, some of which (all nodes) many rules share.
        self._ranges: dict[tuple[Span, ...], int] = {}

    def _where(self, claim: Callable[[PodClass], bool]) -> int:
        return sum(1 << number for number, pod in enumerate(self._classes) if claim(pod))

    def named_ports(self) -> Mapping[tuple[str, str], Mapping[int, Match]]:
        """Return the pods that have a port, by its name and protocol and then by its number.

        Where containers of one pod give a name to several ports, any of them may be meant.
        """
        found: dict[tuple[str, str], dict[int, Match]] = defaultdict(lambda: defaultdict(lambda: NOBODY))
        for number, pod in enumerate(self._classes):
            for name, protocol, port in pod.ports:
                is_only = sum(p[:2] == (name, protocol) for p in pod.ports) == 1
                found[name, protocol][port] |= Match(1 << number if is_only else 0, 1 << number)
        return found

    def selected(self, subject: Peer) -> Match:
        """Return the pods that a policy is for."""
        return self._match(subject) & Match(self.pods, self.pods)

    def match(self, peers: Iterable[Peer]) -> Match:
        """Return whom any of these peers means."""
        peers = tuple(peers)
        blocks = [peer for peer in peers if isinstance(peer, Block)]
        found = reduce(or_, (self._match(peer) for peer in peers if not isinstance(peer, Block)), NOBODY)
        for meaning in {block.meaning for block in blocks}:
            # Together they may be the whole of a family, or of both, which then means pods of any address.
            spans = merged(span for block in blocks if block.meaning is meaning for span in block.spans)
            found |= self._match_block(Block(spans, meaning))
        return found

    def doubts(self, peers: Iterable[Peer]) -> tuple[Doubt, ...]:
        """Return why it cannot be told of some whether they are meant."""
        found: list[Doubt] = []
        for peer in peers:
            match = self.match([peer])
            unclear = match.maybe & ~match.sure
            if unclear:
                found += (Doubt(unclear & bits, reason) for bits, reason in self._reasons(peer) if unclear & bits)
        return tuple(found)

    def _reasons(self, peer: Peer) -> tuple[tuple[int, str], ...]:
        match peer:
            case AllOf(parts=parts) | AnyOf(parts=parts):
                return tuple(reason for part in parts for reason in self._reasons_within(part))
            case Not(part=part) | Selected(pods=part):
                return tuple(self._reasons_within(part))
            case Undecided(reason=reason):
                return ((~0, reason),)
            case Pods():
                return ((self.host_pods, HOST_NETWORK), (~self.host_pods, LABELS_UNKNOWN))
            case Block(meaning=BlockMeaning.PLUGIN):
                return ((~0, BLOCK_OF_PODS),)
            case _:
                return tuple((~0, reason) for kind, reason in _REASONS.items() if isinstance(peer, kind))

    def _reasons_within(self, part: Peer) -> Iterator[tuple[int, str]]:
        """Yield why a part is unclear, for those of whom it is."""
        match = self.match([part])
        unclear = match.maybe & ~match.sure
        return ((unclear & bits, reason) for bits, reason in self._reasons(part) if unclear & bits)

    def _match(self, peer: Peer) -> Match:  # noqa: PLR0911 - one for each kind of claim
        match peer:
            case AllOf(parts=parts):
                return reduce(and_, map(self._match, parts), Match(self.everyone, self.everyone))
            case AnyOf(parts=parts):
                return self.match(parts)
            case Not(part=part):
                meant = self._match(part)
                return Match(self.everyone & ~meant.maybe, self.everyone & ~meant.sure)
            case Undecided(outside_only=outside_only):
                return Match(0, self.outside if outside_only else self.everyone)
            case Everyone():
                return Match(self.everyone, self.everyone)
            case Entities(cluster=cluster, world=world):
                bits = (self.pods if cluster else 0) | (self.outside if world else 0)
                return Match(bits, bits)
            case Block():
                return self._match_block(peer)
            case Nodes():
                return self._match_nodes(peer)
            case LabelTest() | Selected() | Pods():
                return self._match_pods(peer)

    def _match_pods(self, peer: LabelTest | Selected | Pods) -> Match:
        match peer:
            case LabelTest():
                return self._tests.get(peer, NOBODY)
            case Selected():
                return self._selected_by_tests(peer)
            case Pods():
                return self._pods_by_label(peer)

    def _pods_by_label(self, peer: Pods) -> Match:
        found = self._selected_pods(peer.pods)
        if peer.namespaces is None:
            own = self._in_namespace.get(peer.namespace, 0)
            found &= Match(own, own)
        else:
            found &= self._selected_namespaces(peer.namespaces)
        return self._of_network(found, peer.host_pods)

    def _selected_by_tests(self, peer: Selected) -> Match:
        own = self._in_namespace.get(peer.namespace, 0) if peer.namespace else self.pods
        return self._of_network(self._match(peer.pods) & Match(own, own), peer.host_pods)

    def _of_network(self, found: Match, host_pods: HostPods) -> Match:
        """Leave of these pods those on the network that is meant."""
        match host_pods:
            case HostPods.NEVER:
                return Match(found.sure & ~self.host_pods, found.maybe & ~self.host_pods)
            case HostPods.PLUGIN:
                return Match(found.sure & ~self.host_pods, found.maybe)
            case HostPods.ALWAYS:
                return found
            case HostPods.ONLY:
                return Match(found.sure & self.host_pods, found.maybe & self.host_pods)

    def _selected_pods(self, selector: LabelSelector) -> Match:
        key = b"p" + msgspec.json.encode(selector)
        if key not in self._cache:
            self._cache[key] = self._pod_labels.select(selector, self._hidden_of_pods, 0)
        return self._cache[key]

    def _selected_namespaces(self, selector: LabelSelector) -> Match:
        key = b"n" + msgspec.json.encode(selector)
        if key not in self._cache:
            named = {_NAMESPACE_NAME: 0}
            self._cache[key] = self._namespace_labels.select(selector, named, self._unread_namespaces)
        return self._cache[key]

    def _match_block(self, block: Block) -> Match:
        if block.spans not in self._ranges:
            self._ranges[block.spans] = self._space.bits(block.spans) << len(self._classes)
        outside = self._ranges[block.spans]
        if block.meaning is BlockMeaning.OUTSIDE:
            return Match(outside, outside)
        within, touching = self._pods_in(block.spans)
        if block.meaning is BlockMeaning.PLUGIN:
            return Match(outside, outside | touching)
        if block.meaning is BlockMeaning.WHOLE and not _families(block.spans):
            return Match(outside, outside)
        return Match(outside | within, outside | touching)

    def _pods_in(self, spans: tuple[Span, ...]) -> tuple[int, int]:
        """Return the pods whose addresses all lie in these spans, and those of which one may."""
        ranges = self._space.bits(spans)
        inside = outside = 0
        for place, pods in self._pods_at.items():
            if ranges >> place & 1:
                inside |= pods
            else:
                outside |= pods
        within = (inside & ~outside) | (self._unaddressed if _families(spans) == _FAMILIES else 0)
        touching = inside | self._unaddressed
        return within, touching

    def _match_nodes(self, peer: Nodes) -> Match:
        """Return the addresses of nodes, and the pods on their network."""
        if not self._knows_nodes:
            return Match(0, self.outside | self.host_pods)
        chosen = [places for labels, places in self._nodes if peer.nodes.matches(labels)]
        spans = [(place, place) for places in chosen for place in places]
        outside = self._space.bits(spans) << len(self._classes)
        within, touching = self._pods_in(tuple(spans))
        return Match(outside | (within & self.host_pods), outside | (touching & self.host_pods))


_FAMILIES = frozenset({EVERY_IPV4, EVERY_IPV6})


def _families(spans: tuple[Span, ...]) -> frozenset[Span]:
    """Return the families of which these spans are the whole."""
    whole = merged(spans)
    return frozenset(f for f in _FAMILIES if any(first <= f[0] and f[1] <= last for first, last in whole))


class _Address(msgspec.Struct):
    address: str = ""


class _NodeStatus(msgspec.Struct):
    addresses: tuple[_Address, ...] | None = None


def _node_addresses(snapshot: Snapshot) -> tuple[tuple[Mapping[str, str], tuple[int, ...]], ...]:
    """Return the labels of each node with the places of its addresses; names among them are no addresses."""
    found: list[tuple[Mapping[str, str], tuple[int, ...]]] = []
    for node in snapshot.of("", "Node"):
        status = msgspec.json.decode(node.status, type=_NodeStatus) if node.status else _NodeStatus()
        found.append((labels_of(node), tuple(_places(status.addresses or ()))))
    return tuple(found)


def node_spans(snapshot: Snapshot) -> tuple[Span, ...]:
    """Return the addresses of all nodes."""
    return tuple((place, place) for _, places in _node_addresses(snapshot) for place in places)


def _places(addresses: Iterable[_Address]) -> Iterator[int]:
    for address in addresses:
        try:
            yield address_place(address.address)
        except ValueError:  # a host name
            continue
