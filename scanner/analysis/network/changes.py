"""What differs between two answers of who can connect to whom: rectangles of ends, with what became of each port.

The workloads and addresses that both answers treat alike are one cell, so that the work grows with cells and rectangles
and not with pairs. Use it so:

    found = differences(connectivity(before), connectivity(after))
    for difference in found:
        for source, destination in difference.pairs(): ...   # or keep the two sets: they may stand for a million pairs

Each pair of a workload with another, or with an address, is in at most one difference, which holds all that changed
between the two ends; a pair that is in none is as it was. A workload is no peer of itself, as in `connections.rows`.
With `unchanged=True` what stayed open or undecided is told too, as a change from a state to the same.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, reduce
from itertools import pairwise
from operator import or_
from typing import NamedTuple, TypeAlias

import msgspec

from scanner.analysis.network.addresses import AddressSpace, by_family
from scanner.analysis.network.connectivity import POLICY_KINDS, Connectivity, Rectangle, connectivity
from scanner.analysis.network.explanations import why_unknown
from scanner.analysis.network.matching import ones
from scanner.analysis.network.ports import EVERY_PORT, Span, merged
from scanner.analysis.network.reach import full_connectivity
from scanner.model.coverage import ReadState
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.model.workload import TEMPLATE_PATHS

#: Where the line of addresses goes over from IPv4 to IPv6: a range is of one family.


class State(StrEnum):
    """Whether one end may connect to another on a port."""

    CLOSED = "closed"
    OPEN = "open"
    UNKNOWN = "unknown"


class Change(NamedTuple):
    """What became of ports, in spans of the line of `ports`."""

    before: State
    after: State
    spans: tuple[Span, ...]


#: A workload, or addresses.
End: TypeAlias = ObjectRef | Span


@dataclass(frozen=True, slots=True)
class Ends:
    """Ends that are treated alike: workloads by name, and addresses in spans of the line of `addresses`."""

    workloads: tuple[ObjectRef, ...]
    addresses: tuple[Span, ...]

    def __iter__(self) -> Iterator[End]:
        """Yield the workloads, then the addresses."""
        yield from self.workloads
        yield from self.addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The same changes from every source to every destination; never from an end to itself."""

    sources: Ends
    destinations: Ends
    #: Sorted by state before and after.
    changes: tuple[Change, ...]
    #: Why it was, or is, unknown: of the first pair, which stands for the rest.
    reasons: tuple[str, ...] = ()

    def pairs(self) -> Iterator[tuple[End, End]]:
        """Yield every pair that it stands for, which may be very many."""
        return ((a, b) for a in self.sources for b in self.destinations if a != b)


class PolicyChange(StrEnum):
    """What became of a policy."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What became of a cluster's connections between two snapshots, and of what decides them."""

    differences: tuple[Difference, ...]
    policies: tuple[tuple[ObjectRef, PolicyChange], ...]
    #: Workloads with pods that only one of the snapshots has: their connections are among the differences.
    added: tuple[ObjectRef, ...]
    removed: tuple[ObjectRef, ...]


#: A workload whatever its uid and version: what stays the same over two snapshots.
Name: TypeAlias = tuple[GroupKind, str, str]
#: Tells why a workload that an answer does not have may exist all the same; empty if it does not.
Unread: TypeAlias = Callable[[ObjectRef], str]


def changes(before: Snapshot, after: Snapshot, *, policy_only: bool = False) -> Changes:
    """Return what changed; a workload that a snapshot lacks because it could not be read was, or is, unknown."""
    one, other = (connectivity_of(snapshot, policy_only=policy_only) for snapshot in (before, after))
    found = _by_name(one), _by_name(other)
    return Changes(
        differences=differences(one, other, unread_before=_unread(before), unread_after=_unread(after)),
        policies=tuple(changed_policies(before, after)),
        added=tuple(ref for name, ref in found[1].items() if name not in found[0]),
        removed=tuple(ref for name, ref in found[0].items() if name not in found[1]),
    )


