"""Any YAML document to JSON, read as kubectl reads it; the slow and careful one of the two readers.

libyaml (through PyYAML) finds the structure; go-yaml v2, which kubectl stands on, is a port of it. What scalars mean
is told by `yaml_scalars`. Nothing here recurses and nothing is expanded before it was counted, so that a document of
a few lines cannot take the memory of many.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs hide where it comes from

from scanner.cluster.yaml_scalars import MERGE_TAG, ScalarError, key_of, value_of

#: Taste: the deepest schemas of the CustomResourceDefinitions in use stay below 60 levels.
MAX_DEPTH = 100
#: How much aliases may add to a document: up to here go-yaml v2 lets nearly all of it be made by aliases.
MAX_ALIASED_NODES = 400_000
#: Some 5 MiB of what people write, and three seconds of work; `[1,1,1…]` has more in less.
MAX_NODES = 500_000
#: A string counts as one more node for each of these, so that repeating a long one is counted too.
_CHARACTERS_A_NODE = 64

#: What libyaml takes for the end of a line: in YAML 1.1 these are five.
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


_STARTS = frozenset({yaml.MappingStartEvent, yaml.SequenceStartEvent})


class YamlError(ValueError):
    """A document cannot be read; `line` counts from 1 at the start of the text that was given."""

    def __init__(self, line: int, problem: str) -> None:
        """Keep both."""
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True, slots=True)
class Parsed:
    """One document of a text, with the line that it starts on."""

    line: int
    json: bytes


@dataclass(slots=True)
class _Frame:
    """A list or map that is still being read."""

    value: list[Any] | dict[str, Any]
    anchor: str | None
    nodes: int = 1
    #: The key whose value comes next; None if a key comes next.
    key: str | None = None
    is_merge: bool = False
    #: Keys that were written here, not merged into here: only these may not come twice.
    written: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: Any
    nodes: int
    #: What a scalar would be called as a key; None for what cannot be a key.
    key: str | None


def parse(text: str) -> Iterator[Parsed]:
    """Yield the documents of a text as JSON, empty ones left out; raises `YamlError` at the first that is broken."""
    parser = CParser(text)
    try:
        while True:
            event = parser.get_event()
            if isinstance(event, yaml.StreamEndEvent):
                return
            if isinstance(event, yaml.DocumentStartEvent):
                yield from _document(parser)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, _worded(error)) from error
    except yaml.reader.ReaderError as error:
        before = text.encode()[: error.position].decode(errors="replace")
        raise YamlError(len(_LINE_BREAK.findall(before)) + 1, "a control character") from error
    finally:
        parser.dispose()


def _worded(error: yaml.MarkedYAMLError) -> str:
    return ", ".join(part for part in (error.problem, error.context) if part) or "not YAML"


def _document(parser: CParser) -> Iterator[Parsed]:
    builder = _Builder()
    line = 0
    while True:
        event: Any = parser.get_event()
        if isinstance(event, yaml.DocumentEndEvent):
            break
        line = line or event.start_mark.line + 1
        try:
            builder.take(event)
        except ScalarError as error:
            raise YamlError(event.start_mark.line + 1, str(error)) from error
    if builder.root is not None:
        yield Parsed(line, msgspec.json.encode(builder.root))


class _Builder:
    """Makes one document's value of its events."""

    def __init__(self) -> None:
        self.root: Any = None
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._aliased = 0
        self._nodes = 0

    def take(self, event: Any) -> None:
        """Take the next event of the document."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ScalarError(f"more than {MAX_NODES:,} scalars, lists and maps")
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind in _STARTS:
            self._open(event)
        else:
            self._close()

    def _scalar(self, event: Any) -> None:
        text, tag, is_plain = event.value, event.tag or "", event.implicit[0]
        nodes = 1 + len(text) // _CHARACTERS_A_NODE
        frame = self._expecting_key()
        if event.anchor is not None:
            value, key = value_of(text, tag, is_plain=is_plain), _key_or_none(text, tag, is_plain=is_plain)
            self._anchors[event.anchor] = _Anchored(value, nodes, key)
        if frame is None:
            self._add(value_of(text, tag, is_plain=is_plain), nodes)
        elif text == "<<" and (is_plain or tag == MERGE_TAG):
            frame.key, frame.is_merge = text, True
        else:
            _set_key(frame, key_of(text, tag, is_plain=is_plain), nodes)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise ScalarError("an alias to an anchor that was not set before")
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise ScalarError("an alias to what it is part of")
        self._aliased += anchored.nodes
        if self._aliased > MAX_ALIASED_NODES:
            raise ScalarError(f"aliases expand to more than {MAX_ALIASED_NODES} nodes")
        frame = self._expecting_key()
        if frame is None:
            self._add(anchored.value, anchored.nodes)
        elif anchored.key is None:
            raise ScalarError("a key is a list, a map or null")
        else:
            _set_key(frame, anchored.key, anchored.nodes)

    def _open(self, event: Any) -> None:
        if self._expecting_key() is not None:
            raise ScalarError("a key is a list, a map or null")
        if len(self._stack) >= MAX_DEPTH:
            raise ScalarError(f"nested deeper than {MAX_DEPTH} levels")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Frame({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor))

    def _close(self) -> None:
        frame = self._stack.pop()
        if frame.anchor is not None:
            self._anchors[frame.anchor] = _Anchored(frame.value, frame.nodes, None)
        self._add(frame.value, frame.nodes)

    def _expecting_key(self) -> _Frame | None:
        """Return the innermost map if the next event is a key of it."""
        if not self._stack:
            return None
        frame = self._stack[-1]
        return frame if frame.key is None and isinstance(frame.value, dict) else None

    def _add(self, value: Any, nodes: int) -> None:
        if not self._stack:
            self.root = value
            return
        frame = self._stack[-1]
        frame.nodes += nodes
        if isinstance(frame.value, list):
            frame.value.append(value)
            return
        key, frame.key = frame.key, None
        if frame.is_merge:
            frame.is_merge = False
            _merge(value, frame.value)
        elif key is not None:
            frame.value[key] = value


def _key_or_none(text: str, tag: str, *, is_plain: bool) -> str | None:
    try:
        return key_of(text, tag, is_plain=is_plain)
    except ScalarError:
        return None


def _set_key(frame: _Frame, key: str, nodes: int) -> None:
    if key in frame.written:
        raise ScalarError(f"the key {_shortened(key)!a} stands twice in one map")
    frame.written.add(key)
    frame.key = key
    frame.nodes += nodes


def _shortened(key: str) -> str:
    #: Taste: as much of a key as tells which one it is.
    return key if len(key) <= 80 else key[:77] + "..."  # noqa: PLR2004 - as just said


def _merge(value: Any, into: dict[str, Any]) -> None:
    """Merge as go-yaml v2 does: where the `<<` stands, what is merged wins over what came before it.

    YAML would have the written keys win wherever they stand, but what kubectl sends is what runs.
    """
    sources = list(reversed(value)) if isinstance(value, list) else [value]
    if not all(isinstance(source, dict) for source in sources):
        raise ScalarError("only maps can be merged by <<")
    for source in sources:
        into.update(source)
