"""One page of a list to objects; one broken object is set aside with a line, and the rest goes on."""

from typing import TypeVar

import msgspec

from scanner.cluster import trim
from scanner.cluster.decode import (
    MALFORMED,
    POD,
    Interner,
    MalformedError,
    decode_object,
    decode_secret_metadata,
    kept_metadata,
    managers_of,
    said,
)
from scanner.model.objects import KubeObject, ObjectMeta
from scanner.model.resources import SECRETS, Resource

#: What a list of metadata alone is called.
PARTIAL_LIST = "PartialObjectMetadataList"
POD_LIST = "PodList"

T = TypeVar("T")


class Page(msgspec.Struct, frozen=True):
    """One page of a list."""

    items: tuple[KubeObject, ...]
    #: Asks for the next page; empty on the last.
    continue_token: str = ""
    #: How many objects are left behind this page; None where the server does not say.
    remaining: int | None = None
    #: One line for each object that was set aside.
    broken: tuple[str, ...] = ()


class _ListMeta(msgspec.Struct, rename="camel"):
    continue_token: str | None = msgspec.field(default=None, name="continue")
    remaining: int | None = msgspec.field(default=None, name="remainingItemCount")


class _Head(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    metadata: _ListMeta | None = None


class _List(_Head):
    items: list[msgspec.Raw] | None = None


class _PodItem(msgspec.Struct):
    metadata: ObjectMeta
    spec: trim.Fields
    status: trim.PodStatusWire | None = None


class _ItemMetadata(msgspec.Struct):
    metadata: msgspec.Raw


class _Pods(_Head):
    items: list[_PodItem] | None = None


_list_decoder = msgspec.json.Decoder(_List)
_pods_decoder = msgspec.json.Decoder(_Pods)
_item_metadata_decoder = msgspec.json.Decoder(_ItemMetadata)
#: A pod with this in it may have been changed by people.
_EPHEMERAL = b'"ephemeralContainers"'


def decode_page(raw: bytes, resource: Resource, *, interner: Interner | None = None) -> Page:
    """Decode one page of a list of this kind; raises `MalformedError` if it is no such list at all."""
    interner = interner or Interner()
    if resource.group_kind == POD:
        try:
            return _with_managers(_pods(_pods_decoder.decode(raw), interner), raw, interner)
        except MALFORMED:
            pass  # something in it is unusual or broken: what, and in which pod, the slower way tells
    page = _list_of(raw, resource)
    items: list[KubeObject] = []
    broken: list[str] = []
    for item in page.items or ():
        try:
            items.append(_item(item, page, resource, interner))
        except MalformedError as error:
            broken.append(str(error))
    return _page(page, items, broken)


def _list_of(raw: bytes, resource: Resource) -> _List:
    try:
        page = _list_decoder.decode(raw)
    except MALFORMED as error:
        raise MalformedError(f"{resource.name}: not a list: {said(error)}") from error
    is_partial = page.kind == PARTIAL_LIST and resource == SECRETS
    if page.kind != f"{resource.kind}List" and not is_partial:
        raise MalformedError(f"{resource.name}: the server answered with kind {page.kind[:80]!r}")
    return page


def _item(raw: msgspec.Raw, page: _List, resource: Resource, interner: Interner) -> KubeObject:
    if page.kind == PARTIAL_LIST:
        return decode_secret_metadata(raw)
    return decode_object(raw, api_version=page.api_version, kind=resource.kind, interner=interner)


def _pods(page: _Pods, interner: Interner) -> Page:
    """Decode pods in one pass over the JSON: most of a large cluster is pods, and half of a pod is managedFields."""
    if page.kind != POD_LIST:
        raise ValueError(page.kind)
    items = []
    for item in page.items or ():
        meta = kept_metadata(item.metadata, interner.masker)
        spec, node_name = trim.trim_pod_spec(item.spec, meta)
        body = interner.checked(POD, b'{"spec":' + spec + b"}")
        items.append(KubeObject("v1", POD.kind, meta, body, trim.trim_pod_status(item.status, node_name)))
    return _page(page, items, [])


def _with_managers(page: Page, raw: bytes, interner: Interner) -> Page:
    """Add who manages which field to the few pods that people write or change, by a second look at these alone."""
    of_people = [i for i, pod in enumerate(page.items) if pod.meta.controller is None or _EPHEMERAL in pod.body]
    if not of_people:
        return page
    found = _list_decoder.decode(raw).items or []
    items = list(page.items)
    for index in of_people:
        metadata = bytes(_item_metadata_decoder.decode(found[index]).metadata)
        managers = managers_of(metadata, items[index].meta, interner)
        items[index] = msgspec.structs.replace(items[index], managers=managers)
    return msgspec.structs.replace(page, items=tuple(items))


def _page(page: _Head, items: list[KubeObject], broken: list[str]) -> Page:
    meta = page.metadata or _ListMeta()
    return Page(tuple(items), meta.continue_token or "", meta.remaining, tuple(broken))
