"""Routes that lead nowhere, and references that nobody granted."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from scanner.analysis.network.doors import doors
from scanner.analysis.network.exposure import Verdict, exposures
from scanner.analysis.network.routes import references_not_granted, routes_without_backend
from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from scanner.model.snapshot import SourceKind
from tests.builders import NOW, snapshot, workload

GROUP = "gateway.networking.k8s.io"


def _service(namespace: str = "shop") -> dict[str, Any]:
    spec = {"selector": {"app": "cart"}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": namespace}, "spec": spec}


def _gateway(protocol: str = "HTTPS", **listener: Any) -> dict[str, Any]:
    spec = {"listeners": [{"name": "one", "port": 443, "protocol": protocol} | listener]}
    metadata = {"name": "edge", "namespace": "shop"}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Gateway", "metadata": metadata, "spec": spec}


def _route(kind: str = "HTTPRoute", **backend: Any) -> dict[str, Any]:
    spec = {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "cart", "port": 80} | backend]}]}
    metadata = {"name": "cart", "namespace": "shop"}
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _grant(kind: str = "HTTPRoute", namespace: str = "shop", **to: str) -> dict[str, Any]:
    spec = {
        "from": [{"group": GROUP, "kind": kind, "namespace": namespace}],
        "to": [{"group": "", "kind": "Service"} | to],
    }
    metadata = {"name": "shop", "namespace": "bank"}
    return {"apiVersion": f"{GROUP}/v1beta1", "kind": "ReferenceGrant", "metadata": metadata, "spec": spec}


def _backend(*objects: Mapping[str, Any], **options: Any) -> Answer:
    (answer,) = routes_without_backend(snapshot(*objects, **options), now=NOW)
    return answer


def _doors(*objects: Mapping[str, Any], **options: Any) -> Iterator[str]:
    return (str(d.kind) for several in doors(snapshot(workload(), *objects, **options)).values() for d in several)


@pytest.mark.parametrize(
    ("backend", "outcome"),
    [({}, Outcome.PASS), ({"name": "card"}, Outcome.FAIL), ({"port": 8080}, Outcome.FAIL)],
    ids=["there", "no Service", "no port"],
)
def test_a_route_needs_its_service_and_the_port(backend: dict[str, Any], outcome: Outcome) -> None:
    """The port is the Service's, not the pod's."""
    assert _backend(_service(), _route(**backend)).outcome is outcome


def test_a_service_that_is_in_no_file_is_unknown() -> None:
    """It may lie in another folder."""
    assert _backend(_route(), source=SourceKind.MANIFESTS).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("grant", "outcome"),
    [
        (_grant(), Outcome.PASS),
        (_grant(name="cart"), Outcome.PASS),
        (_grant(name="card"), Outcome.FAIL),
        (_grant("GRPCRoute"), Outcome.FAIL),
        (_grant(namespace="press"), Outcome.FAIL),
    ],
    ids=["of the kind", "of the name", "of another name", "for another kind", "for another namespace"],
)
def test_another_namespace_must_grant_it(grant: dict[str, Any], outcome: Outcome) -> None:
    """By kind and namespace of the route, and kind and perhaps name of the Service."""
    (answer,) = references_not_granted(snapshot(_route(namespace="bank"), grant), now=NOW)
    assert answer.outcome is outcome


def test_in_files_a_grant_may_lie_elsewhere() -> None:
    """Its absence is unknown."""
    world = snapshot(_route(namespace="bank"), source=SourceKind.MANIFESTS)
    (answer,) = references_not_granted(world, now=NOW)
    assert answer.outcome is Outcome.UNKNOWN


def test_certificates_of_other_namespaces_need_a_grant() -> None:
    """A Gateway refers to Secrets."""
    gateway = _gateway(tls={"certificateRefs": [{"name": "edge", "namespace": "bank"}]})
    (answer,) = references_not_granted(snapshot(gateway), now=NOW)
    assert answer.evidence[0].path == "spec.listeners[0].tls.certificateRefs[0]"


@pytest.mark.parametrize(
    ("protocol", "kind", "is_taken"),
    [
        ("HTTPS", "HTTPRoute", True),
        ("TLS", "TLSRoute", True),
        ("TCP", "TCPRoute", True),
        ("UDP", "UDPRoute", True),
        ("TCP", "HTTPRoute", False),
        ("HTTPS", "TCPRoute", False),
    ],
)
def test_a_listener_takes_routes_of_its_protocol(protocol: str, kind: str, is_taken: bool) -> None:
    """Each is a door where its listener takes it."""
    assert list(_doors(_service(), _gateway(protocol), _route(kind))) == (["Gateway"] if is_taken else [])


def test_a_listener_may_name_the_kinds_of_routes() -> None:
    """Others are no doors."""
    gateway = _gateway(allowedRoutes={"kinds": [{"kind": "GRPCRoute"}]})
    assert not list(_doors(_service(), gateway, _route()))


def test_a_route_to_another_namespace_without_a_grant_is_no_door() -> None:
    """The Gateway refuses it."""
    route = _route(namespace="bank")
    assert not list(_doors(workload(namespace="bank"), _service("bank"), _gateway(), route))


def test_a_route_to_another_namespace_with_a_grant_is_a_door() -> None:
    """It leads to the pods there."""
    world = snapshot(workload(namespace="bank"), _service("bank"), _gateway(), _route(namespace="bank"), _grant())
    (found,) = exposures(world)
    assert [entry.verdict for entry in found.entries] == [Verdict.OPEN]


def test_in_files_a_route_to_another_namespace_may_be_a_door() -> None:
    """The grant may lie elsewhere."""
    objects = (workload(namespace="bank"), _service("bank"), _gateway(), _route(namespace="bank"))
    (found,) = exposures(snapshot(*objects, source=SourceKind.MANIFESTS))
    assert [entry.verdict for entry in found.entries] == [Verdict.UNKNOWN]
