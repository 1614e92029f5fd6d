"""The real API server tells our service what an account uses; the roles that come of it allow just that."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import uvicorn

from scanner.app import built
from scanner.settings import load_settings
from tests import services
from tests.builders import RBAC_V1
from tests.conftest import _missing
from tests.kube import Kube, kube
from tests.services import ControlPlane

pytestmark = pytest.mark.control_plane

TOKEN = "a-token-of-the-audit-webhook"
CART = "system:serviceaccount:shop:cart"
WAIT_SECONDS = 60.0

#: What the account does: method, path, body.
DONE: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/api/v1/namespaces/shop/configmaps/prices", None),
    ("GET", "/api/v1/namespaces/shop/pods", None),
    ("PATCH", "/api/v1/namespaces/shop/configmaps/prices", {"data": {"tea": "2"}}),
    ("POST", "/api/v1/namespaces/shop/configmaps?dryRun=All", {"metadata": {"name": "made"}}),
    ("GET", "/apis/apps/v1/namespaces/shop/deployments/cart/scale", None),
    ("GET", "/version", None),
    ("GET", "/logs/", None),
)
#: What it never did, and could: the same in another namespace, without the name, with another verb, anything else.
NEVER: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/api/v1/namespaces/default/configmaps/prices", None),
    ("GET", "/api/v1/namespaces/shop/configmaps", None),
    ("GET", "/api/v1/pods", None),
    ("DELETE", "/api/v1/namespaces/shop/configmaps/prices?dryRun=All", None),
    ("GET", "/api/v1/namespaces/shop/secrets/db", None),
    ("GET", "/apis/apps/v1/namespaces/shop/deployments/cart", None),
)


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """Serve over TLS, for a cluster that comes later: the API server sends its token over nothing else."""
    services._certificates(folder)
    settings = load_settings(
        kubeconfig=str(folder / "cluster" / "control-plane" / "kubeconfig"),
        state_directory=folder,
        cluster="test",
        schedule="off",
        audit_token=TOKEN,
        policies=("rbac/*",),
    )
    with built(settings) as service, socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            service.app,
            lifespan="off",
            log_config=None,
            http="h11",
            timeout_graceful_shutdown=5,  # the API server, once gone, may leave a connection half open
            ssl_certfile=str(folder / "tls.crt"),
            ssl_keyfile=str(folder / "tls.key"),
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            service.runner.stop(30)
            server.should_exit = True
            thread.join(30)


@dataclass
class Cluster:
    """A cluster that tells our service what is asked of it."""

    control_plane: ControlPlane
    admin: Kube
    service: httpx.Client
    cart: httpx.Client

    def asks(self, method: str, path: str, body: Any) -> int:
        """Send a request as the account, and return the answer's status."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        content = None if body is None else msgspec.json.encode(body)
        return self.cart.request(method, path, content=content, headers={"Content-Type": kind}).status_code

    def list(self, path: str, **params: Any) -> list[Any]:
        """Return the items of a list of the service, none if it has no such list yet."""
        answer = self.service.get(path, params={"limit": 500, **params})
        return list(answer.json()["items"]) if answer.is_success else []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A service account with every right, which uses a few of them."""
    if services.control_plane_programs() is None:
        _missing("SKIPPED LOUDLY: no kube-apiserver and etcd; run `make control-plane`")
    folder = tmp_path_factory.mktemp("least-privilege")
    ca_file, under = folder / "ca.crt", folder / "cluster"
    with (
        _serving(folder) as address,
        services.audited_control_plane(under, sink=f"{address}/api/v1/audit", ca_file=ca_file, token=TOKEN) as found,
        kube(found) as admin,
        _client(address, str(ca_file)) as service,
        _client(found.url, found.ca_file, _account(admin)) as cart,
    ):
        yield Cluster(found, admin, service, cart)


def _client(url: str, ca_file: str, token: str = "") -> httpx.Client:
    return httpx.Client(
        base_url=url,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        verify=ssl.create_default_context(cafile=ca_file),
        timeout=30,
        trust_env=False,
    )


def _account(admin: Kube) -> str:
    """Make the account with its wide grant, and return its token."""
    container = {"name": "app", "image": "registry.example.com/cart:1"}
    labels = {"app": "cart"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    everything = [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ]
    left = admin.install(
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "cart", "namespace": "shop"}},
            _named("v1", "ConfigMap", "prices", data={"tea": "1"}),
            _named("v1", "Secret", "db", stringData={"password": "made-up"}),
            _named("apps/v1", "Deployment", "cart", spec={"selector": {"matchLabels": labels}, "template": template}),
            {"apiVersion": RBAC_V1, "kind": "ClusterRole", "metadata": {"name": "wide"}, "rules": everything},
            {
                "apiVersion": RBAC_V1,
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "wide"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "wide"},
                "subjects": [{"kind": "ServiceAccount", "namespace": "shop", "name": "cart"}],
            },
        ]
    )
    assert left == []
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = admin.client.post("/api/v1/namespaces/shop/serviceaccounts/cart/token", json=request)
    return str(answer.raise_for_status().json()["status"]["token"])


def _named(api_version: str, kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}} | fields


@pytest.fixture(scope="module")
def proposal(cluster: Cluster) -> Any:
    """What the service proposes once the account has done what it does, and before the wide grant goes."""
    assert services._wait_until(lambda: cluster.asks("GET", "/metrics", None) == 200, WAIT_SECONDS)
    statuses = [cluster.asks(*each) for each in DONE]
    assert [status for status in statuses if status in {401, 403}] == []
    expected = {
        "get configmaps",
        "list pods",
        "patch configmaps",
        "create configmaps",
        "get deployments/scale",
        "get /version",
        "get /logs/",
    }
    assert services._wait_until(lambda: expected <= _used(cluster), WAIT_SECONDS), _used(cluster)
    started = cluster.service.post("/api/v1/scans").raise_for_status().headers["location"]
    assert services._wait_until(lambda: cluster.service.get(started).json()["state"] == "complete", WAIT_SECONDS)
    (found,) = cluster.list("/api/v1/rbac/proposals", user=CART)
    return found


def _used(cluster: Cluster) -> set[str]:
    """Return what the service knows of the account, in words."""
    return {
        f"{each['verb']} {each['path'] or each['resource']}"
        + (f"/{each['subresource']}" if each["subresource"] else "")
        for row in cluster.list("/api/v1/rbac/usage", user=CART)
        for each in (row["request"],)
    }


def _rules(proposal: Any) -> dict[str, Any]:
    return {
        thing["metadata"].get("namespace", ""): [
            (rule["verbs"], rule.get("resources") or rule.get("nonResourceURLs")) for rule in thing["rules"]
        ]
        for thing in proposal["manifests"]
        if "rules" in thing
    }


def test_proposal_is_what_was_done(proposal: Any) -> None:
    """Verbs, resources and the namespace of what the account asked for; the test's own probe of /metrics too."""
    assert _rules(proposal) == {
        "": [(["get"], ["/logs/", "/metrics"])],
        "shop": [
            (["create", "get", "patch"], ["configmaps"]),
            (["list"], ["pods"]),
            (["get"], ["deployments/scale"]),
        ],
    }


