"""One question about two ends: may this connect to that, on which ports, and which rules say so."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scanner.analysis.network.addresses import address_place, range_text, without
from scanner.analysis.network.connections import workload_text
from scanner.analysis.network.connectivity import Connectivity
from scanner.analysis.network.explanations import Side, side, why_unknown
from scanner.analysis.network.ports import EVERY_PORT, Span, merged
from scanner.analysis.network.rules import Direction
from scanner.errors import InputError
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class End:
    """A workload or an address, and the classes or the range that it is in."""

    text: str
    numbers: tuple[int, ...]
    is_outside: bool
    #: None for an address.
    workload: ObjectRef | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """What pods of one class, or an address, may do to those of another, and why."""

    egress: Side
    ingress: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer: what is allowed and what is undecided of the ports in question, and why."""

    source: End
    destination: End
    asked: Span
    allowed: tuple[Span, ...]
    unknown: tuple[Span, ...]
    reasons: tuple[str, ...]
    #: One for each two classes that pods of the two workloads are of; mostly one.
    explained: tuple[Explained, ...]


def end_of(found: Connectivity, snapshot: Snapshot, text: str) -> End:
    """Find what a person names: `namespace/name`, with `[Kind]` if need be, a pod of a workload, or an address.

    Raises `InputError` if there is no such thing, or more than one.
    """
    if "/" not in text:
        return _address(found, text)
    chosen = sorted(set(_named(found, snapshot, text)))
    if len(chosen) != 1:
        several = ", ".join(workload_text(ref) for ref in chosen)
        raise InputError(f"{text}: {'several workloads: ' + several if chosen else 'no such workload with pods'}")
    return End(workload_text(chosen[0]), found.grouping.workloads[chosen[0]], is_outside=False, workload=chosen[0])


def _address(found: Connectivity, text: str) -> End:
    try:
        number = found.space.number_of(address_place(text))
    except ValueError as error:
        raise InputError(f"{text}: neither namespace/name nor an address") from error
    whole = range_text(found.space.range(number))
    return End(f"{text} (as all of {whole})", (len(found.grouping.classes) + number,), is_outside=True)


def _named(found: Connectivity, snapshot: Snapshot, text: str) -> Iterator[ObjectRef]:
    exact = [ref for ref in found.grouping.workloads if text in {workload_text(ref), f"{ref.namespace}/{ref.name}"}]
    if exact:
        yield from exact
        return
    for workload in snapshot.workloads:
        names = {f"{pod.ref.namespace}/{pod.ref.name}" for pod in workload.pods}
        if text in names and workload.ref in found.grouping.workloads:
            yield workload.ref


def explain(found: Connectivity, source: End, destination: End, asked: Span = EVERY_PORT) -> Explanation:
    """Explain a connection on some ports.

    A workload to itself is answered for one replica and another; a pod always reaches itself. Raises `InputError` for
    two addresses, of which the policies of a cluster say nothing.
    """
    if source.is_outside and destination.is_outside:
        raise InputError("both ends are outside the cluster")
    pairs = [(s, d) for s in source.numbers for d in destination.numbers]
    explained = tuple(
        Explained(side(found, s, d, Direction.EGRESS), side(found, d, s, Direction.INGRESS)) for s, d in pairs
    )
    allowed = merged(span for e in explained for span in _common(e.egress.allowed, e.ingress.allowed, asked))
    possible = merged(span for e in explained for span in _common(_possible(e.egress), _possible(e.ingress), asked))
    unknown = tuple(left for span in possible for left in without(span, allowed))
    reasons = {reason for pair in pairs for reason in why_unknown(found, *pair)} if unknown else set()
    return Explanation(
        source=source,
        destination=destination,
        asked=asked,
        allowed=allowed,
        unknown=unknown,
        reasons=tuple(sorted(reasons)),
        explained=explained,
    )


def _possible(one: Side) -> tuple[Span, ...]:
    return merged((*one.allowed, *one.unknown))


def _within(span: Span, asked: Span) -> Span:
    return (max(span[0], asked[0]), min(span[1], asked[1]))


def _common(one: Iterable[Span], other: Iterable[Span], asked: Span) -> Iterator[Span]:
    """Yield the ports of both that are asked for."""
    others = list(other)
    for a in one:
        for b in others:
            first, last = _within((max(a[0], b[0]), min(a[1], b[1])), asked)
            if first <= last:
                yield (first, last)
