"""Connectivity as a graph that a person can read, for Mermaid and Graphviz; `graph_svg` draws it without either.

A node is the workloads of a namespace that policies treat alike. Where that makes too many nodes or edges, it is a
whole namespace, and then all namespaces that are treated alike. What everyone may do to a node, or everyone but one or
two, is one edge from `anyone`. Of a node of several workloads that differ, an edge tells what some of them may do.

Names are whatever somebody wrote into a manifest, so that nothing of them gets into a text unescaped.
"""

import ipaddress
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from scanner.analysis.network.addresses import EVERY_IPV4, EVERY_IPV6, less, range_text, without
from scanner.analysis.network.connectivity import Connectivity
from scanner.analysis.network.matching import ones
from scanner.analysis.network.ports import EVERY_PORT, Span, by_protocol, merged
from scanner.export.safe import printable
from scanner.model.refs import ObjectRef

#: Taste: what a person can still follow on one picture.
_NODES = 60
_EDGES = 160
#: Taste: names in one node, and characters of a label.
_NAMES = 3
_CHARACTERS = 60

_OUTSIDE = "outside the cluster"
_OTHERS = "every other address outside the cluster"
_ANYONE = "anyone"
_SOME_OF_ANYONE = "some of everyone"
#: Taste: so many senders are worth a node of their own, and so many exceptions are easily read.
_HUB = 4
_BUT = 2
_ANY_PORT = "any port"
_EVERY_PROTOCOL = 3
#: Taste: how much longer the ports must be than those that are left out, to be told by those.
_SHORTER = 2


