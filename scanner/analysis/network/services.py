"""Services that lead nowhere, and Ingresses that lead to no Service.

Such a loose end is an outage that nobody noticed, or worse: whoever may create the missing object takes the traffic.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from scanner.analysis.network.selection import (
    WORKLOAD_KINDS,
    PodLabels,
    is_described,
    judge_selection,
    missing_reads,
    pods_by_namespace,
)
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.network import (
    IngressBody,
    IngressServiceBackend,
    IngressSpec,
    ServiceBackendPort,
    ServiceBody,
    ServiceSpec,
)
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot

SERVICE = GroupKind("", "Service")
INGRESS = GroupKind("networking.k8s.io", "Ingress")

#: What the answers rest on.
SERVICE_READS: tuple[GroupKind, ...] = (SERVICE, *WORKLOAD_KINDS)
INGRESS_READS: tuple[GroupKind, ...] = (INGRESS, SERVICE)

#: The AWS controller's name for "look into my annotations": no Service of that name needs to exist.
_USE_ANNOTATION = "use-annotation"


def services_without_backend(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Service with a selector whether it selects no pod and no pod template of its namespace.

    Services of type ExternalName and those without selector have their backends elsewhere and are left out.
    """
    del now  # nothing here depends on the time
    pods = snapshot.derive(pods_by_namespace)
    for service in snapshot.of(*SERVICE):
        spec = service.decode(ServiceBody).spec
        if spec.selector and spec.type != "ExternalName":
            yield _judge_service(snapshot, service, spec.selector, pods.get(service.meta.namespace, ()))


def _judge_service(
    snapshot: Snapshot, service: KubeObject, labels: dict[str, str], pods: tuple[PodLabels, ...]
) -> Answer:
    return judge_selection(
        snapshot,
        LabelSelector(match_labels=labels),
        pods,
        resource=service.ref,
        shown=Fact(path="spec.selector", value=labels),
        nothing=f"Its selector matches no pod and no pod template in namespace {service.meta.namespace}",
    )


def ingresses_without_backend(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Ingress whether one of its Services does not exist or lacks the port.

    Backends that are not Services, and those that a controller reads from annotations, are not judged. A Service that
    is missing in files which hold neither workloads nor Services of the namespace is unknown.
    """
    del now  # nothing here depends on the time
    for ingress in snapshot.of(*INGRESS):
        yield _judge_ingress(snapshot, ingress)


def _judge_ingress(snapshot: Snapshot, ingress: KubeObject) -> Answer:
    namespace = ingress.meta.namespace
    problems = [
        problem
        for path, backend in _backends(ingress.decode(IngressBody).spec)
        if backend.port.name != _USE_ANNOTATION
        for problem in _problems(path, backend, snapshot.find(*SERVICE, namespace, backend.name))
    ]
    if not problems:
        return Answer(resource=ingress.ref, outcome=Outcome.PASS, message="Its Services exist and have the ports")
    missing = missing_reads(snapshot, (SERVICE,), namespace)
    is_absence_proven = not missing and are_services_known(snapshot, namespace)
    proven = [p for p in problems if is_absence_proven or not p.is_absence]
    shown = proven or problems
    message = "; ".join(sorted({p.text for p in shown}))
    return Answer(
        resource=ingress.ref,
        outcome=Outcome.FAIL if proven else Outcome.UNKNOWN,
        message=message if proven else f"{message} in what was read",
        evidence=tuple(Fact(path=p.path, note=p.text) for p in shown),
        missing=() if proven else (missing or ("list services",)),
    )


def _backends(spec: IngressSpec) -> Iterator[tuple[str, IngressServiceBackend]]:
    """Yield each backend that is a Service, with its path in the Ingress."""
    if spec.default_backend and spec.default_backend.service:
        yield "spec.defaultBackend.service", spec.default_backend.service
    for r, rule in enumerate(spec.rules or ()):
        for p, path in enumerate((rule.http.paths if rule.http else None) or ()):
            if path.backend.service:
                yield f"spec.rules[{r}].http.paths[{p}].backend.service", path.backend.service


def are_services_known(snapshot: Snapshot, namespace: str) -> bool:
    """Tell whether a Service that is not there does not exist, but for reads: files that hold some hold all."""
    return is_described(snapshot, namespace) or any(s.meta.namespace == namespace for s in snapshot.of(*SERVICE))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """What is wrong with a backend, and in which field."""

    path: str
    text: str
    #: Whether the Service was not seen, which proves less than a Service that was.
    is_absence: bool


def _problems(path: str, backend: IngressServiceBackend, service: KubeObject | None) -> Iterator[_Problem]:
    """Yield what is wrong with a backend, if anything."""
    if service is None:
        yield _Problem(path=f"{path}.name", text=f"Service {backend.name} does not exist", is_absence=True)
    elif not _has_port(service.decode(ServiceBody).spec, backend.port):
        port = backend.port.name or backend.port.number
        yield _Problem(path=f"{path}.port", text=f"Service {backend.name} has no port {port}", is_absence=False)


def _has_port(spec: ServiceSpec, port: ServiceBackendPort) -> bool:
    """Tell whether a Service listens on a port; one of type ExternalName need not list any."""
    if spec.type == "ExternalName":
        return True
    return any(p.name == port.name if port.name else p.port == port.number for p in spec.ports or ())
