"""A snapshot as it would be after a change: the operations carried out, and aggregated ClusterRoles gathered anew."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from typing import Any, assert_never

import msgspec

from scanner.analysis.rbac.aggregation import sources_of, with_aggregated_rules
from scanner.analysis.rbac.edits import served_rule, served_subject
from scanner.model.change import Create, Delete, Operation, Patch, PatchStep
from scanner.model.objects import KubeObject, ObjectMeta
from scanner.model.rbac import RBAC_GROUP, Role, Rule, Subject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot, SourceKind

_CLUSTER_ROLE = GroupKind(RBAC_GROUP, "ClusterRole")
_Name = tuple[GroupKind, str, str]


def changed(snapshot: Snapshot, operations: Iterable[Operation]) -> Snapshot:
    """Carry out operations on a snapshot, as an API server would.

    Raises `ValueError` where the API server would refuse: the object is not there, or not what a patch tests.
    """
    kinds: dict[GroupKind, dict[_Name, KubeObject]] = {}
    touched: set[str] = set()
    for operation in operations:
        kind, namespace, name = key = _name_of(operation)
        things = kinds.setdefault(kind, {(kind, o.meta.namespace, o.meta.name): o for o in snapshot.of(*kind)})
        match operation:
            case Create():
                if key in things:
                    raise ValueError(f"{kind} {namespace}/{name} is there already")
                things[key] = _object_of(operation.object)
            case Patch():
                things[key] = _object_of(patched(_existing(things, key).as_dict(), operation.patch))
            case Delete():
                _existing(things, key)
                del things[key]
            case _:
                assert_never(operation)
        touched.add(name if kind == _CLUSTER_ROLE else "")
    after = replace(snapshot, objects={**snapshot.objects, **{kind: _sorted(some) for kind, some in kinds.items()}})
    if snapshot.source is SourceKind.MANIFESTS:
        return after
    return _settled(after, _stale(snapshot, touched) | _stale(after, touched))


def patched(whole: dict[str, Any], steps: Iterable[PatchStep]) -> dict[str, Any]:
    """Apply a JSON Patch to an object and return the result; raises `ValueError` where a test fails."""
    result: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(whole))
    for step in steps:
        *parents, last = (_unescaped(part) for part in step.path.removeprefix("/").split("/"))
        place: Any = result
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        _carry_out(step, place, int(last) if isinstance(place, list) else last)
    return result


def object_name(operation: Operation) -> ObjectRef:
    """Name the object that an operation is about."""
    if isinstance(operation, Create):
        whole, metadata = operation.object, operation.object["metadata"]
        return ObjectRef(whole["apiVersion"], whole["kind"], metadata.get("namespace", ""), metadata["name"])
    return operation.resource


def _name_of(operation: Operation) -> _Name:
    ref = object_name(operation)
    return (ref.group_kind, ref.namespace, ref.name)


def _existing(things: Mapping[_Name, KubeObject], key: _Name) -> KubeObject:
    if key not in things:
        raise ValueError(f"{key[0]} {key[1]}/{key[2]} is not there")
    return things[key]


def _object_of(whole: Mapping[str, Any]) -> KubeObject:
    body = {name: part for name, part in whole.items() if name not in {"apiVersion", "kind", "metadata", "status"}}
    meta = msgspec.convert(whole["metadata"], ObjectMeta)
    return KubeObject(whole["apiVersion"], whole["kind"], meta, msgspec.json.encode(body))


def _sorted(things: Mapping[_Name, KubeObject]) -> tuple[KubeObject, ...]:
    return tuple(thing for _, thing in sorted(things.items()))


def _unescaped(part: str) -> str:
    """Read a part of a JSON Pointer (RFC 6901)."""
    return part.replace("~1", "/").replace("~0", "~")


def _carry_out(step: PatchStep, place: Any, key: int | str) -> None:
    match step.op:
        case "test":
            if _comparable(place[key]) != _comparable(step.value):
                raise ValueError(f"{step.path} is not what was seen")
        case "add" if isinstance(place, list):
            place.insert(int(key), step.value)
        case "add" | "replace":
            place[key] = step.value
        case "remove":
            del place[key]
        case _:
            assert_never(step.op)


def _comparable(value: Any) -> Any:
    """Read a rule or a subject as the API server does: what files leave out is filled in, what nobody knows dropped."""
    match value:
        case {"verbs": _}:
            return served_rule(msgspec.convert(value, Rule))
        case {"kind": _, "name": _}:
            return served_subject(msgspec.convert(value, Subject))
        case _:
            return value


def _stale(snapshot: Snapshot, touched: Container[str]) -> frozenset[str]:
    """Name the aggregated ClusterRoles that take rules from one that was touched."""
    roles = _cluster_roles(snapshot)
    return frozenset(
        name
        for name, role in roles.items()
        if role.aggregation and any(source.ref.name in touched for source in sources_of(role, roles.values()))
    )


def _settled(snapshot: Snapshot, stale: Container[str]) -> Snapshot:
    """Gather the rules of aggregated ClusterRoles anew.

    Source: k8s.io/kubernetes/pkg/controller/clusterroleaggregation.
    """
    roles = _cluster_roles(snapshot)
    gathered = with_aggregated_rules({n: replace(role, rules=()) if n in stale else role for n, role in roles.items()})
    settled = tuple(
        _with_rules(thing, gathered[thing.meta.name]) if thing.meta.name in stale else thing
        for thing in snapshot.of(*_CLUSTER_ROLE)
    )
    return replace(snapshot, objects={**snapshot.objects, _CLUSTER_ROLE: settled})


def _cluster_roles(snapshot: Snapshot) -> dict[str, Role]:
    return {name: role for (kind, _, name), role in snapshot.roles.items() if kind == "ClusterRole"}


def _with_rules(thing: KubeObject, role: Role) -> KubeObject:
    body = msgspec.json.decode(thing.body)
    body["rules"] = [served_rule(rule) for rule in role.rules]
    return msgspec.structs.replace(thing, body=msgspec.json.encode(body))
