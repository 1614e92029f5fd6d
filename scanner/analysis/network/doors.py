"""Doors: every way by which the cluster offers a workload to whoever is outside it, before any policy has its say.

Source: https://kubernetes.io/docs/concepts/services-networking/service/, and for whose address the pod then sees
https://kubernetes.io/docs/tutorials/services/source-ip/.
"""

import datetime as dt
import enum
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from scanner.analysis.network.addresses import network_span
from scanner.analysis.network.classes import gateway_doubts, ingress_doubt
from scanner.analysis.network.endpoints import ENDPOINT_SLICE, Endpoints
from scanner.analysis.network.gateways import GATEWAY, ROUTE_KINDS, attached_routes
from scanner.analysis.network.ports import PROTOCOLS, Span, merged, port_span
from scanner.analysis.network.references import ServiceName
from scanner.analysis.network.selection import WORKLOAD_KINDS, pods_of, selects
from scanner.analysis.network.services import INGRESS, SERVICE
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.network import IngressBody, IngressServiceBackend, ServiceBody, ServicePort, ServiceSpec
from scanner.model.objects import KubeObject
from scanner.model.reference_grants import is_granted, missing_grants
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Workload

#: What the doors rest on.
DOOR_KINDS: tuple[GroupKind, ...] = (
    SERVICE,
    ENDPOINT_SLICE,
    INGRESS,
    GATEWAY,
    *ROUTE_KINDS,
    *WORKLOAD_KINDS,
)

_UNGRANTED = "no ReferenceGrant that was read lets the route use a Service of another namespace"
_EXTERNAL_NAME = "its Service is another name for this one, which controllers may refuse to follow"
#: The first label of a Service's name in the cluster, and its namespace, whatever the domain of the cluster.
_NAME_IN_CLUSTER = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(\.[a-z0-9.-]*)?")


class DoorKind(enum.StrEnum):
    """What a door is made of."""

    LOAD_BALANCER = "LoadBalancer"
    NODE_PORT = "NodePort"
    EXTERNAL_IP = "externalIP"
    INGRESS = "Ingress"
    GATEWAY = "Gateway"
    HOST_PORT = "hostPort"
    HOST_NETWORK = "hostNetwork"


#: Doors that the world comes to only if it comes to the nodes.
ON_NODES = frozenset({DoorKind.NODE_PORT, DoorKind.HOST_PORT, DoorKind.HOST_NETWORK})


class Seen(enum.StrEnum):
    """Whose address the policies on the pod see."""

    CLIENT = "client"
    #: Maybe that of a node, which the network plugin decides.
    NODE = "node"
    #: That of an ingress controller or gateway.
    PROXY = "proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One way to one port of a workload."""

    kind: DoorKind
    workload: ObjectRef
    #: The Service, Ingress or route; the workload itself for ports of its nodes.
    through: ObjectRef
    #: Where it stands in that object.
    path: str
    protocol: str
    #: The port outside; 0 where only the controller or the program knows.
    port: int
    #: The ports of the pods.
    target: Span
    seen: Seen
    #: Addresses that the load balancer lets in; None is all.
    sources: tuple[Span, ...] | None = None
    #: Whether the load balancer is on a private network of the provider.
    is_internal: bool = False
    #: Why the door may not be there; empty if it is.
    doubt: str = ""


def doors(snapshot: Snapshot) -> Mapping[ObjectRef, tuple[Door, ...]]:
    """Return the doors of each workload that has some."""
    backends = snapshot.derive(Backends)
    found: dict[ObjectRef, list[Door]] = defaultdict(list)
    for door in (
        *_of_services(snapshot, backends),
        *_of_ingresses(snapshot, backends),
        *_of_gateways(snapshot, backends),
        *_of_nodes(snapshot),
    ):
        found[door.workload].append(door)
    return {ref: tuple(dict.fromkeys(several)) for ref, several in found.items()}


class Backend(NamedTuple):
    """Ports of a workload that a port of a Service leads to."""

    workload: Workload
    protocol: str
    ports: Span
    #: Why it may not lead there; empty if it does.
    doubt: str = ""


