"""What turned one object into another: as a JSON Patch, and as what server-side apply needs of it.

Lists in which the API server knows items by keys are gone through item by item. Server-side apply sets fields; what
another manager owns it cannot take away, so that a removal is named instead.

Source of the keys: the `x-kubernetes-list-map-keys` of the OpenAPI document of Kubernetes 1.37. Lists that are not
here, such as capabilities and sysctls, are set as a whole.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from scanner.model.change import PatchStep

_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
#: What a manifest may leave out of a key.
_DEFAULTS = {"protocol": "TCP"}
#: Literal values under these may be secrets: patches don't repeat what they were.
_WITHHELD = frozenset({"args", "command", "env", "annotations"})

Json = dict[str, Any]


def patch_between(before: Json, after: Json) -> tuple[PatchStep, ...]:
    """Return the JSON Patch from one object to another: it tests what it replaces, and names of items."""
    return tuple(_steps(before, after, ()))


def _steps(before: Any, after: Any, path: tuple[str | int, ...]) -> Iterator[PatchStep]:
    if before == after:
        return
    match before, after:
        case dict(), dict():
            for key in sorted(before.keys() | after.keys()):
                yield from _member(before, after, key, path)
        case list(), list() if _keys_of(path, before) and len(before) == len(after):
            for index, (old, new) in enumerate(zip(before, after, strict=True)):
                if old != new:
                    key = _keys_of(path, before)[0]
                    yield PatchStep("test", _pointer((*path, index, key)), old[key])
                    yield from _steps(old, new, (*path, index))
        case list(), list() if _keys_of(path, before) and _is_rest(after, before):
            yield from _removals(before, after, path)
        case _:
            yield from _tested(before, path)
            yield PatchStep("replace", _pointer(path), after)


def _is_rest(after: list[Any], before: list[Any]) -> bool:
    """Tell whether a list is another without some of its items."""
    items = iter(before)
    return all(any(item == one for one in items) for item in after)


def _removals(before: list[Any], after: list[Any], path: tuple[str | int, ...]) -> Iterator[PatchStep]:
    """Take items out from the end, so that the places of those before stay; the last of equal ones is kept."""
    key, kept = _keys_of(path, before)[0], list(after)
    for index in reversed(range(len(before))):
        if kept and kept[-1] == before[index]:
            kept.pop()
        else:
            yield PatchStep("test", _pointer((*path, index, key)), before[index][key])
            yield PatchStep("remove", _pointer((*path, index)))


def _member(before: Json, after: Json, key: str, path: tuple[str | int, ...]) -> Iterator[PatchStep]:
    if key not in after:
        yield from _tested(before[key], (*path, key))
        yield PatchStep("remove", _pointer((*path, key)))
    elif key not in before:
        yield PatchStep("add", _pointer((*path, key)), after[key])
    else:
        yield from _steps(before[key], after[key], (*path, key))


def _tested(old: Any, path: tuple[str | int, ...]) -> Iterator[PatchStep]:
    if not _WITHHELD.intersection(step for step in path if isinstance(step, str)):
        yield PatchStep("test", _pointer(path), old)


def _pointer(path: tuple[str | int, ...]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def applied_between(before: Json, after: Json) -> tuple[Json, tuple[str, ...]]:
    """Return what server-side apply needs to set all that differs, and the paths that it cannot remove."""
    removed: list[str] = []
    found: Json = _applied(before, after, (), removed) or {}
    names = {key: after["metadata"][key] for key in ("name", "namespace") if after["metadata"].get(key)}
    head = {"apiVersion": after["apiVersion"], "kind": after["kind"], "metadata": names | found.pop("metadata", {})}
    return head | found, tuple(removed)


def _applied(before: Any, after: Any, path: tuple[str | int, ...], removed: list[str]) -> Any:
    """Return the part of `after` that differs; None if nothing does."""
    if before == after:
        return None
    if isinstance(before, dict) and isinstance(after, dict):
        removed += [_written((*path, key)) for key in before if key not in after]
        parts = {key: _applied(before.get(key), value, (*path, key), removed) for key, value in after.items()}
        return {key: part for key, part in parts.items() if part is not None} or None
    if isinstance(after, list) and (keys := _keys_of(path, after)) and isinstance(before, list):
        return _items(before, after, keys, path, removed)
    return after


def _items(before: Any, after: Any, keys: tuple[str, ...], path: tuple[str | int, ...], removed: list[str]) -> Any:
    old = {_key(item, keys): item for item in before}
    new = {_key(item, keys): item for item in after}
    if len(new) != len(after) or len(old) != len(before) or old.keys() - new.keys():
        removed.append(_written(path))
        return None
    places = {_key(item, keys): index for index, item in enumerate(before)}
    found = []
    for key, item in new.items():
        part = _applied(old.get(key), item, (*path, places.get(key, 0)), removed)
        if part is not None:
            found.append(dict(zip(keys, key, strict=True)) | part)
    return found or None


def _keys_of(path: tuple[str | int, ...], items: list[Any]) -> tuple[str, ...]:
    """Return the keys of a list; nothing if it has none, or items without them."""
    keys = _KEYS.get(str(path[-1]), ()) if path else ()
    return keys if all(isinstance(item, dict) and all(k in item for k in keys[:1]) for item in items) else ()


def _key(item: Json, keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(item.get(key, _DEFAULTS.get(key)) for key in keys)


def _written(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
