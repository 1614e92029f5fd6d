"""Every port of every protocol on one line of integers, so that sets of them are spans.

TCP comes first, then UDP, then SCTP, each from port 1 to 65535. Port 0 is none that a pod could listen on.
"""

from collections.abc import Iterable

#: From a first to a last number, both included.
Span = tuple[int, int]

_PORTS = 65535
#: In the order of the line.
PROTOCOLS = ("TCP", "UDP", "SCTP")
#: The whole line.
EVERY_PORT: Span = (0, len(PROTOCOLS) * _PORTS - 1)


def port_span(protocol: str, first: int = 1, last: int = _PORTS) -> Span:
    """Return the place of ports of a protocol on the line.

    Raises `ValueError` for an unknown protocol, or ports that there are not.
    """
    if protocol not in PROTOCOLS or not 1 <= first <= last <= _PORTS:
        raise ValueError(f"no ports: {protocol} {first}-{last}")
    base = PROTOCOLS.index(protocol) * _PORTS - 1
    return (base + first, base + last)


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the same numbers in the fewest spans, in order."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def by_protocol(spans: Iterable[Span]) -> dict[str, str]:
    """Write ports as people do, by protocol: `{"TCP": "80,443-445"}`; protocols without ports are left out."""
    written: dict[str, str] = {}
    every = merged(spans)
    for protocol in PROTOCOLS:
        base, end = port_span(protocol)
        cut = [(max(first, base) - base + 1, min(last, end) - base + 1) for first, last in every]
        ports = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in cut if a <= b)
        if ports:
            written[protocol] = ports
    return written
