"""Which connections a cluster declares that it needs, each with the reason, and what had to be assumed for it.

Kubernetes has no word for "A calls B". What comes closest: Services say where pods listen, variables and arguments name
Services, Ingresses and routes name backends, annotations and monitors name what is scraped, probes name ports, bindings
give rights at the API server, webhook configurations and APIServices name who is called by it. The rest is assumed, and
every assumption is said.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, TypeAlias

import msgspec

from scanner.analysis.network.addresses import network_span
from scanner.analysis.network.gateways import GRPC_ROUTE, HTTP_ROUTE
from scanner.analysis.network.references import ServiceName, callers
from scanner.analysis.network.selection import GENERATED_LABELS
from scanner.analysis.network.services import INGRESS, SERVICE
from scanner.model.monitoring import POD_MONITOR, PROMETHEUS, SERVICE_MONITOR, endpoints_of, looks_into, selector_of
from scanner.model.network import IngressBody, ServiceBody, ServicePort, ServiceSpec
from scanner.model.objects import KubeObject, labels_of
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.service_account import automount_by_account, token_is_mounted
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Workload

#: Protocol, and number or name of a port.
Port: TypeAlias = tuple[str, int | str]

_ADMISSION = "admissionregistration.k8s.io"
_API_SERVICE = GroupKind("apiregistration.k8s.io", "APIService")
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
    _API_SERVICE,
    SERVICE_MONITOR,
    POD_MONITOR,
    PROMETHEUS,
)

#: Parts of image names of common ingress controllers and gateways.
_CONTROLLERS = (
    "ingress-nginx/controller",
    "nginx-ingress",
    "traefik",
    "haproxy-ingress",
    "kong",
)
#: Parts of image names that are gateways where they run alone, and sidecars of applications where they do not.
_PROXIES = ("envoy", "istio/proxy")
_SCRAPERS = (
    "prometheus/prometheus",
    "prom/prometheus",
    "victoriametrics/vmagent",
    "grafana/alloy",
    "grafana/agent",
)
_CORE_DNS = ("coredns/coredns", "/coredns:", "k8s-dns-kube-dns")
#: Where the caches of DNS on nodes listen, if their arguments do not tell; of NodeLocal DNSCache's manifest.
_LOCAL_DNS = "169.254.20.10"
#: Ports at which API servers listen: behind the Service `kubernetes`, and where kubeadm puts them.
_API_PORTS: tuple[Port, ...] = (("TCP", 443), ("TCP", 6443))
_DNS_PORTS: tuple[Port, ...] = (("TCP", 53), ("UDP", 53))
_HTTPS = 443
_DNS = 53
_LAST_PORT = 65535
#: What prometheus-operator labels the pods with that it makes for a Prometheus.
_OPERATOR_LABELS = (("app.kubernetes.io/name", "prometheus"),)


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


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses in networks, as CIDRs."""

    cidrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OwnNode:
    """The node that a pod runs on, whose traffic with it the API always allows."""


End: TypeAlias = PodSet | EveryNamespace | EveryAddress | Addresses | OwnNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One set of pods or addresses has to reach another on some ports."""

    source: End
    destination: End
    ports: tuple[Port, ...]
    #: Why, in one line.
    why: str
    #: The object that declares it; None where nothing does, and it is assumed.
    declared_by: ObjectRef | None = None
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
                _of_probes(snapshot),
                _of_tokens(snapshot),
                _of_webhooks(snapshot),
                _of_api_services(snapshot),
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
                why = f"{caller.ref} names Service {name}"
                yield Need(source=pods, destination=behind, ports=ports, why=why, declared_by=caller.ref)
        if spec.cluster_ip == "None":
            why = f"peers behind headless Service {name}"
            yield Need(source=behind, destination=behind, ports=ports, why=why, declared_by=service.ref)
        if spec.type in {"LoadBalancer", "NodePort"}:
            source, assumed = _clients(spec)
            yield Need(
                source=source,
                destination=behind,
                ports=ports,
                why=f"Service {name} is of type {spec.type}",
                declared_by=service.ref,
                assumed=assumed,
            )
        elif not workloads:
            yield Need(
                source=PodSet(service.meta.namespace),
                destination=behind,
                ports=ports,
                why=f"Service {name}",
                declared_by=service.ref,
                assumed="a Service that no workload names in variables, commands or arguments is called from its own "
                "namespace",
            )


def _clients(spec: ServiceSpec) -> tuple[End, str]:
    """Return who comes to a published Service: its source ranges, where nodes do not hide who comes."""
    ranges = tuple(sorted(set(spec.load_balancer_source_ranges or ())))
    if (
        spec.type == "LoadBalancer"
        and ranges
        and spec.external_traffic_policy == "Local"
        and all(map(_is_cidr, ranges))
    ):
        return Addresses(ranges), (
            "clients of LoadBalancer Services with loadBalancerSourceRanges and externalTrafficPolicy Local come with "
            "their own address: the load balancer is no proxy"
        )
    return EveryAddress(), "clients of LoadBalancer and NodePort Services have any address: nodes may hide the real one"


def _is_cidr(text: str) -> bool:
    try:
        network_span(text)
    except ValueError:  # only a file can hold what the API server refuses
        return False
    return True


def _is_dns(service: KubeObject) -> bool:
    """Tell whether a Service is the cluster's DNS by the names that installers give it."""
    if service.meta.namespace == "openshift-dns":
        return service.meta.name == "dns-default"
    return labels_of(service).get("k8s-app") in {"kube-dns", "coredns"} or (
        service.meta.namespace == "kube-system" and service.meta.name in {"kube-dns", "coredns"}
    )


