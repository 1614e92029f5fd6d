"""Who one workload reaches, and who reaches it: the rows of `connections` that it has a part in, and no others."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scanner.analysis.network.addresses import by_family, less
from scanner.analysis.network.connectivity import Connectivity
from scanner.analysis.network.explanations import why_unknown
from scanner.analysis.network.matching import ones
from scanner.analysis.network.ports import Span, merged
from scanner.analysis.network.rules import Direction
from scanner.model.refs import ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One workload, or addresses that are treated alike, and the ports."""

    direction: Direction
    #: A workload; or a range of the line of `addresses`.
    end: ObjectRef | Span
    allowed: tuple[Span, ...]
    unknown: tuple[Span, ...]
    #: Why `unknown` cannot be decided.
    reasons: tuple[str, ...]


def peers(found: Connectivity, workload: ObjectRef, direction: Direction) -> Iterator[Peer]:
    """Yield workloads by name, then addresses; who is not among them cannot connect. A workload is no peer of itself.

    `workload` is one of the grouping's.
    """
    own = found.grouping.workloads[workload]
    spans = _by_class(found, sum(1 << number for number in own), direction)
    by_class = {number: _decided(some) for number, some in spans.items()}
    for ref, classes in sorted(found.grouping.workloads.items(), key=lambda entry: _place(entry[0])):
        reached = [number for number in classes if number in by_class]
        if reached and ref != workload:
            allowed = merged(s for number in reached for s in by_class[number][0])
            possible = merged(s for number in reached for s in by_class[number][1])
            unknown = less(possible, allowed)
            yield Peer(
                direction=direction,
                end=ref,
                allowed=allowed,
                unknown=unknown,
                reasons=_reasons(found, own, classes, direction) if unknown else (),
            )
    yield from _addresses(found, own, by_class, direction)


#: What is certain, and what is possible.
_Decided = tuple[tuple[Span, ...], tuple[Span, ...]]


def _decided(spans: tuple[list[Span], list[Span]]) -> _Decided:
    allowed = merged(spans[0])
    return allowed, less(merged(spans[1]), allowed)


def _by_class(found: Connectivity, own: int, direction: Direction) -> Mapping[int, tuple[list[Span], list[Span]]]:
    """Return the ports of each class or range that certainly, and possibly, connects to some of these."""
    spans: dict[int, tuple[list[Span], list[Span]]] = defaultdict(lambda: ([], []))
    together: dict[tuple[int, bool], list[Span]] = defaultdict(list)
    for rectangle in found.rectangles():
        mine, theirs = rectangle.sources, rectangle.destinations
        if direction is Direction.INGRESS:
            mine, theirs = theirs, mine
        if mine & own:
            together[theirs, rectangle.is_sure].append(rectangle.span)
    for (others, is_sure), some in together.items():
        for number in ones(others):
            spans[number][0 if is_sure else 1].extend(some)
    return spans


def _addresses(
    found: Connectivity, own: tuple[int, ...], by_class: Mapping[int, _Decided], direction: Direction
) -> Iterator[Peer]:
    """Yield addresses; neighbours that are treated alike are one range."""
    first = len(found.grouping.classes)
    joined: dict[tuple[_Decided, tuple[str, ...]], list[Span]] = defaultdict(list)
    for number in ones(found.matcher.outside):
        if number in by_class:
            decided = by_class[number]
            reasons = _reasons(found, own, (number,), direction) if decided[1] else ()
            joined[decided, reasons].append(found.space.range(number - first))
    ranges = [(span, key) for key, spans in joined.items() for span in by_family(spans)]
    for span, ((allowed, unknown), reasons) in sorted(ranges):
        yield Peer(direction=direction, end=span, allowed=allowed, unknown=unknown, reasons=reasons)


def _reasons(
    found: Connectivity, own: tuple[int, ...], others: tuple[int, ...], direction: Direction
) -> tuple[str, ...]:
    pairs = [(a, b) if direction is Direction.EGRESS else (b, a) for a in own for b in others]
    return tuple(sorted({reason for pair in pairs for reason in why_unknown(found, *pair)}))


def _place(ref: ObjectRef) -> tuple[str, str, str, ObjectRef]:
    return (ref.namespace, ref.name, ref.kind, ref)
