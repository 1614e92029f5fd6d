"""The graph of connectivity as SVG, without another program.

Who connects is on the left, who is connected to on the right, each in its namespace; so every edge goes from left to
right over an empty middle and never behind a box. On the right, each set of ports of a node has a line of its own, so
that ports are read where the edges end and no label lies on an edge.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

from scanner.export.graph import Graph, by_group, short

_ROW = 20
_GAP = 14
_TOP = 44
_BOX = 430
_MIDDLE = 300
_MARGIN = 16
_PADDING = 10
_RIGHT = _MARGIN + _BOX + _MIDDLE
_WIDTH = _RIGHT + _BOX + _MARGIN
#: Dark enough on white, and told apart by people with common colour blindness (Okabe and Ito, yellow left out).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555")


@dataclass(frozen=True, slots=True)
class _Column:
    """One side: where each line is, by its key, and what is drawn for it."""

    places: Mapping[tuple[int, str], int]
    drawn: tuple[str, ...]
    end: int


def svg(graph: Graph) -> str:
    """Draw a graph."""
    sending = sorted({(edge.source, "") for edge in graph.edges})
    receiving = sorted({(edge.destination, edge.label) for edge in graph.edges})
    idle = sorted(set(range(len(graph.nodes))) - {number for number, _ in (*sending, *receiving)})
    left = _column(graph, [*sending, *((number, "") for number in idle)], _MARGIN)
    right = _column(graph, receiving, _RIGHT)
    height = max(left.end, right.end) + _MARGIN
    parts = (
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" '
            f'font-size="12" viewBox="0 0 {_WIDTH} {height}">'
        ),
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(_MARGIN, 24, "From", "#222222", bold=True),
        _text(_RIGHT, 24, f"To, on which ports{_more(graph)}", "#222222", bold=True),
        *_lines(graph, left, right),
        *left.drawn,
        *right.drawn,
        "</svg>",
    )
    return "\n".join(parts) + "\n"


def _more(graph: Graph) -> str:
    return f" ({graph.left_out:,} more connections are not drawn)" if graph.left_out else ""


def _column(graph: Graph, keys: list[tuple[int, str]], x: int) -> _Column:
    places: dict[tuple[int, str], int] = {}
    drawn: list[str] = []
    y = _TOP
    for group, numbers in by_group(graph).items():
        own = [key for number in numbers for key in keys if key[0] == number]
        if not own:
            continue
        top = y
        y += _ROW if group else 0
        inside: list[str] = []
        for number, label in own:
            places[number, label] = y + _ROW // 2
            text = f"{graph.nodes[number].label}  ·  {label}" if label else graph.nodes[number].label
            inside.append(_text(x + _PADDING, y + 14, text, "#222222"))
            y += _ROW
        colour = _colour(graph, own[0][0])
        box = f'x="{x}" y="{top}" width="{_BOX}" height="{y - top}" rx="4" fill="#f6f8fa" stroke="{colour}"'
        drawn.append(f"<rect {box}/>")
        if group:
            drawn.append(_text(x + _PADDING, top + 14, group, colour, bold=True))
        drawn += inside
        y += _GAP
    return _Column(places, tuple(drawn), y)


def _colour(graph: Graph, number: int) -> str:
    groups = list(by_group(graph))
    return _COLOURS[groups.index(graph.nodes[number].group) % len(_COLOURS)]


def _lines(graph: Graph, left: _Column, right: _Column) -> Iterator[str]:
    start, end = _MARGIN + _BOX, _RIGHT
    bend = _MIDDLE // 2
    for edge in graph.edges:
        y, to = left.places[edge.source, ""], right.places[edge.destination, edge.label]
        dashed = "" if edge.is_sure else ' stroke-dasharray="5 4"'
        yield (
            f'<path d="M{start} {y}C{start + bend} {y} {end - bend} {to} {end - 6} {to}" fill="none" '
            f'stroke="{_colour(graph, edge.source)}" stroke-opacity="0.75" stroke-width="1.4"{dashed}/>'
        )
        yield f'<path d="M{end} {to}l-8 -4v8z" fill="{_colour(graph, edge.source)}"/>'


def _text(x: int, y: int, text: str, colour: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x}" y="{y}" fill="{colour}"{weight}>{escape(short(text))}</text>'
