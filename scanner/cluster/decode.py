"""Bytes to objects, for API servers, files and saved snapshots alike: trimmed, checked, and shared where equal.

Whatever comes in, `decode_object` gives an object that holds to its kind's shape or raises `MalformedError`; nothing
behind it has to check again.
"""

import re
from typing import Any

import msgspec

from scanner.cluster import config_maps, serving, trim
from scanner.cluster.masking import Masker
from scanner.cluster.shapes import shape_of
from scanner.errors import InputError
from scanner.model.objects import KubeObject, ObjectMeta
from scanner.model.refs import GroupKind, group_of
from scanner.model.resources import BY_KIND, SECRETS

POD = GroupKind("", "Pod")
NODE = GroupKind("", "Node")
#: Kinds of which the status tells what their Secrets would.
CERT_MANAGER = frozenset(r.group_kind for r in BY_KIND.values() if r.group == "cert-manager.io")
#: Fields of every object that are not part of its body.
_NOT_BODY = ("apiVersion", "kind", "metadata", "status")
#: What decoding raises where something is not what it should be.
MALFORMED = (msgspec.DecodeError, ValueError, RecursionError)
#: msgspec says where as `$.spec…`, `$[0]`, and for maps `$[...]`.
_WHERE = re.compile(r" - at `(?P<key>key in )?\$\.?(?P<path>[^`]*)`$")


class MalformedError(InputError, ValueError):
    """Something is not what Kubernetes gives; the message is one line that names the object and the field."""


class Interner:
    """Keeps one copy of equal bodies, and remembers which of them were checked."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self._bodies: dict[tuple[GroupKind, bytes], bytes] = {}
        self._managers: dict[bytes, bytes] = {}
        self.masker = Masker()

    def checked(self, kind: GroupKind, body: bytes) -> bytes:
        """Return the one copy of this body; raises if it does not have the shape of its kind."""
        known = self._bodies.get((kind, body))
        if known is None:
            known = self._bodies[kind, body] = _checked(kind, body, self.masker)
        return known

    def managers(self, managers: bytes) -> bytes:
        """Return the one copy of who manages what."""
        return self._managers.setdefault(managers, managers)


_fields_decoder = msgspec.json.Decoder(trim.Fields)
_spec_decoder = msgspec.json.Decoder(trim.Fields | None)
_status_decoder = msgspec.json.Decoder(trim.PodStatusWire | None)
_meta_decoder = msgspec.json.Decoder(ObjectMeta)
_string_decoder = msgspec.json.Decoder(str | None)


def decode_object(
    raw: bytes | msgspec.Raw,
    *,
    api_version: str = "",
    kind: str = "",
    origin: str = "",
    interner: Interner | None = None,
) -> KubeObject:
    """Decode one object, with `api_version` and `kind` where it lacks them, as the items of a list do.

    An object that is to be named by the server (`generateName`) gets that prefix as its name. Raises `MalformedError`.
    """
    name = ""
    try:
        fields = _fields_decoder.decode(raw)
        api_version = _text(fields, "apiVersion") or api_version
        kind = _text(fields, "kind") or kind
        _require(api_version, "apiVersion")
        _require(kind, "kind")
        group_kind = GroupKind(group_of(api_version), kind)
        metadata = bytes(fields.get("metadata", b"{}"))
        is_secret = group_kind == SECRETS.group_kind
        interner = interner or Interner()
        meta = _metadata(metadata, is_secret=is_secret, masker=interner.masker)
        name = f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
        managers = b"" if is_secret else managers_of(metadata, meta, interner)
        body, status = _contents(group_kind, meta, fields, metadata, interner)
        return KubeObject(api_version, kind, meta, body, status, origin, managers)
    except MALFORMED as error:
        what = " ".join(part for part in (kind, name) if part) or "object"
        raise MalformedError(f"{what}: {said(error)}") from error


def decode_secret_metadata(raw: bytes | msgspec.Raw) -> KubeObject:
    """Decode the metadata of a Secret, of which nothing else was asked for. Raises `MalformedError`."""
    try:
        metadata = bytes(_fields_decoder.decode(raw).get("metadata", b"{}"))
        meta = _metadata(metadata, is_secret=True, masker=Masker())
        return KubeObject("v1", SECRETS.kind, meta, trim.trim_secret_metadata(metadata))
    except MALFORMED as error:
        raise MalformedError(f"{SECRETS.kind}: {said(error)}") from error


def _text(fields: trim.Fields, key: str) -> str:
    try:
        return _string_decoder.decode(fields[key]) or "" if key in fields else ""
    except msgspec.ValidationError as error:
        raise ValueError(f"{key} is not a string") from error


def _require(value: str, key: str) -> None:
    if not value:
        raise ValueError(f"{key} is missing")


def _metadata(raw: bytes, *, is_secret: bool, masker: Masker) -> ObjectMeta:
    try:
        if b"null" in raw:
            raw = msgspec.json.encode(trim.without_nulls(msgspec.json.decode(raw)))
        meta = _meta_decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise ValueError(_at("metadata", error)) from error
    return kept_metadata(meta, masker, is_secret=is_secret)


def managers_of(metadata: bytes, meta: ObjectMeta, interner: Interner) -> bytes:
    """Return what is kept of who manages which field, from the JSON of an object's metadata; raises ValueError."""
    try:
        return interner.managers(trim.trim_managers(metadata, meta))
    except msgspec.ValidationError as error:
        raise ValueError(_at("metadata", error)) from error


