"""Where the pods of a workload may run: whether one node takes them all, or a volume keeps them from running apart."""

import datetime as dt
from collections.abc import Iterator, Mapping

import msgspec

from scanner.analysis.readiness.scale import Scale, scale_of
from scanner.model.answer import Answer
from scanner.model.availability import Affinity, ClaimBody, SpreadTerm
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot
from scanner.model.workload import PodTemplate, Workload

CLAIM = GroupKind("", "PersistentVolumeClaim")

#: Access modes that let one node, or one pod, have the volume.
_EXCLUSIVE = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})


def replicated_without_spread(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which workloads always run two or more pods and have no rule that keeps them on different nodes.

    Rules are topology spread constraints and pod anti-affinity that select the workload's own pods, hard or soft, and
    a port of the node, which two pods cannot share.
    """
    del now  # nothing here depends on the time
    for workload in snapshot.workloads:
        scale = scale_of(snapshot, workload)
        if scale is None or scale.fewest <= 1 or _is_spread(workload.template):
            yield Answer(resource=workload.ref, outcome=Outcome.PASS, message="Spread, or not replicated")
        else:
            yield Answer(
                resource=workload.ref,
                outcome=Outcome.FAIL,
                message=f"Nothing keeps its {scale.fewest} or more pods on different nodes",
                evidence=(scale.fact, Fact(path=f"{workload.template.path}.topologySpreadConstraints")),
            )


def replicas_sharing_exclusive_volume(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which workloads run several pods on one claim whose volume only one node, or one pod, may have.

    A claim that was not seen makes it unknown. Claims from a StatefulSet's templates and ephemeral volumes are each
    pod's own.
    """
    del now  # nothing here depends on the time
    for workload in snapshot.workloads:
        scale = scale_of(snapshot, workload)
        if scale is None or scale.most <= 1:
            yield Answer(resource=workload.ref, outcome=Outcome.PASS, message="Runs one pod at most")
        else:
            yield _sharing(snapshot, workload, scale)


class _Spread(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of a PodSpec that spread its pods."""

    topology_spread_constraints: tuple[SpreadTerm, ...] | None = None
    affinity: Affinity = Affinity()


def _is_spread(template: PodTemplate) -> bool:
    spread = msgspec.convert(template.spec, _Spread)
    apart = spread.affinity.pod_anti_affinity
    preferred = [weighted.pod_affinity_term for weighted in apart.preferred or ()]
    terms = (*(spread.topology_spread_constraints or ()), *(apart.required or ()), *preferred)
    return any(_selects(term, template.labels) for term in terms) or _takes_node_port(template)


def _selects(term: SpreadTerm, labels: Mapping[str, str]) -> bool:
    return term.label_selector is not None and term.label_selector.matches(labels)


def _takes_node_port(template: PodTemplate) -> bool:
    """Tell whether a pod has a port of its node to itself; in the node's network every declared port is one."""
    field = "containerPort" if template.spec.get("hostNetwork") else "hostPort"
    return any(port.get(field) for container in template.containers for port in container.spec.get("ports") or ())


def _sharing(snapshot: Snapshot, workload: Workload, scale: Scale) -> Answer:
    template = workload.template
    claims = {
        index: volume["persistentVolumeClaim"].get("claimName", "")
        for index, volume in enumerate(template.spec.get("volumes") or ())
        if volume.get("persistentVolumeClaim")
    }
    found = {i: snapshot.find(*CLAIM, workload.ref.namespace, name) for i, name in claims.items()}
    exclusive = {i: claim for i, claim in found.items() if claim is not None and _is_exclusive(claim)}
    unseen = sorted({claims[i] for i, claim in found.items() if claim is None})
    if exclusive:
        names = ", ".join(sorted({claim.meta.name for claim in exclusive.values()}))
        return Answer(
            resource=workload.ref,
            outcome=Outcome.FAIL,
            message=f"Up to {scale.most} pods share a volume that only one node may have: {names}",
            evidence=(
                scale.fact,
                *(Fact(path=f"{template.path}.volumes[{i}]", value=claims[i]) for i in exclusive),
                *(_access(claim) for claim in exclusive.values()),
            ),
        )
    if unseen:
        message = f"Its claims were not seen, so that their access modes are not known: {', '.join(unseen)}"
        missing = tuple(f"get persistentvolumeclaims {workload.ref.namespace}/{name}" for name in unseen)
        return Answer(resource=workload.ref, outcome=Outcome.UNKNOWN, message=message, missing=missing)
    return Answer(resource=workload.ref, outcome=Outcome.PASS, message="Shares no exclusive volume")


def _is_exclusive(claim: KubeObject) -> bool:
    modes = claim.decode(ClaimBody).spec.access_modes or ()
    return bool(modes) and _EXCLUSIVE.issuperset(modes)


def _access(claim: KubeObject) -> Fact:
    return Fact(path="spec.accessModes", value=list(claim.decode(ClaimBody).spec.access_modes or ()), object=claim.ref)
