"""HorizontalPodAutoscalers that can never do their work."""

import datetime as dt
import re
from collections.abc import Iterator

import msgspec

from scanner.analysis.readiness.doubt import doubted
from scanner.analysis.readiness.resources import LIMIT_RANGE, has, lasting_containers
from scanner.analysis.readiness.scale import AUTOSCALER, SCALED, autoscalers_by_target, scale_of
from scanner.model.answer import Answer
from scanner.model.availability import (
    AutoscalerBody,
    AutoscalerSpec,
    Metric,
    MetricTarget,
    ResourceMetric,
    ScaleTarget,
)
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.resources import BY_KIND
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import TEMPLATE_PATHS, Workload

API_SERVICE = GroupKind("apiregistration.k8s.io", "APIService")
#: Where metrics that autoscaling/v1 has no field for are kept; with it, a missing CPU target is none.
_V1_METRICS = "autoscaling.alpha.kubernetes.io/metrics"


#: What an autoscaler without any metric gets from the API server: 80 % of the requested CPU.
_DEFAULT_METRIC = Metric(resource=ResourceMetric(name="cpu", target=MetricTarget("Utilization")))


def autoscalers_that_cannot_scale(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which autoscalers scale nothing, or measure the use of a resource that a container does not request.

    In manifests a target that is not there may be elsewhere, and a target of a kind that no scan reads may exist too:
    both are unknown.
    """
    del now  # nothing here depends on the time
    workloads = {(w.ref.group_kind, w.ref.namespace, w.ref.name): w for w in snapshot.workloads}
    for autoscaler in snapshot.of(*AUTOSCALER):
        spec = autoscaler.decode(AutoscalerBody).spec
        target = spec.scale_target_ref
        workload = workloads.get((target.group_kind, autoscaler.meta.namespace, target.name))
        if workload is not None:
            yield doubted(_judge(snapshot, autoscaler, spec, workload), snapshot, LIMIT_RANGE)
        else:
            yield _without_target(snapshot, autoscaler.ref, target)


def autoscalers_against_replicas(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which manifests set the replicas of what an autoscaler scales: applied, they undo what it did.

    Only files that people write tell: in an object that an API server has stored (it has a uid), the replicas are what
    the autoscaler made of them.
    """
    del now  # nothing here depends on the time
    scaled = snapshot.derive(autoscalers_by_target)
    for workload in snapshot.workloads:
        autoscaler = scaled.get((workload.ref.group_kind, workload.ref.namespace, workload.ref.name))
        scale = scale_of(snapshot, workload)
        written = workload.object is not None and workload.object.origin and not workload.ref.uid
        if autoscaler is None or scale is None or not written or scale.written is None:
            yield Answer(resource=workload.ref, outcome=Outcome.PASS, message="Nothing sets its replicas twice")
        else:
            yield Answer(
                resource=workload.ref,
                outcome=Outcome.FAIL,
                message=f"Its manifest sets replicas, which {autoscaler.ref} decides",
                evidence=(
                    Fact(path="spec.replicas", value=scale.written),
                    Fact(path="spec.scaleTargetRef", object=autoscaler.ref),
                ),
            )


#: Programs that serve the metrics API, by the last part of the image's name.
_METRICS_SERVERS = re.compile(r"metrics-server|prometheus-adapter|k8s-prometheus-adapter")


def resource_metrics_served(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which autoscalers measure CPU or memory although nothing that could serve these metrics runs.

    Files do not tell what runs in the cluster: unknown. Neither does a cluster whose pods could not all be listed.
    """
    del now  # nothing here depends on the time
    is_served = snapshot.derive(serves_resource_metrics)
    for autoscaler in snapshot.of(*AUTOSCALER):
        if is_served or not any(_measured(autoscaler, autoscaler.decode(AutoscalerBody).spec)):
            yield Answer(
                resource=autoscaler.ref, outcome=Outcome.PASS, message="Its metrics are served, or not of pods"
            )
        elif snapshot.source is SourceKind.MANIFESTS or snapshot.inconclusive(TEMPLATE_PATHS):
            yield Answer(
                resource=autoscaler.ref,
                outcome=Outcome.UNKNOWN,
                message="Whether the cluster serves the metrics of pods is not known",
                missing=("list pods",),
            )
        else:
            yield Answer(
                resource=autoscaler.ref,
                outcome=Outcome.FAIL,
                message="Nothing seen in the cluster serves the metrics of pods",
                evidence=(Fact(path="spec.metrics"),),
            )


#: Types of metrics, and the group of the API that an adapter serves them by.
_ADAPTED = {"Pods": "custom.metrics.k8s.io", "Object": "custom.metrics.k8s.io", "External": "external.metrics.k8s.io"}


def autoscalers_without_adapter(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which autoscalers measure what an adapter must serve although no APIService is there for it.

    Files do not tell what runs in the cluster: unknown, unless the APIService is among them.
    """
    del now  # nothing here depends on the time
    served = snapshot.derive(metrics_served)
    missing = tuple(read.missing for read in snapshot.inconclusive((API_SERVICE,)))
    is_known = snapshot.source is SourceKind.LIVE and not missing
    for autoscaler in snapshot.of(*AUTOSCALER):
        metrics = autoscaler.decode(AutoscalerBody).spec.metrics or ()
        lacking = sorted({_ADAPTED[m.type] for m in metrics if m.type in _ADAPTED} - served)
        if not lacking:
            yield Answer(resource=autoscaler.ref, outcome=Outcome.PASS, message="What it measures has an API")
            continue
        yield Answer(
            resource=autoscaler.ref,
            outcome=Outcome.FAIL if is_known else Outcome.UNKNOWN,
            message=f"No APIService serves {' and '.join(lacking)}" + ("" if is_known else ", as far as could be read"),
            evidence=(Fact(path="spec.metrics", value=lacking),),
            missing=() if is_known else missing or ("list apiservices.apiregistration.k8s.io",),
        )


class _ServedSpec(msgspec.Struct, frozen=True):
    group: str = ""


class _Served(msgspec.Struct, frozen=True):
    spec: _ServedSpec = _ServedSpec()


def metrics_served(snapshot: Snapshot) -> frozenset[str]:
    """Return the groups that APIServices register."""
    return frozenset(_group_of(thing) for thing in snapshot.of(*API_SERVICE))


def _group_of(thing: KubeObject) -> str:
    try:
        return thing.decode(_Served).spec.group
    except msgspec.ValidationError:  # only a file can hold a group that is no text
        return ""


def serves_resource_metrics(snapshot: Snapshot) -> bool:
    """Tell whether an APIService serves the metrics API, or a container runs a program that is known to."""
    return "metrics.k8s.io" in snapshot.derive(metrics_served) or any(
        _METRICS_SERVERS.search(str(container.spec.get("image") or "").rpartition("/")[2])
        for workload in snapshot.workloads
        for container in workload.template.containers
    )


def _without_target(snapshot: Snapshot, autoscaler: ObjectRef, target: ScaleTarget) -> Answer:
    name = f"{target.kind} {autoscaler.namespace}/{target.name}"
    missing = snapshot.inconclusive((target.group_kind,), autoscaler.namespace)
    if target.group_kind in SCALED and snapshot.source is SourceKind.LIVE and not missing:
        return Answer(
            resource=autoscaler,
            outcome=Outcome.FAIL,
            message=f"{name} does not exist",
            evidence=(Fact(path="spec.scaleTargetRef", value=msgspec.to_builtins(target)),),
        )
    known = BY_KIND.get(target.group_kind)
    return Answer(
        resource=autoscaler,
        outcome=Outcome.UNKNOWN,
        message=f"{name} was not seen",
        missing=(f"list {known.name if known else target.group_kind}",),
    )


def _judge(snapshot: Snapshot, autoscaler: KubeObject, spec: AutoscalerSpec, workload: Workload) -> Answer:
    lacking = [
        Fact(path=f"{c.path}.resources.requests.{measured.name}", container=c.name, object=c.owner)
        for measured in _utilizations(autoscaler, spec)
        for c in lasting_containers(workload.template)
        if not measured.container or c.name == measured.container
        if not has(snapshot, workload.template, c, "requests", measured.name)
    ]
    if not lacking:
        return Answer(resource=autoscaler.ref, outcome=Outcome.PASS, message="Can measure its target")
    names = ", ".join(sorted({fact.container for fact in lacking}))
    return Answer(
        resource=autoscaler.ref,
        outcome=Outcome.FAIL,
        message=f"Measures the use of what {names} of {workload.ref} does not request",
        evidence=tuple(lacking),
    )


def _utilizations(autoscaler: KubeObject, spec: AutoscalerSpec) -> Iterator[ResourceMetric]:
    """Yield the metrics that are a share of what containers request."""
    return (measured for measured in _measured(autoscaler, spec) if measured.target.type == "Utilization")


def _measured(autoscaler: KubeObject, spec: AutoscalerSpec) -> Iterator[ResourceMetric]:
    """Yield the metrics of pods' CPU and memory."""
    metrics = spec.metrics or ()
    if spec.target_cpu is not None or not (metrics or _V1_METRICS in (autoscaler.meta.annotations or {})):
        metrics = (*metrics, _DEFAULT_METRIC)
    for metric in metrics:
        measured = metric.resource or metric.container_resource
        if measured is not None:
            yield measured
