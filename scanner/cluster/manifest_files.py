"""Which files hold manifests, and their bytes: folders walked in order, links followed once, nothing hidden."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from scanner.cluster.documents import BLOCK_BYTES, Document, StreamError, documents
from scanner.cluster.reading import Refusal, escaped
from scanner.errors import InputError

_SUFFIXES = tuple(suffix + packed for suffix in (".yaml", ".yml", ".json") for packed in ("", ".gz"))


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A file to read; its label is its path as messages show it."""

    path: str
    label: str
    size_bytes: int
    #: Named by the caller, not found in a folder.
    is_named: bool = False
    #: A pipe, for instance: it can be read once, and has no size.
    is_stream: bool = False


def find_files(path: Path) -> Iterator[ManifestFile | Refusal]:
    """Yield the manifests of a folder and the folders in it by name, or the file itself.

    Raises `InputError` if there is no such file or folder, or if it cannot be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            if not os.access(path, os.R_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            is_stream = not stat.S_ISREG(status.st_mode)
            yield ManifestFile(str(path), escaped(str(path)), status.st_size, is_named=True, is_stream=is_stream)
            return
        os.scandir(path).close()
    except OSError as error:
        raise InputError(f"{escaped(str(path))}: {_reason(error)}") from error
    yield from _walk(str(path), frozenset({(status.st_dev, status.st_ino)}))


def _walk(folder: str, above: frozenset[tuple[int, int]]) -> Iterator[ManifestFile | Refusal]:
    """Walk a folder; `above` are the folders that it lies in, through which a link would lead around in circles."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        yield Refusal(escaped(folder), 0, 0, _reason(error))
        return
    for name in names:
        if name.startswith("."):
            continue
        path = os.path.join(folder, name)  # noqa: PTH118 - a folder may have 100,000 files
        try:
            status = os.stat(path)  # noqa: PTH116 - same
        except OSError as error:
            if name.endswith(_SUFFIXES):
                yield Refusal(escaped(path), 0, 0, _reason(error))
            continue
        identity = (status.st_dev, status.st_ino)
        if stat.S_ISDIR(status.st_mode):
            if identity not in above:
                yield from _walk(path, above | {identity})
        elif stat.S_ISREG(status.st_mode) and name.endswith(_SUFFIXES):
            yield ManifestFile(path, escaped(path), status.st_size)


def read_documents(path: str, label: str) -> Iterator[Document | Refusal]:
    """Yield the documents of a file, and at its end why it could not be read on, if so."""
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - a path may be a number's name in /dev/fd
            yield from stream_documents(lambda: stream.read(BLOCK_BYTES), label)
    except OSError as error:
        yield Refusal(label, 0, 0, _reason(error))


def stream_documents(read: Callable[[], bytes | None], label: str) -> Iterator[Document | Refusal]:
    """Yield the documents of a stream that gives a block at a time, empty at its end; then why it broke off, if so."""
    try:
        yield from documents(label, iter(read, b""))  # type: ignore[arg-type]  # None comes of non-blocking files alone
    except StreamError as error:
        yield Refusal(label, error.number, error.line, str(error))


def blocks_of(stream: BinaryIO) -> Callable[[], bytes]:
    """Return what gives the blocks of a stream, each as full as it can be."""
    return lambda: stream.read(BLOCK_BYTES)


def _reason(error: OSError) -> str:
    return (error.strerror or "cannot be read").lower()
