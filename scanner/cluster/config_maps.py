"""What is kept of a ConfigMap: the names of its keys, and masks of the credentials that it holds; no other value.

Only where a ValidatingAdmissionPolicy takes its parameters from ConfigMaps are those that bindings name kept with their
values, without credentials, for its expressions ask for them.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from scanner.cluster.masking import Masker
from scanner.model.credential import WITHHELD, mask, masked_in
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind

CONFIG_MAP = GroupKind("", "ConfigMap")
_POLICY = GroupKind("admissionregistration.k8s.io", "ValidatingAdmissionPolicy")
_BINDING = GroupKind("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding")
#: Parameters of policies are short; longer values are never kept, not even while a scan is read.
MAX_PARAMETER_BYTES = 4096


class _Param(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    name: str = ""


class _Spec(msgspec.Struct, rename="camel"):
    param_kind: _Param | None = None
    param_ref: _Param | None = None


class _Body(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


def trimmed(value: dict[str, Any], masker: Masker) -> dict[str, Any]:
    """Return the body of a ConfigMap without credentials; long and binary values are reduced to masks at once."""
    kept: dict[str, Any] = {k: v for k, v in value.items() if k == "immutable"}
    data = value.get("data")
    if isinstance(data, dict):
        texts = {k: masker.config(k, v) for k, v in data.items() if isinstance(v, str)}
        kept["data"] = {k: v if len(v) <= MAX_PARAMETER_BYTES else _masks(v) for k, v in texts.items()}
    binary = value.get("binaryData")
    if isinstance(binary, dict):
        kept["binaryData"] = {k: _masks(masker.config(k, _decoded(str(v)))) for k, v in binary.items()}
    return kept


def without_values(objects: Mapping[GroupKind, tuple[KubeObject, ...]]) -> dict[GroupKind, tuple[KubeObject, ...]]:
    """Return objects whose ConfigMaps have only the names of their keys and masks, but for parameters of policies."""
    found = objects.get(CONFIG_MAP, ())
    if not found:
        return dict(objects)
    params = [p for o in objects.get(_POLICY, ()) if (p := o.decode(_Body).spec.param_kind)]
    if any(p.api_version == "v1" and p.kind == CONFIG_MAP.kind for p in params):
        refs = [r for o in objects.get(_BINDING, ()) if (r := o.decode(_Body).spec.param_ref)]
        named, every = {r.name for r in refs if r.name}, any(not r.name for r in refs)
    else:
        named, every = set(), False
    kept = tuple(o if every or o.meta.name in named else replace(o, body=_reduced(o.body)) for o in found)
    return {**objects, CONFIG_MAP: kept}


def _reduced(body: bytes) -> bytes:
    value = msgspec.json.decode(body, type=dict[str, Any])
    for field in ("data", "binaryData"):
        if field in value:
            value[field] = {k: _masks(str(v)) for k, v in value[field].items()}
    return msgspec.json.encode(value)


def _masks(text: str) -> str:
    """Return the masks of a text that is not kept, so that nobody takes it for an empty one."""
    return " ".join(mask(found) for found in masked_in(text)) or WITHHELD


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=False).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
