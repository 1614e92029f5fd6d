"""Fixes of policies as data: which fields of what a policy judges get which values, and the objects that come of it.

A place begins with a variable that the policy sees (`container`, `pod`, `podMeta`, `object`), goes on as a path in
which `[*]` is every item of a list, and may end in `?`: only where the field is there. A value that is text is CEL,
over the same variables, `old` (what stands there, null if nothing does) and `item` (the innermost item of a `[*]`);
null leaves the field out. Any other value stands as it is. What an expression fails on stays as it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from scanner.errors import PolicyError
from scanner.model.policy import Policy
from scanner.model.refs import GroupKind, group_of
from scanner.model.workload import TEMPLATE_PATHS, role_of
from scanner.policy.cel import CelFailure, Expression, activation, compile_expression, evaluate_expression
from scanner.policy.paths import Step, steps_of
from scanner.policy.subjects import CONTAINER, WORKLOAD, WORKLOAD_VARIABLES, variables_of

#: What an expression sees besides the policy's own variables.
OWN_VARIABLES = ("old", "item")
_EVERY = "*"
#: Lists of containers that an object which makes pods can have; debug containers are in running pods alone.
_LISTS = ("initContainers", "containers")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Edit:
    """A field and the value that it gets."""

    variable: str
    steps: tuple[Step, ...]
    #: Only where there is a value already.
    only_if_there: bool
    value: Any
    #: What makes the value, instead.
    expression: Expression | None
    #: What the expression may read.
    variables: tuple[str, ...]


def edit_of(place: str, value: Any, variables: tuple[str, ...]) -> Edit:
    """Read one entry of a `fix`; raises `PolicyError` if place or expression cannot be read."""
    path = place.removesuffix("?")
    try:
        variable, *steps = steps_of(path.replace("[*]", f"['{_EVERY}']"))
    except ValueError as error:
        raise PolicyError(f"{place}: {error}") from error
    if variable not in variables or variable == "namespaceObject" or not steps or steps[-1] == _EVERY:
        raise PolicyError(f"{place}: must be a field of one of {', '.join(variables)}")
    known = (*variables, *OWN_VARIABLES)
    expression = compile_expression(value, known) if isinstance(value, str) else None
    return Edit(str(variable), tuple(steps), place.endswith("?"), value, expression, known)


def fix_variables(policy_subject: str) -> tuple[str, ...]:
    """Return the variables of a fix: those of the policy; of a question, those of a workload."""
    return variables_of(policy_subject) if policy_subject else WORKLOAD_VARIABLES


def edited(policy: Policy, whole: Json, around: Mapping[str, Any]) -> Json:
    """Return an object as a policy's fix leaves it; the object itself is not changed.

    Containers, pods and objects that pass stay as they are. `around` has the variables that the object does not tell,
    such as `namespaceObject`.
    """
    after = deepcopy(whole)
    holder = _holder(after)
    has_metadata = bool(holder.get("metadata"))
    if not has_metadata:
        holder["metadata"] = {}
    edits = [edit_of(place, value, fix_variables(policy.subject)) for place, value in policy.fix.items()]
    for subject in _subjects(policy, after):
        if policy.ask or _is_forbidden(policy, {**around, **subject}):
            for edit in edits:
                _carry_out(edit, subject, around)
    if not has_metadata and not holder.get("metadata"):
        holder.pop("metadata", None)
    return after


def passes(policy: Policy, whole: Json, around: Mapping[str, Any]) -> bool:
    """Tell whether a CEL policy passes for everything that an object says of itself."""
    return all(_verdict(policy, {**around, **subject}) is False for subject in _subjects(policy, whole))


def pod_place(whole: Json) -> tuple[Json, Json] | None:
    """Return the metadata and the spec of the pods that an object makes; None if it makes none."""
    holder = _holder(whole)
    if GroupKind(group_of(whole["apiVersion"]), whole["kind"]) not in TEMPLATE_PATHS or "spec" not in holder:
        return None
    return holder.get("metadata") or {}, holder["spec"]


def _holder(whole: Json) -> Json:
    """Return what has metadata and spec of the pods that an object makes, or the object itself if it makes none."""
    holder = whole
    for step in TEMPLATE_PATHS.get(GroupKind(group_of(whole["apiVersion"]), whole["kind"]), "spec").split(".")[:-1]:
        holder = holder.get(step) or {}
    return holder


def _subjects(policy: Policy, whole: Json) -> Iterator[Json]:
    """Yield the variables of each thing that a policy judges; they are the object's own values."""
    place = pod_place(whole)
    if policy.subject not in {CONTAINER, WORKLOAD, ""} or place is None:
        if policy.subject not in {CONTAINER, WORKLOAD}:
            yield {"object": whole}
        return
    meta, pod = place
    if policy.subject != CONTAINER:
        yield {"object": whole, "pod": pod, "podMeta": meta}
        return
    for name in _LISTS:
        for container in pod.get(name) or ():
            if role_of(name, container) in policy.container_roles:
                yield {"object": whole, "pod": pod, "container": container}


def _is_forbidden(policy: Policy, values: Mapping[str, Any]) -> bool:
    return _verdict(policy, values) is True


def _verdict(policy: Policy, values: Mapping[str, Any]) -> Any:
    variables = variables_of(policy.subject)
    return evaluate_expression(compile_expression(policy.forbid, variables), _handed(variables, values))


def _handed(variables: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    known = {name: value for name, value in values.items() if name in variables}
    if "podMeta" in known:
        known["podMeta"] = {part: known["podMeta"].get(part) or {} for part in ("labels", "annotations")}
    return activation(variables, known)


def _carry_out(edit: Edit, subject: Json, around: Mapping[str, Any]) -> None:
    if edit.variable not in subject:
        return
    way, key = edit.steps[:-1], str(edit.steps[-1])
    for place, missing, item in _places(subject[edit.variable], way):
        there = place.get(key) if not missing else None
        if edit.only_if_there and there is None:
            continue
        value = deepcopy(edit.value)
        if edit.expression is not None:
            values = {**around, **subject, "old": there, "item": item}
            value = evaluate_expression(edit.expression, _handed(edit.variables, values))
        if value is None:
            if not missing:
                place.pop(key, None)
        elif not isinstance(value, CelFailure):
            _made(place, missing)[key] = value


def _places(root: Any, way: Sequence[Step]) -> Iterator[tuple[Json, Sequence[str], Any]]:
    """Yield what a way leads to: the last thing that is there, the steps that are missing below, the innermost item."""
    found: list[tuple[Any, tuple[str, ...], Any]] = [(root, (), None)]
    for step in way:
        found = [following for place in found for following in _next(place, step)]
    return ((place, missing, item) for place, missing, item in found if isinstance(place, dict))


def _next(at: tuple[Any, tuple[str, ...], Any], step: Step) -> Iterator[tuple[Any, tuple[str, ...], Any]]:
    place, missing, item = at
    if step == _EVERY:
        yield from ((one, (), one) for one in place if not missing) if isinstance(place, list) else ()
    elif isinstance(place, dict) and not missing and place.get(str(step)) is not None:
        yield place[str(step)], (), item
    elif isinstance(place, dict):
        yield place, (*missing, str(step)), item


def _made(place: Json, missing: Sequence[str]) -> Json:
    for step in missing:
        place[step] = {}
        place = place[step]
    return place
