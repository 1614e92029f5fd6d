"""Snapshots in files: what `plimsoll snapshot` writes and every command can read instead of a cluster.

A file is gzip of JSON lines: a header, the coverage, one line for each object, and an end that tells that nothing is
missing. There is no value of a Secret in it, since there is none in a snapshot; all the same it tells how a cluster
is built, so only its owner may read it.
"""

import contextlib
import datetime as dt
import gzip
import io
import os
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from scanner.cluster.decode import Interner
from scanner.cluster.documents import MAX_DOCUMENT_BYTES
from scanner.cluster.reading import escaped
from scanner.errors import InputError
from scanner.model.certificate import Presented
from scanner.model.coverage import Read
from scanner.model.objects import FieldManager, KubeObject, ObjectMeta
from scanner.model.refs import ClusterName, GroupKind
from scanner.model.resources import SECRETS
from scanner.model.secret import SecretBody
from scanner.model.snapshot import Snapshot, SourceKind

#: What a header calls this format, and the version that is written; older ones are read as long as they are known.
FORMAT = "plimsoll-snapshot"
VERSION = 1
#: Taste: half of the time of the best level, for a few percent of size.
_LEVEL = 5
_OWNER_ONLY = 0o600


class _Header(msgspec.Struct, rename="camel"):
    format: str
    version: int
    cluster: str
    source: SourceKind
    taken_at: dt.datetime
    server_version: str = ""


class _Line(msgspec.Struct, rename="camel", omit_defaults=True):
    """One line behind the header: exactly one of a read, a certificate, an object, and the end."""

    read: Read | None = None
    presented: Presented | None = None
    meta: ObjectMeta | None = None
    api_version: str = ""
    kind: str = ""
    #: The JSON itself, or a string of it where it has line feeds.
    body: msgspec.Raw = msgspec.Raw(b"")
    status: msgspec.Raw = msgspec.Raw(b"")
    origin: str = ""
    managers: tuple[FieldManager, ...] = ()
    #: How many objects there were.
    end: int | None = None


_header_decoder = msgspec.json.Decoder(_Header)
_line_decoder = msgspec.json.Decoder(_Line)


def save_snapshot(snapshot: Snapshot, path: Path) -> None:
    """Write a snapshot to a file, whole or not at all; raises `InputError` if that cannot be."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        try:
            with os.fdopen(descriptor, "wb") as file:
                _pack(snapshot, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        raise InputError(f"{escaped(str(path))}: cannot be written: {error.strerror}") from error


def snapshot_bytes(snapshot: Snapshot) -> bytes:
    """Return what a file of a snapshot holds."""
    buffer = io.BytesIO()
    _pack(snapshot, buffer)
    return buffer.getvalue()


def snapshot_of_bytes(packed: bytes, name: str) -> Snapshot:
    """Return the snapshot that `snapshot_bytes` packed; raises `InputError`, which names it so, if it is none."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as unpacked:
            return _read(unpacked, name)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{name}: not a saved snapshot, or damaged") from error


def _pack(snapshot: Snapshot, file: IO[bytes]) -> None:
    # No name and no time in it: equal snapshots are equal files.
    with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
        packed.writelines(line + b"\n" for line in _lines(snapshot))


def load_snapshot(path: Path) -> Snapshot:
    """Read a snapshot from a file; raises `InputError` if it is none, is broken, or is of a newer release."""
    name = escaped(str(path))
    try:
        with gzip.open(path, "rb") as packed:
            return _read(packed, name)
    except (EOFError, zlib.error) as error:
        raise InputError(f"{name}: breaks off: copy it again") from error
    except gzip.BadGzipFile as error:
        raise InputError(f"{name}: not a saved snapshot, or damaged") from error
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or 'cannot be read'}") from error


