"""Audit logs in files: one JSON event a line, also gzip, also standard input; read line by line, however long."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from scanner.analysis.rbac.audit import AuditEvent, event_of
from scanner.cluster.reading import escaped
from scanner.errors import InputError

#: Longer lines are passed over. The largest object that etcd takes is 1.5 MiB; an event may hold it twice.
MAX_LINE_BYTES = 8 * 2**20
_GZIP = b"\x1f\x8b"


def read_audit_log(path: str, stdin: BinaryIO) -> Iterator[tuple[int, AuditEvent | None]]:
    """Yield what each line of a log says, with its number: an event, or None if it is none. Empty lines say nothing.

    Raises `InputError` if the file cannot be read, or breaks off in the middle of what is packed.
    """
    name = escaped(path)
    try:
        with _opened(path, stdin) as packed, _unpacked(packed) as log:
            for number, line in enumerate(_lines(log), 1):
                if line is None or line.strip():
                    yield number, event_of(line) if line else None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{name}: broken gzip data") from error
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or 'cannot be read'}") from error


@contextlib.contextmanager
def _opened(path: str, stdin: BinaryIO) -> Iterator[BinaryIO]:
    if path == "-":
        yield stdin
        return
    with Path(path).open("rb") as file:
        yield file


@contextlib.contextmanager
def _unpacked(file: BinaryIO) -> Iterator[BinaryIO | gzip.GzipFile]:
    peek = getattr(file, "peek", None)
    start = peek(len(_GZIP))[: len(_GZIP)] if peek else b""
    if start != _GZIP:
        yield file
        return
    with gzip.GzipFile(fileobj=file) as unpacked:
        yield unpacked


def _lines(log: BinaryIO | gzip.GzipFile) -> Iterator[bytes | None]:
    """Yield lines; None for one that is too long to be an event."""
    while line := log.readline(MAX_LINE_BYTES):
        if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
            yield line
            continue
        while (rest := log.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield None
