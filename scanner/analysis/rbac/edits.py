"""Edits of roles and bindings, gathered one by one, then written as operations that the API server takes."""

import itertools
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from scanner.analysis.rbac.aggregation import feeders
from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.index import RoleKey, role_key_of, scope_of
from scanner.analysis.rbac.subjects import plain
from scanner.model.change import Create, Delete, Operation, Patch, PatchStep
from scanner.model.objects import labels_of
from scanner.model.rbac import RBAC_GROUP, Binding, Role, Rule, Subject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot, SourceKind

#: Kind, namespace and name of an object, without version and uid.
ObjectName = tuple[GroupKind, str, str]


@dataclass
class Edits:
    """What is to be done to the roles and bindings of a snapshot."""

    snapshot: Snapshot
    #: Names what is made anew: `<role>-without-<this>`.
    purpose: str
    _rules: dict[RoleKey, dict[int, tuple[Rule, ...]]] = field(default_factory=dict)
    _out: dict[ObjectName, set[int]] = field(default_factory=dict)
    _copies: dict[tuple[str, RoleKey], tuple[tuple[Rule, ...], Binding, int]] = field(default_factory=dict)
    _roles: list[Role] = field(default_factory=list)
    _labels: list[tuple[Role, tuple[str, ...]]] = field(default_factory=list)

    def leave(self, role: RoleKey, number: int, rules: tuple[Rule, ...]) -> None:
        """Put what is left of a rule in its place."""
        self._rules.setdefault(role, {})[number] = rules

    def take_out(self, binding: Binding, numbers: Iterable[int]) -> None:
        """Take subjects out of a binding; one that is left with none is deleted."""
        self._out.setdefault(name_of(binding.ref), set()).update(numbers)

    def rebind(self, binding: Binding, number: int, rules: tuple[Rule, ...]) -> None:
        """Bind a subject of a binding to a new role with these rules; taking it out of the old one is another edit.

        A RoleBinding gets a Role of its namespace: that grants as much as a ClusterRole would there, and nothing can
        aggregate it.
        """
        scope = scope_of(binding)
        kept = tuple(rule for rule in rules if not (scope and rule.non_resource_urls))
        if kept:
            self._copies[scope, role_key_of(binding)] = (kept, binding, number)

    def delete(self, binding: Binding) -> None:
        """Delete a binding."""
        self.take_out(binding, range(len(binding.subjects)))

    def unlabel(self, role: Role, labels: Iterable[str]) -> None:
        """Take labels from a role."""
        self._labels.append((role, tuple(labels)))

    def delete_role(self, role: Role) -> None:
        """Delete a role, to which nothing must be bound."""
        self._roles.append(role)

    def operations(self) -> tuple[Operation, ...]:
        """Return all of it in the order in which it can be carried out; empty if there is nothing to do."""
        bindings = bindings_by_name(self.snapshot)
        emptied = {key for key, out in self._out.items() if len(out) == len(bindings[key].subjects)}
        return (
            *itertools.chain.from_iterable(self._created()),
            *(_role_patch(self.snapshot.roles[key], rules) for key, rules in sorted(self._rules.items())),
            *(_labels_patch(role, labels) for role, labels in self._labels),
            *(_subjects_patch(bindings[key], out) for key, out in sorted(self._out.items()) if key not in emptied),
            *(_delete(bindings[key]) for key in sorted(emptied)),
            *(_delete(role) for role in (*self._roles, *self._left_alone([bindings[key] for key in sorted(emptied)]))),
        )

    def _created(self) -> Iterator[tuple[Operation, Operation]]:
        taken: set[ObjectName] = set()
        for (scope, (_, _, name)), (rules, binding, number) in sorted(self._copies.items()):
            role_kind = GroupKind(RBAC_GROUP, "Role" if scope else "ClusterRole")
            role = self._free(role_kind, scope, f"{name}-without-{self.purpose}", taken)
            rebound = self._free(binding.ref.group_kind, scope, f"{binding.ref.name}-without-{self.purpose}", taken)
            yield (
                Create(_object(role_kind.kind, role, scope) | {"rules": [served_rule(rule) for rule in rules]}),
                Create(
                    _object(binding.ref.kind, rebound, scope)
                    | {
                        "roleRef": {"apiGroup": RBAC_GROUP, "kind": role_kind.kind, "name": role},
                        "subjects": [served_subject(binding.subjects[number])],
                    }
                ),
            )

    def _free(self, kind: GroupKind, namespace: str, wanted: str, taken: set[ObjectName]) -> str:
        """Return a name that nothing has, and that no binding waits for; the prefix `system:` is Kubernetes' own."""
        waiting = self.snapshot.derive(_users_by_role)
        base = wanted.removeprefix("system:")
        for name in itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2))):
            key = (kind, namespace, name)
            if key not in taken and key not in self.snapshot.by_name and (kind.kind, namespace, name) not in waiting:
                break
        taken.add(key)
        return name

    def _left_alone(self, emptied: Sequence[Binding]) -> Iterator[Role]:
        """Return the roles that only these bindings refer to: nobody has use for them any more.

        In files other bindings may lie elsewhere. Kubernetes' own roles come back, and what is aggregated has its use.
        """
        if self.snapshot.source is SourceKind.MANIFESTS:
            return
        gone, users = {name_of(binding.ref) for binding in emptied}, self.snapshot.derive(_users_by_role)
        for key in sorted({role_key_of(binding) for binding in emptied} - self._rules.keys()):
            role = self.snapshot.roles.get(key)
            if role is None or is_kept_up(role) or is_aggregated(self.snapshot, role) or users[key] - gone:
                continue
            yield role


