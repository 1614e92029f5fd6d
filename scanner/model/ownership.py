"""From objects to workloads: follows ownerReferences to the root owner.

A person edits the root: a Deployment, not its ReplicaSets and pods; an Argo Rollout, not its ReplicaSets. What a
controller left behind (superseded ReplicaSets, finished Jobs of a CronJob) is part of its root and judged once, by the
template that new pods will come from.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from scanner.model.objects import KubeObject, ObjectMeta, OwnerReference
from scanner.model.refs import GroupKind, ObjectRef, group_of
from scanner.model.workload import TEMPLATE_PATHS, Container, Pod, PodTemplate, Workload

POD = GroupKind("", "Pod")
#: Mirror pods of static pods name their Node as controller; each is a workload of its own, edited in a file there.
NODE = GroupKind("", "Node")

_Key = tuple[GroupKind, str, str]


def workloads_of(objects: Mapping[GroupKind, tuple[KubeObject, ...]]) -> tuple[Workload, ...]:
    """Return the root owners of everything that holds a pod template, sorted by name."""
    holders = [o for kind in TEMPLATE_PATHS for o in objects.get(kind, ())]
    # Custom controllers count only where something that holds pods names them, by uid or by name.
    by_key = {_key(o): o for kind in objects.values() for o in kind}
    family: dict[ObjectRef, list[KubeObject]] = defaultdict(list)
    roots: dict[_Key, ObjectRef] = {}
    for holder in holders:
        root = _root_of(holder, by_key, roots)
        family[root].append(holder)
    specs: dict[bytes, Mapping[str, Any]] = {}
    return tuple(_workload(root, family[root], by_key, specs) for root in sorted(family))


def _key(thing: KubeObject) -> _Key:
    return (thing.group_kind, thing.meta.namespace, thing.meta.name)


def _owner_key(owner: OwnerReference, namespace: str) -> _Key:
    return (GroupKind(group_of(owner.api_version), owner.kind), namespace, owner.name)


def _root_of(start: KubeObject, by_key: Mapping[_Key, KubeObject], roots: dict[_Key, ObjectRef]) -> ObjectRef:
    """Climb the controllers; `roots` remembers the answers, so that pods of one ReplicaSet climb once."""
    climbed: list[_Key] = []
    current: KubeObject | None = start
    ref = start.ref
    while current is not None:
        key = _key(current)
        if key in roots:
            ref = roots[key]
            break
        if key in climbed:  # owners in a circle: no API server makes them, a file can
            break
        climbed.append(key)
        owner = current.meta.controller
        if owner is None or GroupKind(group_of(owner.api_version), owner.kind) == NODE:
            ref = current.ref
            break
        parent_key = _owner_key(owner, current.meta.namespace)
        # A namespaced object may be owned by a cluster-scoped one.
        current = by_key.get(parent_key) or by_key.get((parent_key[0], "", owner.name))
        ref = ObjectRef(owner.api_version, owner.kind, parent_key[1], owner.name, owner.uid)
    roots.update(dict.fromkeys(climbed, ref))
    return ref


def _workload(
    root: ObjectRef,
    members: list[KubeObject],
    by_key: Mapping[_Key, KubeObject],
    specs: dict[bytes, Mapping[str, Any]],
) -> Workload:
    own = by_key.get((root.group_kind, root.namespace, root.name))
    pods = sorted((m for m in members if m.group_kind == POD), key=lambda m: m.ref)
    templates = _templates(own, members, specs)
    return Workload(
        ref=root,
        meta=own.meta if own else ObjectMeta(name=root.name, namespace=root.namespace, uid=root.uid),
        object=own,
        templates=templates,
        extra_containers=_extra_containers(templates, pods, specs),
        pods=tuple(Pod(p) for p in pods),
    )


def _templates(
    own: KubeObject | None, members: list[KubeObject], specs: dict[bytes, Mapping[str, Any]]
) -> tuple[PodTemplate, ...]:
    """Take the root's own template, else those of the controllers below it, else what its pods show."""
    if own and own.group_kind in TEMPLATE_PATHS:
        return (_template(own, specs),)
    controllers = [m for m in members if m.group_kind != POD]
    active = [c for c in controllers if _replicas(c) != 0] or controllers
    found = [_template(m, specs) for m in sorted(active or members, key=lambda m: m.ref)]
    return tuple({id(t.spec): t for t in reversed(found)}.values())[::-1]


class _Scaled(msgspec.Struct):
    replicas: int | None = None


class _ScaledBody(msgspec.Struct):
    spec: _Scaled = msgspec.field(default_factory=_Scaled)


def _replicas(controller: KubeObject) -> int | None:
    return controller.decode(_ScaledBody).spec.replicas


class _TemplateMeta(msgspec.Struct):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _TemplateRaw(msgspec.Struct):
    spec: msgspec.Raw = msgspec.Raw(b"{}")
    metadata: _TemplateMeta = msgspec.field(default_factory=_TemplateMeta)


class _WithTemplate(msgspec.Struct):
    template: _TemplateRaw = msgspec.field(default_factory=_TemplateRaw)


class _WithTemplateBody(msgspec.Struct):
    spec: _WithTemplate = msgspec.field(default_factory=_WithTemplate)


class _JobTemplate(msgspec.Struct, rename="camel"):
    job_template: _WithTemplateBody = msgspec.field(default_factory=_WithTemplateBody)


class _CronJobBody(msgspec.Struct):
    spec: _JobTemplate = msgspec.field(default_factory=_JobTemplate)


class _PodBody(msgspec.Struct):
    spec: msgspec.Raw = msgspec.Raw(b"{}")


def _template(holder: KubeObject, specs: dict[bytes, Mapping[str, Any]]) -> PodTemplate:
    """Read the pod template that an object holds; equal specs share one decoded value."""
    kind = holder.group_kind
    if kind == POD:
        raw, labels, annotations = holder.decode(_PodBody).spec, holder.meta.labels, holder.meta.annotations
    else:
        owner = (
            holder.decode(_CronJobBody).spec.job_template
            if kind.kind == "CronJob"
            else holder.decode(_WithTemplateBody)
        )
        template = owner.spec.template
        raw, labels, annotations = template.spec, template.metadata.labels, template.metadata.annotations
    return PodTemplate(
        owner=holder.ref,
        path=TEMPLATE_PATHS[kind],
        labels=labels or {},
        annotations=annotations or {},
        spec=_decoded(bytes(raw), specs),
    )


def _decoded(raw: bytes, specs: dict[bytes, Mapping[str, Any]]) -> Mapping[str, Any]:
    if raw not in specs:
        specs[raw] = msgspec.json.decode(raw, type=dict[str, Any] | None) or {}
    return specs[raw]


def _extra_containers(
    templates: tuple[PodTemplate, ...], pods: Iterable[KubeObject], specs: dict[bytes, Mapping[str, Any]]
) -> tuple[Container, ...]:
    """Return containers that only running pods have, each name and content once."""
    known = {c.name for t in templates for c in t.containers}
    extra: dict[tuple[str, bytes], Container] = {}
    for pod in {p.body: p for p in pods}.values():
        for container in _template(pod, specs).containers:
            if container.name not in known:
                extra.setdefault((container.name, msgspec.json.encode(container.spec)), container)
    return tuple(extra.values())
