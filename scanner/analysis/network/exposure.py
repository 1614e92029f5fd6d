"""Who can really reach each workload, and what it reaches: doors and well-known targets joined with the policies.

A door is open where policies certainly let somebody through it, closed where they let nobody, and else unknown with the
reason. What stands before the cluster (a cloud's firewall, its network) is not seen. Work grows with classes of pods.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from scanner.analysis.network.addresses import EVERY_IPV4, EVERY_IPV6, address_place, network_span, range_text, without
from scanner.analysis.network.cilium_policies import CILIUM_KINDS
from scanner.analysis.network.connectivity import POLICY_KINDS, Connectivity
from scanner.analysis.network.doors import DOOR_KINDS, Door, Seen, doors
from scanner.analysis.network.endpoints import API_SERVER, Endpoints
from scanner.analysis.network.explanations import why_unknown
from scanner.analysis.network.matching import node_spans, ones
from scanner.analysis.network.ports import EVERY_PORT, Span, by_protocol, merged, port_span
from scanner.analysis.network.reach import Reach, full_connectivity, reach
from scanner.analysis.network.rules import Direction
from scanner.analysis.network.verdicts import Flows
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot

#: What the answers rest on.
READS: tuple[GroupKind, ...] = (*DOOR_KINDS, *POLICY_KINDS, GroupKind("", "Namespace"), GroupKind("", "Node"))

#: Ingress controllers by a part of their image, as their projects publish them; none that is a sidecar elsewhere.
CONTROLLER_IMAGES = (
    "ingress-nginx/controller",
    "nginx/nginx-ingress",
    "haproxytech/kubernetes-ingress",
    "library/traefik",
    "traefik/traefik",
)

_NODE_SEEN = "the policies may see the address of a node in place of the client's: that is up to the network plugin"
_PROXY_SEEN = "it depends on which pods the controller runs in, which the API does not say"
#: "Traffic to and from the node where a Pod is running is always allowed", the API says.
_OWN_NODE = "but that of its own node always"
_API_SERVER_UNKNOWN = "the addresses of the API server are not read"
_API_SERVER_PLUGIN = "whether what the rules name is the API server, on its node, is up to the network plugin"
_NODES_UNREAD = "the addresses of the nodes are not read"

#: Not routed on the internet, by their registries; of IPv6, only 2000::/3 is.
_PRIVATE = tuple(
    network_span(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
        *("::/3", "4000::/2", "8000::/1"),
    )
)
_METADATA = address_place("169.254.169.254")
_KUBELET = port_span("TCP", 10250, 10250)
_API_PORTS = (port_span("TCP", 443, 443), port_span("TCP", 6443, 6443))


class Verdict(enum.StrEnum):
    """Whether somebody gets through."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class Scope(enum.StrEnum):
    """From where in the cluster a workload is reached."""

    EVERY_NAMESPACE = "every namespace"
    OTHER_NAMESPACES = "other namespaces"
    OWN_NAMESPACE = "own namespace"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A door, and whether the policies let somebody through it."""

    door: Door
    verdict: Verdict
    #: Ranges of addresses, `a-b`, or `everywhere`; empty unless it is open.
    addresses: tuple[str, ...] = ()
    #: Why it is unknown.
    reasons: tuple[str, ...] = ()

    @property
    def is_public(self) -> bool:
        """Tell whether it is open to every address outside, but for private load balancers."""
        return self.verdict is Verdict.OPEN and self.addresses == (EVERYWHERE,) and not self.door.is_internal


@dataclass(frozen=True, slots=True, kw_only=True)
class Outward:
    """Whether a workload reaches a target outside the pods."""

    verdict: Verdict
    #: By protocol, those that are certain.
    ports: Mapping[str, str]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What can be said of one workload."""

    workload: ObjectRef
    entries: tuple[Entry, ...]
    #: Certainly, and at most.
    reached_from: Scope
    may_be_reached_from: Scope
    #: By name: `api-server`, `metadata`, `internet`, `kubelets`.
    reaches: Mapping[str, Outward]


