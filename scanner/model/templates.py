"""Which pod templates a workload runs: its own, older ones that are still running, and what only its pods show."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import msgspec

from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind
from scanner.model.workload import TEMPLATE_PATHS, Container, Pod, PodTemplate

POD = GroupKind("", "Pod")
REPLICA_SET = GroupKind("apps", "ReplicaSet")
JOB = GroupKind("batch", "Job")


class _Meta(msgspec.Struct):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Template(msgspec.Struct):
    spec: msgspec.Raw = msgspec.Raw(b"{}")
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _Spec(msgspec.Struct):
    template: _Template = msgspec.field(default_factory=_Template)
    replicas: int | None = None


class _Controller(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


class _CronSpec(msgspec.Struct, rename="camel"):
    job_template: _Controller = msgspec.field(default_factory=_Controller)


class _CronJob(msgspec.Struct):
    spec: _CronSpec = msgspec.field(default_factory=_CronSpec)


class _Pod(msgspec.Struct):
    spec: msgspec.Raw = msgspec.Raw(b"{}")


@dataclass(frozen=True)
class Templates:
    """Reads pod templates; equal specs share one decoded value, which callers must not change."""

    _specs: dict[bytes, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, holder: KubeObject) -> PodTemplate:
        """Read the pod template that an object holds; a Pod is its own."""
        kind = holder.group_kind
        if kind == POD:
            raw, labels, annotations = holder.decode(_Pod).spec, holder.meta.labels, holder.meta.annotations
        else:
            spec = holder.decode(_CronJob).spec.job_template.spec if kind.kind == "CronJob" else _spec_of(holder)
            raw, labels, annotations = (
                spec.template.spec,
                spec.template.metadata.labels,
                spec.template.metadata.annotations,
            )
        return PodTemplate(
            owner=holder.ref,
            path=TEMPLATE_PATHS[kind],
            labels=labels or {},
            annotations=annotations or {},
            spec=self._decoded(bytes(raw)),
        )

    def _decoded(self, raw: bytes) -> Mapping[str, Any]:
        if raw not in self._specs:
            self._specs[raw] = msgspec.json.decode(raw, type=dict[str, Any] | None) or {}
        return self._specs[raw]

    def of_workload(self, own: KubeObject | None, members: Sequence[KubeObject]) -> tuple[PodTemplate, ...]:
        """Return the distinct templates that a workload runs or will run.

        First the root's own, if its kind has one; then those of the controllers below it that still run pods, such as
        the old ReplicaSet of a rollout that is stuck. What was superseded is left out. Where nothing runs and the root
        has none, the latest of what it left behind tells; where it controls pods itself, they do.
        """
        pods = [m for m in members if m.group_kind == POD]
        below = [m for m in members if m.group_kind != POD and m is not own]
        live = {(o.kind, o.name) for p in pods if (o := p.meta.controller) and not Pod(p).status.is_terminated}
        running = [c for c in below if _is_running(c, live)]
        holders = [own, *running] if own and own.group_kind in TEMPLATE_PATHS else running
        found = [self.of(holder) for holder in holders or _latest(below) or pods]
        # The same spec again is no other template, whatever its labels: a ReplicaSet adds one of its own.
        return tuple({id(template.spec): template for template in reversed(found)}.values())[::-1]

    def extra_containers(self, templates: Iterable[PodTemplate], pods: Sequence[KubeObject]) -> tuple[Container, ...]:
        """Return containers that only running pods have, each name and content once: injected, or added to debug."""
        known = {c.name for t in templates for c in t.containers}
        distinct = {p.body: p for p in reversed(pods) if not Pod(p).status.is_terminated}
        extra: dict[tuple[str, bytes], Container] = {}
        for pod in reversed(distinct.values()):
            for container in self.of(pod).containers:
                if container.name not in known:
                    extra.setdefault((container.name, msgspec.json.encode(container.spec)), container)
        return tuple(extra.values())


def _spec_of(holder: KubeObject) -> _Spec:
    return holder.decode(_Controller).spec


def _is_running(controller: KubeObject, live: AbstractSet[tuple[str, str]]) -> bool:
    """Tell whether a controller below the root still matters: a ReplicaSet with replicas, a Job with a live pod."""
    kind = controller.group_kind
    if kind == REPLICA_SET:
        return _spec_of(controller).replicas != 0
    return kind != JOB or (controller.kind, controller.meta.name) in live


def _latest(controllers: Sequence[KubeObject]) -> list[KubeObject]:
    """Return the controller that was created last, if there is any; by its name where no time tells."""
    return sorted(controllers, key=_age)[-1:]


def _age(thing: KubeObject) -> tuple[float, str]:
    created = thing.meta.creation_timestamp
    return (created.timestamp() if created else 0.0, thing.meta.name)
