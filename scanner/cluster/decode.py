"""Bytes to objects, for API servers, files and saved snapshots alike: trimmed, checked, and shared where equal.

Whatever comes in, `decode_object` gives an object that holds to its kind's shape or raises `MalformedError`; nothing
behind it has to check again. One broken object of a page is set aside with a line, and the rest goes on.
"""

import re
from typing import Any

import msgspec

from scanner.cluster import trim
from scanner.cluster.shapes import shape_of
from scanner.errors import InputError
from scanner.model.objects import KubeObject, ObjectMeta
from scanner.model.refs import GroupKind, group_of
from scanner.model.resources import BY_KIND, SECRETS, Resource

POD = GroupKind("", "Pod")
NODE = GroupKind("", "Node")
#: Fields of every object that are not part of its body.
_NOT_BODY = ("apiVersion", "kind", "metadata", "status")
#: What a list of metadata alone is called, and each of its items.
PARTIAL = "PartialObjectMetadata"
#: msgspec says where as `$.spec…`, `$[0]`, and for maps `$[...]`.
_WHERE = re.compile(r" - at `(?P<key>key in )?\$\.?(?P<path>[^`]*)`$")


class MalformedError(InputError, ValueError):
    """Something is not what Kubernetes gives; the message is one line that names the object and the field."""


