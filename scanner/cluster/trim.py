"""What is kept of an object: nothing that no one reads, no value of a Secret, and of pods what they share.

Works on the raw JSON of single fields, so that what is kept as it is never becomes Python objects.
"""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from scanner.analysis.secrets.pem import bundle_of, decoded
from scanner.cluster.masking import Masker
from scanner.model.certificate import TLS_AUTHORITY, TLS_CERTIFICATE, TLS_KEY, Bundle
from scanner.model.objects import LAST_APPLIED, FieldManager, ObjectMeta
from scanner.model.secret import SecretBody
from scanner.model.workload import PodStatus

Fields = dict[str, msgspec.Raw]

#: Maps of strings, where Go reads a null as the empty string; everywhere else it means "not set".
_STRING_MAPS = frozenset({"labels", "annotations", "matchLabels", "nodeSelector", "selector", "data", "stringData"})
#: A selector is such a map in Services and ReplicationControllers; these fields make it a LabelSelector.
_SELECTOR_FIELDS = frozenset({"matchLabels", "matchExpressions"})
#: Lists of objects that may be empty: there Go reads a null as `{}`, so `ingress: [null]` lets everything in.
_EMPTY_ITEMS = frozenset({"ingress", "egress", "ports"})

#: The name that the ServiceAccount admission plugin gives the token volume: a random suffix for each pod.
_TOKEN_VOLUME = re.compile(rb'kube-api-access-[a-z0-9]{5}"')
_TOKEN_VOLUME_NAME = b"kube-api-access"
#: The fields of a PodSpec that name volumes.
_NAMING_VOLUMES = ("volumes", "containers", "initContainers", "ephemeralContainers")

#: Annotations of a Secret whose values are names, needed to tell whose token it holds.
_SECRET_ANNOTATIONS = frozenset({"kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"})

_fields = msgspec.json.Decoder(Fields | None)


def without_nulls(value: Any, field: str = "") -> Any:
    """Read nulls as the API server does: a field that is null is not set; in a map of strings it is empty."""
    match value:
        case dict() if field in _STRING_MAPS and not _SELECTOR_FIELDS & value.keys():
            return {k: "" if v is None else v for k, v in value.items()}
        case dict():
            return {k: without_nulls(v, k) for k, v in value.items() if v is not None}
        case list():
            return [{} if v is None and field in _EMPTY_ITEMS else without_nulls(v) for v in value]
        case _:
            return value


def trim_metadata(meta: ObjectMeta, *, is_secret: bool, masker: Masker) -> ObjectMeta:
    """Drop the last-applied annotation, credentials, and a Secret's annotations but for their keys."""
    annotations = meta.annotations
    if not annotations:
        return meta
    kept = {
        key: "" if is_secret and key not in _SECRET_ANNOTATIONS else value
        for key, value in annotations.items()
        if key != LAST_APPLIED
    }
    if not is_secret:
        kept = masker.annotations(kept)
    return meta if kept == annotations else msgspec.structs.replace(meta, annotations=kept or None)


class _SecretWire(msgspec.Struct, rename="camel"):
    type: str | None = None
    immutable: bool | None = None
    # Raw: the values are skipped over; only those of a certificate are decoded, and dropped again.
    data: Fields | None = None
    string_data: Fields | None = None


def trim_secret(fields: Fields, metadata: bytes) -> bytes:
    """Keep a Secret's type, the names of its keys and facts of its certificate; values stay behind with the response.

    Its private key is compared with the certificate, and nothing of it is kept.
    """
    wire = msgspec.json.decode(msgspec.json.encode(fields), type=_SecretWire)
    keys = sorted((wire.data or {}).keys() | (wire.string_data or {}).keys())
    return msgspec.json.encode(
        SecretBody(
            type=wire.type or "Opaque",
            keys=tuple(keys),
            immutable=bool(wire.immutable),
            leaks_data=leaks_data(metadata),
            changed_at=_changed_at(_managed(metadata)),
            tls=_certificate(wire) if TLS_CERTIFICATE in keys else None,
        ),
    )


def _certificate(wire: _SecretWire) -> Bundle:
    """Return the facts of a Secret's certificate, and whether its key belongs to it."""
    values = {key: _value(wire, key) for key in (TLS_CERTIFICATE, TLS_KEY, TLS_AUTHORITY)}
    pem = values[TLS_CERTIFICATE]
    if pem is None:
        return Bundle(problem="not base64")
    return bundle_of(pem, key=values[TLS_KEY] or None, authorities=values[TLS_AUTHORITY] or b"", verify=True)


