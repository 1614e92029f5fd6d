"""Kubernetes' own roles and bindings: what every API server creates when it starts.

Two uses. Manifests don't hold them, yet mean them: a binding to `view` in a file is not dangling. And a grant that
comes through them as they are is expected, while a rule or a subject that someone added stands out.

`bootstrap.json` is what kube-apiserver v1.37.2 created; a test compares it with the real one. `bootstrap_older.json` is
what the same roles granted besides in v1.30 to v1.36; read from their
plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata.
"""

import itertools
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from scanner.analysis.rbac.aggregation import with_aggregated_rules
from scanner.analysis.rbac.releases import minor_of
from scanner.analysis.rbac.requests import canonical_subject
from scanner.model.objects import KubeObject, ObjectMeta, labels_of
from scanner.model.rbac import Binding, BindingBody, Role, RoleBody, Rule, Subject

#: The release that the data are of.
RELEASE = "v1.37.2"
#: On every role and binding that the API server keeps up by itself.
LABEL = ("kubernetes.io/bootstrapping", "rbac-defaults")
#: Roles and bindings of the controllers in kube-controller-manager are named after their service account.
CONTROLLER = "system:controller:"


class _Stored(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str
    metadata: ObjectMeta
    rules: Any = None
    aggregation_rule: Any = None
    role_ref: Any = None
    subjects: Any = None


@cache
def bootstrap_objects() -> tuple[KubeObject, ...]:
    """Return the roles and bindings as a fresh API server has them, without uid."""
    text = files(__package__).joinpath("bootstrap.json").read_bytes()
    return tuple(
        KubeObject(
            o.api_version,
            o.kind,
            o.metadata,
            msgspec.json.encode(
                {"rules": o.rules, "aggregationRule": o.aggregation_rule}
                if o.kind.endswith("Role")
                else {"roleRef": o.role_ref, "subjects": o.subjects}
            ),
        )
        for o in msgspec.json.decode(text, type=tuple[_Stored, ...])
    )


@cache
def bootstrap_roles() -> tuple[Role, ...]:
    """Return the roles that every cluster starts with; aggregated ones are still empty."""
    return tuple(
        Role(o.ref, o.meta, body.rules or (), selectors)
        for o in bootstrap_objects()
        if o.kind.endswith("Role")
        for body in (o.decode(RoleBody),)
        for selectors in ((body.aggregation_rule.cluster_role_selectors or ()) if body.aggregation_rule else (),)
    )


@cache
def bootstrap_bindings() -> tuple[Binding, ...]:
    """Return the bindings that every cluster starts with."""
    return tuple(
        Binding(o.ref, o.meta, body.role_ref, body.subjects or ())
        for o in bootstrap_objects()
        if o.kind.endswith("Binding")
        for body in (o.decode(BindingBody),)
    )


@cache
def _default_subjects() -> dict[tuple[str, str, str], tuple[str, frozenset[Subject | None]]]:
    """Map each binding to its role's name and the subjects that Kubernetes gives it."""
    return {
        (b.ref.kind, b.ref.namespace, b.ref.name): (
            b.role_ref.name,
            frozenset(canonical_subject(s, b.ref.namespace) for s in b.subjects),
        )
        for b in bootstrap_bindings()
    }


def is_expected(binding: Binding, subject: Subject) -> bool:
    """Tell whether Kubernetes itself binds a subject (in canonical form) there.

    The binding must carry the bootstrap label, and refer to its own role; for a binding of a controller that this
    release does not know, the subject must be the controller's service account. What the role grants is not looked at:
    see `is_unchanged`.
    """
    key, value = LABEL
    if labels_of(binding.meta).get(key) != value:
        return False
    known = _default_subjects().get((binding.ref.kind, binding.ref.namespace, binding.ref.name))
    if known:
        role, subjects = known
        return binding.role_ref.name == role and subject in subjects
    name = binding.ref.name
    return (
        name.startswith(CONTROLLER)
        and binding.role_ref.name == name
        and subject == Subject("ServiceAccount", name.removeprefix(CONTROLLER), "kube-system")
    )


#: One thing that a rule grants: verb, group, resource and name (empty: all names), or verb and path.
_Right = tuple[str, ...]


def rights_of(rules: Iterable[Rule]) -> frozenset[_Right]:
    """Take rules apart, so that two lists of rules which say the same are equal, however they are written."""
    return frozenset(
        right
        for rule in rules
        for right in itertools.chain(
            itertools.product(rule.verbs, rule.api_groups or (), rule.resources or (), rule.resource_names or ("",)),
            itertools.product(rule.verbs, rule.non_resource_urls or ()),
        )
    )


def is_unchanged(role: Role, server_version: str) -> bool:
    """Tell whether a role is Kubernetes' own and grants what it did when the API server made it.

    It must carry the bootstrap label. On the release that the data are of (and for files, which are of none) its rules
    must grant all that that release's do, on others they may grant less. Beyond that they may grant what an earlier
    release gave them: an API server that is upgraded adds to its roles and takes nothing away. Any other right is a
    change. A role of which these releases know nothing is none of Kubernetes' own. Of an aggregated role the selectors
    count, and that the rules which the controller has gathered hold nothing but what Kubernetes' own roles bring in.

    Source: k8s.io/kubernetes/pkg/registry/rbac/rest/storage_rbac.go, which reconciles without RemoveExtraPermissions.
    """
    key, value = LABEL
    name = (role.ref.kind, role.ref.namespace, role.ref.name)
    known = _own_roles().get(name)
    if known is None or labels_of(role.meta).get(key) != value or role.aggregation != known.aggregation:
        return False
    rights, own = rights_of(role.rules), rights_of(known.rules)
    has_all = known.aggregation or minor_of(server_version or RELEASE) != minor_of(RELEASE) or own <= rights
    return bool(has_all) and rights <= own | _older_rights().get(name, frozenset())


def own_rules_of(name: str) -> tuple[Rule, ...]:
    """Return what a ClusterRole of Kubernetes' own grants in a fresh cluster, once aggregation has run."""
    known = _own_roles().get(("ClusterRole", "", name))
    return known.rules if known else ()


@cache
def _own_roles() -> dict[tuple[str, str, str], Role]:
    """Map kind, namespace and name to each role as it is once aggregation has run."""
    cluster_roles = with_aggregated_rules({r.ref.name: r for r in bootstrap_roles() if r.ref.kind == "ClusterRole"})
    return {(r.ref.kind, r.ref.namespace, r.ref.name): r for r in (*bootstrap_roles(), *cluster_roles.values())}


class _Older(msgspec.Struct, frozen=True):
    kind: str
    name: str
    rules: tuple[Rule, ...]
    namespace: str = ""


@cache
def _older_rights() -> dict[tuple[str, str, str], frozenset[_Right]]:
    """Map kind, namespace and name of a role to what earlier releases gave it."""
    text = files(__package__).joinpath("bootstrap_older.json").read_bytes()
    older = msgspec.json.decode(text, type=tuple[_Older, ...])
    return {(o.kind, o.namespace, o.name): rights_of(o.rules) for o in older}


def has_default_subjects(binding: Binding) -> bool:
    """Tell whether a binding of Kubernetes' own names the subjects that Kubernetes gives it, and no other."""
    known = _default_subjects().get((binding.ref.kind, binding.ref.namespace, binding.ref.name))
    return known is not None and known[1] == {canonical_subject(s, binding.ref.namespace) for s in binding.subjects}
