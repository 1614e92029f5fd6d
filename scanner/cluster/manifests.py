"""Manifests to a snapshot: folders, files, and what helm renders on standard input.

A document that cannot be read costs itself alone: the rest is scanned, and coverage names it by file, document and
line. What it would have held is then not known, so absence proves nothing for its kind, or for any if that is open.
"""

import contextlib
import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace

from scanner.cluster.config_maps import CONFIG_MAP, without_values
from scanner.cluster.documents import Document
from scanner.cluster.lists import cut
from scanner.cluster.manifest_files import ManifestFile, blocks_of, find_files, read_documents, stream_documents
from scanner.cluster.reading import Outcome, Reader, Refusal, escaped
from scanner.cluster.reading_pool import read_in_workers
from scanner.cluster.reading_worker import Batch, read_batch
from scanner.errors import InputError
from scanner.model.certificate import TLS_SECRETS
from scanner.model.coverage import Read, ReadState
from scanner.model.objects import KubeObject
from scanner.model.refs import ClusterName, GroupKind
from scanner.model.resources import BY_KIND, RESOURCES
from scanner.model.snapshot import Snapshot, SourceKind

#: Told what is read, how many objects came of it so far, and the done fraction, which never falls.
Progress = Callable[[str, int, float], None]

STDIN = "-"
#: What coverage calls the reading of files.
MANIFESTS = "manifests"
#: Where kubectl puts objects that name no namespace, unless it is told otherwise.
DEFAULT_NAMESPACE = "default"
#: Up to here the exact reader is done before a worker process has started.
_ALONE_BYTES = 384 * 2**10
#: What a worker takes at one time: some 20 ms of work.
_BATCH_BYTES = 2**20
_BATCH_FILES = 500
#: Files of up to this size are read by the workers themselves; larger ones are cut for all of them.
_WHOLE_FILE_BYTES = 4 * 2**20
#: Taste: whoever has more notes of one sort than this reads the first and wants the number.
_MAX_NOTES = 50

#: Namespaced kinds of Kubernetes itself that no scan of a cluster reads.
_ALSO_NAMESPACED = frozenset(
    {
        GroupKind("", "ConfigMap"),
        GroupKind("", "Endpoints"),
        GroupKind("", "Event"),
        GroupKind("", "PodTemplate"),
        GroupKind("apps", "ControllerRevision"),
        GroupKind("coordination.k8s.io", "Lease"),
        GroupKind("events.k8s.io", "Event"),
    }
)


def read_manifests(
    paths: Sequence[str | Path],
    *,
    stdin: BinaryIO | None = None,
    cluster: ClusterName,
    now: dt.datetime,
    progress: Progress | None = None,
) -> Snapshot:
    """Return the snapshot of everything that these files and folders hold; `-` is standard input.

    Of an object that stands in several files, the last one counts. Raises `InputError` if a path does not exist or
    cannot be read, or if there is nothing at all to scan.
    """
    with contextlib.ExitStack() as opened:
        sources = [source for path in paths for source in _sources(path, stdin, opened)]
        total = sum(s.size_bytes for s in sources if not isinstance(s, Refusal))
        teller = _Teller(progress, total)
        refusals: list[Refusal] = []
        batches = _batches(sources, refusals)
        if total <= _ALONE_BYTES:
            reader = Reader()
            parts = [teller.told(batch, read_batch(batch, reader)) for batch in batches]
        else:
            parts = read_in_workers(batches, teller.told)
    outcome = Outcome([], refusals, [])
    for part in parts:
        outcome.extend(part)
    named = {s.label for s in sources if isinstance(s, _Stream) or (isinstance(s, ManifestFile) and s.is_named)}
    outcome = _complained(outcome, named)
    if not outcome.objects and not outcome.refusals:
        raise InputError(f"{', '.join(escaped(str(p)) for p in paths)}: no Kubernetes manifests there")
    return _snapshot(outcome, cluster=cluster, now=now)


@dataclass(frozen=True, slots=True)
class _Stream:
    """Something that can be read but once; its first bytes tell whether it is small."""

    label: str
    head: bytes
    rest: BinaryIO

    @property
    def size_bytes(self) -> int:
        return len(self.head)

    def documents(self) -> Iterator[Document | Refusal]:
        read = blocks_of(self.rest)
        head = [self.head]
        return stream_documents(lambda: head.pop() if head and self.head else read(), self.label)


_Source = ManifestFile | _Stream | Refusal


def _sources(path: str | Path, stdin: BinaryIO | None, opened: contextlib.ExitStack) -> Iterator[_Source]:
    if str(path) == STDIN:
        if stdin is None:
            raise InputError("there is no standard input to read")
        yield _Stream("<stdin>", stdin.read(_ALONE_BYTES + 1), stdin)
        return
    for found in find_files(Path(path)):
        if isinstance(found, ManifestFile) and found.is_stream:
            stream = opened.enter_context(Path(found.path).open("rb"))  # noqa: SIM115 - the stack closes it
            yield _Stream(found.label, stream.read(_ALONE_BYTES + 1), stream)
        else:
            yield found


def _batches(sources: Iterable[_Source], refusals: list[Refusal]) -> Iterator[Batch]:
    """Yield what the workers read at one time, in order; what is refused before goes into `refusals`."""
    files: list[ManifestFile] = []
    for source in sources:
        if isinstance(source, Refusal):
            refusals.append(source)
        elif isinstance(source, ManifestFile) and source.size_bytes <= _WHOLE_FILE_BYTES:
            files.append(source)
            if sum(f.size_bytes for f in files) >= _BATCH_BYTES or len(files) >= _BATCH_FILES:
                yield _batch_of(files)
                files = []
        else:
            if files:
                yield _batch_of(files)
                files = []
            yield from _document_batches(source, refusals)
    if files:
        yield _batch_of(files)


