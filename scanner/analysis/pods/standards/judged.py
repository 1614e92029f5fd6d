"""What a check looks at, and what it says.

Paths of facts are those in a Pod, `spec.containers[0].image`, so that a template that many workloads share is judged
once. `verdicts` moves them to where the template stands.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from scanner.model.finding import Fact
from scanner.model.refs import ObjectRef
from scanner.model.workload import Container

_LISTS = ("initContainers", "containers", "ephemeralContainers")
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class JudgedContainer:
    """One container of a pod, of whatever role: the standards make no difference."""

    name: str
    path: str
    fields: Mapping[str, Any]
    #: Its securityContext, empty if there is none.
    security: Mapping[str, Any]
    #: The object that holds it, where that is not the one that holds the template.
    holder: ObjectRef | None = None

    def fact(self, field: str, value: Any = None) -> Fact:
        """Point at one of its fields; without a value, at a field that is missing."""
        return Fact(path=f"{self.path}.{field}", value=value, container=self.name, object=self.holder)


@dataclass(frozen=True)
class JudgedPod:
    """A pod as the checks see it."""

    spec: Mapping[str, Any]
    annotations: Mapping[str, str]
    #: Init containers, containers, ephemeral containers: the order in which violations name them.
    containers: tuple[JudgedContainer, ...]
    #: Whether it is a Pod and no template, which the API server gives more defaults.
    is_pod: bool = False

    @cached_property
    def security(self) -> Mapping[str, Any]:
        """The pod's own securityContext, empty if there is none."""
        found: Mapping[str, Any] = self.spec.get("securityContext") or _NOTHING
        return found

    @property
    def is_windows(self) -> bool:
        """Tell whether it says of itself that it is for Windows."""
        return (self.spec.get("os") or _NOTHING).get("name") == "windows"

    @property
    def has_user_namespace(self) -> bool:
        """Tell whether its users are not those of the node."""
        return self.spec.get("hostUsers") is False

    def fact(self, field: str, value: Any = None) -> Fact:
        """Point at a field of its spec."""
        return Fact(path=f"spec.{field}", value=value)


@dataclass(frozen=True, slots=True)
class Violation:
    """What a check forbids in a pod: in the words of the admission plugin, and field by field."""

    reason: str
    detail: str
    facts: tuple[Fact, ...]


#: A revision of a check.
Judge: TypeAlias = Callable[[JudgedPod], Violation | None]


def judged_pod(
    spec: Mapping[str, Any],
    annotations: Mapping[str, str],
    extra: Iterable[Container] = (),
    *,
    is_pod: bool = False,
) -> JudgedPod:
    """Prepare a PodSpec, and containers that only its running pods have, to be judged."""
    own = [
        _judged(f"spec.{field}[{index}]", fields)
        for field in _LISTS
        for index, fields in enumerate(spec.get(field) or ())
    ]
    added = [_judged(container.path, container.spec, container.owner) for container in extra]
    return JudgedPod(spec, annotations, (*own, *added), is_pod)


def _judged(path: str, fields: Mapping[str, Any], holder: ObjectRef | None = None) -> JudgedContainer:
    name = str(fields.get("name", ""))
    return JudgedContainer(name, path, fields, fields.get("securityContext") or _NOTHING, holder)
