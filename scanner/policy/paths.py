"""Field paths of evidence: `securityContext.capabilities.add[0]`, `metadata.annotations['example.com/owner']`."""

import re
from functools import lru_cache
from typing import Any

_STEP = re.compile(r"(?:^|\.)(?P<name>[A-Za-z_][\w-]*)|\[(?P<index>\d+)\]|\['(?P<key>[^']+)'\]")
#: Fields whose values may be a secret that was written in the open.
_WITHHELD = frozenset({"annotations", "args", "binaryData", "command", "data", "httpHeaders", "stringData"})

Step = str | int


@lru_cache(maxsize=10_000)
def steps_of(path: str) -> tuple[Step, ...]:
    """Split a path into keys and indexes; raises `ValueError` if it is no path."""
    steps: list[Step] = []
    position = 0
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None or path.startswith("."):
            raise ValueError(f"not a field path: {path!r}")
        steps.append(int(step["index"]) if step["index"] else step["name"] or step["key"])
        position = step.end()
    return tuple(steps)


@lru_cache(maxsize=10_000)
def beginning_of(path: str, count: int) -> str:
    """Return the text of the first steps of a path, of which there are at least so many."""
    position = 0
    for _ in range(count):
        step = _STEP.match(path, position)
        position = step.end() if step else position
    return path[:position]


def value_at(root: Any, steps: tuple[Step, ...]) -> Any:
    """Return what stands at a path, without anything that may be a secret; None if there is nothing.

    Withheld are literal values of environment variables, command lines, annotations, headers and data.
    """
    value = root
    for step in steps:
        match value, step:
            case dict(), str() if step in value:
                value = value[step]
            case list(), int() if step < len(value):
                value = value[step]
            case _:
                return None
    names = [step for step in steps if isinstance(step, str)]
    if _WITHHELD.intersection(names) or ("env" in names and names[-1] == "value"):
        return None
    return _shown(value, inside_env="env" in names)


def _shown(value: Any, *, inside_env: bool) -> Any:
    """Copy a value without the fields that may hold a secret."""
    match value:
        case dict():
            return {
                key: _shown(item, inside_env=inside_env or key == "env")
                for key, item in value.items()
                if key not in _WITHHELD and not (inside_env and key == "value")
            }
        case list():
            return [_shown(item, inside_env=inside_env) for item in value]
        case _:
            return value
