"""Documents to objects: read, flattened, decoded; what is refused becomes one line that names it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from scanner.cluster import json_text, lists, yaml_exact
from scanner.cluster.decode import Interner, MalformedError, decode_object
from scanner.cluster.documents import MAX_DOCUMENT_BYTES, Document
from scanner.cluster.json_text import JsonError
from scanner.cluster.yaml_exact import YamlError
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind, group_of

#: The exact reader takes a second for 3 MiB and many times the memory of its text.
MAX_EXACT_BYTES = 16 * 2**20
#: Objects of these groups configure a program and are never sent to an API server: Kustomization, KubeletConfiguration.
_CONFIGURATION = re.compile(r"(?:\.config\.k8s\.io|^kind\.x-k8s\.io|^audit\.k8s\.io)$")
_API_VERSION_LINE = re.compile(rb"(?m)^apiVersion:[ \t]*[\"']?([A-Za-z0-9./-]+)[\"']?[ \t]*\r?$")
_KIND_LINE = re.compile(rb"(?m)^kind:[ \t]*[\"']?([A-Za-z0-9]+)[\"']?[ \t]*\r?$")


class Refusal(msgspec.Struct, frozen=True, array_like=True):
    """Something that was not read, and why; `number` and `line` are 0 where it is a whole file."""

    file: str
    number: int
    line: int
    reason: str
    #: What would have come of it, if that is known.
    kind: GroupKind | None = None

    @property
    def where(self) -> str:
        """Name the place: `shop.yaml: document 3, line 12`."""
        return f"{self.file}: document {self.number}, line {self.line}" if self.number else self.file

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.where}: {self.reason}"


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What came of some documents, in their order."""

    objects: list[KubeObject] = []
    refusals: list[Refusal] = []
    #: Documents that are no objects of Kubernetes, and don't claim to be.
    foreign: list[Refusal] = []

    def extend(self, other: "Outcome") -> None:
        """Add what came of further documents."""
        self.objects.extend(other.objects)
        self.refusals.extend(other.refusals)
        self.foreign.extend(other.foreign)


class FastYaml(Protocol):
    """Reads some YAML documents quickly."""

    def to_json(self, document: bytes) -> bytes | None:
        """Return a document as JSON, None if it is one for the exact reader."""


class _Envelope(msgspec.Struct, rename="camel"):
    api_version: Any = None
    kind: Any = None
    items: msgspec.Raw = msgspec.Raw(b"null")
    metadata: msgspec.Raw = msgspec.Raw(b"null")


class Reader:
    """Reads documents; `fast` is given what it may be able to read, and what it is not goes the exact way."""

    def __init__(self, fast: FastYaml | None = None) -> None:
        """Start with nothing known."""
        self._fast = fast
        self._interner = Interner()

    def read(self, document: Document) -> Outcome:
        """Return what comes of a document; broken ones are refused, not raised."""
        outcome = Outcome([], [], [])
        for part in lists.cut(document):
            try:
                for line, raw in self._values(part):
                    self._take(replace(part, line=line), raw, outcome)
            except (YamlError, JsonError) as error:
                at = replace(part, line=part.line + error.line - 1)
                outcome.refusals.append(_refusal(at, str(error), _kind_written(part.text)))
        return outcome

    def _values(self, document: Document) -> Iterator[tuple[int, bytes]]:
        """Yield the JSON of what a document holds, each with its line in the file."""
        text = document.text
        if len(text) > MAX_DOCUMENT_BYTES:
            raise YamlError(1, f"more than {MAX_DOCUMENT_BYTES // 2**20} MiB, and no list that can be cut")
        if lists.is_json(text):
            yield from _json_values(document)
        elif self._fast is not None and (read := self._fast.to_json(text)) is not None:
            yield document.line, read
        else:
            for parsed in yaml_exact.parse(_decoded(text)):
                yield document.line + parsed.line - 1, parsed.json

    def _take(self, document: Document, raw: bytes, outcome: Outcome) -> None:
        """Add the object that this JSON is, or the objects that it lists, to the outcome."""
        try:
            envelope = msgspec.json.decode(raw, type=_Envelope)
        except (msgspec.DecodeError, UnicodeDecodeError):
            outcome.refusals.append(_refusal(document, "not an object", None))
            return
        kind = _group_kind(envelope, document)
        if _is_foreign(envelope, document):
            outcome.foreign.append(_refusal(document, "no object of Kubernetes", kind))
        elif isinstance(envelope.kind, str) and lists.is_list(envelope.kind) and bytes(envelope.items).startswith(b"["):
            inner = replace(
                document, api_version=str(envelope.api_version or ""), kind=lists.kind_of_items(envelope.kind)
            )
            for item in msgspec.json.decode(envelope.items, type=list[msgspec.Raw]):
                self._take(inner, bytes(item), outcome)
        elif kind is not None and _CONFIGURATION.search(kind.group):
            outcome.foreign.append(_refusal(document, f"{kind} is not for an API server", kind))
        else:
            try:
                outcome.objects.append(self._decode(document, raw))
            except MalformedError as error:
                outcome.refusals.append(_refusal(document, str(error), kind))

    def _decode(self, document: Document, raw: bytes) -> KubeObject:
        return decode_object(
            raw,
            api_version=document.api_version,
            kind=document.kind,
            origin=f"{document.file}:{document.line}",
            interner=self._interner,
        )


def escaped(text: str) -> str:
    """Return a text as it may be shown on a terminal: control characters and broken ones are spelled out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _refusal(document: Document, reason: str, kind: GroupKind | None) -> Refusal:
    if b"{{" in document.text and kind is None:
        reason += " (a template? let helm render it first)"
    return Refusal(document.file, document.number, document.line, escaped(reason), kind)


def _json_values(document: Document) -> Iterator[tuple[int, bytes]]:
    try:
        compact = json_text.compact(document.text)
    except JsonError:
        # A map of YAML in flow style starts like JSON.
        parsed = _as_yaml(document.text)
        if not parsed:
            raise
        yield from ((document.line + p.line - 1, p.json) for p in parsed)
    else:
        yield document.line, compact


def _as_yaml(text: bytes) -> list[yaml_exact.Parsed]:
    try:
        return list(yaml_exact.parse(_decoded(text)))
    except YamlError:
        return []


def _decoded(text: bytes) -> str:
    if len(text) > MAX_EXACT_BYTES:
        raise YamlError(1, f"more than {MAX_EXACT_BYTES // 2**20} MiB of YAML that is not plain: write it as JSON")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise YamlError(text.count(b"\n", 0, error.start) + 1, "not UTF-8") from error


def _is_foreign(envelope: _Envelope, document: Document) -> bool:
    """Tell whether a document never was meant as an object: the values and the Chart.yaml of a chart, for instance."""
    if document.kind or bytes(envelope.metadata) != b"null":
        return False
    return envelope.api_version is None or envelope.kind is None


def _group_kind(envelope: _Envelope, document: Document) -> GroupKind | None:
    """Return the kind of an object, if it or its list says one."""
    version, name = envelope.api_version or document.api_version, envelope.kind or document.kind
    if not (isinstance(version, str) and isinstance(name, str) and version and name):
        return None
    return GroupKind(group_of(version), name)


def _kind_written(text: bytes) -> GroupKind | None:
    """Return the kind of a document that is broken, if its text leaves no doubt: one such line each."""
    versions, kinds = _API_VERSION_LINE.findall(text), _KIND_LINE.findall(text)
    if len(versions) != 1 or len(kinds) != 1 or kinds[0].endswith(lists.LIST.encode()):
        return None
    return GroupKind(group_of(versions[0].decode()), kinds[0].decode())
