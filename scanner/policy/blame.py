"""Who last set the fields that findings point at, and when: read off the field managers of the objects.

The API server writes down for each manager which fields it set, as trees in which a field is `f:name`, an item of a
list `k:{keys}` or `v:value`, and a leaf stands for everything below it. Of a field that is not set, nobody is the
manager; then it is who last set the closest field around it. Defaults that the API server fills in belong to who
created the object by `Update`, and to nobody where it was applied.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/, "Managed fields", and
sigs.k8s.io/structured-merge-diff, fieldpath/serialize-pe.go.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from scanner.model.finding import Evaluation, Fact, Finding, Outcome, SetBy
from scanner.model.objects import FieldManager, KubeObject
from scanner.model.snapshot import Snapshot
from scanner.model.workload import TEMPLATE_PATHS
from scanner.policy.paths import Step, beginning_of, steps_of

_Tree = dict[str, Any]


def with_setters(snapshot: Snapshot, evaluation: Evaluation) -> Evaluation:
    """Return what was found, with who set each field of the evidence of what stands out, as far as that is known.

    It is a step of its own, since it takes a tenth of the time of judging, and not every report shows it.
    """
    return replace(evaluation, findings=_blamed(snapshot, evaluation.findings))


def _blamed(snapshot: Snapshot, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    # By object, so that each is decoded once and then forgotten.
    concerned: dict[tuple[str, str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for number, finding in enumerate(findings):
        if finding.outcome is Outcome.FAIL and not finding.expected:
            for place, fact in enumerate(finding.evidence):
                ref = fact.object or finding.resource
                concerned[ref.group, ref.kind, ref.namespace, ref.name].append((number, place))
    evidence: dict[int, list[Fact]] = {}
    setters = _Setters(snapshot)
    for name, places in concerned.items():
        thing = snapshot.find(*name)
        if thing is None or not thing.managers:
            continue
        last_of = setters.of(thing)
        for number, place in places:
            facts = evidence.setdefault(number, list(findings[number].evidence))
            facts[place] = msgspec.structs.replace(facts[place], set_by=last_of(facts[place].path))
    return tuple(
        replace(finding, evidence=tuple(evidence[number])) if number in evidence else finding
        for number, finding in enumerate(findings)
    )


def set_by(thing: KubeObject, path: str) -> SetBy | None:
    """Return who last set a field of an object, or the closest field around it; None if that is not known."""
    managed = _trees_of(thing)
    return _last(managed, path, _reached([m.fields for m in managed], msgspec.json.decode(thing.body), path))


class _Setters:
    """Tells who set fields of many objects, of which many have equal pod specs whose fields the same managers set.

    How deep each manager reaches into a path below a pod spec is found once for all that share both; only the managers
    themselves, with their times, are each object's own.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._specs = {(t.owner, t.path): t.spec for w in snapshot.workloads for t in w.templates}
        self._known: dict[tuple[tuple[bytes, ...], int, str], _Reached | None] = {}
        self._trees: dict[bytes, _Tree] = {}

    def of(self, thing: KubeObject) -> Callable[[str], SetBy | None]:
        """Return what tells, for a path, who last set it in an object."""
        raw = [(manager, bytes(manager.fields)) for manager in thing.field_managers]
        managed = tuple(_Managed(manager, tree) for manager, fields in raw if (tree := self._tree(fields)))
        shape = tuple(fields for _, fields in raw)
        beginning = TEMPLATE_PATHS.get(thing.group_kind, "")
        spec = self._specs.get((thing.ref, beginning))
        body: Any = None

        def last_of(path: str) -> SetBy | None:
            nonlocal body
            is_shared = spec is not None and path.startswith(f"{beginning}.")
            key = (shape, id(spec), path)
            if is_shared and key in self._known:
                return _last(managed, path, self._known[key])
            if body is None:
                body = msgspec.json.decode(thing.body)
            reached = _reached([m.fields for m in managed], body, path)
            if is_shared:
                self._known[key] = reached
            return _last(managed, path, reached)

        return last_of

    def _tree(self, fields: bytes) -> _Tree:
        if fields not in self._trees:
            self._trees[fields] = _decoded(msgspec.Raw(fields))
        return self._trees[fields]


class _Managed(NamedTuple):
    manager: FieldManager
    fields: _Tree


class _Reached(NamedTuple):
    """How many steps a path has, and how many of them lead to something that each manager set."""

    steps: int
    depths: tuple[int, ...]


def _trees_of(thing: KubeObject) -> tuple[_Managed, ...]:
    found = ((manager, _decoded(manager.fields)) for manager in thing.field_managers)
    return tuple(_Managed(manager, fields) for manager, fields in found if fields)


def _decoded(fields: msgspec.Raw) -> _Tree:
    """Return the tree; empty where a file has something else in its place."""
    tree = msgspec.json.decode(fields)
    return tree if isinstance(tree, dict) else {}


def _reached(trees: Iterable[_Tree], body: Any, path: str) -> _Reached | None:
    """Return how deep managers reach into a path; None if it is no path: a question may describe a place in words."""
    try:
        steps = steps_of(path)
    except ValueError:
        return None
    there = _existing(body, steps)
    return _Reached(len(steps), tuple(_depth(tree, body, there) for tree in trees))


def _last(managed: Sequence[_Managed], path: str, reached: _Reached | None) -> SetBy | None:
    """Return the manager that reaches deepest into a path; the last of several."""
    if reached is None or not managed:
        return None
    depth, _, number = max(
        (depth, m.manager.time, -number) for number, (m, depth) in enumerate(zip(managed, reached.depths, strict=True))
    )
    manager = managed[-number].manager
    if reached.steps and depth == 0:
        return None
    return SetBy(
        manager=manager.manager,
        operation=manager.operation,
        time=manager.time,
        path="" if depth == reached.steps else beginning_of(path, depth),
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