@dataclass(frozen=True, slots=True)
class Node:
    """Workloads that are drawn as one, or everyone, or the outside; `group` is the namespace, empty for those two."""

    group: str
    label: str
    #: Whether it is one workload, which is no peer of itself.
    is_one: bool = False
    #: Whether policies tell its workloads apart, so that an edge is about some of them.
    is_mixed: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """Ports that some node, by its number, may use on another; `is_sure` tells whether that is decided."""

    source: int
    destination: int
    label: str
    is_sure: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """A picture; `left_out` counts the edges beyond what a picture can hold."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    left_out: int


#: What is drawn as one node, and its classes as bits.
_Parts: TypeAlias = tuple[tuple[Node, int], ...]
#: By source and destination: ports that are certainly open, and that may be.
_Spans: TypeAlias = Mapping[tuple[int, int], tuple[tuple[Span, ...], tuple[Span, ...]]]


def graph_of(found: Connectivity, namespace: str = "") -> Graph:
    """Draw all connections, or those from and to pods of one namespace; others are then whole namespaces."""
    workloads = sorted(found.grouping.workloads.items(), key=lambda entry: entry[0])
    levels = (
        _by_treatment(workloads, namespace),
        _by_namespace(workloads),
        _by_like_namespace(workloads),
    )
    graph = _graph(found, levels[0], namespace)
    for parts in () if namespace else levels[1:]:
        if len(graph.nodes) > _NODES or graph.left_out:
            graph = _graph(found, parts, namespace)
    return graph


def _by_treatment(workloads: Iterable[tuple[ObjectRef, tuple[int, ...]]], namespace: str) -> _Parts:
    alike: dict[tuple[str, tuple[int, ...]], list[str]] = defaultdict(list)
    others: list[tuple[ObjectRef, tuple[int, ...]]] = []
    for ref, classes in workloads:
        if namespace in {"", ref.namespace}:
            alike[ref.namespace, classes].append(ref.name)
        else:
            others.append((ref, classes))
    own = (
        (Node(group, _names(names), is_one=len(names) == 1), _bits(classes))
        for (group, classes), names in alike.items()
    )
    return (*own, *_by_namespace(others))


def _by_namespace(workloads: Iterable[tuple[ObjectRef, tuple[int, ...]]]) -> _Parts:
    return tuple(
        (_together(name, f"{count:,} workloads", bits), bits) for name, (count, bits) in _namespaces(workloads).items()
    )


def _by_like_namespace(workloads: Iterable[tuple[ObjectRef, tuple[int, ...]]]) -> _Parts:
    alike: dict[int, list[str]] = defaultdict(list)
    for name, (_, bits) in _namespaces(workloads).items():
        alike[bits].append(name)
    return tuple((_together(_names(names), f"{len(names):,} namespaces", bits), bits) for bits, names in alike.items())


def _together(group: str, counted: str, bits: int) -> Node:
    is_mixed = bits.bit_count() > 1
    return Node(group, f"some of {counted}" if is_mixed else counted, is_mixed=is_mixed)


def _namespaces(workloads: Iterable[tuple[ObjectRef, tuple[int, ...]]]) -> Mapping[str, tuple[int, int]]:
    """Return how many workloads each namespace has, and their classes."""
    found: dict[str, tuple[int, int]] = {}
    for ref, classes in workloads:
        count, bits = found.get(ref.namespace, (0, 0))
        found[ref.namespace] = (count + 1, bits | _bits(classes))
    return found


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES:,} more"


def _bits(classes: Iterable[int]) -> int:
    return sum(1 << number for number in set(classes))


def _graph(found: Connectivity, parts: _Parts, namespace: str) -> Graph:
    outside = _outside(found)
    nodes = tuple(node for node, _ in (*parts, *outside))
    members = tuple(bits for _, bits in (*parts, *outside))
    spans = _spans(found, members, len(parts))
    if namespace:
        own = {number for number, node in enumerate(nodes) if node.group == namespace}
        spans = {ends: open_ for ends, open_ in spans.items() if own & set(ends)}
    spans = {ends: open_ for ends, open_ in spans.items() if ends[0] != ends[1] or not nodes[ends[0]].is_one}
    nodes, spans = _joined(nodes, spans)
    edges = tuple(_edges(spans))
    return _tidied(nodes, edges[:_EDGES], len(edges[_EDGES:]), namespace)


def _outside(found: Connectivity) -> _Parts:
    """Return the addresses outside, those that are treated alike as one node; the most ranges are "the others"."""
    alike: dict[tuple[int, ...], int] = defaultdict(int)
    every = found.matcher.outside
    sets = sorted({bits & every for r in found.rectangles() for bits in (r.sources, r.destinations)})
    for number in ones(every):
        alike[tuple(place for place, bits in enumerate(sets) if bits >> number & 1)] |= 1 << number
    largest = max(alike.values(), key=int.bit_count, default=0)
    return tuple(
        (Node("", _addresses(found, bits) if bits != largest else _OUTSIDE if bits == every else _OTHERS), bits)
        for bits in alike.values()
    )


def _addresses(found: Connectivity, bits: int) -> str:
    first = len(found.grouping.classes)
    return _names([_address_text(found.space.range(number - first)) for number in ones(bits)])


def _address_text(span: Span) -> str:
    """Write addresses of one family as a person would: as a network, where they are one."""
    if span in {EVERY_IPV4, EVERY_IPV6}:
        return "every IPv4 address" if span == EVERY_IPV4 else "every IPv6 address"
    first, last = map(ipaddress.ip_address, range_text(span).split("-"))
    networks = list(ipaddress.summarize_address_range(first, last))
    return str(networks[0]) if len(networks) == 1 else f"{first}-{last}"


def _spans(found: Connectivity, members: tuple[int, ...], outside: int) -> _Spans:
    """Return what is open between nodes; those from number `outside` on are addresses, whose traffic is no matter."""
    sure: dict[tuple[int, int], list[Span]] = defaultdict(list)
    maybe: dict[tuple[int, int], list[Span]] = defaultdict(list)
    for rectangle in found.rectangles():
        sources = [n for n, bits in enumerate(members) if bits & rectangle.sources]
        destinations = [n for n, bits in enumerate(members) if bits & rectangle.destinations]
        for source in sources:
            for destination in destinations:
                if min(source, destination) < outside:
                    (sure if rectangle.is_sure else maybe)[source, destination].append(rectangle.span)
    return {
        ends: (certain, less(merged(maybe[ends]), certain))
        for ends in sorted({*sure, *maybe})
        for certain in [merged(sure[ends])]
    }


def _joined(nodes: tuple[Node, ...], spans: _Spans) -> tuple[tuple[Node, ...], _Spans]:
    """Draw once what all other nodes may do to a node, or all but a few; who they are is a node of its own."""
    joined = dict(spans)
    hubs: dict[tuple[int, ...], int] = {}
    for destination in range(len(nodes)):
        sources = [number for number in range(len(nodes)) if number != destination]
        certain = {number: spans.get((number, destination), ((), ()))[0] for number in sources}
        [(common, count)] = Counter(certain.values()).most_common(1) or [((), 0)]
        others = tuple(number for number in sources if certain[number] != common)
        if not common or len(others) > _BUT or count < _HUB:
            continue
        hub = hubs.setdefault(others, len(nodes) + len(hubs))
        joined[hub, destination] = (common, ())
        for number in sources:
            if certain[number] == common:
                _, maybe = joined.pop((number, destination))
                if maybe:
                    joined[number, destination] = ((), maybe)
    return (*nodes, *(_anyone(nodes, others) for others in hubs)), dict(sorted(joined.items()))


def _anyone(nodes: tuple[Node, ...], others: tuple[int, ...]) -> Node:
    left_out = [nodes[number] for number in others]
    names = [node.group if node.is_mixed else f"{node.group}/{node.label}".strip("/") for node in left_out]
    everyone = _SOME_OF_ANYONE if any(n.is_mixed for p, n in enumerate(nodes) if p not in others) else _ANYONE
    return Node("", f"{everyone} but {' and '.join(names)}" if names else everyone)


def _edges(spans: _Spans) -> Iterator[Edge]:
    for (source, destination), (certain, maybe) in spans.items():
        if certain:
            yield Edge(source, destination, _ports(certain), is_sure=True)
        if maybe:
            yield Edge(source, destination, f"maybe {_ports(maybe)}", is_sure=False)


def _ports(spans: tuple[Span, ...]) -> str:
    written = by_protocol(spans)
    if len(written) == _EVERY_PROTOCOL and set(written.values()) == {"1-65535"}:
        return _ANY_PORT
    told, left_out = _told(written), _told(by_protocol(without(EVERY_PORT, spans)))
    return told if len(told) < _SHORTER * len(left_out) else f"any port but {left_out}"


def _told(written: Mapping[str, str]) -> str:
    return ", ".join(f"{protocol} {'any' if p == '1-65535' else p}" for protocol, p in written.items())


def _tidied(nodes: tuple[Node, ...], edges: tuple[Edge, ...], left_out: int, namespace: str) -> Graph:
    """Leave out what no edge has, but workloads that are drawn for themselves: that they have none is news."""
    used = {end for edge in edges for end in (edge.source, edge.destination)}
    kept = [n for n, node in enumerate(nodes) if n in used or (node.group and namespace in {"", node.group})]
    place = {number: new for new, number in enumerate(kept)}
    return Graph(
        tuple(nodes[number] for number in kept),
        tuple(Edge(place[e.source], place[e.destination], e.label, e.is_sure) for e in edges),
        left_out,
    )


def short(text: str, characters: int = _CHARACTERS) -> str:
    """Make a label harmless to print, and short enough to draw."""
    safe = printable(text)
    return safe if len(safe) <= characters else f"{safe[: characters - 1]}…"


def by_group(graph: Graph) -> Mapping[str, list[int]]:
    """Return the numbers of the nodes of each namespace."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, node in enumerate(graph.nodes):
        found[node.group].append(number)
    return found


