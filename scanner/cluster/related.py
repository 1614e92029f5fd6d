"""Kinds that objects refer to beyond the table: custom controllers that own pods, parameters of admission policies."""

from collections.abc import Mapping

import msgspec

from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind, group_of
from scanner.model.workload import TEMPLATE_PATHS

NODE = GroupKind("", "Node")
POLICY = GroupKind("admissionregistration.k8s.io", "ValidatingAdmissionPolicy")

_Objects = Mapping[GroupKind, tuple[KubeObject, ...]]


def owner_kinds(objects: _Objects) -> dict[GroupKind, str]:
    """Return the kinds that control pods, their controllers, or other such owners, with the reason to read them.

    A Node is left out: it owns the mirror pods of static pods, which are edited in a file there.
    """
    holders = {kind for kind in TEMPLATE_PATHS if kind in objects}
    found: set[GroupKind] = set()
    while holders:
        owners = {
            GroupKind(group_of(owner.api_version), owner.kind)
            for kind in holders
            for o in objects.get(kind, ())
            if (owner := o.meta.controller)
        } - {NODE}
        holders = owners - found - TEMPLATE_PATHS.keys()
        found |= owners
    return dict.fromkeys(found - TEMPLATE_PATHS.keys(), "owns pods")


class _ParamKind(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""


class _Spec(msgspec.Struct, rename="camel"):
    param_kind: _ParamKind | None = None


class _Policy(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


def param_kinds(objects: _Objects) -> dict[GroupKind, str]:
    """Return the kinds that ValidatingAdmissionPolicies take their parameters from, with the reason to read them."""
    named = (policy.decode(_Policy).spec.param_kind for policy in objects.get(POLICY, ()))
    return {
        GroupKind(group_of(param.api_version), param.kind): "parameters of ValidatingAdmissionPolicies"
        for param in named
        if param and param.kind
    }