def _of_dns(snapshot: Snapshot) -> Iterator[Need]:
    """Yield that every pod asks the cluster's DNS, and the cache of its node where there is one."""
    why = "names are looked up"
    services = [s for s in snapshot.of(*SERVICE) if _is_dns(s) and _behind(s, s.decode(ServiceBody).spec)]
    assumed = ""
    if not services:
        services = [s for s in snapshot.of(*SERVICE) if _looks_like_dns(snapshot, s)]
        assumed = f"DNS is answered behind {', '.join(str(s.ref) for s in services)}, which run CoreDNS"
    for service in services:
        spec = service.decode(ServiceBody).spec
        behind = _behind(service, spec)
        if behind:
            wanted = [p for p in spec.ports or () if p.port == _DNS]
            ports = _target_ports(snapshot, behind, wanted or spec.ports or ())
            yield Need(
                source=EveryNamespace(),
                destination=behind,
                ports=ports,
                why=why,
                declared_by=service.ref,
                assumed=assumed,
            )
    if not services:
        pods = PodSet("kube-system", (("k8s-app", "kube-dns"),))
        assumed = "DNS is answered by pods labelled k8s-app=kube-dns in kube-system, on port 53"
        yield Need(source=EveryNamespace(), destination=pods, ports=_DNS_PORTS, why=why, assumed=assumed)
    for cache in _running(snapshot, ("k8s-dns-node-cache",)):
        addresses = Addresses(_listening(cache))
        why = f"names are looked up at {cache.ref}"
        yield Need(source=EveryNamespace(), destination=addresses, ports=_DNS_PORTS, why=why, declared_by=cache.ref)


def _looks_like_dns(snapshot: Snapshot, service: KubeObject) -> bool:
    spec = service.decode(ServiceBody).spec
    behind = _behind(service, spec)
    asks = any((p.protocol, p.port) == ("UDP", _DNS) for p in spec.ports or ())
    return behind is not None and asks and any(_runs(w, _CORE_DNS) for w in selected(snapshot, behind))


def _listening(cache: Workload) -> tuple[str, ...]:
    """Return the addresses that a cache of DNS takes on its node, as networks of one address."""
    words = [str(a) for c in cache.containers for a in (*(c.spec.get("command") or ()), *(c.spec.get("args") or ()))]
    joined = [w.partition("=")[2] for w in words if w.lstrip("-").startswith("localip=")]
    apart = [value for word, value in pairwise(words) if word.lstrip("-") == "localip"]
    found = {a for text in (*joined, *apart) for part in text.split(",") for a in [_single(part.strip())] if a}
    return tuple(sorted(found)) or (f"{_LOCAL_DNS}/32",)


