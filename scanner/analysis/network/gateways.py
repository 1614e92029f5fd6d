"""Gateways that serve routes in the clear.

A listener of protocol HTTP is right where it only redirects to HTTPS. So a Gateway is judged by the routes that its
plain listeners take: by parentRefs, the namespaces that the listener allows, and hostnames that both have.

Source: https://gateway-api.sigs.k8s.io/reference/spec/ (ParentReference, AllowedRoutes, Listener, HTTPRouteFilter).
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.network import CertificateRef, ListenerTLS
from scanner.model.objects import KubeObject, labels_of
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot

GATEWAY_GROUP = "gateway.networking.k8s.io"
GATEWAY = GroupKind(GATEWAY_GROUP, "Gateway")
HTTP_ROUTE = GroupKind(GATEWAY_GROUP, "HTTPRoute")
GRPC_ROUTE = GroupKind(GATEWAY_GROUP, "GRPCRoute")
TLS_ROUTE = GroupKind(GATEWAY_GROUP, "TLSRoute")
TCP_ROUTE = GroupKind(GATEWAY_GROUP, "TCPRoute")
UDP_ROUTE = GroupKind(GATEWAY_GROUP, "UDPRoute")
ROUTE_KINDS: tuple[GroupKind, ...] = (HTTP_ROUTE, GRPC_ROUTE, TLS_ROUTE, TCP_ROUTE, UDP_ROUTE)
_NAMESPACE = GroupKind("", "Namespace")

#: What the answers rest on.
READS: tuple[GroupKind, ...] = (GATEWAY, HTTP_ROUTE, GRPC_ROUTE, _NAMESPACE)

#: The kinds of routes that a listener takes by its protocol, where `allowedRoutes.kinds` does not narrow them. Which
#: kinds a protocol of an implementation's own takes is not known, so that it takes all.
_BY_PROTOCOL: Mapping[str, frozenset[GroupKind]] = {
    "HTTP": frozenset({HTTP_ROUTE, GRPC_ROUTE}),
    "HTTPS": frozenset({HTTP_ROUTE, GRPC_ROUTE}),
    "TLS": frozenset({TLS_ROUTE, TCP_ROUTE}),
    "TCP": frozenset({TCP_ROUTE}),
    "UDP": frozenset({UDP_ROUTE}),
}
#: Kinds of routes that have no hostnames.
_WITHOUT_HOSTNAMES = frozenset({TCP_ROUTE, UDP_ROUTE})

#: cert-manager's answer to an ACME challenge, which must be plain.
_ACME = "acme.cert-manager.io/http01-solver"


class _Namespaces(msgspec.Struct, rename="camel"):
    from_: str = msgspec.field(default="Same", name="from")
    selector: LabelSelector | None = None


class _RouteKind(msgspec.Struct):
    kind: str = ""
    group: str = GATEWAY_GROUP


class _AllowedRoutes(msgspec.Struct):
    namespaces: _Namespaces = msgspec.field(default_factory=_Namespaces)
    kinds: tuple[_RouteKind, ...] = ()


class _Listener(msgspec.Struct, rename="camel"):
    name: str = ""
    hostname: str = ""
    port: int = 0
    protocol: str = ""
    allowed_routes: _AllowedRoutes = msgspec.field(default_factory=_AllowedRoutes)
    tls: ListenerTLS | None = None


class _GatewaySpec(msgspec.Struct, rename="camel"):
    gateway_class_name: str = ""
    listeners: tuple[_Listener, ...] = ()


class _GatewayBody(msgspec.Struct):
    spec: _GatewaySpec = msgspec.field(default_factory=_GatewaySpec)


class _Parent(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    kind: str = "Gateway"
    group: str = GATEWAY_GROUP
    section_name: str = ""
    port: int | None = None


class BackendRef(msgspec.Struct):
    """What a rule of a route sends requests to; an empty namespace is the route's."""

    name: str = ""
    namespace: str = ""
    kind: str = "Service"
    group: str = ""
    port: int = 0


class _Filter(msgspec.Struct):
    type: str = ""


class _Rule(msgspec.Struct, rename="camel"):
    filters: tuple[_Filter, ...] = ()
    backend_refs: tuple[BackendRef, ...] = ()

    @property
    def serves(self) -> bool:
        """Tell whether requests get to a backend; a redirect sends them away."""
        return bool(self.backend_refs) and not any(f.type == "RequestRedirect" for f in self.filters)


