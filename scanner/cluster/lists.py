"""Big documents cut into the objects that they list, each with its line, so that one broken item costs itself alone.

`kubectl get -o yaml` and `-o json` write one `List` for everything. Cut here, its items are read one by one, by several
processes at once, and none but the text is held whole.
"""

import re
from collections.abc import Iterator

import msgspec

from scanner.cluster import json_text, yaml_exact
from scanner.cluster.documents import Document
from scanner.cluster.json_text import JsonError
from scanner.cluster.yaml_exact import YamlError

LIST = "List"

_ITEMS = b"\nitems:\n- "
_NEXT = b"\n- "
#: After the last item: a line that is neither indented nor empty.
_AFTER_ITEMS = re.compile(rb"\n(?=[^ \n-])")
#: Inside an item every line is indented by what its dash takes, or empty.
_NOT_INDENTED = re.compile(rb"\n(?!  |\n|\Z)")
#: An anchor in one item may be meant by an alias in another.
_ANCHOR = re.compile(rb"(?:^|[\n:\-\[{,]) *&[^ ]")


class _Head(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""


def is_json(text: bytes) -> bool:
    """Tell whether a document is meant as JSON, by how it starts, as kubectl does."""
    return text.lstrip()[:1] == b"{"


def is_list(kind: str) -> bool:
    """Tell whether a kind names a list of objects, if it has items."""
    return kind.endswith(LIST)


def kind_of_items(kind: str) -> str:
    """Return the kind that items of a list have where they don't say: Pod for PodList, nothing for List."""
    return kind.removesuffix(LIST)


def cut(document: Document) -> Iterator[Document]:
    """Yield the objects that a document lists, or the document itself where it lists none or cannot be cut.

    What is yielded may still be broken: nothing but where each object starts and ends is known here.
    """
    objects = _cut_json(document) if is_json(document.text) else _cut_yaml(document)
    if objects is None:
        yield document
    else:
        yield from objects


def _cut_json(document: Document) -> Iterator[Document] | None:
    text = document.text
    try:
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        return _cut_sequence(document) if "trailing characters" in str(error) else None
    except (UnicodeDecodeError, RecursionError):
        return None
    try:
        head = msgspec.convert(
            {k: msgspec.json.decode(fields[k]) for k in ("apiVersion", "kind") if k in fields}, _Head
        )
        items = msgspec.json.decode(fields["items"], type=list[msgspec.Raw])
    except (msgspec.DecodeError, KeyError, UnicodeDecodeError, RecursionError):
        return None
    # A key that stands twice is dropped by decoding, and a comma with it.
    if not is_list(head.kind) or msgspec.json.encode(fields).count(b",") != text.count(b","):
        return None
    return _items(document, head, items)


def _items(document: Document, head: _Head, items: list[msgspec.Raw]) -> Iterator[Document]:
    position, line = 0, document.line
    for item in items:
        raw = bytes(item)
        at = document.text.find(raw, position)
        line += document.text.count(b"\n", position, at)
        yield Document(document.file, document.number, line, raw, head.api_version, kind_of_items(head.kind))
        position, line = at + len(raw), line + raw.count(b"\n")


def _cut_sequence(document: Document) -> Iterator[Document] | None:
    try:
        found = list(json_text.values(document.text))
    except (JsonError, UnicodeDecodeError):
        return None
    return (
        Document(document.file, document.number + at, document.line + line - 1, raw)
        for at, (line, raw) in enumerate(found)
    )


def _cut_yaml(document: Document) -> Iterator[Document] | None:
    """Cut a list in block style whose items start at the start of a line, as kubectl writes it.

    Such a line is inside no scalar but a quoted one over several lines; cut there, both halves are broken, and are
    refused as that.
    """
    before, mark, after = document.text.partition(_ITEMS)
    if not mark or _ITEMS in after or _ANCHOR.search(document.text):
        return None
    items = after.split(_NEXT)
    end = _AFTER_ITEMS.search(items[-1])
    trailer = items[-1][end.end() :] if end else b""
    items[-1] = items[-1][: end.start()] if end else items[-1]
    head = _head_of(before + b"\nitems: []\n" + trailer)
    if head is None or not is_list(head.kind) or any(_NOT_INDENTED.search(item) for item in items):
        return None
    return _yaml_items(document, head, before.count(b"\n") + 2, items)


def _head_of(text: bytes) -> _Head | None:
    try:
        (parsed,) = yaml_exact.parse(text.decode())
        return msgspec.json.decode(parsed.json, type=_Head)
    except (YamlError, ValueError, msgspec.DecodeError):
        return None


def _yaml_items(document: Document, head: _Head, lines_before: int, items: list[bytes]) -> Iterator[Document]:
    line = document.line + lines_before
    for item in items:
        text = item.replace(b"\n  ", b"\n") + b"\n"
        yield Document(document.file, document.number, line, text, head.api_version, kind_of_items(head.kind))
        line += item.count(b"\n") + 1
