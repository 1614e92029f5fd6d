"""What an API server serves: in one answer or in many, with a broken group beside the others."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from scanner.cluster.client import Client, RequestError
from scanner.cluster.discovery import Catalog, Served, discover
from scanner.model.refs import GroupKind
from scanner.model.resources import BY_KIND
from tests.cluster.stand_in import Reply, StandIn, status
from tests.services import ControlPlane

HPA = BY_KIND[GroupKind("autoscaling", "HorizontalPodAutoscaler")]
#: Groups that come as custom resources.
CUSTOM = {
    "gateway.networking.k8s.io",
    "policy.networking.k8s.io",
    "cilium.io",
    "crd.projectcalico.org",
    "projectcalico.org",
    "crd.antrea.io",
    "monitoring.coreos.com",
    "cert-manager.io",
    "external-secrets.io",
    "secrets-store.csi.x-k8s.io",
    "velero.io",
}
DEPLOYMENT = BY_KIND[GroupKind("apps", "Deployment")]


def reply(**fields: Any) -> Reply:
    """Make an answer."""
    return Reply(body=msgspec.json.encode(fields))


def resource(plural: str, kind: str, *verbs: str) -> dict[str, Any]:
    """Make an entry of an aggregated answer."""
    return {"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced", "verbs": verbs or ("list",)}


def group(name: str, *versions: dict[str, Any]) -> dict[str, Any]:
    """Make a group of an aggregated answer."""
    return {"metadata": {"name": name}, "versions": versions}


def aggregated(*groups: dict[str, Any]) -> Reply:
    """Make an aggregated answer."""
    return reply(kind="APIGroupDiscoveryList", items=groups)


@pytest.fixture
def client(server: StandIn) -> Iterator[Client]:
    """A client of a server that knows aggregated discovery, with one kind in the core group."""
    version = {"version": "v1", "resources": [resource("pods", "Pod")], "freshness": "Current"}
    server.scripts["/api"] = [aggregated(group("", version))]
    client = server.client()
    yield client
    client.close()


def test_two_requests_tell_everything(server: StandIn, client: Client) -> None:
    """Where the server knows aggregated discovery."""
    version = {"version": "v1", "resources": [resource("deployments", "Deployment")]}
    server.scripts["/apis"] = [aggregated(group("apps", version))]
    assert discover(client).find(DEPLOYMENT) == Served("apps", "v1", "deployments", "Deployment", namespaced=True)
    assert len(server.requests) == 2


def test_an_older_server_is_asked_group_by_group(server: StandIn, client: Client) -> None:
    """As before aggregated discovery."""
    server.scripts["/api"] = [reply(kind="APIVersions", versions=["v1"])]
    server.scripts["/apis"] = [reply(kind="APIGroupList", groups=[{"versions": [{"groupVersion": "apps/v1"}]}])]
    server.scripts["/api/v1"] = [
        reply(resources=[{"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["list"]}])
    ]
    entry = {"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": ["list"]}
    server.scripts["/apis/apps/v1"] = [reply(resources=[entry])]
    assert discover(client).find(DEPLOYMENT) == Served("apps", "v1", "deployments", "Deployment", namespaced=True)


def test_the_version_that_we_prefer_is_read(server: StandIn, client: Client) -> None:
    """Whichever the server names first."""
    versions = [{"version": v, "resources": [resource(HPA.plural, HPA.kind)]} for v in ("v1", "v2")]
    server.scripts["/apis"] = [aggregated(group("autoscaling", *versions))]
    found = discover(client).find(HPA)
    assert found is not None
    assert found.version == "v2"


def test_a_missing_group_is_no_error(server: StandIn, client: Client) -> None:
    """Its kinds are not there, and nothing is broken."""
    server.scripts["/apis"] = [aggregated()]
    found = discover(client)
    assert (found.find(DEPLOYMENT), found.broken) == (None, {})


def test_what_cannot_be_listed_is_not_there_to_read(server: StandIn, client: Client) -> None:
    """Reviews can only be created."""
    version = {"version": "v1", "resources": [resource("tokenreviews", "TokenReview", "create")]}
    server.scripts["/apis"] = [aggregated(group("authentication.k8s.io", version))]
    assert GroupKind("authentication.k8s.io", "TokenReview") not in discover(client).kinds


def test_a_stale_group_is_broken_and_the_rest_is_not(server: StandIn, client: Client) -> None:
    """An aggregated API server that does not answer takes only its own kinds with it."""
    stale = group("metrics.k8s.io", {"version": "v1beta1", "freshness": "Stale"})
    apps = group(
        "apps", {"version": "v1", "resources": [resource("deployments", "Deployment")], "freshness": "Current"}
    )
    server.scripts["/apis"] = [aggregated(stale, apps)]
    found = discover(client)
    assert found.find(DEPLOYMENT) is not None
    assert found.broken == {
        "metrics.k8s.io": "metrics.k8s.io/v1beta1 is not available: its API service does not answer"
    }


def test_a_group_that_fails_on_an_older_server_is_broken(server: StandIn, client: Client) -> None:
    """With what the server said."""
    groups = [{"versions": [{"groupVersion": "metrics.k8s.io/v1beta1"}]}]
    server.scripts["/apis"] = [reply(kind="APIGroupList", groups=groups)]
    server.scripts["/apis/metrics.k8s.io/v1beta1"] = [status(503, "service unavailable")]
    assert discover(client).broken == {
        "metrics.k8s.io": "metrics.k8s.io/v1beta1 is not available: HTTP 503: service unavailable"
    }


def test_a_server_that_does_not_tell_is_an_error(server: StandIn, client: Client) -> None:
    """The caller has to decide what to think."""
    server.scripts["/apis"] = [Reply(body=b"[]")]
    with pytest.raises(RequestError, match=r"^/apis: not a list of what is served$"):
        discover(client)


@pytest.mark.control_plane
def test_a_real_server_serves_what_kubernetes_has(control_plane: ControlPlane) -> None:
    """All of our built-in kinds that need no custom resources."""
    from scanner.cluster.connect import connect  # noqa: PLC0415 - slow to import

    client = connect(control_plane.kubeconfig)
    catalog = discover(client)
    client.close()
    assert [r.name for r in BY_KIND.values() if r.group not in CUSTOM and not catalog.find(r)] == []


def test_a_view_of_objects_that_are_kept_elsewhere_is_not_read_beside_them() -> None:
    """Calico's API server shows what custom resources keep; without these, or where nobody tells, it is read."""
    view = BY_KIND[GroupKind("projectcalico.org", "Tier")]
    served = Served("crd.projectcalico.org", "v1", "tiers", "Tier", namespaced=False)
    kept = {GroupKind("crd.projectcalico.org", "Tier"): (served,)}
    assert Catalog(kept, {}).is_view(view)
    assert not Catalog({}, {}).is_view(view)
    assert not Catalog(kept, {}, is_guess=True).is_view(view)