class _RouteSpec(msgspec.Struct, rename="camel"):
    parent_refs: tuple[_Parent, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[_Rule, ...] = ()


class _RouteBody(msgspec.Struct):
    spec: _RouteSpec = msgspec.field(default_factory=_RouteSpec)


@dataclass(frozen=True, slots=True)
class _Route:
    """A route that brings requests to backends."""

    ref: ObjectRef
    spec: _RouteSpec


def gateways_in_the_clear(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Gateway whether one of its plain HTTP listeners brings requests to backends."""
    del now  # nothing here depends on the time
    routes = snapshot.derive(_serving_routes)
    for gateway in snapshot.of(*GATEWAY):
        found = [
            (index, route)
            for index, listener in enumerate(_listeners(gateway))
            if listener.protocol == "HTTP"
            for route in routes
            if _takes(snapshot, gateway, listener, route)
        ]
        yield _judge(gateway, found)


@dataclass(frozen=True, slots=True)
class Attached:
    """A route on a listener of a Gateway that takes it, with the backends of its rules that serve."""

    gateway: ObjectRef
    port: int
    route: ObjectRef
    backends: tuple[BackendRef, ...]


def attached_routes(snapshot: Snapshot) -> Iterator[Attached]:
    """Yield every listener that brings requests to backends, by any protocol, with the route that it takes."""
    for route in snapshot.derive(_serving_routes):
        backends = tuple(b for rule in route.spec.rules if rule.serves for b in rule.backend_refs)
        parents = {(parent.namespace or route.ref.namespace, parent.name) for parent in route.spec.parent_refs}
        for namespace, name in sorted(parents):
            gateway = snapshot.find(*GATEWAY, namespace, name)
            for listener in _listeners(gateway) if gateway else ():
                if gateway and _takes(snapshot, gateway, listener, route):
                    yield Attached(gateway.ref, listener.port, route.ref, backends)


def class_name(gateway: KubeObject) -> str:
    """Return the name of a Gateway's class."""
    return _gateway_spec(gateway).gateway_class_name


def _listeners(gateway: KubeObject) -> tuple[_Listener, ...]:
    return _gateway_spec(gateway).listeners


def _gateway_spec(gateway: KubeObject) -> _GatewaySpec:
    try:
        return gateway.decode(_GatewayBody).spec
    except msgspec.ValidationError:  # only a file can hold what the schema of the Gateway API refuses
        return _GatewaySpec()


def _judge(gateway: KubeObject, found: list[tuple[int, _Route]]) -> Answer:
    if not found:
        return Answer(resource=gateway.ref, outcome=Outcome.PASS, message="No route is served in the clear")
    names = sorted({str(route.ref) for _, route in found})
    evidence = [Fact(path=f"spec.listeners[{index}].protocol", value="HTTP") for index in sorted({i for i, _ in found})]
    evidence += [Fact(path="spec.parentRefs", object=route.ref) for _, route in found]
    return Answer(
        resource=gateway.ref,
        outcome=Outcome.FAIL,
        message=f"It serves {', '.join(names)} in the clear",
        evidence=tuple(dict.fromkeys(evidence)),
    )


def backends_of(snapshot: Snapshot) -> Iterator[tuple[KubeObject, tuple[tuple[str, BackendRef], ...]]]:
    """Yield every route of every kind with what its rules send to, and where that stands in it."""
    for route in (o for kind in ROUTE_KINDS for o in snapshot.of(*kind)):
        yield (
            route,
            tuple(
                (f"spec.rules[{r}].backendRefs[{b}]", backend)
                for r, rule in enumerate(_spec_of(route).rules)
                for b, backend in enumerate(rule.backend_refs)
            ),
        )


def certificates_of(gateway: KubeObject) -> Iterator[tuple[str, CertificateRef]]:
    """Yield what the listeners of a Gateway take their certificates from, and where that stands."""
    for number, listener in enumerate(_listeners(gateway)):
        for index, ref in enumerate(listener.tls.certificate_refs if listener.tls else ()):
            yield f"spec.listeners[{number}].tls.certificateRefs[{index}]", ref


def _spec_of(route: KubeObject) -> _RouteSpec:
    try:
        return route.decode(_RouteBody).spec
    except msgspec.ValidationError:  # only a file can hold what the schema of the Gateway API refuses
        return _RouteSpec()


def _serving_routes(snapshot: Snapshot) -> tuple[_Route, ...]:
    """Return the routes of which a rule brings requests to a backend."""
    found: list[_Route] = []
    for o in (o for kind in ROUTE_KINDS for o in snapshot.of(*kind)):
        spec = _spec_of(o)
        if labels_of(o).get(_ACME) != "true" and any(rule.serves for rule in spec.rules):
            found.append(_Route(o.ref, spec))
    return tuple(found)


def _takes(snapshot: Snapshot, gateway: KubeObject, listener: _Listener, route: _Route) -> bool:
    """Tell whether a listener of a gateway takes a route."""
    kind = route.ref.group_kind
    return (
        _takes_kind(listener, kind)
        and any(_names(parent, gateway, listener, route.ref.namespace) for parent in route.spec.parent_refs)
        and _allows(snapshot, listener, gateway.meta.namespace, route.ref.namespace)
        and (
            not listener.hostname
            or not route.spec.hostnames
            or kind in _WITHOUT_HOSTNAMES
            or any(_overlap(listener.hostname, hostname) for hostname in route.spec.hostnames)
        )
    )


def _takes_kind(listener: _Listener, kind: GroupKind) -> bool:
    """Tell whether a listener takes routes of a kind, by its protocol and, if there are some, `allowedRoutes.kinds`."""
    named = {GroupKind(k.group, k.kind) for k in listener.allowed_routes.kinds}
    return kind in _BY_PROTOCOL.get(listener.protocol, ROUTE_KINDS) and (not named or kind in named)


def _names(parent: _Parent, gateway: KubeObject, listener: _Listener, namespace: str) -> bool:
    """Tell whether a parentRef of a route in a namespace means a listener of a gateway."""
    return (
        (parent.group, parent.kind) == GATEWAY
        and parent.name == gateway.meta.name
        and (parent.namespace or namespace) == gateway.meta.namespace
        and parent.section_name in {"", listener.name}
        and parent.port in {None, listener.port}
    )


def _allows(snapshot: Snapshot, listener: _Listener, own: str, namespace: str) -> bool:
    """Tell whether a listener in namespace `own` allows routes of a namespace."""
    allowed = listener.allowed_routes.namespaces
    match allowed.from_:
        case "All":
            return True
        case "Selector":
            selector = allowed.selector or LabelSelector()
            return selector.matches(snapshot.namespaces.get(namespace, {}))
        case "Same":
            return own == namespace
        case _:
            return False


def _overlap(one: str, other: str) -> bool:
    """Tell whether two hostnames mean a common one; `*.` stands for one label or more."""
    if one == other:
        return True
    return any(a.startswith("*.") and b.endswith(a[1:]) for a, b in ((one, other), (other, one)))