def _single(address: str) -> str:
    """Return an address as a network, or nothing if it is none: manifests have placeholders there."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return f"{parsed}/{parsed.max_prefixlen}"


def _running(snapshot: Snapshot, images: tuple[str, ...]) -> list[Workload]:
    return [workload for workload in snapshot.workloads if _runs(workload, images)]


def _runs(workload: Workload, images: tuple[str, ...]) -> bool:
    return any(part in str(c.spec.get("image")) for c in workload.containers for part in images)


def _controllers(snapshot: Snapshot) -> list[Workload]:
    """Return the ingress controllers and gateways; proxies beside another container belong to that."""
    return [
        workload
        for workload in snapshot.workloads
        if _runs(workload, _CONTROLLERS)
        or (workload.containers and all(_is_proxy(c.spec) for c in workload.containers))
    ]


def _is_proxy(container: Mapping[str, Any]) -> bool:
    return any(part in str(container.get("image")) for part in _PROXIES)


def _named(workloads: Iterable[Workload]) -> str:
    """Write workloads in a line."""
    return ", ".join(sorted({str(w.ref) for w in workloads}))


def _sets(workloads: Iterable[Workload]) -> list[End]:
    return list(dict.fromkeys(pods for workload in workloads for pods in pod_sets(workload)))


def _of_ingresses(snapshot: Snapshot) -> Iterator[Need]:
    """Yield that ingress controllers and gateways reach the Services that Ingresses and routes name."""
    found = _controllers(snapshot)
    sources: list[End] = _sets(found) or [EveryNamespace(is_each=False), EveryAddress()]
    assumed = (
        f"ingress controllers and gateways are {_named(found)}"
        if found
        else "where ingress controllers and gateways run is not known: backends are open to every pod and address"
    )
    for thing, namespace, name, number in chain(_ingress_backends(snapshot), _route_backends(snapshot)):
        behind, ports = _called(snapshot, namespace, name, number)
        for source in sources if ports else ():
            yield Need(
                source=source,
                destination=behind,
                ports=ports,
                why=f"backend of {thing.ref}",
                declared_by=thing.ref,
                assumed=assumed,
            )


def _called(snapshot: Snapshot, namespace: str, name: str, number: int | str) -> tuple[PodSet, tuple[Port, ...]]:
    """Return the pods behind a port of a Service, and their ports; no ports if there is no such Service."""
    service = snapshot.find(*SERVICE, namespace, name)
    spec = service.decode(ServiceBody).spec if service else ServiceSpec()
    behind = _behind(service, spec) if service else None
    if behind is None:
        return PodSet(namespace), ()
    wanted = [p for p in spec.ports or () if number in {p.port, p.name, 0}]
    return behind, _target_ports(snapshot, behind, wanted)


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
    """Return who scrapes: pods that run a scraper, and those that the operator makes for a Prometheus."""
    running = _running(snapshot, _SCRAPERS)
    there = {workload.ref.namespace for workload in running}
    made = [o for o in snapshot.of(*PROMETHEUS) if o.meta.namespace not in there]
    ends = [*_sets(running), *(PodSet(o.meta.namespace, _OPERATOR_LABELS) for o in made)]
    if ends:
        named = ", ".join(sorted({*(str(w.ref) for w in running), *(str(o.ref) for o in made)}))
        return list(dict.fromkeys(ends)), f"metrics are scraped by {named}"
    return [EveryNamespace(is_each=False)], "where metrics are scraped from is not known: targets are open to every pod"


def _of_scrapes(snapshot: Snapshot) -> Iterator[Need]:
    """Yield that what is annotated with `prometheus.io/scrape` is scraped, pods and those behind Services."""
    sources, assumed = _scrapers(snapshot)
    for thing, pods, ports in chain(_annotated_pods(snapshot), _annotated_services(snapshot)):
        for source in sources if ports else ():
            why = f"{thing} is annotated to be scraped"
            yield Need(source=source, destination=pods, ports=ports, why=why, declared_by=thing, assumed=assumed)


def _annotated_pods(snapshot: Snapshot) -> Iterator[tuple[ObjectRef, PodSet, tuple[Port, ...]]]:
    for workload in snapshot.workloads:
        template = workload.template
        if template.annotations.get("prometheus.io/scrape") != "true":
            continue
        port = template.annotations.get("prometheus.io/port", "")
        declared = (p.get("containerPort") for c in workload.containers for p in c.spec.get("ports") or ())
        numbers = {int(port)} if _is_port(port) else {p for p in declared if isinstance(p, int)}
        for pods in pod_sets(workload):
            yield workload.ref, pods, tuple(("TCP", number) for number in sorted(numbers))


def _annotated_services(snapshot: Snapshot) -> Iterator[tuple[ObjectRef, PodSet, tuple[Port, ...]]]:
    for service in snapshot.of(*SERVICE):
        annotations = service.meta.annotations or {}
        spec = service.decode(ServiceBody).spec
        behind = _behind(service, spec)
        if behind and annotations.get("prometheus.io/scrape") == "true":
            port = annotations.get("prometheus.io/port", "")
            tcp = [p for p in spec.ports or () if p.protocol == "TCP"]
            ports: tuple[Port, ...] = (("TCP", int(port)),) if _is_port(port) else _target_ports(snapshot, behind, tcp)
            yield service.ref, behind, ports


def _is_port(text: str) -> bool:
    return text.isdecimal() and text.isascii() and 0 < int(text[:6]) <= _LAST_PORT


def _of_monitors(snapshot: Snapshot) -> Iterator[Need]:
    """Yield what ServiceMonitors and PodMonitors have scraped."""
    sources, assumed = _scrapers(snapshot)
    targets = chain(_monitored_services(snapshot), _monitored_pods(snapshot))
    for monitor, pods, ports in targets:
        for source in sources if ports else ():
            why = f"scraped for {monitor.ref}"
            yield Need(source=source, destination=pods, ports=ports, why=why, declared_by=monitor.ref, assumed=assumed)


def _monitored_services(snapshot: Snapshot) -> Iterator[tuple[KubeObject, PodSet, tuple[Port, ...]]]:
    for monitor in snapshot.of(*SERVICE_MONITOR):
        selector, endpoints = selector_of(monitor), endpoints_of(monitor)
        if selector is None:
            continue
        for service in snapshot.of(*SERVICE):
            spec = service.decode(ServiceBody).spec
            behind = _behind(service, spec)
            is_meant = looks_into(monitor, service.meta.namespace) and selector.matches(labels_of(service))
            if behind and is_meant:
                names = {str(e["port"]) for e in endpoints if e.get("port")}
                by_service = _target_ports(snapshot, behind, [p for p in spec.ports or () if p.name in names])
                yield monitor, behind, _sorted({*by_service, *_targeted(snapshot, behind, endpoints)})


def _monitored_pods(snapshot: Snapshot) -> Iterator[tuple[KubeObject, PodSet, tuple[Port, ...]]]:
    for monitor in snapshot.of(*POD_MONITOR):
        selector, endpoints = selector_of(monitor), endpoints_of(monitor)
        if selector is None:
            continue
        names = [str(e["port"]) for e in endpoints if e.get("port")]
        for workload in snapshot.workloads:
            if looks_into(monitor, workload.ref.namespace) and selector.matches(workload.template.labels):
                for pods in pod_sets(workload):
                    by_name = {p for n in names for p in _resolved(snapshot, pods, "TCP", n)}
                    yield monitor, pods, _sorted({*by_name, *_targeted(snapshot, pods, endpoints)})


def _targeted(snapshot: Snapshot, pods: PodSet, endpoints: Iterable[Mapping[str, Any]]) -> Iterator[Port]:
    """Yield the pods' own ports that endpoints without the name of a port have scraped."""
    for endpoint in endpoints:
        target = endpoint.get("targetPort", endpoint.get("portNumber"))
        is_port = (isinstance(target, str) and target) or (isinstance(target, int) and 0 < target <= _LAST_PORT)
        if not endpoint.get("port") and is_port and not isinstance(target, bool):
            yield from _resolved(snapshot, pods, "TCP", target)


