"""Connections as rows: which workload reaches which, or which addresses outside, on which ports.

A workload is no peer of itself: a pod always reaches itself; `explain` tells what its replicas may do to each other.
A workload whose pods differ reaches what any of them reaches. Addresses that are treated alike are one range.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

from scanner.analysis.network.addresses import by_family, less, range_text
from scanner.analysis.network.connectivity import Connectivity, Rectangle
from scanner.analysis.network.explanations import why_unknown
from scanner.analysis.network.matching import ones
from scanner.analysis.network.ports import Span, by_protocol, merged
from scanner.model.refs import ObjectRef


class Row(NamedTuple):
    """A connection on ports of one protocol; `unknown` says why it cannot be decided, empty if it is allowed."""

    src: str
    dst: str
    protocol: str
    ports: str
    unknown: str = ""


#: What is allowed between two ends, and what may be: rectangles by their number.
_Rectangles: TypeAlias = tuple[int, ...]


def workload_text(ref: ObjectRef) -> str:
    """Write a workload as `namespace/name[Kind]`."""
    return f"{ref.namespace}/{ref.name}[{ref.kind}]"


def rows(found: Connectivity) -> Iterator[Row]:
    """Yield every connection, from addresses first, then by workload; what has no row cannot connect."""
    table = _Table(found, tuple(found.rectangles()))
    yield from table.from_outside()
    yield from table.from_workloads()


@dataclass(frozen=True)
class _Table:
    found: Connectivity
    rectangles: tuple[Rectangle, ...]

    @cached_property
    def _texts(self) -> dict[_Rectangles, tuple[tuple[str, str, bool], ...]]:
        return {}

    @cached_property
    def _reasons(self) -> dict[tuple[int, int], tuple[str, ...]]:
        return {}

    @cached_property
    def _workloads(self) -> list[tuple[ObjectRef, tuple[int, ...]]]:
        """The workloads in the order of rows."""
        return sorted(self.found.grouping.workloads.items(), key=_by_name)

    @cached_property
    def _places(self) -> dict[int, list[int]]:
        """The places of each class's workloads in that order."""
        found: dict[int, list[int]] = defaultdict(list)
        for place, (_, classes) in enumerate(self._workloads):
            for number in classes:
                found[number].append(place)
        return found

    def from_outside(self) -> Iterator[Row]:
        """Yield what addresses reach, workload by workload."""
        outside = self.found.matcher.outside
        coming = self._by_member(
            ((n, r.sources) for n, r in enumerate(self.rectangles) if r.sources & outside), within=outside
        )
        known: dict[tuple[int, ...], tuple[tuple[str, str, str, str], ...]] = {}
        for ref, classes in self._workloads:
            if classes not in known:
                known[classes] = tuple(self._ranges(self._reaching(classes, coming), classes, outward=False))
            for text, protocol, ports, unknown in known[classes]:
                yield Row(text, workload_text(ref), protocol, ports, unknown)

    def _reaching(self, classes: tuple[int, ...], coming: Mapping[int, _Rectangles]) -> Mapping[int, _Rectangles]:
        """Return, of the rectangles from each range of addresses, those that reach some of these classes."""
        into = sum(1 << number for number in classes)
        return {
            number: tuple(n for n in numbers if self.rectangles[n].destinations & into)
            for number, numbers in coming.items()
        }

    def from_workloads(self) -> Iterator[Row]:
        """Yield what each workload reaches: workloads, then addresses."""
        pods = self.found.matcher.pods
        going = self._by_member(((n, r.sources) for n, r in enumerate(self.rectangles)), within=pods)
        known: dict[tuple[int, ...], Mapping[int, _Rectangles]] = {}
        namespace = ""
        for ref, classes in self._workloads:
            if ref.namespace != namespace:
                # Classes are mostly of one namespace; to keep the answers of all would take their square of memory.
                namespace, known = ref.namespace, {}
            if classes not in known:
                numbers = sorted({n for number in classes for n in going.get(number, ())})
                known = {classes: self._by_member((n, self.rectangles[n].destinations) for n in numbers)}
            yield from self._from_workload(ref, classes, known[classes])

    def _from_workload(
        self,
        ref: ObjectRef,
        classes: tuple[int, ...],
        reached: Mapping[int, _Rectangles],
    ) -> Iterator[Row]:
        source = workload_text(ref)
        for place, numbers in self._reached(reached):
            other, others = self._workloads[place]
            if other is ref:
                continue
            for protocol, ports, is_sure in self._text(numbers):
                unknown = "" if is_sure else self._why(classes, others)
                yield Row(source, workload_text(other), protocol, ports, unknown)
        outside = {number: numbers for number, numbers in reached.items() if self.found.matcher.outside >> number & 1}
        for text, protocol, ports, unknown in self._ranges(outside, classes, outward=True):
            yield Row(source, text, protocol, ports, unknown)

    def _reached(self, reached: Mapping[int, _Rectangles]) -> list[tuple[int, _Rectangles]]:
        """Return the places of the workloads that some class is of, in their order, with the rectangles to them."""
        found: dict[int, _Rectangles] = {}
        for number, numbers in reached.items():
            for place in self._places.get(number, ()):  # ranges of addresses have none
                found[place] = tuple(sorted({*found[place], *numbers})) if place in found else numbers
        return sorted(found.items())

    def _by_member(self, sets: Iterable[tuple[int, int]], within: int = -1) -> Mapping[int, _Rectangles]:
        """Return the rectangles of each class or range."""
        found: dict[int, list[int]] = defaultdict(list)
        for number, members in sets:
            for member in ones(members & within):
                found[member].append(number)
        return {member: tuple(numbers) for member, numbers in found.items()}

    def _ranges(
        self, ends: Mapping[int, _Rectangles], classes: tuple[int, ...], *, outward: bool
    ) -> Iterator[tuple[str, str, str, str]]:
        """Yield addresses with protocol, ports and doubt; neighbours with the same answer are one range."""
        first = len(self.found.grouping.classes)
        joined: dict[tuple[str, str, str], list[Span]] = defaultdict(list)
        for number, numbers in ends.items():
            for protocol, ports, is_sure in self._text(numbers) if numbers else ():
                pair = (classes, (number,)) if outward else ((number,), classes)
                unknown = "" if is_sure else self._why(*pair)
                joined[protocol, ports, unknown].append(self.found.space.range(number - first))
        found = [(span, key) for key, spans in joined.items() for span in by_family(spans)]
        for span, key in sorted(found):
            yield range_text(span), *key

    def _text(self, numbers: _Rectangles) -> tuple[tuple[str, str, bool], ...]:
        """Write what rectangles allow, then what they leave open: protocol, ports and whether that is certain."""
        if numbers not in self._texts:
            sure = merged(self.rectangles[n].span for n in numbers if self.rectangles[n].is_sure)
            maybe = less(merged(self.rectangles[n].span for n in numbers), sure)
            self._texts[numbers] = tuple(
                (protocol, ports, is_sure)
                for spans, is_sure in ((sure, True), (maybe, False))
                for protocol, ports in by_protocol(spans).items()
            )
        return self._texts[numbers]

    def _why(self, sources: tuple[int, ...], destinations: tuple[int, ...]) -> str:
        reasons: set[str] = set()
        for pair in ((s, d) for s in sources for d in destinations):
            if pair not in self._reasons:
                self._reasons[pair] = why_unknown(self.found, *pair)
            reasons.update(self._reasons[pair])
        return "; ".join(sorted(reasons))


def _by_name(entry: tuple[ObjectRef, tuple[int, ...]]) -> tuple[str, str, str, ObjectRef]:
    ref = entry[0]
    return (ref.namespace, ref.name, ref.kind, ref)
