"""Whether somebody asks workloads for the metrics that they offer: scrape annotations and the operator's monitors."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scanner.analysis.readiness.serving import SERVICE, Service, services_by_namespace
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.monitoring import POD_MONITOR, SERVICE_MONITOR, endpoints_of, looks_into, selector_of
from scanner.model.network import ServicePort
from scanner.model.objects import KubeObject, labels_of
from scanner.model.refs import ObjectRef
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import TEMPLATE_PATHS, Container, Workload

#: What the answers rest on.
READS = (SERVICE, SERVICE_MONITOR, POD_MONITOR, *TEMPLATE_PATHS)
_SCRAPE = "prometheus.io/scrape"


@dataclass(frozen=True, slots=True)
class _Monitor:
    """A ServiceMonitor or PodMonitor, read once."""

    object: KubeObject
    selector: LabelSelector
    endpoints: tuple[Mapping[str, Any], ...]


def metrics_not_scraped(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which workloads have a port for metrics that neither an annotation nor a monitor has scraped.

    A port for metrics is one whose name says so. Nothing is said of workloads that name none: what a program serves on
    its other ports is not in its template. Files do not tell which monitors the cluster has besides.
    """
    del now  # nothing here depends on the time
    monitored = snapshot.derive(monitored_workloads)
    for workload in snapshot.workloads:
        offered = _metrics_ports(workload)
        if not offered or _is_annotated(snapshot, workload) or workload.ref in monitored:
            message = "Its metrics are scraped" if offered else "Names no port for metrics"
            yield Answer(resource=workload.ref, outcome=Outcome.PASS, message=message)
            continue
        missing = tuple(r.missing for r in snapshot.inconclusive((SERVICE, SERVICE_MONITOR, POD_MONITOR)))
        is_known = snapshot.source is SourceKind.LIVE and not missing
        yield Answer(
            resource=workload.ref,
            outcome=Outcome.FAIL if is_known else Outcome.UNKNOWN,
            message="Offers metrics that no monitor and no annotation has scraped"
            + ("" if is_known else ", as far as could be read"),
            evidence=tuple(
                Fact(path=f"{container.path}.ports", value=name, container=container.name)
                for container, name in offered
            ),
            missing=() if is_known else missing or ("list servicemonitors.monitoring.coreos.com",),
        )