class Backends:
    """Finds the workloads behind a Service by one of its labels, not by trying them all."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._having: dict[tuple[str, str, str], dict[ObjectRef, Workload]] = defaultdict(dict)
        for workload in snapshot.workloads:
            for pod in pods_of(workload, snapshot.source):
                for key, value in pod.labels.items():
                    self._having[workload.ref.namespace, key, value][workload.ref] = workload
        self._specs: dict[tuple[str, str], ServiceSpec] = {}

    def spec(self, service: KubeObject) -> ServiceSpec:
        """Return the spec of a Service, read once."""
        key = (service.meta.namespace, service.meta.name)
        if key not in self._specs:
            self._specs[key] = service.decode(ServiceBody).spec
        return self._specs[key]

    def followed(self, name: ServiceName) -> tuple[ServiceName, str]:
        """Return the Service that one of type ExternalName is another name for, with the doubt; else itself.

        One step alone: a name of a name, in a circle or not, has no pods.
        """
        service = self._snapshot.find(*SERVICE, *name)
        if service is None or self.spec(service).type != "ExternalName":
            return name, ""
        found = _NAME_IN_CLUSTER.fullmatch(self.spec(service).external_name.rstrip("."))
        return (ServiceName(found[2], found[1]), _EXTERNAL_NAME) if found else (name, "")

    def behind(self, service: KubeObject) -> tuple[Workload, ...]:
        """Return the workloads of which a Service certainly selects pods."""
        spec, namespace = self.spec(service), service.meta.namespace
        if not spec.selector or spec.type == "ExternalName":
            return ()
        candidates = min((self._having.get((namespace, k, v), {}) for k, v in spec.selector.items()), key=len)
        selector = LabelSelector(match_labels=spec.selector)
        return tuple(
            w for w in candidates.values() if any(selects(selector, pod) for pod in pods_of(w, self._snapshot.source))
        )

    def targets(self, namespace: str, name: str, port: int | str) -> Iterator[Backend]:
        """Yield what is behind a port of a Service, by its number or name."""
        service = self._snapshot.find(*SERVICE, namespace, name)
        if service is None:
            return
        chosen = [p for p in self.spec(service).ports or () if port in {p.port, p.name}]
        for service_port in chosen:
            yield from self.of_port(service, service_port)

    def of_port(self, service: KubeObject, port: ServicePort) -> Iterator[Backend]:
        """Yield what is behind one port of a Service."""
        spec = self.spec(service)
        if not spec.selector and spec.type != "ExternalName":
            yield from self._by_endpoints(service, port)
        for workload in self.behind(service):
            for target in _targets(workload, port):
                yield Backend(workload, port.protocol, target)

    def _by_endpoints(self, service: KubeObject, port: ServicePort) -> Iterator[Backend]:
        """Yield what the endpoints name; where some may exist unseen, all of the namespace may be."""
        endpoints = self._snapshot.derive(Endpoints)
        name = ServiceName(service.meta.namespace, service.meta.name)
        for workload, protocol, target in endpoints.behind(name, port.name):
            yield Backend(workload, protocol, target)
        doubt = endpoints.doubt(name)
        for workload in self._of_namespace.get(name.namespace, ()) if doubt else ():
            for target in _every_port(port.protocol):
                yield Backend(workload, port.protocol, target, doubt)

    @cached_property
    def _of_namespace(self) -> Mapping[str, list[Workload]]:
        found: dict[str, list[Workload]] = defaultdict(list)
        for workload in self._snapshot.workloads:
            found[workload.ref.namespace].append(workload)
        return found


def services_with_unknown_ports(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Service with named target ports whether some pods behind it have a port of each name.

    A port whose name no pod knows has no endpoints. Services without pods are told of by another question.
    """
    del now  # nothing here depends on the time
    backends = snapshot.derive(Backends)
    for service in snapshot.of(*SERVICE):
        ports = [(i, p) for i, p in enumerate(backends.spec(service).ports or ()) if isinstance(p.target_port, str)]
        workloads = backends.behind(service) if ports else ()
        if workloads:
            yield _judge_ports(service, ports, workloads)