def connectivity_of(snapshot: Snapshot, *, policy_only: bool) -> Connectivity:
    """Return the connectivity of a snapshot, made once for each reading of the API."""
    return snapshot.derive(_by_policies_alone if policy_only else full_connectivity)


def _by_policies_alone(snapshot: Snapshot) -> Connectivity:
    return connectivity(snapshot, policy_only=True)


def changed_policies(before: Snapshot, after: Snapshot) -> Iterator[tuple[ObjectRef, PolicyChange]]:
    """Yield each policy that one of two snapshots lacks, or that says something else, by kind and name."""
    old, new = (
        {(kind, o.meta.namespace, o.meta.name): o for kind in POLICY_KINDS for o in found.of(*kind)}
        for found in (before, after)
    )
    for name in sorted({*old, *new}):
        if name not in old:
            yield new[name].ref, PolicyChange.ADDED
        elif name not in new:
            yield old[name].ref, PolicyChange.REMOVED
        elif not _is_equal(old[name], new[name]):
            yield new[name].ref, PolicyChange.CHANGED


def _is_equal(one: KubeObject, other: KubeObject) -> bool:
    """Compare what two policies say, in whatever order their fields stand."""
    return one.body == other.body or bool(msgspec.json.decode(one.body) == msgspec.json.decode(other.body))


def _unread(snapshot: Snapshot) -> Unread:
    """Return what tells whether a workload may exist that a snapshot lacks; kinds left out by design do not exist."""

    def why(ref: ObjectRef) -> str:
        kinds = (ref.group_kind,) if ref.group_kind in TEMPLATE_PATHS else tuple(TEMPLATE_PATHS)
        missing = [r for r in snapshot.inconclusive(kinds, ref.namespace) if r.state is not ReadState.SKIPPED]
        return f"not read: {missing[0].missing}" if missing else ""

    return why


def _never(_: ObjectRef) -> str:
    return ""


def differences(
    before: Connectivity,
    after: Connectivity,
    *,
    unread_before: Unread = _never,
    unread_after: Unread = _never,
    unchanged: bool = False,
) -> tuple[Difference, ...]:
    """Return what differs between two answers, grouped by equal treatment; nothing for an answer and itself.

    A workload that one of them lacks has no connections there, or unknown ones where `unread_*` gives a reason.
    """
    return _Comparison(before, after, (unread_before, unread_after), unchanged=unchanged).run()


def _name(ref: ObjectRef) -> Name:
    return (ref.group_kind, ref.namespace, ref.name)


def _by_name(found: Connectivity) -> dict[Name, ObjectRef]:
    return {_name(ref): ref for ref in found.grouping.workloads}


#: What becomes of ports, each with the cells that it becomes of.
_Moves: TypeAlias = tuple[tuple[Span, State, State], ...]


@dataclass(frozen=True, slots=True)
class _Cell:
    """Ends of one class, or of the same classes, in both answers; None where an answer lacks them."""

    numbers: tuple[tuple[int, ...] | None, tuple[int, ...] | None]
    #: Why an answer that lacks them does not tell.
    unread: tuple[str, str]
    workloads: tuple[ObjectRef, ...] = ()
    addresses: Span | None = None


