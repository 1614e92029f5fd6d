"""The graph of connectivity as SVG, without another program.

Who connects is on the left, who is connected to on the right, each in its namespace; so every edge goes from left to
right over an empty middle and never behind a box. On the right, each set of ports of a node has a line of its own, so
that ports are read where the edges end and no label lies on an edge. Colours follow what the reader prefers, light or
dark, and tell namespaces apart by lines alone: text has the full contrast.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

from scanner.export.graph import Graph, by_group, short
from scanner.export.safe import printable

_ROW = 20
_GAP = 14
_TOP = 44
_BOX = 430
_MIDDLE = 300
_MARGIN = 16
_PADDING = 10
_RIGHT = _MARGIN + _BOX + _MIDDLE
_WIDTH = _RIGHT + _BOX + _MARGIN
#: Taste: what a line of a box holds, the longest letters included: a name, and the ports behind it.
_NAME = 34
_PORTS = 26
_LINE = 60
#: Widths in pixels at this size of letters, of the widest sans-serif that is common (DejaVu Sans).
_LETTER = 7.7
_WIDE_LETTER = 12.5
#: How much wider than its box a text must be by these widths, which are high, before it is squeezed.
_TIGHT = 1.12
_WIDE = frozenset("mwMW@%—…")
#: Told apart by people with common colour blindness (Okabe and Ito, without yellow); on white, and on a dark ground.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b35a90", "#2a8fc4", "#b97f00", "#555555")
_ON_DARK = ("#56b4e9", "#ff8c42", "#2fd0a5", "#e39bc6", "#8fd0f5", "#f0b840", "#b0b0b0")


def _style() -> str:
    """Write the colours as a style sheet; names of classes are ours alone."""
    light = "".join(f".c{n}{{stroke:{c}}}.a{n}{{fill:{c}}}" for n, c in enumerate(_COLOURS))
    dark = "".join(f".c{n}{{stroke:{c}}}.a{n}{{fill:{c}}}" for n, c in enumerate(_ON_DARK))
    return (
        f".g{{fill:#ffffff}}.b{{fill:#f6f8fa}}text{{fill:#1b1f24}}.l{{stroke:#1b1f24}}{light}"
        "@media (prefers-color-scheme:dark){"
        f".g{{fill:#0d1117}}.b{{fill:#161b22}}text{{fill:#e6edf3}}.l{{stroke:#e6edf3}}{dark}}}"
    )


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
        f"<style>{_style()}</style>",
        f'<rect class="g" width="{_WIDTH}" height="{height}"/>',
        _text(_MARGIN, 24, "From", bold=True),
        _text(_RIGHT, 24, f"To, on which ports{_more(graph)}", bold=True),
        *(_legend() if any(not edge.is_sure for edge in graph.edges) else ()),
        *_lines(graph, left, right),
        *left.drawn,
        *right.drawn,
        "</svg>",
    )
    return "\n".join(parts) + "\n"


def _legend() -> Iterator[str]:
    """Say what a dashed line is."""
    x = _MARGIN + _BOX
    yield f'<path class="l" d="M{x} 20h30" fill="none" stroke-dasharray="5 4" stroke-width="1.4"/>'
    yield _text(x + 36, 24, "maybe: not decided by what was read")


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
            inside.append(_text(x + _PADDING, y + 14, _line(graph.nodes[number].label, label)))
            y += _ROW
        colour = _colour(graph, own[0][0])
        drawn.append(f'<rect class="b c{colour}" x="{x}" y="{top}" width="{_BOX}" height="{y - top}" rx="4"/>')
        if group:
            drawn.append(_text(x + _PADDING, top + 14, short(group, _LINE), bold=True))
        drawn += inside
        y += _GAP
    return _Column(places, tuple(drawn), y)


def _line(name: str, ports: str) -> str:
    """Write a node with its ports, or alone: a long name leaves room for the ports, and they leave some for it."""
    if not ports:
        return short(name, _LINE)
    kept = short(ports, max(_PORTS, _LINE - min(len(name), _NAME) - 3))
    return f"{short(name, _LINE - len(kept) - 3)} · {kept}"


def _colour(graph: Graph, number: int) -> int:
    groups = list(by_group(graph))
    return groups.index(graph.nodes[number].group) % len(_COLOURS)


def _lines(graph: Graph, left: _Column, right: _Column) -> Iterator[str]:
    start, end = _MARGIN + _BOX, _RIGHT
    bend = _MIDDLE // 2
    for edge in graph.edges:
        y, to = left.places[edge.source, ""], right.places[edge.destination, edge.label]
        dashed = "" if edge.is_sure else ' stroke-dasharray="5 4"'
        yield (
            f'<path class="c{_colour(graph, edge.source)}" '
            f'd="M{start} {y}C{start + bend} {y} {end - bend} {to} {end - 6} {to}" fill="none" '
            f'stroke-opacity="0.75" stroke-width="1.4"{dashed}/>'
        )
        yield f'<path class="a{_colour(graph, edge.source)}" d="M{end} {to}l-8 -4v8z"/>'


def _text(x: int, y: int, text: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    safe = printable(text)
    room = _BOX - 2 * _PADDING
    width = sum(_WIDE_LETTER if letter in _WIDE or not letter.isascii() else _LETTER for letter in safe)
    # What may be too wide for its box in some font is set narrower; Latin names of usual length never are.
    squeezed = f' textLength="{room}" lengthAdjust="spacingAndGlyphs"' if width > room * _TIGHT else ""
    return f'<text x="{x}" y="{y}"{weight}{squeezed}>{escape(safe)}</text>'
