"""From objects to workloads: follows ownerReferences to the root owner.

A person edits the root: a Deployment, not its ReplicaSets and pods; an Argo Rollout, not its ReplicaSets. What a
controller left behind (superseded ReplicaSets, finished Jobs of a CronJob) is part of its root and judged once, by the
templates that run and the one that new pods will come from.
"""

from collections import defaultdict
from collections.abc import Mapping

from scanner.model.objects import KubeObject, ObjectMeta, OwnerReference, labels_of
from scanner.model.refs import GroupKind, ObjectRef, group_of
from scanner.model.templates import POD, REPLICA_SET, Templates
from scanner.model.workload import TEMPLATE_PATHS, Pod, Workload

#: Mirror pods of static pods name their Node as controller; each is a workload of its own, edited in a file there.
NODE = GroupKind("", "Node")
DEPLOYMENT = GroupKind("apps", "Deployment")
#: The Deployment controller names a ReplicaSet `<deployment>-<hash>` and labels its pods with that hash.
TEMPLATE_HASH = "pod-template-hash"

#: Kind, namespace and name: what an owner is found by. Its uid may be missing in files.
_Key = tuple[GroupKind, str, str]
_ByKey = Mapping[_Key, KubeObject]


def workloads_of(objects: Mapping[GroupKind, tuple[KubeObject, ...]]) -> tuple[Workload, ...]:
    """Return the root owners of everything that holds a pod template, sorted by name."""
    # Custom controllers are there too, but count only where something that holds pods names them.
    by_key = {(kind, o.meta.namespace, o.meta.name): o for kind, found in objects.items() for o in found}
    families: dict[_Key, list[KubeObject]] = defaultdict(list)
    climbed: dict[_Key, ObjectRef] = {}
    roots: dict[_Key, ObjectRef] = {}
    for kind in TEMPLATE_PATHS:
        for holder in objects.get(kind, ()):
            root = _root_of(holder, by_key, climbed)
            key = (root.group_kind, root.namespace, root.name)
            families[key].append(holder)
            # Pods may name one owner by two versions, or one that was made anew: it is still one workload.
            roots[key] = min(root, roots.get(key, root))
    templates = Templates()
    return tuple(
        _workload(roots[key], families[key], by_key, templates) for key in sorted(roots, key=roots.__getitem__)
    )


def _key(thing: KubeObject) -> _Key:
    return (thing.group_kind, thing.meta.namespace, thing.meta.name)


def _root_of(start: KubeObject, by_key: _ByKey, climbed: dict[_Key, ObjectRef]) -> ObjectRef:
    """Climb the controllers; `climbed` remembers the answers, so that pods of one ReplicaSet climb once."""
    path: dict[_Key, KubeObject] = {}
    current = start
    while True:
        key = _key(current)
        if key in climbed:
            root = climbed[key]
            break
        if key in path:  # owners in a circle: no API server makes them, a file can
            circle = list(path)
            root = min(path[k].ref for k in circle[circle.index(key) :])
            break
        path[key] = current
        owner = current.meta.controller
        if owner is None or GroupKind(group_of(owner.api_version), owner.kind) == NODE:
            root = current.ref
            break
        parent = _parent(current, owner, by_key)
        if parent is None:
            root = _unread(current, owner)
            break
        current = parent
    climbed.update(dict.fromkeys(path, root))
    return root


def _parent(child: KubeObject, owner: OwnerReference, by_key: _ByKey) -> KubeObject | None:
    """Return the controller of an object as far as it was read; it may be cluster-scoped."""
    kind = GroupKind(group_of(owner.api_version), owner.kind)
    found = by_key.get((kind, child.meta.namespace, owner.name)) or by_key.get((kind, "", owner.name))
    if found is None and kind == REPLICA_SET:
        return _deployment_behind(child, owner, by_key)
    return found


def _deployment_behind(pod: KubeObject, owner: OwnerReference, by_key: _ByKey) -> KubeObject | None:
    """Return the Deployment of a ReplicaSet that was not read, so that a failed read makes no new workload of it."""
    name = owner.name.removesuffix(f"-{labels_of(pod).get(TEMPLATE_HASH, '')}")
    return by_key.get((DEPLOYMENT, pod.meta.namespace, name)) if name != owner.name else None


def _unread(child: KubeObject, owner: OwnerReference) -> ObjectRef:
    """Name an owner that was not read by what the reference tells; files may leave out its kind."""
    if not owner.kind:
        return ObjectRef(child.api_version, child.kind, child.meta.namespace, owner.name, owner.uid)
    return ObjectRef(owner.api_version, owner.kind, child.meta.namespace, owner.name, owner.uid)


def _workload(root: ObjectRef, members: list[KubeObject], by_key: _ByKey, templates: Templates) -> Workload:
    own = by_key.get((root.group_kind, root.namespace, root.name))
    pods = sorted((m for m in members if m.group_kind == POD), key=lambda m: m.ref)
    controllers = sorted((m for m in members if m.group_kind != POD), key=lambda m: m.ref)
    found = templates.of_workload(own, [*controllers, *pods])
    return Workload(
        ref=root,
        meta=own.meta if own else ObjectMeta(name=root.name, namespace=root.namespace, uid=root.uid),
        object=own,
        templates=found,
        extra_containers=templates.extra_containers(found, pods),
        pods=tuple(Pod(p) for p in pods),
    )