def _judge_ports(service: KubeObject, ports: list[tuple[int, ServicePort]], workloads: tuple[Workload, ...]) -> Answer:
    unknown = [(i, p) for i, p in ports if not any(any(True for _ in _targets(w, p)) for w in workloads)]
    if not unknown:
        return Answer(resource=service.ref, outcome=Outcome.PASS, message="Its pods have ports of these names")
    names = ", ".join(f"{port.target_port} ({port.protocol})" for _, port in unknown)
    return Answer(
        resource=service.ref,
        outcome=Outcome.FAIL,
        message=f"No pod that it selects has a port named {names}: nothing answers there",
        evidence=tuple(Fact(path=f"spec.ports[{i}].targetPort", value=p.target_port) for i, p in unknown),
    )


def _targets(workload: Workload, port: ServicePort) -> Iterator[Span]:
    """Yield the ports of the pods that a port of a Service leads to."""
    wanted = port.target_port or port.port
    numbers = {wanted} if isinstance(wanted, int) else _named(workload, wanted, port.protocol)
    for number in sorted(numbers):
        yield from _span(port.protocol, number)


def _span(protocol: str, number: int) -> Iterator[Span]:
    try:
        yield port_span(protocol, number, number)
    except ValueError:  # only a file can hold what is no port
        return


def _every_port(protocol: str) -> Iterator[Span]:
    if protocol in PROTOCOLS:  # only a file can hold another
        yield port_span(protocol)


def _named(workload: Workload, name: str, protocol: str) -> set[int]:
    return {
        port["containerPort"]
        for _, port in _container_ports(workload)
        if port.get("name") == name and (port.get("protocol") or "TCP") == protocol
    }