def _batch_of(files: Sequence[ManifestFile]) -> Batch:
    return Batch(files=[(f.path, f.label) for f in files], size_bytes=sum(f.size_bytes for f in files))


def _document_batches(source: ManifestFile | _Stream, refusals: list[Refusal]) -> Iterator[Batch]:
    """Cut a large file, or a stream, into documents and lists into their items, for all workers at once."""
    found = source.documents() if isinstance(source, _Stream) else read_documents(source.path, source.label)
    held: list[Document] = []
    size_bytes = 0
    for document in found:
        if isinstance(document, Refusal):
            refusals.append(document)
            continue
        for part in cut(document):
            held.append(part)
            size_bytes += len(part.text)
            if size_bytes >= _BATCH_BYTES:
                yield Batch(documents=held, size_bytes=size_bytes)
                held, size_bytes = [], 0
    if held:
        yield Batch(documents=held, size_bytes=size_bytes)


class _Teller:
    """Tells how far the reading is."""

    def __init__(self, progress: Progress | None, total_bytes: int) -> None:
        self._progress = progress
        self._total_bytes = total_bytes
        self._read_bytes = 0
        self._objects = 0

    def told(self, batch: Batch, outcome: Outcome) -> Outcome:
        """Note what came of a batch, and return it."""
        self._read_bytes += batch.size_bytes
        self._objects += len(outcome.objects)
        if self._progress:
            self._progress(MANIFESTS, self._objects, min(1.0, self._read_bytes / max(1, self._total_bytes)))
        return outcome


def _complained(outcome: Outcome, named: Collection[str]) -> Outcome:
    """Refuse what is no object of Kubernetes where the caller named the very file, instead of passing over it."""
    refused = [r for r in outcome.foreign if r.file in named]
    foreign = [r for r in outcome.foreign if r.file not in named]
    return Outcome(outcome.objects, outcome.refusals + refused, foreign)


def _snapshot(outcome: Outcome, *, cluster: ClusterName, now: dt.datetime) -> Snapshot:
    chosen: dict[tuple[GroupKind, str, str], KubeObject] = {}
    notes: list[Read] = []
    bodies: dict[bytes, bytes] = {}
    for found in outcome.objects:
        kept = _settled(found, bodies)
        key = (kept.group_kind, kept.meta.namespace, kept.meta.name)
        if key in chosen:
            reason = f"{kept.origin}: {escaped(str(kept.ref))} stands also at {chosen[key].origin}; the last one counts"
            notes.append(_note(ReadState.SKIPPED, kept.origin, reason))
        chosen[key] = kept
    by_kind: dict[GroupKind, list[KubeObject]] = defaultdict(list)
    for (kind, _, _), kept in sorted(chosen.items(), key=itemgetter(0)):
        by_kind[kind].append(kept)
    foreign = [_note(ReadState.SKIPPED, r.where, f"{r}: passed over") for r in outcome.foreign]
    refused = [_note(ReadState.PARTIAL, r.where, str(r)) for r in outcome.refusals]
    coverage = [*_kinds_read(by_kind, outcome.refusals), *_first(notes), *_first(foreign), *_first(refused)]
    objects = {kind: tuple(kept) for kind, kept in by_kind.items()}
    return Snapshot(
        cluster=cluster,
        source=SourceKind.MANIFESTS,
        taken_at=now,
        objects=without_values(objects),
        coverage=tuple(sorted(set(coverage))),
    )


def _settled(found: KubeObject, bodies: dict[bytes, bytes]) -> KubeObject:
    """Return an object in the namespace where kubectl would put it, with its body shared by all that have the same."""
    kind = found.group_kind
    known = BY_KIND.get(kind)
    namespace = found.meta.namespace
    if known and not known.namespaced:
        namespace = ""
    elif known or kind in _ALSO_NAMESPACED:
        namespace = namespace or DEFAULT_NAMESPACE
    body = bodies.setdefault(found.body, found.body)
    if namespace == found.meta.namespace:
        return found if body is found.body else replace(found, body=body)
    return replace(found, body=body, meta=replace(found.meta, namespace=namespace))


def _kinds_read(objects: Mapping[GroupKind, Sequence[KubeObject]], refusals: Sequence[Refusal]) -> Iterator[Read]:
    """Say of every kind whether it was read whole: not if a document was refused that was of it, or of any."""
    kinds = {r.group_kind: r.name for r in RESOURCES}
    # What Secrets say of certificates is read with them; ConfigMaps are listed in files alone.
    names = kinds | {kind: str(kind) for kind in (*objects, TLS_SECRETS, CONFIG_MAP) if kind not in kinds}
    for kind, name in names.items():
        concerned = [r for r in refusals if r.kind in {None, kind}]
        yield Read(
            resource=name,
            state=ReadState.PARTIAL if concerned else ReadState.COMPLETE,
            reason=f"not read: {concerned[0].where}" if concerned else "",
            count=len(objects.get(kind, ())),
        )


def _note(state: ReadState, where: str, reason: str) -> Read:
    """Say something of one place; reads of one name are told apart by their namespace, so the place stands there."""
    return Read(resource=MANIFESTS, state=state, namespace=where, reason=reason)


def _first(notes: Sequence[Read]) -> Iterator[Read]:
    """Yield the first notes of a sort, and how many more there are."""
    yield from notes[:_MAX_NOTES]
    if len(notes) > _MAX_NOTES:
        more = len(notes) - _MAX_NOTES
        yield _note(notes[0].state, f"{more} more", f"{more} more like: {notes[_MAX_NOTES].reason}")
