"""Which connections a cluster declares that it needs, each with the reason, and what had to be assumed for it.

Kubernetes has no word for "A calls B". What comes closest: Services say where pods listen, variables and arguments name
Services, Ingresses and routes name backends, annotations and monitors name what is scraped, bindings give rights at the
API server, webhook configurations name who is called by it. The rest is assumed, and every assumption is said.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import msgspec

from scanner.analysis.network.gateways import GRPC_ROUTE, HTTP_ROUTE
from scanner.analysis.network.references import ServiceName, callers
from scanner.analysis.network.selection import GENERATED_LABELS
from scanner.analysis.network.services import INGRESS, SERVICE
from scanner.model.network import IngressBody, ServiceBody, ServicePort, ServiceSpec
from scanner.model.objects import KubeObject, labels_of
from scanner.model.refs import GroupKind
from scanner.model.selectors import LabelSelector
from scanner.model.service_account import automount_by_account, token_is_mounted
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Workload

#: Protocol, and number or name of a port.
Port: TypeAlias = tuple[str, int | str]

_MONITORING = "monitoring.coreos.com"
_ADMISSION = "admissionregistration.k8s.io"
#: What the needs rest on, besides workloads and policies.
NEED_KINDS: tuple[GroupKind, ...] = (
    SERVICE,
    INGRESS,
    HTTP_ROUTE,
    GRPC_ROUTE,
    GroupKind("", "Namespace"),
    GroupKind("", "ServiceAccount"),
    GroupKind("rbac.authorization.k8s.io", "RoleBinding"),
    GroupKind("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    GroupKind(_ADMISSION, "ValidatingWebhookConfiguration"),
    GroupKind(_ADMISSION, "MutatingWebhookConfiguration"),
)

#: Parts of image names of common ingress controllers and gateways.
_CONTROLLERS = (
    "ingress-nginx/controller",
    "nginx-ingress",
    "traefik",
    "haproxy-ingress",
    "kong",
    "envoy",
    "istio/proxy",
)
_PROMETHEUS = ("prometheus/prometheus", "prom/prometheus")
#: Ports at which API servers listen: behind the Service `kubernetes`, and where kubeadm puts them.
_API_PORTS: tuple[Port, ...] = (("TCP", 443), ("TCP", 6443))
_DNS_PORTS: tuple[Port, ...] = (("TCP", 53), ("UDP", 53))
_HTTPS = 443


@dataclass(frozen=True, slots=True)
class PodSet:
    """Pods of a namespace by their labels, all of which they have; none means every pod of it."""

    namespace: str
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class EveryNamespace:
    """Every pod of the cluster."""

    #: Whether each of them is meant; else one that was not found, which may be anywhere.
    is_each: bool = True


@dataclass(frozen=True, slots=True)
class EveryAddress:
    """Every address, whether of the cluster or not."""


End: TypeAlias = PodSet | EveryNamespace | EveryAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One set of pods or addresses has to reach another on some ports."""

    source: End
    destination: End
    ports: tuple[Port, ...]
    #: Why, in one line.
    why: str
    #: What was assumed for want of a declaration; empty if it is declared.
    assumed: str = ""


def needs(snapshot: Snapshot) -> tuple[Need, ...]:
    """Return what a cluster declares that it needs, without repetition."""
    return tuple(
        dict.fromkeys(
            chain(
                _of_services(snapshot),
                _of_dns(snapshot),
                _of_ingresses(snapshot),
                _of_scrapes(snapshot),
                _of_monitors(snapshot),
                _of_tokens(snapshot),
                _of_webhooks(snapshot),
            )
        )
    )


def pod_sets(workload: Workload) -> tuple[PodSet, ...]:
    """Return the pods of a workload by the labels that somebody wrote for them."""
    written = [sorted((k, v) for k, v in t.labels.items() if k not in GENERATED_LABELS) for t in workload.templates]
    return tuple(dict.fromkeys(PodSet(workload.ref.namespace, tuple(labels)) for labels in written))


def selected(snapshot: Snapshot, pods: PodSet) -> list[Workload]:
    """Return the workloads of which some pods are in a set."""
    wanted = set(pods.labels)
    here = snapshot.derive(_by_namespace).get(pods.namespace, ())
    return [w for w in here if any(wanted <= set(t.labels.items()) for t in w.templates)]


