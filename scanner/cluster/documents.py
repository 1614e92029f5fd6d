"""A stream of bytes cut into documents, each held to a size, so that no file takes more memory than its largest one.

A line that starts with `---` ends a document wherever it stands: YAML allows it in no scalar, and kubectl cuts there
too. JSON has no such line, so a JSON file is one document here; `lists` cuts it further.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

#: Objects in etcd have 1.5 MiB at most; the rest is for what was never sent to an API server.
MAX_DOCUMENT_BYTES = 64 * 2**20
#: A list is cut into its items, but it has to be held for that: some 30,000 pods as kubectl writes them.
MAX_LIST_BYTES = 256 * 2**20
#: What may come out of one compressed file: ten minutes of nothing but blanks fit into a megabyte.
MAX_UNPACKED_BYTES = 1024 * 2**20
#: How much is read, and unpacked, at once.
BLOCK_BYTES = 2**20

#: What may stand in one file: more marks than this only serve to keep a scanner busy.
MAX_DOCUMENTS = 1_000_000

#: Taste: programs, archives and UTF-16 have a NUL byte by then; further down it costs its document alone.
_BINARY_WITHIN_BYTES = 64
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
#: zlib's window, with a gzip header around it.
_GZIP_WINDOW = 31
#: Nothing but blanks and comments.
_EMPTY = re.compile(rb"(?:[ \t\r]*+(?:#[^\n]*+)?\n)*+[ \t\r]*+(?:#[^\n]*+)?")
#: What may follow `---` on its line without being part of the document.
_REST_OF_MARK = re.compile(rb"---[ \t]*(?:#[^\n]*)?\r?(?:\n|$)")
#: kubectl writes the items of a list before its kind.
_LIST_HEAD = re.compile(rb"^\s*\{.{0,4096}\"items\"\s*:|\nitems:[ \t]*\r?\n", re.DOTALL)
_LIST_HEAD_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file; `number` and `line` count from 1, and `line` is that of the first line with content.

    Items of a list, which may say neither, carry the apiVersion and kind that their list gives them.
    """

    file: str
    number: int
    line: int
    text: bytes
    api_version: str = ""
    kind: str = ""


class StreamError(ValueError):
    """A stream cannot be read on: it is binary, broken, or has too much in it. Says at which document and line."""

    def __init__(self, number: int, line: int, problem: str) -> None:
        """Keep all three; `number` is 0 where it is about the whole file."""
        super().__init__(problem)
        self.number = number
        self.line = line


def documents(file: str, blocks: Iterable[bytes]) -> Iterator[Document]:
    """Yield the documents of a stream, those without content left out; raises `StreamError` where it ends early."""
    number, line = 0, 1
    directives = b""
    for text in _pieces(_unpacked(blocks)):
        mark = _REST_OF_MARK.match(text)
        body = text[mark.end() :] if mark else text
        leading = line + (1 if mark and mark.group().endswith(b"\n") else 0)
        line += text.count(b"\n")
        start = _EMPTY.match(body)
        if start is None or start.end() == len(body):
            continue
        content = body.rfind(b"\n", 0, start.end()) + 1
        first = leading + body.count(b"\n", 0, content)
        body = body[content:]
        # `%YAML 1.1` stands before the mark of the document that it is about.
        if body.startswith(b"%"):
            directives = body
            continue
        number += 1
        if directives:
            body, first = directives + b"---\n" + body, first - directives.count(b"\n") - 1
            directives = b""
        yield Document(file, number, first, body)


def _pieces(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what lies between lines that start with `---`, each with the mark that opens it."""
    held = bytearray()
    number, line, searched = 0, 1, 0
    is_first = True
    for block in blocks:
        if is_first:
            is_first = False
            if b"\0" in block[:_BINARY_WITHIN_BYTES]:
                raise StreamError(0, 0, "not text: it has NUL bytes")
            block = block.removeprefix(_BOM)  # noqa: PLW2901 - the same block, without its mark
        held += block
        start = 0
        # A mark at the very end may go on in the next block.
        while (at := held.find(b"\n---", max(start, searched), len(held) - 1)) >= 0:
            searched = at + 1
            if held[at + 4] not in b" \t\r\n":
                continue
            piece = bytes(held[start : at + 1])
            number, line, start = number + 1, line + piece.count(b"\n"), at + 1
            if number > MAX_DOCUMENTS:
                raise StreamError(number, line, f"more than {MAX_DOCUMENTS:,} documents; nothing behind it is read")
            yield piece
        del held[:start]
        searched = max(0, len(held) - 4)
        _check_size(held, number + 1, line)
    while (at := held.find(b"\n---")) >= 0 and bytes(held[at + 4 :]) in {b"", b"\r"}:
        yield bytes(held[: at + 1])
        del held[: at + 1]
    if held:
        yield bytes(held)


def _check_size(held: bytearray, number: int, line: int) -> None:
    if len(held) <= MAX_DOCUMENT_BYTES:
        return
    if len(held) > MAX_LIST_BYTES:
        raise StreamError(number, line, f"a list of more than {MAX_LIST_BYTES // 2**20} MiB; nothing behind it is read")
    if not _LIST_HEAD.search(bytes(held[:_LIST_HEAD_BYTES])):
        raise StreamError(number, line, f"more than {MAX_DOCUMENT_BYTES // 2**20} MiB; nothing behind it is read")


def _unpacked(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the blocks of a stream, unpacked if it starts like gzip."""
    unpacker = None
    total = 0
    is_first = True
    for block in blocks:
        if is_first and block.startswith(_GZIP):
            unpacker = zlib.decompressobj(_GZIP_WINDOW)
        is_first = False
        if unpacker is None:
            yield block
            continue
        packed = block
        while packed:
            if unpacker.eof:
                # Another member of the same file; zeros are padding.
                unpacker, packed = zlib.decompressobj(_GZIP_WINDOW), packed.lstrip(b"\0")
                continue
            try:
                out = unpacker.decompress(packed, BLOCK_BYTES)
            except zlib.error as error:
                raise StreamError(0, 0, "broken gzip data") from error
            total += len(out)
            if total > MAX_UNPACKED_BYTES:
                raise StreamError(0, 0, f"more than {MAX_UNPACKED_BYTES // 2**20} MiB when unpacked")
            packed = unpacker.unconsumed_tail or unpacker.unused_data
            if out:
                yield out
    if unpacker is not None and not unpacker.eof:
        raise StreamError(0, 0, "gzip data that breaks off")