def mermaid(graph: Graph) -> str:
    """Write a Mermaid flowchart."""
    return "\n".join(_mermaid(graph)) + "\n"


def _mermaid(graph: Graph) -> Iterator[str]:
    yield "flowchart LR"
    for place, (group, numbers) in enumerate(by_group(graph).items()):
        if group:
            yield f'  subgraph g{place}["{_mermaid_text(group)}"]'
        for number in numbers:
            yield f'    n{number}["{_mermaid_text(graph.nodes[number].label)}"]'
        if group:
            yield "  end"
    for edge in graph.edges:
        arrow = "-->" if edge.is_sure else "-.->"
        yield f'  n{edge.source} {arrow}|"{_mermaid_text(edge.label)}"| n{edge.destination}'
    if graph.left_out:
        yield f'  more["and {graph.left_out} more connections"]'


def _mermaid_text(text: str) -> str:
    """Write everything but plain characters as Mermaid's numeric entities."""
    return re.sub(r"[^A-Za-z0-9 .,_/-]", lambda found: f"#{ord(found[0])};", short(text))


def dot(graph: Graph) -> str:
    """Write a graph in Graphviz's language."""
    return "\n".join(_dot(graph)) + "\n"


def _dot(graph: Graph) -> Iterator[str]:
    yield "digraph connectivity {"
    yield "  rankdir=LR; node [shape=box, fontname=sans]; edge [fontname=sans, fontsize=10];"
    for place, (group, numbers) in enumerate(by_group(graph).items()):
        if group:
            yield f'  subgraph cluster_{place} {{ label="{_dot_text(group)}";'
        for number in numbers:
            yield f'    n{number} [label="{_dot_text(graph.nodes[number].label)}"];'
        if group:
            yield "  }"
    for edge in graph.edges:
        style = "" if edge.is_sure else ", style=dashed"
        yield f'  n{edge.source} -> n{edge.destination} [label="{_dot_text(edge.label)}"{style}];'
    if graph.left_out:
        yield f'  more [shape=plaintext, label="and {graph.left_out} more connections"];'
    yield "}"


def _dot_text(text: str) -> str:
    """Escape what ends a string, starts an escape, or is an entity in a label."""
    return (
        short(text)
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\\", "\\\\")
        .replace('"', '\\"')
    )
