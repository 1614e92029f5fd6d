"""Gateways that serve routes in the clear.

A listener of protocol HTTP is right where it only redirects to HTTPS. So a Gateway is judged by the routes that its
plain listeners take: by parentRefs, the namespaces that the listener allows, and hostnames that both have.

Source: https://gateway-api.sigs.k8s.io/reference/spec/ (ParentReference, AllowedRoutes, Listener, HTTPRouteFilter).
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import KubeObject, labels_of
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot

GATEWAY_GROUP = "gateway.networking.k8s.io"
GATEWAY = GroupKind(GATEWAY_GROUP, "Gateway")
HTTP_ROUTE = GroupKind(GATEWAY_GROUP, "HTTPRoute")
GRPC_ROUTE = GroupKind(GATEWAY_GROUP, "GRPCRoute")
_NAMESPACE = GroupKind("", "Namespace")

#: What the answers rest on.
READS: tuple[GroupKind, ...] = (GATEWAY, HTTP_ROUTE, GRPC_ROUTE, _NAMESPACE)

#: cert-manager's answer to an ACME challenge, which must be plain.
_ACME = "acme.cert-manager.io/http01-solver"


class _Namespaces(msgspec.Struct, rename="camel"):
    from_: str = msgspec.field(default="Same", name="from")
    selector: LabelSelector | None = None


class _AllowedRoutes(msgspec.Struct):
    namespaces: _Namespaces = msgspec.field(default_factory=_Namespaces)


class _Listener(msgspec.Struct, rename="camel"):
    name: str = ""
    hostname: str = ""
    port: int = 0
    protocol: str = ""
    allowed_routes: _AllowedRoutes = msgspec.field(default_factory=_AllowedRoutes)


class _GatewaySpec(msgspec.Struct):
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


class _Filter(msgspec.Struct):
    type: str = ""


class _Rule(msgspec.Struct, rename="camel"):
    filters: tuple[_Filter, ...] = ()
    backend_refs: tuple[msgspec.Raw, ...] = ()

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
    backends: tuple[msgspec.Raw, ...]


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


def _listeners(gateway: KubeObject) -> tuple[_Listener, ...]:
    try:
        return gateway.decode(_GatewayBody).spec.listeners
    except msgspec.ValidationError:  # only a file can hold what the schema of the Gateway API refuses
        return ()


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


def _serving_routes(snapshot: Snapshot) -> tuple[_Route, ...]:
    """Return the routes of which a rule brings requests to a backend."""
    found: list[_Route] = []
    for o in (*snapshot.of(*HTTP_ROUTE), *snapshot.of(*GRPC_ROUTE)):
        if labels_of(o).get(_ACME) == "true":
            continue
        try:
            spec = o.decode(_RouteBody).spec
        except msgspec.ValidationError:  # only a file can hold what the schema of the Gateway API refuses
            continue
        if any(rule.serves for rule in spec.rules):
            found.append(_Route(o.ref, spec))
    return tuple(found)


def _takes(snapshot: Snapshot, gateway: KubeObject, listener: _Listener, route: _Route) -> bool:
    """Tell whether a listener of a gateway takes a route."""
    return (
        any(_names(parent, gateway, listener, route.ref.namespace) for parent in route.spec.parent_refs)
        and _allows(snapshot, listener, gateway.meta.namespace, route.ref.namespace)
        and (
            not listener.hostname
            or not route.spec.hostnames
            or any(_overlap(listener.hostname, hostname) for hostname in route.spec.hostnames)
        )
    )


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
