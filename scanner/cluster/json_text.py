"""JSON documents, held to the same limits as YAML: no key twice, no endless nesting, an error with its line."""

import json
import re
from collections.abc import Iterator

import msgspec

from scanner.cluster.yaml_exact import MAX_DEPTH

#: msgspec says where as the number of bytes before it.
_AT_BYTE = re.compile(r" \(byte (\d+)\)$")
_BLANKS = re.compile(r"[ \t\r\n]*")
_TOO_DEEP = b"\n" + b" " * (MAX_DEPTH + 1)


class JsonError(ValueError):
    """A text is not JSON, or JSON that we refuse; `line` counts from 1 at the start of the text that was given."""

    def __init__(self, line: int, problem: str) -> None:
        """Keep both."""
        super().__init__(problem)
        self.line = line


def compact(text: bytes) -> bytes:
    """Return one JSON value without blanks; raises `JsonError` if it is none that can be relied on."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise JsonError(_line_of(error, text), _problem(error)) from error
    # Indented by one blank a level, what is nested too deep starts a line with too many blanks; strings have no lines.
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH and _TOO_DEEP in msgspec.json.format(text, indent=1):
        raise JsonError(1, f"nested deeper than {MAX_DEPTH} levels")
    # Decoding keeps one of two equal keys, and with the other goes a comma; commas in strings stay what they are.
    written = msgspec.json.encode(value)
    if written.count(b",") != text.count(b","):
        _refuse_key_twice(text)
    return written


def values(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the values of a text that has several, one a line or just one behind the other, with their lines.

    Raises `JsonError` at the first that is broken, unless each stands on a line of its own: then the caller finds it.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.split(b"\n"), 1)]
    filled = [(number, line) for number, line in lines if line]
    if all(line.startswith(b"{") and line.endswith(b"}") for _, line in filled):
        yield from filled
        return
    yield from _sequence(text)


def _sequence(text: bytes) -> Iterator[tuple[int, bytes]]:
    characters = text.decode()
    decoder = json.JSONDecoder(parse_int=float)
    position, line = 0, 1
    while (start := _end_of_blanks(characters, position)) < len(characters):
        line += characters.count("\n", position, start)
        try:
            _, position = decoder.raw_decode(characters, start)
        except (ValueError, RecursionError) as error:
            raise JsonError(getattr(error, "lineno", line), "not JSON") from error
        yield line, characters[start:position].encode()
        line += characters.count("\n", start, position)


def _end_of_blanks(characters: str, position: int) -> int:
    blanks = _BLANKS.match(characters, position)
    return blanks.end() if blanks else position


def _line_of(error: Exception, text: bytes) -> int:
    at = _AT_BYTE.search(str(error))
    if at:
        return text.count(b"\n", 0, int(at[1])) + 1
    return text.rstrip().count(b"\n") + 1 if "truncated" in str(error) else 1


def _problem(error: Exception) -> str:
    match error:
        case RecursionError():
            return f"nested deeper than {MAX_DEPTH} levels"
        case UnicodeDecodeError():
            return "not UTF-8"
        case _:
            return _AT_BYTE.sub("", str(error)).removeprefix("JSON is malformed: ")


def _refuse_key_twice(text: bytes) -> None:
    """Raise if a key stands twice in one object; only this reader, a slow one, is told of each."""

    def unique(pairs: list[tuple[str, object]]) -> None:
        keys: set[str] = set()
        for key, _ in pairs:
            if key in keys:
                # The line of its last place in the text: nothing tells where in the text a pair stood.
                written = json.dumps(key, ensure_ascii=False).encode()
                line = text.count(b"\n", 0, max(0, text.rfind(written))) + 1
                raise JsonError(line, f"the key {key[:80]!a} stands twice in one object")
            keys.add(key)

    json.loads(text, object_pairs_hook=unique, parse_int=float)
