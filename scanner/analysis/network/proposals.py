"""NetworkPolicies that keep what a cluster declares it needs and cut the rest, and the engine's proof of both.

One policy a namespace denies everything; for each set of pods that something is needed of, one more allows just that.
They are put into the snapshot as `kubectl apply` would, and the engine is asked again: every need that was open before
must be open after, and what is gone between the two answers is what they cut.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeAlias

import msgspec

from scanner.analysis.network.addresses import EVERY_IPV4, EVERY_IPV6, AddressSpace, network_span
from scanner.analysis.network.changes import Difference, Ends, State, connectivity_of, differences
from scanner.analysis.network.connectivity import Connectivity
from scanner.analysis.network.matching import ones
from scanner.analysis.network.needs import (
    Addresses,
    End,
    EveryAddress,
    EveryNamespace,
    Need,
    OwnNode,
    PodSet,
    Port,
    needs,
    selected,
)
from scanner.analysis.network.ports import Span, merged, port_span
from scanner.analysis.network.rules import Direction
from scanner.model.objects import KubeObject, ObjectMeta
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot

NETWORK_POLICY = GroupKind("networking.k8s.io", "NetworkPolicy")
#: Namespaces of the cluster itself, left out unless they are named: to cut them off can end the cluster.
SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})

#: Said of every proposal.
ALWAYS_ASSUMED = (
    "probes come from the node of a pod, which most network plugins let through whatever the policies say",
    "nothing else outside the cluster is called: connections to the outside are cut",
    "names of Services in ConfigMaps and Secrets are not read",
    "pods on the network of their node are neither isolated nor meant by pod selectors with most network plugins",
)

_NAME_BYTES = 200
_NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class ProposedPolicy:
    """One NetworkPolicy as JSON values, and why each of its rules is there."""

    manifest: Mapping[str, Any]
    reasons: tuple[str, ...]

    @property
    def namespace(self) -> str:
        """The namespace that it is for."""
        return str(self.manifest["metadata"]["namespace"])


class Proof(StrEnum):
    """What the engine says of a need, once the policies are there."""

    KEPT = "kept"
    #: The API allows it whatever policies say.
    ALWAYS = "always allowed"
    #: Policies that are there, or the other end's, cut it already; or it has no pods yet.
    NOT_OPEN = "not open before"
    #: Never, unless this program is wrong.
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class ProvenNeed:
    """A need with the engine's answer for all of its pairs and ports; `kept` if some were open and all of those are."""

    need: Need
    proof: Proof


