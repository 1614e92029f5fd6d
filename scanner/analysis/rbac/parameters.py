"""Who can change what a ValidatingAdmissionPolicy reads its parameters from, and with it what the policy allows."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import msgspec

from scanner.analysis.rbac.rights import subjects_who_can
from scanner.model.answer import Answer
from scanner.model.refs import GroupKind, group_of
from scanner.model.resources import plural_of
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot

_ADMISSION = "admissionregistration.k8s.io"
_POLICY = "ValidatingAdmissionPolicy"
_BINDING = "ValidatingAdmissionPolicyBinding"
READS = (GroupKind(_ADMISSION, _POLICY), GroupKind(_ADMISSION, _BINDING))


class _ParamKind(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str


class _PolicySpec(msgspec.Struct, frozen=True, rename="camel"):
    param_kind: _ParamKind | None = None


class _Policy(msgspec.Struct, frozen=True):
    spec: _PolicySpec = _PolicySpec()


class _ParamRef(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    selector: LabelSelector | None = None
    parameter_not_found_action: str = ""


class _BindingSpec(msgspec.Struct, frozen=True, rename="camel"):
    policy_name: str = ""
    param_ref: _ParamRef | None = None


class _Binding(msgspec.Struct, frozen=True):
    spec: _BindingSpec = _BindingSpec()


def subjects_who_can_change_parameters(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Judge every subject: fail if it may write what the binding of an admission policy takes parameters from.

    Which namespace that lies in weighs nothing: the policy may be about all of them.
    """
    return subjects_who_can(snapshot, now=now, any_of=list(_ways(snapshot)))


def _ways(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Yield what writes the parameters of each binding, as the ways of a policy."""
    kinds = {p.meta.name: p.decode(_Policy).spec.param_kind for p in snapshot.of(_ADMISSION, _POLICY)}
    for binding in snapshot.of(_ADMISSION, _BINDING):
        spec = binding.decode(_Binding).spec
        kind, ref = kinds.get(spec.policy_name), spec.param_ref
        if kind is None or ref is None:
            continue
        group = group_of(kind.api_version)
        plural = plural_of(GroupKind(group, kind.kind))
        verbs = ["update", "patch"]
        if ref.selector is not None:
            verbs.append("create")  # one more that the selector finds
        if ref.parameter_not_found_action == "Allow":
            verbs += ["delete", "deletecollection"]
        yield {
            "verbs": verbs,
            "resources": [f"{plural}.{group}" if group else plural],
            # Without a namespace it is that of the object which is judged: any of them.
            "namespace": ref.namespace,
            **({"names": [ref.name]} if ref.name else {"any_name": True}),
        }
