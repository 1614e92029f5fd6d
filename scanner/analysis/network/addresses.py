"""Every IPv4 and IPv6 address on one line of integers, cut where a policy tells addresses apart.

IPv4 comes first. Between two cuts all addresses are treated alike, so that a set of addresses is a set of ranges, and
that is an integer with one bit a range.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scanner.analysis.network.ports import Span, merged

_IPV6 = 1 << 32
_END = _IPV6 + (1 << 128)
#: All addresses of one family.
EVERY_IPV4: Span = (0, _IPV6 - 1)
EVERY_IPV6: Span = (_IPV6, _END - 1)


def network_span(cidr: str) -> Span:
    """Return the place of a network on the line; bits behind the prefix do not count, as in Go's ParseCIDR.

    Raises `ValueError` if it is none.
    """
    if "/" not in cidr:
        raise ValueError(f"{cidr} has no prefix length")
    network = ipaddress.ip_network(cidr, strict=False)
    base = 0 if network.version == 4 else _IPV6  # noqa: PLR2004 - of the Internet Protocol
    return (base + int(network.network_address), base + int(network.broadcast_address))


def address_place(address: str) -> int:
    """Return the place of one address on the line; raises `ValueError` if it is none."""
    parsed = ipaddress.ip_address(address)
    return int(parsed) + (0 if parsed.version == 4 else _IPV6)  # noqa: PLR2004 - of the Internet Protocol


def range_text(span: Span) -> str:
    """Write addresses of one family as `a.b.c.d-e.f.g.h`."""
    return f"{_text(span[0])}-{_text(span[1])}"


def _text(place: int) -> str:
    return str(ipaddress.IPv4Address(place) if place < _IPV6 else ipaddress.IPv6Address(place - _IPV6))


def without(span: Span, holes: Iterable[Span]) -> tuple[Span, ...]:
    """Return what is left of a span."""
    left: list[Span] = []
    start, end = span
    for first, last in sorted(holes):
        if first > start:
            left.append((start, min(first - 1, end)))
        start = max(start, last + 1)
        if start > end:
            break
    if start <= end:
        left.append((start, end))
    return tuple(left)


def less(spans: Iterable[Span], holes: Iterable[Span]) -> tuple[Span, ...]:
    """Return what is left of several spans, none of which overlap."""
    cut = tuple(holes)
    return tuple(left for span in spans for left in without(span, cut))


def by_family(spans: Iterable[Span]) -> Iterator[Span]:
    """Join neighbours, but never an IPv4 address with an IPv6 one."""
    for first, last in merged(spans):
        if first < _IPV6 <= last:
            yield (first, _IPV6 - 1)
            yield (_IPV6, last)
        else:
            yield (first, last)


@dataclass(frozen=True, slots=True)
class AddressSpace:
    """The line, cut into ranges: the range with number i starts at `starts[i]` and ends before the next."""

    starts: tuple[int, ...]

    @classmethod
    def cut_at(cls, spans: Iterable[Span]) -> "AddressSpace":
        """Cut it so that each of these spans is a number of whole ranges."""
        cuts = {0, _IPV6, *(edge for first, last in spans for edge in (first, last + 1))}
        return cls(tuple(sorted(cuts - {_END})))

    def __len__(self) -> int:
        """Return how many ranges there are."""
        return len(self.starts)

    def range(self, number: int) -> Span:
        """Return a range by its number."""
        end = self.starts[number + 1] if number + 1 < len(self.starts) else _END
        return (self.starts[number], end - 1)

    def bits(self, spans: Iterable[Span]) -> int:
        """Return the ranges that these spans are made of, one bit each."""
        found = 0
        for first, last in spans:
            low, high = self.number_of(first), self.number_of(last)
            found |= ((1 << (high - low + 1)) - 1) << low
        return found

    def number_of(self, place: int) -> int:
        """Return the number of the range that an address lies in."""
        return bisect_right(self.starts, place) - 1
