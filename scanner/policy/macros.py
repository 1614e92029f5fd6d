"""Macros of CEL that the engine compiles and cannot run, written as what it can.

`m.transformMap(k, v, e)` is `m.transformList(k, v, [k, e]).mapOfPairs()`, with a filter before the `e` as it has one;
`m.transformMapEntry(k, v, {a: b})` is `m.transformList(k, v, {a: b}).mapOfMaps()`.

Source: github.com/google/cel-go/ext/comprehensions.go.
"""

import re

#: A string literal of CEL: no macro begins inside. Raw ones have no escapes.
_LITERAL = (
    r"""[rR](?:'''(?:.|\n)*?'''|\"{3}(?:.|\n)*?\"{3}|'[^'\n]*'|"[^"\n]*")"""
    r"""|'''(?:\\.|[^\\])*?'''|\"{3}(?:\\.|[^\\])*?\"{3}|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
)
_TOKEN = re.compile(rf"(?:{_LITERAL})|//[^\n]*|\.\s*(transformMapEntry|transformMap)\s*\(|.", re.DOTALL)
_OPENING, _CLOSING = "([{", ")]}"
#: Key, value, and what becomes of them.
_FEWEST_ARGUMENTS = 3


def written_out(text: str) -> str:
    """Return an expression without these macros; what is malformed stays as it is, and does not compile."""
    for found in _TOKEN.finditer(text):
        if found[1]:
            arguments, end = _arguments(text, found.end())
            if len(arguments) < _FEWEST_ARGUMENTS:
                return text
            return (
                text[: found.start()]
                + _as_list(found[1], [written_out(a) for a in arguments])
                + written_out(text[end:])
            )
    return text


def _as_list(macro: str, arguments: list[str]) -> str:
    key, *others, result = arguments
    if macro == "transformMapEntry":
        return f".transformList({', '.join((key, *others, result))}).mapOfMaps()"
    return f".transformList({', '.join((key, *others, f'[dyn({key.strip()}), dyn({result})]'))}).mapOfPairs()"


def _arguments(text: str, start: int) -> tuple[list[str], int]:
    """Split what stands between parentheses at its commas; the place behind the closing one. Empty if it is missing."""
    depth, begin = 0, start
    found: list[str] = []
    for token in _TOKEN.finditer(text, start):
        sign = "(" if token[1] else token[0]
        if sign in _OPENING:
            depth += 1
        elif sign in _CLOSING and depth == 0:
            return [*found, text[begin : token.start()]], token.end()
        elif sign in _CLOSING:
            depth -= 1
        elif sign == "," and depth == 0:
            found.append(text[begin : token.start()])
            begin = token.end()
    return [], -1