def _container_ports(workload: Workload) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the ports that containers declare, with the path of each."""
    for container in workload.containers:
        for index, port in enumerate(container.spec.get("ports") or ()):
            if isinstance(port.get("containerPort"), int):
                yield f"{container.path}.ports[{index}]", port


def _of_services(snapshot: Snapshot, backends: Backends) -> Iterator[Door]:
    for service in snapshot.of(*SERVICE):
        spec = backends.spec(service)
        ways = tuple(_ways(spec))
        for index, port in enumerate(spec.ports or ()) if ways else ():
            for workload, protocol, target, doubt in backends.of_port(service, port):
                for kind, sources in ways:
                    yield Door(
                        kind=kind,
                        workload=workload.ref,
                        through=service.ref,
                        path=f"spec.ports[{index}]",
                        protocol=protocol,
                        port=(port.node_port or 0) if kind is DoorKind.NODE_PORT else port.port,
                        target=target,
                        seen=Seen.CLIENT if spec.external_traffic_policy == "Local" else Seen.NODE,
                        sources=sources,
                        is_internal=kind is DoorKind.LOAD_BALANCER and _is_internal(service),
                        doubt=doubt,
                    )


def _ways(spec: ServiceSpec) -> Iterator[tuple[DoorKind, tuple[Span, ...] | None]]:
    """Yield how a Service is open to the outside, and to which addresses."""
    if spec.type == "LoadBalancer":
        yield DoorKind.LOAD_BALANCER, _ranges(spec.load_balancer_source_ranges or ())
    has_node_ports = spec.allocate_load_balancer_node_ports or any(p.node_port for p in spec.ports or ())
    if spec.type == "NodePort" or (spec.type == "LoadBalancer" and has_node_ports):
        yield DoorKind.NODE_PORT, None
    if spec.external_ips:
        yield DoorKind.EXTERNAL_IP, None


def _ranges(networks: Iterable[str]) -> tuple[Span, ...] | None:
    spans: list[Span] = []
    for network in networks:
        try:
            spans.append(network_span(network.strip()))
        except ValueError:  # only a file can hold what is no network
            continue
    return merged(spans) or None


def _is_internal(service: KubeObject) -> bool:
    """Tell whether an annotation of some provider asks for a private address."""
    return any(
        (key.endswith(("-internal", "/disable-public-network")) and value in {"true", "0.0.0.0/0"})
        or ("load-balancer" in key and value.lower() in {"internal", "intranet", "private"})
        for key, value in (service.meta.annotations or {}).items()
    )


def _of_ingresses(snapshot: Snapshot, backends: Backends) -> Iterator[Door]:
    for ingress in snapshot.of(*INGRESS):
        unserved = ingress_doubt(snapshot, ingress)
        for path, backend in _ingress_backends(ingress):
            port = backend.port.number or backend.port.name
            name, alias = backends.followed(ServiceName(ingress.meta.namespace, backend.name))
            for workload, protocol, target, doubt in backends.targets(*name, port):
                yield Door(
                    kind=DoorKind.INGRESS,
                    workload=workload.ref,
                    through=ingress.ref,
                    path=path,
                    protocol=protocol,
                    port=0,
                    target=target,
                    seen=Seen.PROXY,
                    doubt=unserved or alias or doubt,
                )


def _ingress_backends(ingress: KubeObject) -> Iterator[tuple[str, IngressServiceBackend]]:
    spec = ingress.decode(IngressBody).spec
    if spec.default_backend and spec.default_backend.service:
        yield "spec.defaultBackend", spec.default_backend.service
    for rule, host in enumerate(spec.rules or ()):
        for number, path in enumerate((host.http.paths if host.http else None) or ()):
            if path.backend.service:
                yield f"spec.rules[{rule}].http.paths[{number}].backend", path.backend.service


def _of_gateways(snapshot: Snapshot, backends: Backends) -> Iterator[Door]:
    unserved = snapshot.derive(gateway_doubts)
    for attached in attached_routes(snapshot):
        for ref in attached.backends:
            namespace = ref.namespace or attached.route.namespace
            refused = _doubt_of_reference(snapshot, attached.route, namespace, ref.name)
            if (ref.group, ref.kind) != SERVICE or refused is None:
                continue
            name, alias = backends.followed(ServiceName(namespace, ref.name))
            for workload, protocol, target, doubt in backends.targets(*name, ref.port):
                yield Door(
                    kind=DoorKind.GATEWAY,
                    workload=workload.ref,
                    through=attached.route,
                    path="spec.rules",
                    protocol=protocol,
                    port=attached.port,
                    target=target,
                    seen=Seen.PROXY,
                    doubt=unserved.get(attached.gateway, "") or refused or alias or doubt,
                )


def _doubt_of_reference(snapshot: Snapshot, route: ObjectRef, namespace: str, name: str) -> str | None:
    """Return why a route may not use a Service, empty if it may, and None if it certainly may not."""
    if is_granted(snapshot, route.group_kind, route.namespace, SERVICE, namespace, name):
        return ""
    return _UNGRANTED if missing_grants(snapshot, namespace) else None


def _of_nodes(snapshot: Snapshot) -> Iterator[Door]:
    """Yield what workloads open on the nodes themselves."""
    for workload in snapshot.workloads:
        if workload.template.spec.get("hostNetwork") is True:
            yield from _on_host_network(workload)
            continue
        for path, port in _container_ports(workload):
            if port.get("hostPort") and not str(port.get("hostIP") or "").startswith("127."):
                yield from _on_node(workload, DoorKind.HOST_PORT, path, port, port["hostPort"])


def _on_host_network(workload: Workload) -> Iterator[Door]:
    declared = list(_container_ports(workload))
    for path, port in declared:
        yield from _on_node(workload, DoorKind.HOST_NETWORK, path, port, port["containerPort"])
    if not declared:
        yield Door(
            kind=DoorKind.HOST_NETWORK,
            workload=workload.ref,
            through=workload.ref,
            path=f"{workload.template.path}.hostNetwork",
            protocol=PROTOCOLS[0],
            port=0,
            target=port_span(PROTOCOLS[0]),
            seen=Seen.CLIENT,
            doubt="no container declares a port: which the programs listen on is not known",
        )


def _on_node(workload: Workload, kind: DoorKind, path: str, port: Mapping[str, Any], outside: int) -> Iterator[Door]:
    protocol = str(port.get("protocol") or "TCP")
    for target in _span(protocol, port["containerPort"]):
        yield Door(
            kind=kind,
            workload=workload.ref,
            through=workload.ref,
            path=path,
            protocol=protocol,
            port=outside,
            target=target,
            seen=Seen.CLIENT if kind is DoorKind.HOST_NETWORK else Seen.NODE,
        )
