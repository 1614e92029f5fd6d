"""Questions about roles themselves: which nobody is bound to, and which put sensitive rights into other roles."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.bootstrap import LABEL, own_rules_of
from scanner.analysis.rbac.index import RoleKey, role_key_of
from scanner.analysis.rbac.matching import rule_allows
from scanner.analysis.rbac.requests import Request
from scanner.analysis.rbac.subjects import listed, plain
from scanner.analysis.rbac.ways import Way
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import labels_of
from scanner.model.policy import Severity
from scanner.model.rbac import RBAC_GROUP, Role
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot, SourceKind

#: The role for people who may look: what it is fed, many hold who were meant to see nothing secret.
_READERS = "view"
_BINDINGS = tuple(GroupKind(RBAC_GROUP, kind) for kind in ("ClusterRoleBinding", "RoleBinding"))


def unused_roles(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:  # noqa: ARG001 - as all questions
    """Judge every role but Kubernetes' own: fail if no binding refers to it and nothing else makes use of it.

    A ClusterRole is used too if an aggregated one takes its rules, or if a rule with the verb `bind` names it: then a
    program binds it when it needs it. Of a ClusterRole in files it is unknown: the cluster may have a binding.
    """
    used = frozenset(role_key_of(binding) for binding in snapshot.bindings) | _used_otherwise(snapshot)
    key, value = LABEL
    for role_key, role in snapshot.roles.items():
        is_own = labels_of(role.meta).get(key) == value
        missing = () if is_own or role_key in used else _unread_bindings(snapshot, role)
        if is_own or role_key in used:
            outcome, message = Outcome.PASS, "Kubernetes made it" if is_own else "something refers to it"
        elif missing:
            outcome, message = Outcome.UNKNOWN, "no binding that was read refers to it"
        else:
            outcome, message = Outcome.FAIL, "no binding refers to it"
        yield Answer(resource=role.ref, outcome=outcome, message=message, missing=missing)


def _unread_bindings(snapshot: Snapshot, role: Role) -> tuple[str, ...]:
    """Say which bindings to a role may exist and were not seen."""
    if snapshot.source is SourceKind.MANIFESTS:
        return () if role.ref.kind == "Role" else ("bindings: they may be in the cluster already",)
    kinds = _BINDINGS[1:] if role.ref.kind == "Role" else _BINDINGS
    return tuple(sorted({read.missing for read in snapshot.inconclusive(kinds, role.ref.namespace)}))


def _used_otherwise(snapshot: Snapshot) -> frozenset[RoleKey]:
    """Return the roles that other roles make use of: aggregated, or named by a rule with the verb `bind`."""
    fed = {("ClusterRole", "", role.ref.name) for role, _ in feeding(snapshot)}
    for (_, namespace, _), role in snapshot.roles.items():
        for rule in role.rules:
            if "bind" in rule.verbs:
                names = rule.resource_names or ()
                fed |= {("ClusterRole", "", name) for name in names}
                fed |= {("Role", namespace, name) for name in names}
    return frozenset(fed)


def feeding(snapshot: Snapshot) -> tuple[tuple[Role, tuple[Role, ...]], ...]:
    """Return each ClusterRole of the snapshot whose rules are copied into others, with those others, by name."""
    return snapshot.derive(_feeding)


def _feeding(snapshot: Snapshot) -> tuple[tuple[Role, tuple[Role, ...]], ...]:
    roles = authorizer_of(snapshot).index.roles
    targets = [role for _, role in sorted(roles.items()) if role.aggregation]
    pairs = (
        (role, tuple(t for t in targets if t.ref != role.ref and _is_selected(role, t)))
        for (kind, _, _), role in sorted(snapshot.roles.items())
        if kind == "ClusterRole"
    )
    return tuple((role, into) for role, into in pairs if into)


def _is_selected(role: Role, target: Role) -> bool:
    return any(selector.matches(labels_of(role.meta)) for selector in target.aggregation)


def feeders_of_sensitive_rights(
    snapshot: Snapshot,
    *,
    now: dt.datetime,  # noqa: ARG001 - every question takes it
    sensitive: Sequence[Mapping[str, Any]],
) -> Iterator[Answer]:
    """Judge every ClusterRole that is aggregated into others: fail if it gives them a sensitive right.

    `sensitive` lists `Way`s. What Kubernetes itself gives `admin`, `edit` or `view` is nothing that is added to them.
    An aggregated role that feeds another adds nothing of its own; those that feed it are judged.
    """
    ways = msgspec.convert(list(sensitive), list[Way])
    requests = [r for way in ways if way.works_in(snapshot.server_version) for r in way.requests()]
    for role, targets in feeding(snapshot):
        if role.aggregation:
            continue
        given = {target.ref.name: _added(role, target, requests) for target in targets}
        added = {name: found for name, found in given.items() if found}
        if not added:
            yield Answer(resource=role.ref, outcome=Outcome.PASS, message="it adds no sensitive right")
            continue
        what = dict.fromkeys(str(request) for found in added.values() for request in found)
        yield Answer(
            resource=role.ref,
            outcome=Outcome.FAIL,
            message=f"whoever is bound to {listed(added)} can {listed(what)} through it",
            evidence=(*_labels(role, targets), *_rules(role, added)),
            severity=Severity.HIGH if _READERS in added else None,
        )


def _added(role: Role, target: Role, requests: Sequence[Request]) -> tuple[Request, ...]:
    """Return what a role lets those do who are bound to another, which Kubernetes itself does not."""
    own = own_rules_of(target.ref.name)
    return tuple(
        request
        for request in requests
        if any(rule_allows(rule, request) for rule in role.rules)
        and not any(rule_allows(rule, request) for rule in own)
    )


def _labels(role: Role, targets: Sequence[Role]) -> Iterator[Fact]:
    """Point at the labels by which other roles select this one."""
    labels = labels_of(role.meta)
    keys = {key for target in targets for selector in target.aggregation for key in selector.match_labels or ()}
    for key in sorted(keys & labels.keys()):
        yield Fact(path=f"metadata.labels['{key}']", value=labels[key])


def _rules(role: Role, added: Mapping[str, Sequence[Request]]) -> Iterator[Fact]:
    requests = [request for found in added.values() for request in found]
    for number, rule in enumerate(role.rules):
        if any(rule_allows(rule, request) for request in requests):
            yield Fact(path=f"rules[{number}]", value=plain(rule))