class _Comparison:
    def __init__(
        self, before: Connectivity, after: Connectivity, unread: tuple[Unread, Unread], *, unchanged: bool
    ) -> None:
        self._sides = (before, after)
        self._unread = unread
        self._unchanged = unchanged

    def run(self) -> tuple[Difference, ...]:
        merged_: dict[tuple[int, _Moves], int] = defaultdict(int)
        for (old, new), sources in self._sources().items():
            for moves, destinations in _split(_moves(old, new, unchanged=self._unchanged)):
                merged_[destinations, moves] |= sources
        found = [self._difference(sources, to, moves) for (to, moves), sources in merged_.items()]
        return tuple(sorted((d for d in found if not _is_only_itself(d)), key=_order))

    @cached_property
    def _cells(self) -> tuple[_Cell, ...]:
        return (*self._workload_cells(), *self._address_cells())

    def _workload_cells(self) -> Iterator[_Cell]:
        old, new = ({_name(ref): (ref, n) for ref, n in side.grouping.workloads.items()} for side in self._sides)
        members: dict[tuple[tuple[tuple[int, ...] | None, ...], tuple[str, str]], list[ObjectRef]] = defaultdict(list)
        for name in sorted({*old, *new}):
            ref = (new.get(name) or old[name])[0]
            numbers = tuple(found[name][1] if name in found else None for found in (old, new))
            unread = tuple("" if n is not None else why(ref) for n, why in zip(numbers, self._unread, strict=True))
            members[numbers, (unread[0], unread[1])].append(ref)
        for (numbers, whys), refs in members.items():
            yield _Cell((numbers[0], numbers[1]), whys, workloads=tuple(sorted(refs, key=_by_place)))

    def _address_cells(self) -> Iterator[_Cell]:
        """Yield the ranges that either answer tells apart."""
        spaces = tuple(side.space for side in self._sides)
        both = AddressSpace(tuple(sorted({start for space in spaces for start in space.starts})))
        for number in range(len(both)):
            span = both.range(number)
            old, new = ((len(side.grouping.classes) + side.space.number_of(span[0]),) for side in self._sides)
            yield _Cell((old, new), ("", ""), addresses=span)

    def _rectangles(self, side: int) -> Iterator[Rectangle]:
        """Yield the rectangles of one answer, with cells in place of classes."""
        having: dict[int, int] = defaultdict(int)
        for place, cell in enumerate(self._cells):
            for number in cell.numbers[side] or ():
                having[number] |= 1 << place
        known: dict[int, int] = {}

        def cells(members: int) -> int:
            if members not in known:
                known[members] = reduce(or_, (having.get(number, 0) for number in ones(members)), 0)
            return known[members]

        for found in self._sides[side].rectangles():
            yield Rectangle(cells(found.sources), cells(found.destinations), found.span, found.is_sure)
        yield from self._of_unread(side)

    def _of_unread(self, side: int) -> Iterator[Rectangle]:
        """Yield that everything is possible for workloads that were not read, and had, or have, connections."""
        unread = sum(1 << place for place, cell in enumerate(self._cells) if cell.unread[side])
        if unread:
            everyone = (1 << len(self._cells)) - 1
            pods = sum(1 << place for place, cell in enumerate(self._cells) if cell.workloads)
            yield Rectangle(unread, everyone, EVERY_PORT, is_sure=False)
            yield Rectangle(everyone & ~unread, unread & pods, EVERY_PORT, is_sure=False)

    def _sources(self) -> Mapping[tuple["_Row", "_Row"], int]:
        """Return the sources of each two rows of rectangles that are not the same; of all if wanted."""
        sides = tuple({r for r in self._rectangles(side) if r.sources and r.destinations} for side in (0, 1))
        concerned = reduce(
            or_, (r.sources for r in (sides[0] | sides[1] if self._unchanged else sides[0] ^ sides[1])), 0
        )
        rows: list[dict[int, list[_Reach]]] = [defaultdict(list), defaultdict(list)]
        for row, rectangles in zip(rows, sides, strict=True):
            for found in rectangles:
                reach = _Reach(found.span, found.destinations, found.is_sure)
                for place in ones(found.sources & concerned):
                    row[place].append(reach)
        found_: dict[tuple[_Row, _Row], int] = defaultdict(int)
        for place in ones(concerned):
            old, new = (frozenset(row.get(place, ())) for row in rows)
            if self._unchanged or old != new:
                found_[old, new] |= 1 << place
        return found_

    def _difference(self, sources: int, destinations: int, moves: _Moves) -> Difference:
        spans: dict[tuple[State, State], list[Span]] = defaultdict(list)
        for span, before, after in moves:
            spans[before, after].append(span)
        return Difference(
            sources=self._ends(sources),
            destinations=self._ends(destinations),
            changes=tuple(Change(*states, merged(found)) for states, found in sorted(spans.items())),
            reasons=tuple(sorted(self._reasons(sources, destinations, spans))),
        )

    def _ends(self, places: int) -> Ends:
        cells = [self._cells[place] for place in ones(places)]
        return Ends(
            workloads=tuple(sorted((ref for cell in cells for ref in cell.workloads), key=_by_place)),
            addresses=tuple(by_family(cell.addresses for cell in cells if cell.addresses)),
        )

    def _reasons(self, sources: int, destinations: int, spans: Iterable[tuple[State, State]]) -> set[str]:
        """Return why the first pair is unknown, in each answer in which it is."""
        source, destination = (self._cells[next(ones(places))] for places in (sources, destinations))
        found: set[str] = set()
        for side in {n for states in spans for n, state in enumerate(states) if state is State.UNKNOWN}:
            found.update(reason for cell in (source, destination) if (reason := cell.unread[side]))
            for a in source.numbers[side] or ():
                for b in destination.numbers[side] or ():
                    found.update(why_unknown(self._sides[side], a, b))
        return found


