"""Which pods reach which, on any port: the connectivity of a cluster without its ports, made once for all who ask."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_

from scanner.analysis.network.connectivity import Connectivity, connectivity
from scanner.analysis.network.matching import ones
from scanner.analysis.network.ports import Span
from scanner.analysis.network.rules import Direction
from scanner.analysis.network.verdicts import Flows
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot


def full_connectivity(snapshot: Snapshot) -> Connectivity:
    """Return the connectivity in which what the network plugin decides is unknown; for `Snapshot.derive`."""
    return connectivity(snapshot)


@dataclass(frozen=True)
class Reach:
    """The classes of pods that reach each class on some port, certainly and possibly, and the namespaces of classes."""

    found: Connectivity
    _sure: Mapping[int, int]
    _possible: Mapping[int, int]
    #: The namespaces that the workloads of each class are in.
    _namespaces: tuple[frozenset[str], ...]
    _known: dict[int, frozenset[str]]

    def sure(self, classes: Iterable[int]) -> int:
        """Return who certainly reaches pods of one of these classes, one bit a class."""
        return reduce(or_, (self._sure.get(number, 0) for number in classes), 0)

    def maybe(self, classes: Iterable[int]) -> int:
        """Return who reaches them certainly or possibly."""
        return reduce(or_, (self._sure.get(n, 0) | self._possible.get(n, 0) for n in classes), 0)

    def sure_on(self, number: int, span: Span) -> int:
        """Return who certainly reaches pods of one class on some port of a span."""
        into = _peers(self.found.flows(number, Direction.INGRESS), span)
        found = 0
        for out, members in self.found.senders.items():
            if members & into and _peers(out, span) >> number & 1:
                found |= members & into
        return found & self.found.matcher.pods

    def namespaces(self, sources: int) -> frozenset[str]:
        """Return the namespaces that have workloads of these classes; each set of classes is looked at once."""
        if sources not in self._known:
            self._known[sources] = frozenset().union(*(self._namespaces[number] for number in ones(sources)))
        return self._known[sources]

    def classes_of(self, workload: ObjectRef) -> tuple[int, ...]:
        """Return the classes of a workload's pods; empty if it has none."""
        return self.found.grouping.workloads.get(workload, ())


def _peers(flows: Flows, span: Span) -> int:
    """Return who certainly gets through on some port of a span."""
    return reduce(or_, (f.sure for f in flows if f.span[0] <= span[1] and span[0] <= f.span[1]), 0)


def reach(snapshot: Snapshot) -> Reach:
    """Return which pods reach which; for `Snapshot.derive`."""
    found = snapshot.derive(full_connectivity)
    together: dict[tuple[bool, int], int] = defaultdict(int)
    for rectangle in found.rectangles():
        together[rectangle.is_sure, rectangle.destinations] |= rectangle.sources
    by_class: dict[bool, dict[int, int]] = {True: defaultdict(int), False: defaultdict(int)}
    for (is_sure, destinations), sources in together.items():
        for number in ones(destinations & found.matcher.pods):
            by_class[is_sure][number] |= sources & found.matcher.pods
    namespaces = tuple(frozenset(ref.namespace for ref in refs) for refs in found.grouping.members())
    return Reach(found, by_class[True], by_class[False], namespaces, {})
