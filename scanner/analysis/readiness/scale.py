"""How many pods a workload runs: what its replicas say, and what an autoscaler makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from scanner.model.availability import AutoscalerBody
from scanner.model.finding import Fact
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Workload

AUTOSCALER = GroupKind("autoscaling", "HorizontalPodAutoscaler")

#: Built-in kinds that have `spec.replicas`.
SCALED = frozenset(
    {
        GroupKind("", "ReplicationController"),
        GroupKind("apps", "Deployment"),
        GroupKind("apps", "ReplicaSet"),
        GroupKind("apps", "StatefulSet"),
    }
)


class _Replicas(msgspec.Struct, frozen=True):
    replicas: int | None = None


class _ReplicasBody(msgspec.Struct, frozen=True):
    spec: _Replicas = _Replicas()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The fewest and the most pods that a workload is asked to run, and the field that says the fewest."""

    fewest: int
    most: int
    fact: Fact
    #: The replicas that the workload itself names; None if it names none.
    written: int | None = None


def scale_of(snapshot: Snapshot, workload: Workload) -> Scale | None:
    """Return the scale of a workload; None for kinds without replicas, and where the workload itself was not read.

    Missing replicas and a missing minReplicas are 1, as the API server fills them in. An autoscaler leaves a workload
    with 0 replicas alone.
    """
    if workload.object is None or workload.ref.group_kind not in SCALED:
        return None
    said = workload.object.decode(_ReplicasBody).spec.replicas
    replicas = 1 if said is None else said
    autoscaler = snapshot.derive(autoscalers_by_target).get(_key(workload.ref)) if replicas else None
    if autoscaler is None:
        return Scale(fewest=replicas, most=replicas, fact=Fact(path="spec.replicas", value=said), written=said)
    spec = autoscaler.decode(AutoscalerBody).spec
    fact = Fact(path="spec.minReplicas", value=spec.min_replicas, object=autoscaler.ref)
    return Scale(
        fewest=1 if spec.min_replicas is None else spec.min_replicas, most=spec.max_replicas, fact=fact, written=said
    )


_Key = tuple[GroupKind, str, str]


def _key(ref: ObjectRef) -> _Key:
    return (ref.group_kind, ref.namespace, ref.name)


def autoscalers_by_target(snapshot: Snapshot) -> Mapping[_Key, KubeObject]:
    """Return each autoscaler by the kind, namespace and name of what it scales."""
    return {
        (target.group_kind, autoscaler.meta.namespace, target.name): autoscaler
        for autoscaler in snapshot.of(*AUTOSCALER)
        for target in (autoscaler.decode(AutoscalerBody).spec.scale_target_ref,)
    }
