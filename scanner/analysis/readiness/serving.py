"""Services and the workloads behind them: what traffic meets when a pod starts, or is gone."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scanner.analysis.readiness.doubt import doubted
from scanner.analysis.readiness.scale import AUTOSCALER, scale_of
from scanner.analysis.readiness.selected import Selected
from scanner.model.answer import Answer
from scanner.model.availability import PriorityClassBody
from scanner.model.finding import Fact, Outcome
from scanner.model.network import ServiceBody, ServicePort, ServiceSpec
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Container, ContainerRole, Workload

SERVICE = GroupKind("", "Service")
#: A class may be the default of every pod that names none.
PRIORITY_CLASS = GroupKind("scheduling.k8s.io", "PriorityClass")
_DEPLOYMENT = GroupKind("apps", "Deployment")


@dataclass(frozen=True, slots=True)
class Service:
    """A Service that selects pods."""

    ref: ObjectRef
    spec: ServiceSpec

    @property
    def is_scraped(self) -> bool:
        """Tell whether it is there for metrics alone, by the names of its ports: no caller waits for an answer."""
        return bool(self.spec.ports) and all("metrics" in port.name for port in self.spec.ports or ())

    @property
    def fact(self) -> Fact:
        """The selector, as evidence."""
        return Fact(path="spec.selector", value=self.spec.selector, object=self.ref)


def services_by_namespace(snapshot: Snapshot) -> Mapping[str, Sequence[Service]]:
    """Return the Services that select pods, by namespace; one without a selector, or that is an alias, selects none."""
    found: dict[str, list[Service]] = defaultdict(list)
    for service in snapshot.of(*SERVICE):
        spec = service.decode(ServiceBody).spec
        if spec.selector and spec.type != "ExternalName":
            found[service.meta.namespace].append(Service(service.ref, spec))
    return found


def services_before(snapshot: Snapshot, workload: Workload) -> tuple[Service, ...]:
    """Return the Services that send traffic to the pods of a workload, but for those that are scraped for metrics."""
    return snapshot.derive(_callers).get(workload.ref, ())


def _callers(snapshot: Snapshot) -> Mapping[ObjectRef, tuple[Service, ...]]:
    """Find the Services before all workloads that have some: several policies ask for them."""
    by_namespace = snapshot.derive(services_by_namespace)
    selected = {
        namespace: Selected([(s.spec.selector or {}, s) for s in services if not s.is_scraped])
        for namespace, services in by_namespace.items()
    }
    found: dict[ObjectRef, tuple[Service, ...]] = {}
    for workload in snapshot.workloads:
        labels = workload.template.labels
        candidates = selected[workload.ref.namespace].candidates(labels) if workload.ref.namespace in selected else ()
        services = tuple(service for service in candidates if (service.spec.selector or {}).items() <= labels.items())
        if services:
            found[workload.ref] = services
    return found


def serving_without_readiness_probe(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which workloads get traffic from a Service although no readiness probe says that they can take it.

    A Service is served by the containers that declare its target ports, else by all; one of them must have a probe.
    Pods that run to an end are left out, and Services that ask for pods that are not ready.
    """
    del now  # nothing here depends on the time
    return (_readiness(snapshot, workload) for workload in snapshot.workloads)