def test_what_everyone_may_do_is_left_out(proposal: Any) -> None:
    """The version is shown to all by Kubernetes' own binding."""
    assert [use["request"]["path"] for use in proposal["givenToAll"]] == ["/version"]


def test_wide_grant_is_named(proposal: Any) -> None:
    """Both of its rules are wider than what was used of them."""
    assert [(grant["chain"]["role"]["name"], bool(grant["wider"])) for grant in proposal["grants"]] == [
        ("wide", True),
        ("wide", True),
    ]


@pytest.fixture(scope="module")
def applied(cluster: Cluster, proposal: Any) -> Cluster:
    """The cluster in which the proposal has taken the wide grant's place."""
    assert cluster.admin.install(proposal["manifests"]) == []
    (replaced,) = proposal["replaces"]
    path = f"/apis/{RBAC_V1}/clusterrolebindings/{replaced['name']}"
    cluster.admin.client.delete(path).raise_for_status()
    assert services._wait_until(lambda: cluster.asks("GET", "/api/v1/nodes", None) == 403, WAIT_SECONDS)
    return cluster


@pytest.mark.parametrize("asked", DONE, ids=lambda asked: f"{asked[0]} {asked[1]}")
def test_what_was_done_is_still_allowed(applied: Cluster, asked: tuple[str, str, Any]) -> None:
    """The API server allows with the proposed roles whatever it was told of."""
    assert applied.asks(*asked) not in {401, 403}


@pytest.mark.parametrize("asked", NEVER, ids=lambda asked: f"{asked[0]} {asked[1]}")
def test_what_was_never_done_is_denied(applied: Cluster, asked: tuple[str, str, Any]) -> None:
    """The API server denies the rest of the wide grant."""
    assert applied.asks(*asked) == 403
