"""Plain YAML documents to JSON by rapidyaml, thirty times faster than the exact reader, or not at all.

rapidyaml reads YAML 1.2 and leaves types to others, so only documents are given to it whose every line is of a shape
that means the same to both readers: block style, no anchors, tags, tabs or non-ASCII text, no quoted scalar over
several lines, and no word that YAML 1.1 reads as something else (`yes`, `0777`, `1_000`). Nearly everything that
kubectl writes is like that. Most lines of a big folder have been seen before, so to check one is to find it in a set.

rapidyaml tells its errors on standard error, and it is C++ that reads what strangers wrote. So it runs in worker
processes alone (`reading_pool`), and what it refuses goes to the exact reader.
"""

import re
from collections.abc import Iterable

import msgspec
import ryml

#: Lines of up to this length are remembered, and so many of them: some 30 MB where every line is different.
_REMEMBERED_LINE_BYTES = 160
_REMEMBERED_LINES = 150_000

#: Words that mean more than their text in YAML 1.1, in YAML 1.2 or to rapidyaml, in any case.
_SPECIAL = rb"(?i:y|n|yes|no|on|off|true|false|null|nan|inf|infinity)"
_TAIL = rb"(?:[A-Za-z0-9_./@+=,()-]|:(?=[A-Za-z0-9_./@+=,()-]))"
#: Words that no reader takes for a number, with single blanks between; no colon ends one, no `#` starts one.
_TEXT = rb"(?!%s(?:\n|$))[A-Za-z_/(]%s*(?: [A-Za-z0-9_./@+=,()-]%s*)*" % (_SPECIAL, _TAIL, _TAIL)
#: Numbers that all readers take for the same number, and words with digits in front that none takes for one.
_NUMBER = (
    rb"-?[1-9][0-9]{0,14}|0"
    rb"|(?:0|[1-9][0-9]{0,5})\.[0-9]{0,5}[1-9]"
    rb"|[0-9]+(?:\.[0-9]+)?(?:m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi|s|h|ms|%)"
    rb"|[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}(?:[./-][0-9A-Za-z./-]*)?"
    rb"|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z)?"
    rb"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_QUOTED = rb"\"(?:[^\"\\\n]|\\[\"\\nt])*\"|'(?:[^'\n]|'')*'"
_VALUE = rb"(?:%s|%s|%s|true|false|null|\{\}|\[\]|\|[-+]?)" % (_TEXT, _NUMBER, _QUOTED)
#: libyaml takes no key of more than 1024 characters.
_KEY = rb"(?:(?!%s:)[A-Za-z_/.][A-Za-z0-9_./-]{0,250}|\"(?:[^\"\\\n]|\\[\"\\]){0,400}\"|'[^'\n]{0,400}')" % _SPECIAL
_LINE = re.compile(rb" *(?:#[ -~]*|(?:- )?%s:(?: %s)?|- %s|%s)|" % (_KEY, _VALUE, _VALUE, _TEXT))

#: A literal scalar and its lines, which are text, whatever they look like. Its key may stand behind a dash.
_LITERAL = re.compile(
    rb"(?m)^(?P<blank> *)(?P<key>[^ #\n-][^\n]*: \|[-+]?\n)(?:(?P=blank) +[^ \n][^\n]*\n|\n)+"
    rb"|^(?P<dashed> *)(?P<item>- [^ #\n][^\n]*: \|[-+]?\n)(?:(?P=dashed)   +[^ \n][^\n]*\n|\n)+"
)
_CONTROLS = bytes(set(range(0x20)) - {0x0A}) + b"\x7f"

#: Who manages which field is half of what a live cluster says; of what a controller made nothing of it is kept.
_MADE_BY_CONTROLLER = b"\n    controller: true\n"
_MANAGED_FIELDS = b"\n  managedFields:\n"
_MANAGED_LINES = re.compile(rb"(?:  (?:- |  )[^\n]*\n)+")
_METADATA = b"\nmetadata:\n  "


class FastReader:
    """Reads documents, and remembers the lines that it has checked."""

    def __init__(self) -> None:
        """Start with no line known."""
        self._known: set[bytes] = set()
        self._tree = ryml.Tree()

    def to_json(self, document: bytes) -> bytes | None:
        """Return a document as JSON; None if it is not plain, broken, or has a key twice: for the exact reader then.

        The document ends with a line feed. What metadata says of managed fields is left out unread where a controller
        made the object.
        """
        if not self.is_plain(document):
            return None
        read = self._read(_without_managed_fields(document))
        return None if read is None else _compact(read)

    def is_plain(self, document: bytes) -> bool:
        """Tell whether every line of a document is of a shape that means the same to all readers."""
        if not document.isascii() or len(document) != len(document.translate(None, _CONTROLS)):
            return False
        if b": |" in document:
            document = _LITERAL.sub(_without_text, document)
        new = set(document.split(b"\n")).difference(self._known)
        if not all(map(_LINE.fullmatch, new)):
            return False
        self._remember(new)
        return True

    def _remember(self, lines: Iterable[bytes]) -> None:
        if len(self._known) > _REMEMBERED_LINES:
            self._known.clear()
        self._known.update(line for line in lines if len(line) <= _REMEMBERED_LINE_BYTES)

    def _read(self, document: bytes) -> bytes | None:
        self._tree.clear()
        self._tree.clear_arena()
        try:
            ryml.parse_in_arena(document, self._tree)
            read: str | None = ryml.emit_json_malloc(self._tree, self._tree.root_id())
        except ryml.ExceptionBasic:
            return None
        # rapidyaml 0.15 takes a line that is indented too far, behind a quoted item of a list, for a key that starts
        # with blanks. It writes every string on a line of its own, behind at least two blanks.
        return read.encode() if read and '  " ' not in read else None


def _without_text(match: re.Match[bytes]) -> bytes:
    return (match["key"] and match["blank"] + match["key"]) or match["dashed"] + match["item"]


def _without_managed_fields(document: bytes) -> bytes:
    """Cut the managed fields out of a plain document, if it is sure that they stand in its metadata.

    `metadata:` at the start of a line is a key of the object; what follows it with two blanks in front is a key inside
    it, until the next line without. A scalar of several lines would be indented deeper.
    """
    at = document.find(_MANAGED_FIELDS)
    if at < 0 or _MADE_BY_CONTROLLER not in document:
        return document
    start = document.rfind(_METADATA, 0, at + len(_MANAGED_FIELDS))
    if start < 0:
        return document
    first = start + len(_METADATA)
    if document[first : first + 1] in b" \n" or re.search(rb"\n[^ ]", document[first:at]):
        return document
    lines = _MANAGED_LINES.match(document, at + len(_MANAGED_FIELDS))
    return document[: at + 1] + document[lines.end() :] if lines else document


def _compact(read: bytes) -> bytes | None:
    """Return this JSON without blanks, or None if a map of it has one key twice.

    Decoding drops one of the two, and with it at least one comma; all other commas stay what they are.
    """
    try:
        compact = msgspec.json.encode(msgspec.json.decode(read))
    except (msgspec.DecodeError, RecursionError):
        return None
    return compact if compact.count(b",") == read.count(b",") else None