def bindings_by_name(snapshot: Snapshot) -> Mapping[ObjectName, Binding]:
    """Return the bindings of a snapshot by name."""
    return snapshot.derive(_bindings_by_name)


def _bindings_by_name(snapshot: Snapshot) -> Mapping[ObjectName, Binding]:
    return {name_of(binding.ref): binding for binding in snapshot.bindings}


def _users_by_role(snapshot: Snapshot) -> Mapping[RoleKey, frozenset[ObjectName]]:
    """Map each role that a binding refers to, whether it exists or not, to those bindings."""
    found: dict[RoleKey, set[ObjectName]] = {}
    for binding in snapshot.bindings:
        found.setdefault(role_key_of(binding), set()).add(name_of(binding.ref))
    return {key: frozenset(names) for key, names in found.items()}


def name_of(ref: ObjectRef) -> ObjectName:
    """Return what two versions of an object have in common."""
    return (ref.group_kind, ref.namespace, ref.name)


def is_kept_up(thing: Role | Binding) -> bool:
    """Tell whether the API server restores a role or binding when it starts: Kubernetes' own, by their label.

    Source: k8s.io/kubernetes/pkg/registry/rbac/rest/storage_rbac.go.
    """
    return labels_of(thing.meta).get("kubernetes.io/bootstrapping") == "rbac-defaults"


def is_aggregated(snapshot: Snapshot, role: Role) -> bool:
    """Tell whether other ClusterRoles take rules from this one."""
    return role.ref.kind == "ClusterRole" and role.ref.name in snapshot.derive(_feeders)


def _feeders(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(feeders(authorizer_of(snapshot).index.roles))


def served_rule(rule: Rule) -> dict[str, Any]:
    """Return a rule as the API server serves it: without empty lists."""
    return {name: part for name, part in plain(rule).items() if part or name == "verbs"}


def served_subject(subject: Subject) -> dict[str, Any]:
    """Return a subject as the API server serves it: users and groups have an apiGroup, service accounts none."""
    group = "" if subject.kind == "ServiceAccount" else RBAC_GROUP
    return plain(msgspec.structs.replace(subject, api_group=group))


def _role_patch(role: Role, rules: Mapping[int, tuple[Rule, ...]]) -> Patch:
    steps = [
        step
        for number in sorted(rules, reverse=True)  # the last first, so that the places of the others stay
        for step in _rule_steps(f"/rules/{number}", role.rules[number], rules[number])
    ]
    return Patch(role.ref, tuple(steps))


def _rule_steps(path: str, before: Rule, after: tuple[Rule, ...]) -> Iterator[PatchStep]:
    yield PatchStep("test", path, served_rule(before))
    if not after:
        yield PatchStep("remove", path)
        return
    yield PatchStep("replace", path, served_rule(after[-1]))
    for rule in reversed(after[:-1]):
        yield PatchStep("add", path, served_rule(rule))


def _labels_patch(role: Role, labels: Iterable[str]) -> Patch:
    steps = [
        step
        for label in labels
        for path in ("/metadata/labels/" + label.replace("~", "~0").replace("/", "~1"),)
        for step in (PatchStep("test", path, labels_of(role.meta)[label]), PatchStep("remove", path))
    ]
    return Patch(role.ref, tuple(steps))


def _subjects_patch(binding: Binding, out: Container[int]) -> Patch:
    steps = [
        step
        for number in range(len(binding.subjects) - 1, -1, -1)
        if number in out
        for step in (
            PatchStep("test", f"/subjects/{number}", served_subject(binding.subjects[number])),
            PatchStep("remove", f"/subjects/{number}"),
        )
    ]
    return Patch(binding.ref, tuple(steps))


def _delete(thing: Role | Binding) -> Delete:
    return Delete(thing.ref, thing.meta.resource_version)


def _object(kind: str, name: str, namespace: str) -> dict[str, Any]:
    """Begin a new object; it carries no label, so that nothing aggregates or prunes it."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": f"{RBAC_GROUP}/v1", "kind": kind, "metadata": metadata}