#: How the addresses of an open door are written where they are all.
EVERYWHERE = "everywhere"

#: What one kind of pods of a workload is open to, all of it is.
_ORDER = (Verdict.OPEN, Verdict.UNKNOWN, Verdict.CLOSED)


def exposures(snapshot: Snapshot) -> tuple[Exposure, ...]:
    """Return the exposure of every workload with pods, in the order of the snapshot."""
    judge = _Judge(snapshot, snapshot.derive(full_connectivity))
    return tuple(judge.exposure(ref, classes) for ref, classes in judge.found.grouping.workloads.items())


def entries(snapshot: Snapshot) -> Mapping[ObjectRef, tuple[Entry, ...]]:
    """Return the doors of every workload with pods, judged; for `Snapshot.derive`."""
    judge = _Judge(snapshot, snapshot.derive(full_connectivity))
    return {ref: judge.entries(ref, classes) for ref, classes in judge.found.grouping.workloads.items()}


@dataclass(frozen=True)
class _Judge:
    snapshot: Snapshot
    found: Connectivity

    def exposure(self, ref: ObjectRef, classes: tuple[int, ...]) -> Exposure:
        if classes not in self._reaches:
            self._reaches[classes] = dict(self._outward(classes))
        return Exposure(
            workload=ref,
            entries=self.entries(ref, classes),
            reached_from=self._scope(self._reach.sure(classes), ref.namespace),
            may_be_reached_from=self._scope(self._reach.maybe(classes), ref.namespace),
            reaches=self._reaches[classes],
        )

    def entries(self, ref: ObjectRef, classes: tuple[int, ...]) -> tuple[Entry, ...]:
        return tuple(self._entry(door, classes) for door in self._doors.get(ref, ()))

    @cached_property
    def _doors(self) -> Mapping[ObjectRef, tuple[Door, ...]]:
        return self.snapshot.derive(doors)

    @cached_property
    def _reaches(self) -> dict[tuple[int, ...], Mapping[str, Outward]]:
        return {}

    @cached_property
    def _flows(self) -> Mapping[Direction, Mapping[int, Flows]]:
        """The flows of every class; to ask the groups for each of them would be pairs."""
        groups = {Direction.INGRESS: self.found.receivers, Direction.EGRESS: self.found.senders}
        return {
            direction: {member: flows for flows, members in by_flows.items() for member in ones(members)}
            for direction, by_flows in groups.items()
        }

    def _peers(self, number: int, direction: Direction, span: Span) -> tuple[int, int]:
        """Return who certainly and who possibly gets through on some port of a span."""
        sure = maybe = 0
        for flow in self._flows[direction][number]:
            if flow.span[0] <= span[1] and span[0] <= flow.span[1]:
                sure, maybe = sure | flow.sure, maybe | flow.maybe
        return sure, maybe

    def _entry(self, door: Door, classes: tuple[int, ...]) -> Entry:
        judged = [self._through(door, number) for number in classes]
        best = min(judged, key=lambda entry: _ORDER.index(entry.verdict))
        if door.doubt and best.verdict is not Verdict.CLOSED:
            return Entry(door=door, verdict=Verdict.UNKNOWN, reasons=(door.doubt, *best.reasons))
        return best

    def _through(self, door: Door, number: int) -> Entry:
        sure, maybe = self._peers(number, Direction.INGRESS, door.target)
        everyone, outside = self.found.matcher.everyone, self.found.matcher.outside
        if door.seen is Seen.PROXY:
            return self._by_proxy(door, number, sure, maybe)
        if door.seen is Seen.NODE and sure & everyone != everyone:
            return Entry(door=door, verdict=Verdict.UNKNOWN, reasons=(_NODE_SEEN,))
        addresses = self._addresses(sure & outside, door)
        if addresses:
            return Entry(door=door, verdict=Verdict.OPEN, addresses=addresses)
        doubtful = self._addresses(maybe & outside, door)
        if not doubtful:
            return Entry(door=door, verdict=Verdict.CLOSED)
        first = next(ones(maybe & outside))
        return Entry(door=door, verdict=Verdict.UNKNOWN, reasons=why_unknown(self.found, first, number))

    def _by_proxy(self, door: Door, number: int, sure: int, maybe: int) -> Entry:
        """Judge by everyone, or the controllers that are known; whoever reaches those reaches the workload."""
        callers = self._controllers
        if sure == self.found.matcher.everyone or (
            callers and callers == callers & sure & self._senders_to(number, door.target)
        ):
            return Entry(door=door, verdict=Verdict.OPEN, addresses=(EVERYWHERE,))
        if not maybe:
            return Entry(door=door, verdict=Verdict.CLOSED)
        return Entry(door=door, verdict=Verdict.UNKNOWN, reasons=(_PROXY_SEEN,))

    def _senders_to(self, number: int, span: Span) -> int:
        """Return which classes of controllers may certainly connect out to one on some port of a span."""
        found = 0
        for caller in ones(self._controllers):
            found |= (self._peers(caller, Direction.EGRESS, span)[0] >> number & 1) << caller
        return found

    @cached_property
    def _controllers(self) -> int:
        """The classes of workloads that run a known controller."""
        found = 0
        for workload in self.snapshot.workloads:
            images = [str(c.spec.get("image") or "") for c in workload.containers]
            if any(name in image for image in images for name in CONTROLLER_IMAGES):
                for number in self.found.grouping.workloads.get(workload.ref, ()):
                    found |= 1 << number
        return found

    def _spans(self, bits: int) -> tuple[Span, ...]:
        first = len(self.found.grouping.classes)
        return merged(self.found.space.range(number - first) for number in ones(bits))

    def _addresses(self, bits: int, door: Door) -> tuple[str, ...]:
        """Write addresses that come to a door: those of the policies and of the load balancer."""
        spans = self._spans(bits)
        if door.sources is not None:
            spans = tuple(
                (max(a[0], b[0]), min(a[1], b[1])) for a in spans for b in door.sources if a[0] <= b[1] and b[0] <= a[1]
            )
        return _written(spans)

    @cached_property
    def _reach(self) -> Reach:
        return self.snapshot.derive(reach)

    @cached_property
    def _everywhere(self) -> frozenset[str]:
        return self._reach.namespaces(self.found.matcher.pods)

    def _scope(self, sources: int, own: str) -> Scope:
        namespaces = self._reach.namespaces(sources)
        if not namespaces:
            return Scope.NOBODY
        if sources == self.found.matcher.pods:
            return Scope.EVERY_NAMESPACE
        if namespaces == {own}:
            return Scope.OWN_NAMESPACE
        return Scope.EVERY_NAMESPACE if namespaces == self._everywhere else Scope.OTHER_NAMESPACES

    def _outward(self, classes: tuple[int, ...]) -> Iterator[tuple[str, Outward]]:
        first = len(self.found.grouping.classes)
        at = 1 << (first + self.found.space.number_of(_METADATA))
        yield "api-server", self._to_api_server(classes)
        yield "internet", self._to(classes, self._internet, EVERY_PORT)
        yield "kubelets", self._to_kubelets(classes)
        yield "metadata", self._to(classes, at, port_span("TCP", 80, 80))

    @cached_property
    def _internet(self) -> int:
        first = len(self.found.grouping.classes)
        return sum(
            1 << number
            for number in ones(self.found.matcher.outside)
            if without(self.found.space.range(number - first), _PRIVATE)
        )

    def _to(self, classes: tuple[int, ...], targets: int, within: Span) -> Outward:
        """Tell whether some pod of a workload reaches some of these addresses, and on which ports."""
        certain: list[Span] = []
        possible = False
        for number in classes:
            for flow in self._flows[Direction.EGRESS][number]:
                span = (max(flow.span[0], within[0]), min(flow.span[1], within[1]))
                if span[0] <= span[1]:
                    certain += [span] if flow.sure & targets else []
                    possible = possible or bool(flow.maybe & targets)
        verdict = Verdict.OPEN if certain else Verdict.UNKNOWN if possible else Verdict.CLOSED
        return Outward(verdict=verdict, ports=by_protocol(certain))

    def _to_api_server(self, classes: tuple[int, ...]) -> Outward:
        """Judge by its own addresses; where they are not known, by all addresses and pods: any may be the API server's.

        Cilium knows the API server by another way than its address.
        """
        at = self._api_server
        if at and not any(self.snapshot.of(*kind) for kind in CILIUM_KINDS):
            return self._to_places(classes, at)
        peers = [self._peers(number, Direction.EGRESS, port) for number in classes for port in _API_PORTS]
        everything = self.found.matcher.outside | self.found.matcher.host_pods
        if all(sure & everything == everything for sure, _ in peers):
            return Outward(verdict=Verdict.OPEN, ports={"TCP": "443,6443"})
        if not any(maybe & everything for _, maybe in peers):
            return Outward(verdict=Verdict.CLOSED, ports={})
        return Outward(verdict=Verdict.UNKNOWN, ports={}, note=_API_SERVER_UNKNOWN)

    def _to_places(self, classes: tuple[int, ...], at: tuple[tuple[int, Span], ...]) -> Outward:
        """Judge by addresses with ports; the pods that may have them, on the network of their node, count as maybe."""
        first = len(self.found.grouping.classes)
        certain: list[Span] = []
        possible = False
        for place, span in at:
            target = 1 << (first + self.found.space.number_of(place))
            for number in classes:
                sure, maybe = self._peers(number, Direction.EGRESS, span)
                certain += [span] if sure & target else []
                possible = possible or bool(maybe & (target | self.found.matcher.host_pods))
        verdict = Verdict.OPEN if certain else Verdict.UNKNOWN if possible else Verdict.CLOSED
        note = _API_SERVER_PLUGIN if verdict is Verdict.UNKNOWN else ""
        return Outward(verdict=verdict, ports=by_protocol(certain), note=note)

    @cached_property
    def _api_server(self) -> tuple[tuple[int, Span], ...]:
        return self.snapshot.derive(Endpoints).places(API_SERVER)

    def _to_kubelets(self, classes: tuple[int, ...]) -> Outward:
        first = len(self.found.grouping.classes)
        targets = self._nodes << first
        if targets:
            shown = self._to(classes, targets, _KUBELET)
            return Outward(verdict=shown.verdict, ports=shown.ports, note=_own_node(shown.verdict))
        shown = self._to(classes, self.found.matcher.outside, _KUBELET)
        peers = [self._peers(number, Direction.EGRESS, _KUBELET)[0] for number in classes]
        is_all = any(sure & self.found.matcher.outside == self.found.matcher.outside for sure in peers)
        if is_all or shown.verdict is Verdict.CLOSED:
            return Outward(verdict=shown.verdict, ports=shown.ports, note=_own_node(shown.verdict))
        return Outward(verdict=Verdict.UNKNOWN, ports={}, note=_NODES_UNREAD)

    @cached_property
    def _nodes(self) -> int:
        return self.found.space.bits(node_spans(self.snapshot))


def _own_node(verdict: Verdict) -> str:
    return "" if verdict is Verdict.OPEN else _OWN_NODE


def _written(spans: tuple[Span, ...]) -> tuple[str, ...]:
    """Write ranges; `everywhere` for all of IPv4 and IPv6."""
    if spans and (merged(spans) == ((EVERY_IPV4[0], EVERY_IPV6[1]),)):
        return (EVERYWHERE,)
    parts = [
        (max(span[0], family[0]), min(span[1], family[1]))
        for family in (EVERY_IPV4, EVERY_IPV6)
        for span in spans
        if span[0] <= family[1] and family[0] <= span[1]
    ]
    return tuple(range_text(part) for part in parts)