class Interner:
    """Keeps one copy of equal bodies, and remembers which of them were checked."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self._bodies: dict[tuple[GroupKind, bytes], bytes] = {}

    def checked(self, kind: GroupKind, body: bytes) -> bytes:
        """Return the one copy of this body; raises if it does not have the shape of its kind."""
        known = self._bodies.get((kind, body))
        if known is None:
            known = self._bodies[kind, body] = _checked(kind, body)
        return known


class Page(msgspec.Struct, frozen=True):
    """One page of a list."""

    items: tuple[KubeObject, ...]
    #: Asks for the next page; empty on the last.
    continue_token: str = ""
    #: How many objects are left behind this page; None where the server does not say.
    remaining: int | None = None
    #: One line for each object that was set aside.
    broken: tuple[str, ...] = ()
    #: Of the list; two pages of one list have the same.
    resource_version: str = ""


class _ListMeta(msgspec.Struct, rename="camel"):
    continue_token: str | None = msgspec.field(default=None, name="continue")
    remaining: int | None = msgspec.field(default=None, name="remainingItemCount")
    resource_version: str | None = None


class _List(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    metadata: _ListMeta | None = None
    items: list[msgspec.Raw] | None = None


_list_decoder = msgspec.json.Decoder(_List)
_fields_decoder = msgspec.json.Decoder(trim.Fields)
_meta_decoder = msgspec.json.Decoder(ObjectMeta)
_string_decoder = msgspec.json.Decoder(str | None)


def decode_page(raw: bytes, resource: Resource, *, interner: Interner | None = None) -> Page:
    """Decode one page of a list of this kind; raises `MalformedError` if it is no such list at all."""
    try:
        page = _list_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"{resource.name}: not a list: {_said(error)}") from error
    is_partial = page.kind == f"{PARTIAL}List"
    if page.kind != f"{resource.kind}List" and not is_partial:
        raise MalformedError(f"{resource.name}: the server answered with kind {page.kind[:80]!r}")
    api_version = _api_version(resource) if is_partial else page.api_version
    share = interner or Interner()
    items: list[KubeObject] = []
    broken: list[str] = []
    for item in page.items or ():
        try:
            items.append(_decode(item, api_version, resource.kind, "", share, is_partial=is_partial))
        except MalformedError as error:
            broken.append(str(error))
    meta = page.metadata or _ListMeta()
    return Page(tuple(items), meta.continue_token or "", meta.remaining, tuple(broken), meta.resource_version or "")


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
    return _decode(raw, api_version, kind, origin, interner or Interner(), is_partial=False)


def _api_version(resource: Resource) -> str:
    version = resource.versions[0]
    return f"{resource.group}/{version}" if resource.group else version


def _decode(  # noqa: PLR0913 - the parts of one object
    raw: bytes | msgspec.Raw, api_version: str, kind: str, origin: str, interner: Interner, *, is_partial: bool
) -> KubeObject:
    name = ""
    try:
        fields = _fields_decoder.decode(raw)
        if not is_partial:
            api_version = _text(fields, "apiVersion") or api_version
            kind = _text(fields, "kind") or kind
        _require(api_version, "apiVersion")
        _require(kind, "kind")
        metadata = bytes(fields.get("metadata", b"{}"))
        meta = _metadata(metadata, is_secret=kind == SECRETS.kind)
        name = f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
        if is_partial:
            body = trim.trim_secret_metadata(metadata)
            return KubeObject(api_version, kind, meta, body, origin=origin)
        body, status = _contents(GroupKind(group_of(api_version), kind), meta, fields, interner)
        return KubeObject(api_version, kind, meta, body, status, origin)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        what = " ".join(part for part in (kind, name) if part) or "object"
        raise MalformedError(f"{what}: {_said(error)}") from error


def _text(fields: trim.Fields, key: str) -> str:
    try:
        return _string_decoder.decode(fields[key]) or "" if key in fields else ""
    except msgspec.ValidationError as error:
        raise ValueError(f"{key} is not a string") from error


def _require(value: str, key: str) -> None:
    if not value:
        raise ValueError(f"{key} is missing")


def _metadata(raw: bytes, *, is_secret: bool) -> ObjectMeta:
    try:
        if b"null" in raw:
            raw = msgspec.json.encode(trim.without_nulls(msgspec.json.decode(raw)))
        meta = _meta_decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise ValueError(_at("metadata", error)) from error
    if not meta.name:
        if not meta.generate_name:
            raise ValueError("metadata.name is missing")
        meta = msgspec.structs.replace(meta, name=meta.generate_name)
    if not all(owner.name for owner in meta.owner_references or ()):
        raise ValueError("an entry of metadata.ownerReferences has no name")
    for moment in (meta.creation_timestamp, meta.deletion_timestamp):
        if moment is not None and moment.tzinfo is None:
            raise ValueError("a timestamp of metadata has no time zone")
    return trim.trim_metadata(meta, is_secret=is_secret)


def _contents(kind: GroupKind, meta: ObjectMeta, fields: trim.Fields, interner: Interner) -> tuple[bytes, bytes]:
    """Return what is kept of the body and of the status."""
    status = bytes(fields.get("status", b"null"))
    for field in _NOT_BODY:
        fields.pop(field, None)
    if kind == SECRETS.group_kind:
        return trim.trim_secret(fields), b""
    kept = b""
    try:
        if kind == POD:
            field = "spec"
            spec, node_name = trim.trim_pod_spec(bytes(fields.get("spec", b"{}")), meta)
            fields["spec"] = msgspec.Raw(spec)
            field = "status"
            kept = trim.trim_pod_status(status, node_name)
        elif kind == NODE:
            field = "status"
            kept = trim.trim_node_status(status)
    except msgspec.ValidationError as error:
        raise ValueError(_at(field, error)) from error
    return interner.checked(kind, trim.body_of(fields)), kept


def _checked(kind: GroupKind, body: bytes) -> bytes:
    """Return a body as it is to be kept: without nulls if Kubernetes defines the kind, and of the kind's shape."""
    # All of it is decoded, since skipping over a field does not find broken UTF-8 and numbers out of range.
    value: Any = msgspec.json.decode(body)
    if kind in BY_KIND and b"null" in body:
        value = trim.without_nulls(value)
        body = msgspec.json.encode(value)
    if kind in BY_KIND:
        msgspec.convert(value, shape_of(kind))
    return body


def _at(field: str, error: Exception) -> str:
    """Word an error inside a field with the path from the object."""
    said = str(error)
    found = _WHERE.search(said)
    if not found:
        return f"{said} at {field}"
    path = found["path"]
    return f"{said[: found.start()]} at {field}{'' if path.startswith('[') else '.'}{path}"


def _said(error: Exception) -> str:
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