@dataclass(frozen=True, slots=True)
class Connections:
    """Ports that every source may use on every destination; a workload is no peer of itself."""

    sources: Ends
    destinations: Ends
    spans: tuple[Span, ...]

    @property
    def pairs(self) -> int:
        """How many pairs of a workload and another, or a range of addresses, it stands for."""
        ends = (self.sources, self.destinations)
        all_ = [len(end.workloads) + len(end.addresses) for end in ends]
        return all_[0] * all_[1] - len(set(self.sources.workloads) & set(self.destinations.workloads))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The policies, what was assumed, and what the engine says of them."""

    policies: tuple[ProposedPolicy, ...]
    assumptions: tuple[str, ...]
    needs: tuple[ProvenNeed, ...]
    #: What pods of the namespaces could do and still can, from and to them.
    kept: tuple[Connections, ...]
    #: What they could do and no longer can.
    cut: tuple[Connections, ...]
    #: What policies that are there do not allow for certain, and these would: policies add up.
    opened: tuple[Connections, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """Needs that were open before and would not be any more."""
        return tuple(proven.need.why for proven in self.needs if proven.proof is Proof.BROKEN)


def propose(snapshot: Snapshot, namespaces: Iterable[str] = ()) -> Proposal:
    """Propose policies for these namespaces, or for all with workloads but those of the cluster itself."""
    chosen = frozenset(namespaces) or frozenset(w.ref.namespace for w in snapshot.workloads) - SYSTEM_NAMESPACES
    wanted = [need for need in needs(snapshot) if _concerns(need, chosen)]
    policies = tuple(policy for name in sorted(chosen) for policy in _policies(snapshot, name, wanted))
    sides = [connectivity_of(s, policy_only=True) for s in (snapshot, applied(snapshot, policies))]
    found = differences(sides[0], sides[1], unchanged=True)
    return Proposal(
        policies=policies,
        assumptions=(*ALWAYS_ASSUMED, *_of_others(snapshot, chosen), *sorted({n.assumed for n in wanted} - {""})),
        needs=tuple(_proven(snapshot, sides[0], sides[1], wanted)),
        kept=tuple(_connections(found, chosen, was_open=True, is_open=True)),
        cut=tuple(_connections(found, chosen, was_open=True, is_open=False)),
        opened=tuple(_connections(found, chosen, was_open=False, is_open=True)),
    )


def prove(snapshot: Snapshot, policies: Sequence[ProposedPolicy], wanted: Iterable[Need]) -> tuple[ProvenNeed, ...]:
    """Ask the engine whether each need that is open stays open once these policies are there."""
    sides = [connectivity_of(s, policy_only=True) for s in (snapshot, applied(snapshot, policies))]
    return tuple(_proven(snapshot, sides[0], sides[1], wanted))


def _of_others(snapshot: Snapshot, namespaces: frozenset[str]) -> Iterator[str]:
    """Say that policies add up, where there are some."""
    there = [o.ref for o in snapshot.of(*NETWORK_POLICY) if o.meta.namespace in namespaces]
    if there:
        yield f"{len(there):,} NetworkPolicies that are there stay and allow what they allow, {there[0]} among them"


def applied(snapshot: Snapshot, policies: Sequence[ProposedPolicy]) -> Snapshot:
    """Return a snapshot with the policies in it; one that has the name of another replaces it."""
    new = {
        (p.namespace, name): KubeObject(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            ObjectMeta(name=name, namespace=p.namespace),
            body=msgspec.json.encode({"spec": p.manifest["spec"]}),
        )
        for p in policies
        for name in [str(p.manifest["metadata"]["name"])]
    }
    old = {(o.meta.namespace, o.meta.name): o for o in snapshot.of(*NETWORK_POLICY)}
    together = tuple(o for _, o in sorted((old | new).items()))
    return replace(snapshot, objects={**snapshot.objects, NETWORK_POLICY: together})


def _concerns(need: Need, namespaces: frozenset[str]) -> bool:
    ends = (need.source, need.destination)
    return any(end == EveryNamespace() or _is_in(end, namespaces) for end in ends)


def _is_in(end: End, namespaces: frozenset[str]) -> bool:
    return isinstance(end, PodSet) and end.namespace in namespaces


def _policies(snapshot: Snapshot, namespace: str, wanted: Sequence[Need]) -> Iterator[ProposedPolicy]:
    """Yield the policies of one namespace: everything is denied, then each set of pods gets what it needs."""
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    yield ProposedPolicy(_manifest(namespace, "plimsoll-default-deny", deny), ("nothing is allowed but what follows",))
    into, out = _allowed(wanted, namespace, inward=True), _allowed(wanted, namespace, inward=False)
    taken: set[str] = set()
    for subject in sorted({*into, *out}, key=lambda pods: pods.labels):
        name = _name(snapshot, subject, taken)
        spec: dict[str, Any] = {"podSelector": _selector(subject), "policyTypes": []}
        whys: set[str] = set()
        for kind, key, side, found in (
            ("Ingress", "ingress", "from", into.get(subject, {})),
            ("Egress", "egress", "to", out.get(subject, {})),
        ):
            if found:
                spec["policyTypes"].append(kind)
                spec[key] = _rules(namespace, side, found)
                whys.update(why for ports in found.values() for reasons in ports.values() for why in reasons)
        yield ProposedPolicy(_manifest(namespace, name, spec), tuple(sorted(whys)))


#: By peer and port: why.
_Peers: TypeAlias = dict[End, dict[Port, set[str]]]


def _allowed(wanted: Iterable[Need], namespace: str, *, inward: bool) -> Mapping[PodSet, _Peers]:
    """Return what pods of a namespace need, less what a wider set of pods gets, or from a wider set of peers."""
    found: dict[PodSet, _Peers] = defaultdict(lambda: defaultdict(lambda: defaultdict(set)))
    for need in wanted:
        own, peer = (need.destination, need.source) if inward else (need.source, need.destination)
        subject = PodSet(namespace) if isinstance(own, EveryNamespace) else own
        is_meant = isinstance(subject, PodSet) and subject.namespace == namespace
        # Ingress for a caller that was not found is the destination's matter alone; the caller may be any pod here.
        if is_meant and isinstance(subject, PodSet) and not isinstance(peer, OwnNode):
            for port in need.ports:
                found[subject][peer][port].add(need.why)
    wider = {subject: [w for w in found if w == subject or _includes(w, subject)] for subject in found}
    return {
        subject: left
        for subject, peers in found.items()
        for left in [dict(_not_covered(peers, subject, [(w, found[w]) for w in wider[subject]]))]
        if left
    }


def _not_covered(
    peers: _Peers, subject: PodSet, wider: Sequence[tuple[PodSet, _Peers]]
) -> Iterator[tuple[End, dict[Port, set[str]]]]:
    for end, ports in peers.items():
        others = {
            port
            for other, of_other in wider
            for peer, theirs in of_other.items()
            if (other, peer) != (subject, end) and (peer == end or _includes(peer, end))
            for port in theirs
        }
        left = {port: whys for port, whys in ports.items() if port not in others}
        if left:
            yield end, left


def _manifest(namespace: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _name(snapshot: Snapshot, subject: PodSet, taken: set[str]) -> str:
    """Name a policy for the workload that it selects; those of several for their labels."""
    names = [w.ref.name for w in selected(snapshot, subject)]
    text = (
        "every-pod" if not subject.labels else names[0] if len(names) == 1 else "-".join(v for _, v in subject.labels)
    )
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower())[:_NAME_BYTES].strip("-") or "pods"
    base = f"plimsoll-{slug}"
    name, number = base, 2
    while name in taken or name == "plimsoll-default-deny":
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name


def _selector(pods: PodSet) -> dict[str, Any]:
    return {"matchLabels": dict(pods.labels)} if pods.labels else {}


def _rules(namespace: str, side: str, found: _Peers) -> list[dict[str, Any]]:
    """Return the fewest rules: peers with the same ports are in one."""
    by_ports: dict[tuple[Port, ...], list[dict[str, Any]]] = defaultdict(list)
    for end in sorted(found, key=str):
        by_ports[tuple(sorted(found[end], key=str))].extend(_peers(namespace, end))
    return [
        {side: peers, "ports": [{"protocol": protocol, "port": port} for protocol, port in ports]}
        for ports, peers in sorted(by_ports.items(), key=str)
    ]


def _includes(wide: End, narrow: End) -> bool:
    """Tell whether one end has all of another, and more; whether addresses mean pods is up to the network plugin."""
    if isinstance(wide, PodSet) and isinstance(narrow, PodSet):
        return wide.namespace == narrow.namespace and set(wide.labels) < set(narrow.labels)
    if isinstance(wide, EveryAddress):
        return isinstance(narrow, Addresses)
    return isinstance(wide, EveryNamespace) and isinstance(narrow, PodSet)


def _peers(namespace: str, end: End) -> list[dict[str, Any]]:
    match end:
        case EveryNamespace():
            return [{"namespaceSelector": {}}]
        case EveryAddress():
            return [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]
        case Addresses(cidrs=cidrs):
            return [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]
        case OwnNode():
            return []
        case PodSet():
            own = {"podSelector": _selector(end)}
            if end.namespace == namespace:
                return [own]
            return [{"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: end.namespace}}, **own}]


def _connections(
    found: Iterable[Difference], namespaces: frozenset[str], *, was_open: bool, is_open: bool
) -> Iterator[Connections]:
    """Yield what was open from and to pods of these namespaces, or was not, and is now, or is not."""
    for difference in found:
        changes = (c for c in difference.changes if (c.before is State.OPEN) == was_open)
        spans = merged(span for c in changes if (c.after is State.OPEN) == is_open for span in c.spans)
        inside, beyond = _parted(difference.sources, namespaces)
        reached, _ = _parted(difference.destinations, namespaces)
        for sources, destinations in ((inside, difference.destinations), (beyond, reached)):
            connections = Connections(sources, destinations, spans)
            if spans and connections.pairs:
                yield connections


def _parted(ends: Ends, namespaces: frozenset[str]) -> tuple[Ends, Ends]:
    """Part ends into workloads of these namespaces, and the rest."""
    inside = tuple(ref for ref in ends.workloads if ref.namespace in namespaces)
    if len(inside) == len(ends.workloads):
        return Ends(inside, ()), Ends((), ends.addresses)
    beyond = tuple(ref for ref in ends.workloads if ref.namespace not in namespaces)
    return Ends(inside, ()), Ends(beyond, ends.addresses)


#: The classes of one workload, or one range of addresses, before and after.
_Cell: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class _Side:
    """One answer, to be asked about classes and ranges one by one."""

    found: Connectivity

    @cached_property
    def _groups(self) -> Mapping[Direction, tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]]:
        """For each class and range in a direction: where its flows end on the line of ports, and their sure peers."""
        sides = ((Direction.EGRESS, self.found.senders), (Direction.INGRESS, self.found.receivers))
        answer: dict[Direction, tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]] = {}
        for direction, groups in sides:
            of_class = {
                number: (tuple(flow.span[1] for flow in flows), tuple(flow.sure for flow in flows))
                for flows, members in groups.items()
                for number in ones(members)
            }
            answer[direction] = tuple(of_class[number] for number in range(len(of_class)))
        return answer

    def is_open(self, sources: tuple[int, ...], destinations: tuple[int, ...], port: int) -> bool:
        """Tell whether some of these classes certainly reaches some of the others on a place of the line of ports."""
        return any(
            self._peers(Direction.EGRESS, source, port) >> destination & 1
            and self._peers(Direction.INGRESS, destination, port) >> source & 1
            for source in sources
            for destination in destinations
        )

    def _peers(self, direction: Direction, number: int, port: int) -> int:
        ends, peers = self._groups[direction][number]
        place = bisect_left(ends, port)
        return peers[place] if place < len(peers) else 0


def _proven(
    snapshot: Snapshot, before: Connectivity, after: Connectivity, wanted: Iterable[Need]
) -> Iterator[ProvenNeed]:
    """Yield each need with what the engine says of it."""
    cells = _Cells(snapshot, before, after)
    one, other = _Side(before), _Side(after)
    for need in wanted:
        if isinstance(need.source, OwnNode):
            yield ProvenNeed(need, Proof.ALWAYS)
            continue
        ports = [span[0] for port in need.ports for span in _places(port)]
        open_before = [
            (source, destination, port)
            for source in cells.of(need.source)
            for destination in cells.of(need.destination)
            for port in ports
            if one.is_open(source[0], destination[0], port)
        ]
        is_kept = all(other.is_open(source[1], destination[1], port) for source, destination, port in open_before)
        yield ProvenNeed(need, Proof.NOT_OPEN if not open_before else Proof.KEPT if is_kept else Proof.BROKEN)


def _places(port: Port) -> Iterator[Span]:
    protocol, number = port
    if isinstance(number, int):
        try:
            yield port_span(protocol, number, number)
        except ValueError:  # only a file can hold what is no port
            return


class _Cells:
    """The classes and ranges that an end of a need has, before and after; each once, however many workloads it has."""

    def __init__(self, snapshot: Snapshot, before: Connectivity, after: Connectivity) -> None:
        self._snapshot = snapshot
        self._sides = (before, after)
        self._both = AddressSpace(tuple(sorted({*before.space.starts, *after.space.starts})))
        self._known: dict[End, tuple[_Cell, ...]] = {}

    def of(self, end: End) -> tuple[_Cell, ...]:
        """Return them; of one that is not known, none."""
        if end not in self._known:
            self._known[end] = tuple(dict.fromkeys(self._of(end)))
        return self._known[end]

    def _of(self, end: End) -> Iterator[_Cell]:
        match end:
            case PodSet():
                yield from self._of_workloads(workload.ref for workload in selected(self._snapshot, end))
            case EveryNamespace(is_each=True):
                yield from self._of_workloads(workload.ref for workload in self._snapshot.workloads)
            case EveryAddress():
                yield from self._of_addresses((EVERY_IPV4, EVERY_IPV6))
            case Addresses(cidrs=cidrs):
                yield from self._of_addresses(map(network_span, cidrs))
            case _:
                return

    def _of_workloads(self, refs: Iterable[ObjectRef]) -> Iterator[_Cell]:
        before, after = (side.grouping.workloads for side in self._sides)
        return ((before[ref], after[ref]) for ref in refs if ref in before and ref in after)

    def _of_addresses(self, spans: Iterable[Span]) -> Iterator[_Cell]:
        for number in ones(self._both.bits(spans)):
            start = self._both.range(number)[0]
            before, after = ((len(s.grouping.classes) + s.space.number_of(start),) for s in self._sides)
            yield before, after