def _by_namespace(snapshot: Snapshot) -> Mapping[str, list[Workload]]:
    found: dict[str, list[Workload]] = {}
    for workload in snapshot.workloads:
        found.setdefault(workload.ref.namespace, []).append(workload)
    return found


def _behind(service: KubeObject, spec: ServiceSpec) -> PodSet | None:
    if not spec.selector or spec.type == "ExternalName":
        return None
    return PodSet(service.meta.namespace, tuple(sorted(spec.selector.items())))


def _target_ports(snapshot: Snapshot, pods: PodSet, ports: Iterable[ServicePort]) -> tuple[Port, ...]:
    """Return the pods' ports behind a Service's, by number where the containers tell it."""
    found = (
        resolved
        for port in ports
        for resolved in _resolved(snapshot, pods, port.protocol, port.target_port or port.port)
    )
    return tuple(sorted(set(found), key=str))


def _resolved(snapshot: Snapshot, pods: PodSet, protocol: str, port: int | str) -> tuple[Port, ...]:
    if isinstance(port, int):
        return ((protocol, port),)
    numbers = {
        p["containerPort"]
        for workload in selected(snapshot, pods)
        for container in workload.containers
        for p in container.spec.get("ports") or ()
        if p.get("name") == port and (p.get("protocol") or "TCP") == protocol
    }
    return tuple((protocol, number) for number in sorted(numbers)) or ((protocol, port),)


def _of_services(snapshot: Snapshot) -> Iterator[Need]:
    """Yield who calls a Service: those that name it, those that it is published to, else its own namespace."""
    named = callers(snapshot)
    for service in snapshot.of(*SERVICE):
        spec = service.decode(ServiceBody).spec
        behind = _behind(service, spec)
        ports = _target_ports(snapshot, behind, spec.ports or ()) if behind else ()
        if behind is None or not ports or _is_dns(service):
            continue
        name = f"{service.meta.namespace}/{service.meta.name}"
        workloads = named.get(ServiceName(service.meta.namespace, service.meta.name), ())
        for caller in workloads:
            for pods in pod_sets(caller):
                yield Need(source=pods, destination=behind, ports=ports, why=f"{caller.ref} names Service {name}")
        if spec.cluster_ip == "None":
            yield Need(source=behind, destination=behind, ports=ports, why=f"peers behind headless Service {name}")
        if spec.type in {"LoadBalancer", "NodePort"}:
            yield Need(
                source=EveryAddress(),
                destination=behind,
                ports=ports,
                why=f"Service {name} is of type {spec.type}",
                assumed="clients of LoadBalancer and NodePort Services have any address: nodes may hide the real one",
            )
        elif not workloads:
            yield Need(
                source=PodSet(service.meta.namespace),
                destination=behind,
                ports=ports,
                why=f"Service {name}",
                assumed="a Service that no workload names in variables, commands or arguments is called from its own "
                "namespace",
            )


def _is_dns(service: KubeObject) -> bool:
    return labels_of(service).get("k8s-app") == "kube-dns" or (
        service.meta.namespace == "kube-system" and service.meta.name in {"kube-dns", "coredns"}
    )


def _of_dns(snapshot: Snapshot) -> Iterator[Need]:
    """Yield that every pod asks the cluster's DNS."""
    why = "names are looked up"
    found = False
    for service in filter(_is_dns, snapshot.of(*SERVICE)):
        spec = service.decode(ServiceBody).spec
        behind = _behind(service, spec)
        if behind:
            found = True
            ports = _target_ports(snapshot, behind, spec.ports or ())
            yield Need(source=EveryNamespace(), destination=behind, ports=ports, why=why)
    if not found:
        pods = PodSet("kube-system", (("k8s-app", "kube-dns"),))
        assumed = "DNS is answered by pods labelled k8s-app=kube-dns in kube-system, on port 53"
        yield Need(source=EveryNamespace(), destination=pods, ports=_DNS_PORTS, why=why, assumed=assumed)


def _namespaces_running(snapshot: Snapshot, images: tuple[str, ...]) -> list[str]:
    return sorted(
        {
            workload.ref.namespace
            for workload in snapshot.workloads
            for container in workload.containers
            if any(part in str(container.spec.get("image")) for part in images)
        }
    )