def kept_metadata(meta: ObjectMeta, masker: Masker, *, is_secret: bool = False) -> ObjectMeta:
    """Check metadata and return what is kept of it; raises ValueError."""
    if not meta.name:
        if not meta.generate_name:
            raise ValueError("metadata.name is missing")
        meta = msgspec.structs.replace(meta, name=meta.generate_name)
    if not all(owner.name for owner in meta.owner_references or ()):
        raise ValueError("an entry of metadata.ownerReferences has no name")
    for moment in (meta.creation_timestamp, meta.deletion_timestamp):
        if moment is not None and moment.tzinfo is None:
            raise ValueError("a timestamp of metadata has no time zone")
    return trim.trim_metadata(meta, is_secret=is_secret, masker=masker)


def _contents(
    kind: GroupKind, meta: ObjectMeta, fields: trim.Fields, metadata: bytes, interner: Interner
) -> tuple[bytes, bytes]:
    """Return what is kept of the body and of the status."""
    status = bytes(fields.get("status", b"null"))
    for field in _NOT_BODY:
        fields.pop(field, None)
    if kind == SECRETS.group_kind:
        return trim.trim_secret(fields, metadata), b""
    kept = b""
    try:
        if kind == POD:
            field = "spec"
            spec, node_name = trim.trim_pod_spec(_spec_decoder.decode(fields.get("spec", b"{}")) or {}, meta)
            fields["spec"] = msgspec.Raw(spec)
            field = "status"
            kept = trim.trim_pod_status(_status_decoder.decode(status), node_name)
        elif kind == NODE:
            field = "status"
            kept = trim.trim_node_status(status)
        elif kind in serving.SERVED:
            kept = serving.trim_serving_status(status)
        elif kind in CERT_MANAGER:
            kept = trim.trim_issued_status(status)
    except msgspec.ValidationError as error:
        raise ValueError(_at(field, error)) from error
    return interner.checked(kind, trim.body_of(fields)), kept


def _checked(kind: GroupKind, body: bytes, masker: Masker) -> bytes:
    """Return a body as it is to be kept: without credentials, of a known kind without nulls and of its shape."""
    # All of it is decoded, since skipping over a field does not find broken UTF-8 and numbers out of range.
    value: Any = msgspec.json.decode(body)
    if kind in BY_KIND and b"null" in body:
        value = trim.without_nulls(value)
        body = msgspec.json.encode(value)
    if kind in BY_KIND:
        msgspec.convert(value, shape_of(kind))
    if kind == config_maps.CONFIG_MAP:
        return msgspec.json.encode(config_maps.trimmed(value, masker))
    masked = masker.body(kind, value)
    return body if masked == value else msgspec.json.encode(masked)


def _at(field: str, error: Exception) -> str:
    """Word an error inside a field with the path from the object."""
    said = str(error)
    found = _WHERE.search(said)
    if not found:
        return f"{said} at {field}"
    path = found["path"]
    return f"{said[: found.start()]} at {field}{'' if path.startswith('[') else '.'}{path}"


def said(error: Exception) -> str:
    """Word what msgspec said as one line with the field's path, never with its value."""
    match error:
        case RecursionError():
            return "nested too deeply"
        case UnicodeDecodeError():
            return "not UTF-8"
        case _:
            said = _WHERE.sub(lambda m: f" at {m['path']}" if m["path"] else "", str(error))
            # Our shapes allow null for "not set"; by then nulls are gone.
            return said.replace(" | null`", "`").replace("\n", " ")