def serving_without_pause(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which workloads get traffic from a Service and have no preStop hook that holds the end off.

    A pod is told to stop at the same moment at which it leaves the Service; proxies hear of the latter later. The
    containers that declare the Service's target ports, else all, need one; pods that run to an end none.
    """
    del now  # nothing here depends on the time
    return (_pause(snapshot, workload) for workload in snapshot.workloads)


def serving_without_priority(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which workloads get traffic from a Service and count no more than a batch job when nodes are full.

    Where a PriorityClass is the default of all pods, each has one.
    """
    del now  # nothing here depends on the time
    has_default = snapshot.derive(has_default_priority)
    for workload in snapshot.workloads:
        spec = workload.template.spec
        services = () if has_default or spec.get("priorityClassName") else services_before(snapshot, workload)
        if not services or spec.get("priority"):
            yield _passed(workload, "Has a priority, or serves nothing")
            continue
        answer = Answer(
            resource=workload.ref,
            outcome=Outcome.FAIL,
            message="Serves, but has no priority above what only works in the background",
            evidence=(
                Fact(path=f"{workload.template.path}.priorityClassName"),
                *(service.fact for service in services),
            ),
        )
        yield doubted(answer, snapshot, PRIORITY_CLASS)


def has_default_priority(snapshot: Snapshot) -> bool:
    """Tell whether a PriorityClass is given to pods that name none."""
    return any(thing.decode(PriorityClassBody).global_default for thing in snapshot.of(*PRIORITY_CLASS))


def single_replica(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which Deployments behind a Service run one pod, or may be scaled down to one.

    Only Deployments: what a StatefulSet runs can seldom be doubled by a number.
    """
    del now  # nothing here depends on the time
    return (
        doubted(_single(snapshot, w), snapshot, AUTOSCALER)
        for w in snapshot.workloads
        if w.ref.group_kind == _DEPLOYMENT
    )


def _readiness(snapshot: Snapshot, workload: Workload) -> Answer:
    if workload.template.spec.get("restartPolicy", "Always") != "Always":
        return _passed(workload, "Its pods run to an end")
    services = [s for s in services_before(snapshot, workload) if not s.spec.publish_not_ready_addresses]
    unprobed = [(service, containers) for service in services if (containers := _unprobed(service, workload))]
    if not unprobed:
        return _passed(workload, "No Service sends traffic here without a probe" if services else "No Service")
    probes = (_probe(container, workload) for _, containers in unprobed for container in containers)
    names = ", ".join(sorted(service.ref.name for service, _ in unprobed))
    return Answer(
        resource=workload.ref,
        outcome=Outcome.FAIL,
        message=f"Service {names} sends traffic to pods that no readiness probe has found ready",
        evidence=(*probes, *(service.fact for service, _ in unprobed)),
    )


def _pause(snapshot: Snapshot, workload: Workload) -> Answer:
    if workload.template.spec.get("restartPolicy", "Always") != "Always":
        return _passed(workload, "Its pods run to an end")
    services = services_before(snapshot, workload)
    hasty = {
        container.name: container
        for service in services
        for container in _serving(service, workload)
        if not (container.spec.get("lifecycle") or {}).get("preStop")
    }
    if not hasty:
        return _passed(workload, "Pauses before it stops" if services else "No Service")
    return Answer(
        resource=workload.ref,
        outcome=Outcome.FAIL,
        message=f"Stops at once while requests still come: {', '.join(sorted(hasty))}",
        evidence=tuple(
            Fact(
                path=f"{container.path}.lifecycle.preStop",
                container=container.name,
                object=container.owner if container.owner != workload.ref else None,
            )
            for container in hasty.values()
        ),
    )


def _serving(service: Service, workload: Workload) -> tuple[Container, ...]:
    """Return the containers that declare a target port of a Service; if none does, all regular ones."""
    running = [c for c in workload.template.containers if c.role in {ContainerRole.REGULAR, ContainerRole.SIDECAR}]
    declaring = tuple(c for c in running if any(_declares(c, port) for port in service.spec.ports or ()))
    return declaring or tuple(c for c in running if c.role is ContainerRole.REGULAR)


def _probe(container: Container, workload: Workload) -> Fact:
    holder = container.owner if container.owner != workload.ref else None
    return Fact(path=f"{container.path}.readinessProbe", container=container.name, object=holder)


def _unprobed(service: Service, workload: Workload) -> tuple[Container, ...]:
    """Return the containers that serve a Service, if none of them has a readiness probe."""
    running = [c for c in workload.template.containers if c.role in {ContainerRole.REGULAR, ContainerRole.SIDECAR}]
    declaring = [c for c in running if any(_declares(c, port) for port in service.spec.ports or ())]
    serving = declaring or running
    if any(c.spec.get("readinessProbe") for c in serving):
        return ()
    return tuple(declaring or (c for c in running if c.role is ContainerRole.REGULAR))


def _declares(container: Container, port: ServicePort) -> bool:
    """Tell whether a container lists the port that a Service's port leads to, by number or name."""
    target = port.target_port or port.port
    return any(target in {p.get("containerPort"), p.get("name")} for p in container.spec.get("ports") or ())


def _single(snapshot: Snapshot, workload: Workload) -> Answer:
    scale = scale_of(snapshot, workload)
    services = services_before(snapshot, workload)
    if scale is None or scale.fewest != 1 or not services:
        return _passed(workload, "Runs more than one pod, or none, or serves nothing")
    names = ", ".join(service.ref.name for service in services)
    fewest = "may be left with a single pod" if scale.most > 1 else "rests on a single pod"
    return Answer(
        resource=workload.ref,
        outcome=Outcome.FAIL,
        message=f"Service {names} {fewest}",
        evidence=(scale.fact, *(service.fact for service in services)),
    )


def _passed(workload: Workload, message: str) -> Answer:
    return Answer(resource=workload.ref, outcome=Outcome.PASS, message=message)