class _Reach(NamedTuple):
    """Cells that a source reaches on a span of ports, certainly or possibly."""

    span: Span
    destinations: int
    is_sure: bool


#: All that a source reaches in one answer.
_Row: TypeAlias = frozenset[_Reach]


def _moves(old: _Row, new: _Row, *, unchanged: bool) -> Iterator[tuple[tuple[Span, State, State], int]]:
    """Yield what becomes of each span of ports, and of which destinations."""
    edges = {edge for reach in old | new for edge in (reach.span[0], reach.span[1] + 1)}
    for first, end in pairwise(sorted(edges)):
        was, is_ = _states(old, first), _states(new, first)
        for before, one in was.items():
            for after, other in is_.items():
                if before is after and (before is State.CLOSED or not unchanged):
                    continue
                both = one & other
                if both:
                    yield ((first, end - 1), before, after), both


def _states(row: _Row, port: int) -> dict[State, int]:
    """Return the destinations in each state on a port; a negative number stands for all the rest."""
    sure = maybe = 0
    for reach in row:
        if reach.span[0] <= port <= reach.span[1]:
            if reach.is_sure:
                sure |= reach.destinations
            else:
                maybe |= reach.destinations
    return {State.CLOSED: ~(sure | maybe), State.OPEN: sure, State.UNKNOWN: maybe & ~sure}


def _split(moves: Iterable[tuple[tuple[Span, State, State], int]]) -> Iterator[tuple[_Moves, int]]:
    """Group destinations by all that becomes of them."""
    parts: dict[_Moves, int] = {}
    for move, places in moves:
        left = places
        following: dict[_Moves, int] = defaultdict(int)
        for known, members in parts.items():
            inside, outside = members & places, members & ~places
            if inside:
                following[_joined(known, move)] |= inside
            if outside:
                following[known] |= outside
            left &= ~members
        if left:
            following[(move,)] |= left
        parts = following
    yield from parts.items()


def _joined(moves: _Moves, move: tuple[Span, State, State]) -> _Moves:
    """Add a move behind the others; ports go on where they end, so that equal ones are one."""
    span, before, after = moves[-1]
    if (before, after) == move[1:] and span[1] + 1 == move[0][0]:
        return (*moves[:-1], ((span[0], move[0][1]), before, after))
    return (*moves, move)


def _is_only_itself(found: Difference) -> bool:
    ends = found.sources.workloads
    return found.sources == found.destinations and len(ends) == 1 and not found.sources.addresses


def _by_place(ref: ObjectRef) -> tuple[str, str, str, ObjectRef]:
    return (ref.namespace, ref.name, ref.kind, ref)


def _order(found: Difference) -> tuple[object, ...]:
    return tuple((tuple(map(_by_place, e.workloads)), e.addresses) for e in (found.sources, found.destinations))
