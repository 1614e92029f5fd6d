"""Who last set the fields that findings point at, and when: read off the field managers of the objects.

The API server writes down for each manager which fields it set, as trees in which a field is `f:name`, an item of a
list `k:{keys}` or `v:value`, and a leaf stands for everything below it. Of a field that is not set, nobody is the
manager; then it is who last set the closest field around it. Defaults that the API server fills in belong to who
created the object by `Update`, and to nobody where it was applied.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/, "Managed fields", and
sigs.k8s.io/structured-merge-diff, fieldpath/serialize-pe.go.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from scanner.model.finding import Fact, Finding, Outcome, SetBy
from scanner.model.objects import FieldManager, KubeObject
from scanner.model.snapshot import Snapshot
from scanner.policy.paths import Step, beginning_of, steps_of

_Tree = dict[str, Any]


def blamed(snapshot: Snapshot, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings, those that stand out with who set each field of their evidence, as far as that is known."""
    # By object, so that each is decoded once and then forgotten.
    concerned: dict[tuple[str, str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for number, finding in enumerate(findings):
        if finding.outcome is Outcome.FAIL and not finding.expected:
            for place, fact in enumerate(finding.evidence):
                ref = fact.object or finding.resource
                concerned[ref.group, ref.kind, ref.namespace, ref.name].append((number, place))
    evidence: dict[int, list[Fact]] = {}
    trees: dict[bytes, tuple[_Managed, ...]] = {}
    for name, places in concerned.items():
        thing = snapshot.find(*name)
        if thing is None or not thing.managers:
            continue
        if thing.managers not in trees:
            trees[thing.managers] = _trees_of(thing)
        body = msgspec.json.decode(thing.body)
        for number, place in places:
            facts = evidence.setdefault(number, list(findings[number].evidence))
            set_by = _last(trees[thing.managers], body, facts[place].path)
            facts[place] = msgspec.structs.replace(facts[place], set_by=set_by)
    return tuple(
        replace(finding, evidence=tuple(evidence[number])) if number in evidence else finding
        for number, finding in enumerate(findings)
    )


def set_by(thing: KubeObject, path: str) -> SetBy | None:
    """Return who last set a field of an object, or the closest field around it; None if that is not known."""
    return _last(_trees_of(thing), msgspec.json.decode(thing.body), path)


class _Managed(NamedTuple):
    manager: FieldManager
    fields: _Tree


def _trees_of(thing: KubeObject) -> tuple[_Managed, ...]:
    found = ((manager, _decoded(manager.fields)) for manager in thing.field_managers)
    return tuple(_Managed(manager, fields) for manager, fields in found if fields)


def _decoded(fields: msgspec.Raw) -> _Tree:
    """Return the tree; empty where a file has something else in its place."""
    tree = msgspec.json.decode(fields)
    return tree if isinstance(tree, dict) else {}


def _last(managed: Iterable[_Managed], body: Any, path: str) -> SetBy | None:
    """Return the manager that reaches deepest into a path; the last of several."""
    try:
        steps = steps_of(path)
    except ValueError:  # a question may describe a place in words
        return None
    there = _existing(body, steps)
    reached = [(_depth(m.fields, body, there), m.manager.time, m.manager) for m in managed]
    depth, _, manager = max(reached, key=lambda r: r[:2], default=(0, "", None))
    if manager is None or (steps and depth == 0):
        return None
    return SetBy(
        manager=manager.manager,
        operation=manager.operation,
        time=manager.time,
        path="" if depth == len(steps) else beginning_of(path, depth),
    )


def _existing(body: Any, steps: Sequence[Step]) -> Sequence[Step]:
    """Return the steps of a path as far as there is something; metadata is no part of a body, and taken to be there."""
    value = body
    for depth, step in enumerate(steps):
        value = _inside(value, step)
        if value is None and steps[0] != "metadata":
            return steps[:depth]
    return steps


def _depth(tree: _Tree, value: Any, steps: Sequence[Step]) -> int:
    """Return how many steps of a path lead to something that this manager set; a leaf stands for all that is below."""
    for depth, step in enumerate(steps):
        if depth and not tree:
            return len(steps)
        value = _inside(value, step)
        following = tree.get(f"f:{step}") if isinstance(step, str) else _item(tree, value, step)
        if not isinstance(following, dict):
            return depth
        tree = following
    return len(steps)


def _inside(value: Any, step: Step) -> Any:
    match value, step:
        case dict(), str():
            return value.get(step)
        case list(), int() if step < len(value):
            return value[step]
        case _:
            return None


def _item(tree: _Tree, item: Any, index: int) -> Any:
    """Return what a manager set of one item of a list: by its keys, its value, or its index."""
    for name, fields in tree.items():
        kind, _, text = name.partition(":")
        if kind == "k" and isinstance(item, dict) and _has_keys(item, text):
            return fields
        if kind == "v" and _json(text) == item and item is not None:
            return fields
        if kind == "i" and text == str(index):
            return fields
    return None


def _has_keys(item: dict[str, Any], text: str) -> bool:
    keys = _json(text)
    return isinstance(keys, dict) and all(item.get(key) == value for key, value in keys.items())


def _json(text: str) -> Any:
    """Read a key of a tree; None where a file has something that the API server never writes."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