def _of_ingresses(snapshot: Snapshot) -> Iterator[Need]:
    """Yield that ingress controllers and gateways reach the Services that Ingresses and routes name."""
    namespaces = _namespaces_running(snapshot, _CONTROLLERS)
    sources: list[End] = [PodSet(n) for n in namespaces] or [EveryNamespace(is_each=False), EveryAddress()]
    assumed = (
        f"ingress controllers and gateways run in {', '.join(namespaces)}"
        if namespaces
        else "where ingress controllers and gateways run is not known: backends are open to every pod and address"
    )
    for thing, namespace, name, number in chain(_ingress_backends(snapshot), _route_backends(snapshot)):
        service = snapshot.find(*SERVICE, namespace, name)
        spec = service.decode(ServiceBody).spec if service else ServiceSpec()
        behind = _behind(service, spec) if service else None
        if behind:
            wanted = [p for p in spec.ports or () if number in {p.port, p.name, 0}]
            ports = _target_ports(snapshot, behind, wanted)
            for source in sources if ports else ():
                yield Need(
                    source=source, destination=behind, ports=ports, why=f"backend of {thing.ref}", assumed=assumed
                )


def _ingress_backends(snapshot: Snapshot) -> Iterator[tuple[KubeObject, str, str, int | str]]:
    for ingress in snapshot.of(*INGRESS):
        spec = ingress.decode(IngressBody).spec
        paths = (path.backend for rule in spec.rules or () if rule.http for path in rule.http.paths or ())
        for backend in (spec.default_backend, *paths):
            if backend and backend.service:
                port = backend.service.port
                yield ingress, ingress.meta.namespace, backend.service.name, port.name or port.number


def _route_backends(snapshot: Snapshot) -> Iterator[tuple[KubeObject, str, str, int | str]]:
    for route in chain(snapshot.of(*HTTP_ROUTE), snapshot.of(*GRPC_ROUTE)):
        for rule in _dicts(_spec(route).get("rules")):
            for ref in _dicts(rule.get("backendRefs")):
                if ref.get("kind", "Service") == "Service":
                    namespace = str(ref.get("namespace") or route.meta.namespace)
                    yield route, namespace, str(ref.get("name")), _port(ref.get("port"))


def _spec(thing: KubeObject) -> Mapping[str, Any]:
    """Return the spec of a custom resource, whose shape nobody checked when it was read."""
    spec = msgspec.json.decode(thing.body).get("spec")
    return spec if isinstance(spec, dict) else {}


