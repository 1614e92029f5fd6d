"""Roles, bindings and subjects as the API has them."""

from dataclasses import dataclass

import msgspec

from scanner.model.objects import ObjectMeta
from scanner.model.refs import ObjectRef
from scanner.model.selectors import LabelSelector

RBAC_GROUP = "rbac.authorization.k8s.io"


class Rule(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A PolicyRule: every verb on every resource of every group, or on nonResourceURLs."""

    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    resource_names: tuple[str, ...] | None = None
    non_resource_urls: tuple[str, ...] | None = msgspec.field(default=None, name="nonResourceURLs")


class Subject(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Who a binding grants to: kind `User`, `Group` or `ServiceAccount`; a namespace only for the last."""

    kind: str
    name: str
    namespace: str = ""
    api_group: str = ""

    def __str__(self) -> str:
        """Write it as people say it: `ServiceAccount shop/checkout`, `Group system:masters`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class RoleRef(msgspec.Struct, frozen=True, rename="camel"):
    """The role that a binding refers to."""

    kind: str
    name: str
    api_group: str = RBAC_GROUP


class RoleBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a Role or ClusterRole on the wire."""

    rules: tuple[Rule, ...] | None = None
    aggregation_rule: "AggregationRule | None" = None


class AggregationRule(msgspec.Struct, frozen=True, rename="camel"):
    """ClusterRoles whose rules a controller copies into this one."""

    cluster_role_selectors: tuple[LabelSelector, ...] | None = None


class BindingBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a RoleBinding or ClusterRoleBinding on the wire."""

    role_ref: RoleRef
    subjects: tuple[Subject, ...] | None = None


@dataclass(frozen=True, slots=True)
class Role:
    """A Role, or a ClusterRole if its namespace is empty."""

    ref: ObjectRef
    meta: ObjectMeta
    rules: tuple[Rule, ...]
    aggregation: tuple[LabelSelector, ...]


@dataclass(frozen=True, slots=True)
class Binding:
    """A RoleBinding, or a ClusterRoleBinding if its namespace is empty."""

    ref: ObjectRef
    meta: ObjectMeta
    role_ref: RoleRef
    subjects: tuple[Subject, ...]
