"""Routes, Gateways and classes of a real API server, read with the reader's rights: who is exposed, and what is loose.

The API server is this module's own: the kinds of the Gateway API and a default IngressClass change what others see.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scanner.analysis.network.exposure import exposures
from scanner.cluster.client import FORBIDDEN, Client, RequestError
from scanner.cluster.collect import collect
from scanner.cluster.discovery import discover
from scanner.export.cluster_role import cluster_role
from scanner.model.coverage import ReadState
from scanner.model.policy import PolicyId
from scanner.model.refs import ClusterName, GroupKind
from scanner.model.resources import BY_KIND
from scanner.model.snapshot import Snapshot
from scanner.policy.evaluate import evaluate
from scanner.policy.load import load_policy
from tests import services
from tests.builders import NOW, network_policy
from tests.cluster.live import Api, pod_spec, rights, thing, wait_until
from tests.policies.fixtures import ROOT

_GROUP = "gateway.networking.k8s.io"
#: Kinds and the version of each that is served here, not the first that we prefer for all of them.
_KINDS = {"GatewayClass": "v1", "Gateway": "v1", "HTTPRoute": "v1", "TLSRoute": "v1alpha3", "ReferenceGrant": "v1beta1"}

pytestmark = pytest.mark.control_plane


def _definition(kind: str) -> dict[str, Any]:
    resource = BY_KIND[GroupKind(_GROUP, kind)]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": _KINDS[kind], "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {
        "group": _GROUP,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "names": {"plural": resource.plural, "singular": kind.lower(), "kind": kind},
        "versions": [version],
    }
    made = thing("apiextensions.k8s.io/v1", "CustomResourceDefinition", resource.name, spec=spec)
    # The API server wants a reason for groups of Kubernetes' own.
    made["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, of a test"}
    return made


def _of(kind: str, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
    return thing(f"{_GROUP}/{_KINDS[kind]}", kind, name, namespace, **fields)


def _gateway(name: str, class_name: str = "edge", **fields: Any) -> dict[str, Any]:
    everyone = {"namespaces": {"from": "All"}}
    listeners = [
        {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": everyone},
        {"name": "tls", "port": 443, "protocol": "TLS", "allowedRoutes": everyone, "tls": {"mode": "Passthrough"}},
    ]
    return _of("Gateway", name, "infra", spec={"gatewayClassName": class_name, "listeners": listeners}, **fields)


def _route(kind: str, name: str, gateway: str, section: str, namespace: str = "shop") -> dict[str, Any]:
    """Make a route of namespace shop to the Service of its own name."""
    parent = {"name": gateway, "namespace": "infra", "sectionName": section}
    backend = {"name": name, "port": 80} | ({} if namespace == "shop" else {"namespace": namespace})
    return _of(kind, name, "shop", spec={"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]})


def _application(name: str, namespace: str = "shop") -> list[dict[str, Any]]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod_spec()}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return [
        thing("apps/v1", "Deployment", name, namespace, spec=spec),
        thing("v1", "Service", name, namespace, spec={"selector": labels, "ports": [{"port": 80}]}),
    ]


def _ingress(name: str, **spec: Any) -> dict[str, Any]:
    backend = {"defaultBackend": {"service": {"name": name, "port": {"number": 80}}}}
    return thing("networking.k8s.io/v1", "Ingress", name, "shop", spec=backend | spec)


def _ingress_class() -> dict[str, Any]:
    made = thing("networking.k8s.io/v1", "IngressClass", "nginx", spec={"controller": "k8s.io/ingress-nginx"})
    made["metadata"]["annotations"] = {"ingressclass.kubernetes.io/is-default-class": "true"}
    return made


def _grant() -> dict[str, Any]:
    spec = {
        "from": [{"group": _GROUP, "kind": "TLSRoute", "namespace": "shop"}],
        "to": [{"group": "", "kind": "Service", "name": "vault"}],
    }
    return _of("ReferenceGrant", "vault", "books", spec=spec)


_REFUSED = {"conditions": [{"type": "Accepted", "status": "False", "reason": "InvalidParameters", "message": ""}]}
_LOCKED = network_policy("locked", {"matchLabels": {"app": "locked"}}, policyTypes=["Ingress"])

_WORLD = (
    *(thing("v1", "Namespace", name) for name in ("books", "infra", "shop")),
    *(made for name in ("cart", "gone", "locked", "mail", "old", "refused", "web") for made in _application(name)),
    *(made for name in ("ledger", "vault") for made in _application(name, "books")),
    _LOCKED,
    _ingress_class(),
    _ingress("web"),
    _ingress("old", ingressClassName="traefik"),
    _of("GatewayClass", "edge", spec={"controllerName": "example.com/edge"}),
    _gateway("front"),
    _gateway("gone", "egde"),
    _gateway("refused", status=_REFUSED),
    _grant(),
    _route("HTTPRoute", "cart", "front", "http"),
    _route("HTTPRoute", "locked", "front", "http"),
    _route("HTTPRoute", "gone", "gone", "http"),
    _route("HTTPRoute", "refused", "refused", "http"),
    _route("TLSRoute", "vault", "front", "tls", "books"),
    _route("TLSRoute", "ledger", "front", "tls", "books"),
    # A listener of protocol HTTP takes no TLSRoutes.
    _route("TLSRoute", "mail", "front", "http"),
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    """What the reader sees of the world."""
    if services.control_plane_programs() is None:
        pytest.skip("SKIPPED LOUDLY: no kube-apiserver and etcd; run `make control-plane`")
    folder: Path = tmp_path_factory.mktemp("gateways") / "cluster"
    with services.own_control_plane(folder) as control_plane:
        api = Api(control_plane)
        with api.having(*map(_definition, _KINDS)):
            _wait_until_served(api)
            with api.having(*_WORLD):
                yield _scan(api)
        # The API server deletes the objects of a kind before its definition.
        wait_until(lambda: not api.call("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"])


def _wait_until_served(api: Api) -> None:
    wanted = {GroupKind(_GROUP, kind) for kind in _KINDS}
    with contextlib.closing(api.client()) as client:
        wait_until(lambda: wanted <= discover(client).kinds.keys())


def _scan(api: Api) -> Snapshot:
    """Read the cluster with the rights of the generated ClusterRole alone."""
    rules = yaml.safe_load(cluster_role())["rules"]
    account = thing("v1", "ServiceAccount", "robot", "infra")
    with api.having(account, *rights("plimsoll", rules, "robot", "infra")):
        token = api.token("infra", "robot")
        with contextlib.closing(api.client(token)) as client:
            wait_until(lambda: _may_list(client, f"/apis/{_GROUP}/v1/gatewayclasses"))
            return collect(client, cluster=ClusterName("test"), now=NOW)


def _may_list(client: Client, path: str) -> bool:
    try:
        client.get(path)
    except RequestError as error:
        return error.status != FORBIDDEN
    return True


def test_the_reader_sees_every_kind_in_the_version_that_is_served(found: Snapshot) -> None:
    """With the rights of the generated ClusterRole."""
    states = {r.resource: r.state for r in found.coverage}
    names = [BY_KIND[GroupKind(_GROUP, kind)].name for kind in _KINDS]
    assert {states[name] for name in (*names, "ingressclasses.networking.k8s.io")} == {ReadState.COMPLETE}


def test_routes_and_ingresses_expose_those_that_somebody_serves(found: Snapshot) -> None:
    """Open, closed by policy, unknown where nobody serves, and no door without a grant or by the wrong listener."""
    doors = {
        f"{one.workload.namespace}/{one.workload.name}": [(str(e.door.through), str(e.verdict)) for e in one.entries]
        for one in exposures(found)
    }
    assert doors == {
        "books/ledger": [],
        "books/vault": [("TLSRoute shop/vault", "open")],
        "shop/cart": [("HTTPRoute shop/cart", "open")],
        "shop/gone": [("HTTPRoute shop/gone", "unknown")],
        "shop/locked": [("HTTPRoute shop/locked", "closed")],
        "shop/mail": [],
        "shop/old": [("Ingress shop/old", "unknown")],
        "shop/refused": [("HTTPRoute shop/refused", "unknown")],
        "shop/web": [("Ingress shop/web", "open")],
    }


@pytest.mark.parametrize(
    ("policy", "failing"),
    [
        ("gateway-not-served", ["Gateway infra/gone", "Gateway infra/refused"]),
        ("gateway-without-tls", ["Gateway infra/front", "Gateway infra/gone", "Gateway infra/refused"]),
        ("ingress-without-class", ["Ingress shop/old"]),
        ("reference-not-granted", ["TLSRoute shop/ledger"]),
        ("route-backend-missing", []),
    ],
)
def test_what_is_loose_is_found(found: Snapshot, policy: str, failing: list[str]) -> None:
    """The policies say of the cluster what they say of their fixtures."""
    loaded = load_policy(ROOT / "network" / policy / "policy.yaml", PolicyId(f"network/{policy}"))
    findings = evaluate(found, [loaded], now=NOW).findings
    assert [(str(f.resource), str(f.outcome)) for f in findings] == [(name, "fail") for name in failing]