def _lines(snapshot: Snapshot) -> Iterator[bytes]:
    yield msgspec.json.encode(
        _Header(
            format=FORMAT,
            version=VERSION,
            cluster=snapshot.cluster,
            source=snapshot.source,
            taken_at=snapshot.taken_at,
            server_version=snapshot.server_version,
        )
    )
    for read in snapshot.coverage:
        yield msgspec.json.encode(_Line(read=read))
    for presented in snapshot.presented:
        yield msgspec.json.encode(_Line(presented=presented))
    count = 0
    for objects in snapshot.objects.values():
        for found in objects:
            count += 1
            yield _object_line(found)
    yield msgspec.json.encode(_Line(end=count))


def _object_line(found: KubeObject) -> bytes:
    return msgspec.json.encode(
        _Line(
            meta=found.meta,
            api_version=found.api_version,
            kind=found.kind,
            body=_on_one_line(found.body),
            status=_on_one_line(found.status),
            origin=found.origin,
            managers=found.field_managers,
        )
    )


def _on_one_line(text: bytes) -> msgspec.Raw:
    """Return JSON for one line of the file: as it is, or as a string, so that it comes back byte for byte."""
    is_plain = text[:1] == b"{" and b"\n" not in text
    return msgspec.Raw(text if is_plain else msgspec.json.encode(text.decode()))


def _from_line(raw: msgspec.Raw) -> bytes:
    text = bytes(raw)
    return msgspec.json.decode(text, type=str).encode() if text[:1] == b'"' else text


def _read(packed: gzip.GzipFile, name: str) -> Snapshot:
    header = _header(packed, name)
    coverage: list[Read] = []
    presented: list[Presented] = []
    objects: dict[GroupKind, list[KubeObject]] = defaultdict(list)
    interner = Interner()
    count = 0
    for number, text in enumerate(iter(lambda: packed.readline(MAX_DOCUMENT_BYTES), b""), 2):
        try:
            line = _line_decoder.decode(text)
            if line.end is not None:
                if line.end != count:
                    raise InputError(f"{name}: line {number}: objects are missing: copy it again")
                # Only at its end gzip tells whether the sum is right.
                packed.read(1)
                break
            if line.read is not None:
                coverage.append(line.read)
            elif line.presented is not None:
                presented.append(line.presented)
            elif line.meta is not None:
                found = _object(line, line.meta, interner)
                objects[found.group_kind].append(found)
                count += 1
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{name}: line {number}: not a line of a snapshot: {escaped(str(error))}") from error
    else:
        raise InputError(f"{name}: breaks off: copy it again")
    return Snapshot(
        cluster=ClusterName(header.cluster),
        source=header.source,
        taken_at=header.taken_at,
        objects={kind: tuple(found) for kind, found in objects.items()},
        coverage=tuple(coverage),
        server_version=header.server_version,
        presented=tuple(presented),
    )


def _header(packed: gzip.GzipFile, name: str) -> _Header:
    text = packed.readline(MAX_DOCUMENT_BYTES)
    try:
        fields = msgspec.json.decode(text)
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            raise InputError(f"{name}: not a saved snapshot")
        if fields.get("version") != VERSION:
            raise InputError(f"{name}: a snapshot of another release: update plimsoll, or save it again")
        return _header_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: not a saved snapshot") from error


def _object(line: _Line, meta: ObjectMeta, interner: Interner) -> KubeObject:
    """Return the object of a line, checked like one off the wire: anyone can have written a file."""
    body = _from_line(line.body)
    found = KubeObject(line.api_version, line.kind, meta, body, _from_line(line.status), line.origin)
    if found.group_kind == SECRETS.group_kind:
        body = msgspec.json.encode(msgspec.json.decode(body, type=SecretBody))
    else:
        body = interner.checked(found.group_kind, body)
    managers = interner.managers(msgspec.json.encode(line.managers)) if line.managers else b""
    if meta.annotations and found.group_kind != SECRETS.group_kind:
        kept = interner.masker.annotations(meta.annotations)
        found = msgspec.structs.replace(found, meta=msgspec.structs.replace(meta, annotations=kept))
    return msgspec.structs.replace(found, body=body, managers=managers)
