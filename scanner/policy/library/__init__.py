"""What the functions of Kubernetes' CEL libraries compute, each as the API server's Go code does.

The engine has no opaque types, so that a quantity, an address and the like are maps of one entry: the type's name, and
the value in the one form that makes equal values equal. Errors are `ValueError`s, which the engine takes as CEL errors.
"""

from collections.abc import Mapping
from typing import Any

Opaque = Mapping[str, Any]


def opaque(type_name: str, value: Any) -> dict[str, Any]:
    """Wrap a value of a type that CEL itself does not have."""
    return {type_name: value}


def type_of(value: Opaque) -> str:
    """Return the type of a wrapped value; raises `ValueError` for any other map."""
    name = next(iter(value), "") if len(value) == 1 else ""
    if not str(name).startswith("kubernetes."):
        raise ValueError("no such overload")
    return str(name)


def content(value: Opaque, type_name: str) -> Any:
    """Return what is wrapped; raises `ValueError` for a value of another type."""
    if type_of(value) != type_name:
        raise ValueError("no such overload")
    return value[type_name]
