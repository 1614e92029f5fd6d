"""One object of the API as the snapshot keeps it: its metadata typed, the rest as the JSON it came in.

Keeping bytes is what makes a snapshot of 150,000 pods fit in memory: equal bodies are shared, and each consumer decodes
just the fields that it needs into its own struct.
"""

import datetime as dt
from typing import Any, TypeVar

import msgspec

from scanner.model.refs import GroupKind, ObjectRef, group_of

T = TypeVar("T")

#: Set by `kubectl apply` to the whole object, values of Secrets included: never kept.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class OwnerReference(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Who created an object. At most one owner has `controller` set.

    Readers see to it that the name is set; the rest may be missing in files, though no API server allows that.
    """

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class ObjectMeta(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The part of metadata that is kept with every object: no managedFields and no last-applied annotation."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generate_name: str = ""
    generation: int | None = None
    creation_timestamp: dt.datetime | None = None
    deletion_timestamp: dt.datetime | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None
    finalizers: tuple[str, ...] | None = None

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that controls this object, if one does."""
        return next((o for o in self.owner_references or () if o.controller), None)


class FieldManager(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who manages some fields of an object: one entry of metadata.managedFields."""

    manager: str = ""
    #: `Apply` or `Update`.
    operation: str = ""
    #: The version of the API in which it wrote them.
    api_version: str = msgspec.field(default="", name="apiVersion")
    #: RFC 3339; when it last changed the set of its fields or one of them.
    time: str = ""
    subresource: str = ""
    #: The fields, as a tree of keys such as `f:spec` and `k:{"name":"app"}`.
    #: Source: sigs.k8s.io/structured-merge-diff, fieldpath/serialize.go.
    fields: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"{}"), name="fieldsV1")


_managers_decoder = msgspec.json.Decoder(tuple[FieldManager, ...])


class KubeObject(msgspec.Struct, frozen=True):
    """One object of the API.

    `body` is the JSON object of every kept top-level field but apiVersion, kind, metadata and status; `status` that of
    the kept part of the status, empty where nothing reads it. A Pod's body has what differs between the pods of one
    template moved out (see `cluster.decode`), so that equal pods share it. `origin` says where it was read, for
    manifests as `file:line`, else empty. `managers` is the JSON list of who manages which of its fields
    (metadata.managedFields but for those of the status), empty where that is not kept: of what a controller made from a
    template, and of Secrets.
    """

    api_version: str
    kind: str
    meta: ObjectMeta
    body: bytes = b"{}"
    status: bytes = b""
    origin: str = ""
    managers: bytes = b""

    @property
    def ref(self) -> ObjectRef:
        """The name of this object."""
        return ObjectRef(self.api_version, self.kind, self.meta.namespace, self.meta.name, self.meta.uid)

    @property
    def group_kind(self) -> GroupKind:
        """Its kind without the version."""
        return GroupKind(group_of(self.api_version), self.kind)

    def decode(self, shape: type[T]) -> T:
        """Decode the body into a struct that names the wanted top-level fields.

        Raises `msgspec.ValidationError` where the object does not have the shape that Kubernetes gives it; readers
        check this on arrival, so that it cannot happen for the kinds that they know.
        """
        return msgspec.json.decode(self.body, type=shape)

    @property
    def field_managers(self) -> tuple[FieldManager, ...]:
        """Who manages which of its fields, as far as that is kept."""
        return _managers_decoder.decode(self.managers) if self.managers else ()

    def as_dict(self) -> dict[str, Any]:
        """Return the whole object as plain JSON values, as CEL sees it."""
        whole: dict[str, Any] = {"apiVersion": self.api_version, "kind": self.kind, "metadata": self.metadata_dict()}
        whole |= msgspec.json.decode(self.body)
        if self.status:
            whole["status"] = msgspec.json.decode(self.status)
        return whole

    def metadata_dict(self) -> dict[str, Any]:
        """Return the metadata as plain JSON values."""
        built: dict[str, Any] = msgspec.to_builtins(self.meta)
        return built


def labels_of(thing: KubeObject | ObjectMeta) -> dict[str, str]:
    """Return the labels, empty if there are none."""
    return (thing.meta if isinstance(thing, KubeObject) else thing).labels or {}