def _value(wire: _SecretWire, key: str) -> bytes | None:
    """Return a value of a Secret, which is for this process's memory alone; empty if missing, None if not base64."""
    if wire.string_data and key in wire.string_data:
        return (msgspec.json.decode(wire.string_data[key], type=str | None) or "").encode()
    if not wire.data or key not in wire.data:
        return b""
    return decoded(msgspec.json.decode(wire.data[key], type=str | None) or "")


class _Annotated(msgspec.Struct):
    annotations: Fields | None = None


class _Applied(msgspec.Struct, rename="camel"):
    data: Fields | None = None
    string_data: Fields | None = None


def leaks_data(metadata: bytes) -> bool:
    """Tell whether the last-applied annotation of a Secret, which is dropped, holds values of its data.

    One that cannot be read as an object does if it so much as names data.
    """
    if LAST_APPLIED.encode() not in metadata:
        return False
    raw = (msgspec.json.decode(metadata, type=_Annotated).annotations or {}).get(LAST_APPLIED)
    text = msgspec.json.decode(raw, type=str | None) if raw is not None else None
    if not text:
        return False
    try:
        applied = msgspec.json.decode(text, type=_Applied)
    except (msgspec.DecodeError, RecursionError):
        return "data" in text or "Data" in text
    return bool(applied.data or applied.string_data)


class _ManagedEntry(msgspec.Struct):
    fields: Fields | None = msgspec.field(default=None, name="fieldsV1")
    time: str | None = None


class _ManagedMeta(msgspec.Struct, rename="camel"):
    managed_fields: tuple[_ManagedEntry, ...] | None = None


class _ManagersMeta(msgspec.Struct, rename="camel"):
    managed_fields: tuple[FieldManager, ...] | None = None


#: Through these, people change a pod that a controller made.
_CHANGING_PODS = frozenset({"ephemeralcontainers", "resize"})


def trim_managers(metadata: bytes, meta: ObjectMeta) -> bytes:
    """Keep who manages the fields of an object that people write; of what a controller made only what it did not do.

    Raises `msgspec.ValidationError`.
    """
    if b'"managedFields"' not in metadata:
        return b""
    entries = msgspec.json.decode(metadata, type=_ManagersMeta).managed_fields or ()
    if meta.controller is not None:
        kept = [entry for entry in entries if entry.subresource in _CHANGING_PODS]
    else:
        kept = [entry for entry in entries if entry.subresource != "status"]
    return msgspec.json.encode(kept) if kept else b""


def trim_secret_metadata(metadata: bytes) -> bytes:
    """Keep the names of a Secret's keys where only its metadata was read; the type stays empty: not known.

    Who manages a field is written down by the field's name (`f:data: {f:password}`), so the metadata tells the keys.
    """
    entries = _managed(metadata)
    owned = [_fields.decode(e.fields["f:data"]) or {} for e in entries if e.fields and "f:data" in e.fields]
    keys = {name.removeprefix("f:") for fields in owned for name in fields if name.startswith("f:")}
    return msgspec.json.encode(
        SecretBody(
            type="",
            keys=tuple(sorted(keys)),
            immutable=any("f:immutable" in (e.fields or ()) for e in entries),
            leaks_data=leaks_data(metadata),
            changed_at=_changed_at(entries),
        )
    )


def _managed(metadata: bytes) -> tuple[_ManagedEntry, ...]:
    return msgspec.json.decode(metadata, type=_ManagedMeta).managed_fields or ()


def _changed_at(entries: tuple[_ManagedEntry, ...]) -> dt.datetime | None:
    """Return the latest of the times at which managers wrote; None where one says no time, or none that can be read."""
    try:
        times = [msgspec.convert(entry.time, dt.datetime) for entry in entries]
    except msgspec.ValidationError:
        return None
    return max((t for t in times if t.tzinfo), default=None)


class PodIP(msgspec.Struct):
    """One address of a pod on the wire."""

    ip: str = ""


class PodStatusWire(msgspec.Struct, rename="camel"):
    """The part of a pod's status on the wire that is kept."""

    phase: str | None = None
    host_ip: str | None = msgspec.field(default=None, name="hostIP")
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    pod_ips: tuple[PodIP, ...] | None = msgspec.field(default=None, name="podIPs")


def trim_pod_status(status: PodStatusWire | None, node_name: str) -> bytes:
    """Keep of a pod's status what `PodStatus` reads."""
    wire = status or PodStatusWire()
    ips = tuple(p.ip for p in wire.pod_ips or ()) or ((wire.pod_ip,) if wire.pod_ip else ())
    kept = PodStatus(node_name=node_name, phase=wire.phase or "", host_ip=wire.host_ip or "", pod_ips=ips)
    return b"" if kept == PodStatus() else msgspec.json.encode(kept)