def _sorted(ports: Iterable[Port]) -> tuple[Port, ...]:
    return tuple(sorted(ports, key=str))


def _of_probes(snapshot: Snapshot) -> Iterator[Need]:
    """Yield that the kubelet of a pod's node probes it; those that run a command need no connection."""
    for workload in snapshot.workloads:
        ports = _sorted({p for c in workload.containers for p in _probed(c.spec)})
        for pods in pod_sets(workload) if ports else ():
            why = f"probes of {workload.ref}"
            yield Need(source=OwnNode(), destination=pods, ports=ports, why=why, declared_by=workload.ref)


def _probed(container: Mapping[str, Any]) -> Iterator[Port]:
    numbers = {str(p.get("name")): p.get("containerPort") for p in _dicts(container.get("ports"))}
    hooks = _dicts([container.get("lifecycle")])
    found = [container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
    for probe in _dicts([*found, *(hook.get(name) for hook in hooks for name in ("postStart", "preStop"))]):
        for way in _dicts([probe.get(name) for name in ("httpGet", "tcpSocket", "grpc")]):
            port = way.get("port")
            number = numbers.get(port, port) if isinstance(port, str) else port
            if isinstance(number, int) and not isinstance(number, bool):
                yield "TCP", number


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
                    declared_by=workload.ref,
                    assumed="the API server's address is not known: pods that need it may reach every address on TCP "
                    "443 and 6443",
                )


def _of_webhooks(snapshot: Snapshot) -> Iterator[Need]:
    """Yield that the API server calls the backends of admission webhooks."""
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        for thing in snapshot.of(_ADMISSION, kind):
            for hook in _dicts(msgspec.json.decode(thing.body).get("webhooks")):
                for client in _dicts([hook.get("clientConfig")]):
                    yield from _from_api_server(snapshot, thing, client.get("service"))


def _of_api_services(snapshot: Snapshot) -> Iterator[Need]:
    """Yield that the API server calls the backends of APIServices: metrics for autoscalers are asked for that way."""
    for thing in snapshot.of(*_API_SERVICE):
        yield from _from_api_server(snapshot, thing, _spec(thing).get("service"))


def _from_api_server(snapshot: Snapshot, thing: KubeObject, named: object) -> Iterator[Need]:
    if isinstance(named, dict):
        place = (str(named.get("namespace") or ""), str(named.get("name") or ""))
        behind, ports = _called(snapshot, *place, _port(named.get("port") or _HTTPS))
        if ports:
            yield Need(
                source=EveryAddress(),
                destination=behind,
                ports=ports,
                why=f"called by the API server for {thing.ref}",
                declared_by=thing.ref,
                assumed="the API server calls webhooks and APIServices from an address that is not known",
            )