def _dicts(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _port(value: object) -> int | str:
    return value if isinstance(value, int | str) else 0


def _scrapers(snapshot: Snapshot) -> tuple[list[End], str]:
    made = {o.meta.namespace for o in snapshot.of(_MONITORING, "Prometheus")}
    namespaces = sorted(made | set(_namespaces_running(snapshot, _PROMETHEUS)))
    if namespaces:
        return [PodSet(n) for n in namespaces], f"metrics are scraped from {', '.join(namespaces)}"
    return [EveryNamespace(is_each=False)], "where metrics are scraped from is not known: targets are open to every pod"


def _of_scrapes(snapshot: Snapshot) -> Iterator[Need]:
    """Yield that what is annotated with `prometheus.io/scrape` is scraped."""
    sources, assumed = _scrapers(snapshot)
    for workload in snapshot.workloads:
        template = workload.template
        if template.annotations.get("prometheus.io/scrape") != "true":
            continue
        port = template.annotations.get("prometheus.io/port", "")
        declared = (p.get("containerPort") for c in workload.containers for p in c.spec.get("ports") or ())
        numbers = {int(port)} if port.isdecimal() else {p for p in declared if isinstance(p, int)}
        ports: tuple[Port, ...] = tuple(("TCP", number) for number in sorted(numbers))
        for source in sources if ports else ():
            for pods in pod_sets(workload):
                why = f"{workload.ref} is annotated to be scraped"
                yield Need(source=source, destination=pods, ports=ports, why=why, assumed=assumed)


def _of_monitors(snapshot: Snapshot) -> Iterator[Need]:
    """Yield what ServiceMonitors and PodMonitors have scraped."""
    sources, assumed = _scrapers(snapshot)
    targets = chain(_monitored_services(snapshot), _monitored_pods(snapshot))
    for monitor, pods, ports in targets:
        for source in sources if ports else ():
            why = f"scraped for {monitor.ref}"
            yield Need(source=source, destination=pods, ports=ports, why=why, assumed=assumed)


def _monitored_services(snapshot: Snapshot) -> Iterator[tuple[KubeObject, PodSet, tuple[Port, ...]]]:
    for monitor in snapshot.of(_MONITORING, "ServiceMonitor"):
        selector, names = _selector(monitor), {e.get("port") for e in _dicts(_spec(monitor).get("endpoints"))}
        if selector is None:
            continue
        for service in snapshot.of(*SERVICE):
            spec = service.decode(ServiceBody).spec
            behind = _behind(service, spec)
            is_meant = _looks_into(monitor, service.meta.namespace) and selector.matches(labels_of(service))
            if behind and is_meant:
                wanted = [p for p in spec.ports or () if p.name in names]
                yield monitor, behind, _target_ports(snapshot, behind, wanted)


def _monitored_pods(snapshot: Snapshot) -> Iterator[tuple[KubeObject, PodSet, tuple[Port, ...]]]:
    for monitor in snapshot.of(_MONITORING, "PodMonitor"):
        selector = _selector(monitor)
        names = [str(e["port"]) for e in _dicts(_spec(monitor).get("podMetricsEndpoints")) if e.get("port")]
        if selector is None:
            continue
        for workload in snapshot.workloads:
            if _looks_into(monitor, workload.ref.namespace) and selector.matches(workload.template.labels):
                for pods in pod_sets(workload):
                    yield monitor, pods, tuple(p for n in names for p in _resolved(snapshot, pods, "TCP", n))


def _selector(monitor: KubeObject) -> LabelSelector | None:
    try:
        return msgspec.convert(_spec(monitor).get("selector"), LabelSelector)
    except msgspec.ValidationError:  # only a file can hold what the schema of the kind refuses
        return None


def _looks_into(monitor: KubeObject, namespace: str) -> bool:
    chosen = _spec(monitor).get("namespaceSelector")
    if not isinstance(chosen, dict) or not chosen:
        return namespace == monitor.meta.namespace
    return chosen.get("any") is True or namespace in (chosen.get("matchNames") or ())


def _of_tokens(snapshot: Snapshot) -> Iterator[Need]:
    """Yield that pods with a token of a service account with rights ask the API server."""
    automount = automount_by_account(snapshot)
    bound = {
        (s.namespace or binding.meta.namespace, s.name)
        for binding in snapshot.bindings
        for s in binding.subjects
        if s.kind == "ServiceAccount"
    }
    for workload in snapshot.workloads:
        account = (workload.ref.namespace, workload.template.service_account)
        if account in bound and token_is_mounted(workload.template, automount.get(account)):
            for pods in pod_sets(workload):
                yield Need(
                    source=pods,
                    destination=EveryAddress(),
                    ports=_API_PORTS,
                    why=f"{workload.ref} has a token with rights at the API server",
                    assumed="the API server's address is not known: pods that need it may reach every address on TCP "
                    "443 and 6443",
                )


def _of_webhooks(snapshot: Snapshot) -> Iterator[Need]:
    """Yield that the API server calls the backends of admission webhooks."""
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        for thing in snapshot.of(_ADMISSION, kind):
            for hook in _dicts(msgspec.json.decode(thing.body).get("webhooks")):
                named = (hook.get("clientConfig") or {}).get("service") or {}
                place = (str(named.get("namespace") or ""), str(named.get("name") or ""))
                service = snapshot.find(*SERVICE, *place)
                spec = service.decode(ServiceBody).spec if service else ServiceSpec()
                behind = _behind(service, spec) if service else None
                if behind:
                    wanted = [p for p in spec.ports or () if p.port == (named.get("port") or _HTTPS)]
                    ports = _target_ports(snapshot, behind, wanted)
                    why = f"called by the API server for {thing.ref}"
                    assumed = "the API server calls webhooks from an address that is not known"
                    if ports:
                        yield Need(source=EveryAddress(), destination=behind, ports=ports, why=why, assumed=assumed)