def trim_pod_spec(fields: Fields, meta: ObjectMeta) -> tuple[bytes, str]:
    """Take out of a PodSpec what differs between the pods of one template; also return the name of the node.

    That is the node, a hostname that repeats the pod's name (StatefulSet), the random suffix of the token volume, and
    the node affinity by which a DaemonSet puts each pod on its node. Changes the fields that it is given.
    """
    node_name = msgspec.json.decode(fields.pop("nodeName", b'""'), type=str | None) or ""
    for field in _NAMING_VOLUMES:
        if field in fields:
            fields[field] = _without_token_suffix(fields[field])
    if "hostname" in fields and msgspec.json.decode(fields["hostname"]) == meta.name:
        del fields["hostname"]
    if "affinity" in fields and meta.controller and meta.controller.kind == "DaemonSet":
        affinity = _without_node_match(msgspec.json.decode(fields.pop("affinity")))
        if affinity:
            fields["affinity"] = msgspec.Raw(msgspec.json.encode(affinity))
    return msgspec.json.encode(fields), node_name


def _without_token_suffix(field: msgspec.Raw) -> msgspec.Raw:
    raw = bytes(field)
    # Inside a string a quote is escaped, so this finds the value of a field and nothing that someone wrote about it.
    for name in {match[:-1] for match in _TOKEN_VOLUME.findall(raw)} if _TOKEN_VOLUME_NAME in raw else ():
        for colon in (b":", b": "):
            raw = raw.replace(b'"name"' + colon + b'"' + name + b'"', b'"name":"' + _TOKEN_VOLUME_NAME + b'"')
    return msgspec.Raw(raw)


def _without_node_match(affinity: Any) -> Any:
    """Drop the terms that the DaemonSet controller adds: one match of the field metadata.name with one node.

    Source: pkg/controller/daemon/util/daemonset_util.go, ReplaceDaemonSetPodNodeNameNodeAffinity.
    """
    match affinity:
        case {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}:
            kept = [t for t in terms if not _is_node_match(t)]
            if len(kept) == len(terms):
                return affinity
            required = {"nodeSelectorTerms": kept}
            node = affinity["nodeAffinity"] | {"requiredDuringSchedulingIgnoredDuringExecution": required}
            if not kept:
                del node["requiredDuringSchedulingIgnoredDuringExecution"]
            rest = {k: v for k, v in affinity.items() if k != "nodeAffinity"}
            return rest | {"nodeAffinity": node} if node else rest
        case _:
            return affinity


def _is_node_match(term: Any) -> bool:
    match term:
        case {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [_]}], **rest}:
            return not rest
        case _:
            return False


class _NodeCondition(msgspec.Struct):
    type: str = ""
    status: str = ""


class _NodeAddress(msgspec.Struct):
    type: str = ""
    address: str = ""


class _NodeInfo(msgspec.Struct, rename="camel", omit_defaults=True):
    kubelet_version: str = ""
    container_runtime_version: str = ""
    kernel_version: str = ""
    os_image: str = ""
    operating_system: str = ""
    architecture: str = ""


class _NodeStatus(msgspec.Struct, rename="camel", omit_defaults=True):
    node_info: _NodeInfo | None = None
    conditions: tuple[_NodeCondition, ...] | None = None
    addresses: tuple[_NodeAddress, ...] | None = None


def trim_node_status(status: bytes) -> bytes:
    """Keep a node's versions, conditions (without their times, which change every few seconds) and addresses."""
    return msgspec.json.encode(msgspec.json.decode(status, type=_NodeStatus | None) or _NodeStatus())


class _IssuedCondition(msgspec.Struct, omit_defaults=True):
    type: str = ""
    status: str = ""
    reason: str = ""


class _IssuedStatus(msgspec.Struct, rename="camel", omit_defaults=True):
    not_after: str | None = None
    renewal_time: str | None = None
    conditions: tuple[_IssuedCondition, ...] | None = None


def trim_issued_status(status: bytes) -> bytes:
    """Keep of cert-manager's status when a certificate ends, when it is renewed, and whether all is well.

    A custom resource may say anything there: what is not of that shape is not kept.
    """
    try:
        kept = msgspec.json.decode(status, type=_IssuedStatus | None)
    except msgspec.ValidationError:
        return b""
    return msgspec.json.encode(kept) if kept else b""


def body_of(fields: Mapping[str, msgspec.Raw]) -> bytes:
    """Write the kept top-level fields as one JSON object, in one order, so that equal bodies are equal bytes."""
    return msgspec.json.encode({k: fields[k] for k in sorted(fields)})