def monitors_without_target(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which ServiceMonitors and PodMonitors select nothing, or ask for a port that nothing selected has.

    In files what is selected may be elsewhere: unknown. A port is looked for wherever something was selected.
    """
    del now  # nothing here depends on the time
    targets = snapshot.derive(_targets)
    for monitor in snapshot.derive(_monitors):
        thing = monitor.object
        kinds = (SERVICE,) if thing.group_kind == SERVICE_MONITOR else tuple(TEMPLATE_PATHS)
        found = targets.get(thing.ref)
        missing = tuple(read.missing for read in snapshot.inconclusive(kinds))
        if found is None:
            is_known = snapshot.source is SourceKind.LIVE and not missing
            yield Answer(
                resource=thing.ref,
                outcome=Outcome.FAIL if is_known else Outcome.UNKNOWN,
                message="Selects nothing" if is_known else "Selects nothing that was seen",
                evidence=(Fact(path="spec.selector"),),
                missing=() if is_known else missing or (f"list {'services' if kinds == (SERVICE,) else 'pods'}",),
            )
        elif found.lacking:
            yield Answer(
                resource=thing.ref,
                outcome=Outcome.FAIL,
                message=f"Nothing that it selects has the port {', '.join(sorted(found.lacking))}",
                evidence=(Fact(path="spec", value=sorted(found.lacking)),),
            )
        else:
            yield Answer(resource=thing.ref, outcome=Outcome.PASS, message="Scrapes what it selects")


def monitored_workloads(snapshot: Snapshot) -> frozenset[ObjectRef]:
    """Return the workloads of which a monitor scrapes a port that is there."""
    return frozenset(ref for found in snapshot.derive(_targets).values() for ref in found.scraped)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a monitor comes to: the workloads that it scrapes, and ports that nothing selected has."""

    scraped: frozenset[ObjectRef]
    lacking: frozenset[str]


def _monitors(snapshot: Snapshot) -> tuple[_Monitor, ...]:
    return tuple(
        _Monitor(thing, selector_of(thing) or _NOTHING, endpoints_of(thing))
        for kind in (SERVICE_MONITOR, POD_MONITOR)
        for thing in snapshot.of(*kind)
    )


#: What a selector that can't be read selects; its operator is none, which nothing satisfies.
_NOTHING = LabelSelector(match_labels={"": "nothing"})


def _targets(snapshot: Snapshot) -> Mapping[ObjectRef, _Found]:
    """Return for each monitor that selects something what it comes to."""
    behind = snapshot.derive(_workloads_by_label)
    found: dict[ObjectRef, _Found] = {}
    for monitor in snapshot.derive(_monitors):
        if monitor.object.group_kind == SERVICE_MONITOR:
            chosen = _chosen_services(snapshot, monitor)
            pairs = [(tuple(s.spec.ports or ()), w) for s in chosen for w in _behind(s, behind)]
            offered = bool(chosen)
        else:
            pairs = [((), w) for w in _chosen_workloads(snapshot, monitor)]
            offered = bool(pairs)
        if offered:
            found[monitor.object.ref] = _come_to(monitor, pairs)
    return found


def _come_to(monitor: _Monitor, pairs: Sequence[tuple[tuple[ServicePort, ...], Workload]]) -> _Found:
    """Look each endpoint up among what was selected; a Service that leads to no pod leaves nothing to look up."""
    scraped: set[ObjectRef] = set()
    lacking: set[str] = set()
    for endpoint in monitor.endpoints:
        has_it = {w.ref for ports, w in pairs if _offers(monitor, endpoint, ports, w)}
        scraped |= has_it
        if pairs and not has_it:
            lacking.add(
                str(endpoint.get("port") or endpoint.get("targetPort") or endpoint.get("portNumber") or "")[:63]
            )
    return _Found(frozenset(scraped), frozenset(lacking))


def _offers(monitor: _Monitor, endpoint: Mapping[str, Any], ports: tuple[ServicePort, ...], workload: Workload) -> bool:
    """Tell whether an endpoint's port is there: of the Service by name, of the pod by name or number."""
    name = endpoint.get("port")
    if monitor.object.group_kind == SERVICE_MONITOR and name:
        return any(port.name == name for port in ports)
    wanted = name or endpoint.get("targetPort") or endpoint.get("portNumber")
    if isinstance(wanted, int) or (isinstance(wanted, str) and wanted.isdecimal()):
        return True  # a container need not list its ports
    return any(port.get("name") == wanted for c in workload.containers for port in c.spec.get("ports") or ())


def _chosen_services(snapshot: Snapshot, monitor: _Monitor) -> list[Service]:
    by_name = snapshot.derive(_services_by_name)
    return [
        by_name[thing.meta.namespace, thing.meta.name]
        for thing in snapshot.of(*SERVICE)
        if (thing.meta.namespace, thing.meta.name) in by_name
        and looks_into(monitor.object, thing.meta.namespace)
        and monitor.selector.matches(labels_of(thing))
    ]


def _services_by_name(snapshot: Snapshot) -> Mapping[tuple[str, str], Service]:
    return {
        (service.ref.namespace, service.ref.name): service
        for services in snapshot.derive(services_by_namespace).values()
        for service in services
    }


def _chosen_workloads(snapshot: Snapshot, monitor: _Monitor) -> list[Workload]:
    return [
        workload
        for workload in snapshot.workloads
        if looks_into(monitor.object, workload.ref.namespace) and monitor.selector.matches(workload.template.labels)
    ]


def _workloads_by_label(snapshot: Snapshot) -> Mapping[tuple[str, str, str], Sequence[Workload]]:
    """Return workloads by namespace and each label of their pods, so that a Service finds its own without a search."""
    found: dict[tuple[str, str, str], list[Workload]] = defaultdict(list)
    for workload in snapshot.workloads:
        for key, value in workload.template.labels.items():
            found[workload.ref.namespace, key, value].append(workload)
    return found


def _behind(service: Service, by_label: Mapping[tuple[str, str, str], Sequence[Workload]]) -> Iterator[Workload]:
    selector = service.spec.selector or {}
    shelves = [by_label.get((service.ref.namespace, key, value), ()) for key, value in selector.items()]
    for workload in min(shelves, key=len, default=()):
        labels = workload.template.labels
        if all(labels.get(key) == value for key, value in selector.items()):
            yield workload


def _metrics_ports(workload: Workload) -> list[tuple[Container, str]]:
    return [
        (container, str(port["name"]))
        for container in workload.template.containers
        for port in container.spec.get("ports") or ()
        if "metrics" in str(port.get("name") or "") or "prometheus" in str(port.get("name") or "")
    ]


def _is_annotated(snapshot: Snapshot, workload: Workload) -> bool:
    """Tell whether the pods, or a Service before them, ask to be scraped."""
    if workload.template.annotations.get(_SCRAPE) == "true":
        return True
    labels = workload.template.labels
    return any(
        all(labels.get(key) == value for key, value in (service.spec.selector or {}).items())
        for service in snapshot.derive(_annotated_services).get(workload.ref.namespace, ())
    )


def _annotated_services(snapshot: Snapshot) -> Mapping[str, Sequence[Service]]:
    by_name = snapshot.derive(_services_by_name)
    found: dict[str, list[Service]] = defaultdict(list)
    for thing in snapshot.of(*SERVICE):
        service = by_name.get((thing.meta.namespace, thing.meta.name))
        if service and (thing.meta.annotations or {}).get(_SCRAPE) == "true":
            found[thing.meta.namespace].append(service)
    return found
