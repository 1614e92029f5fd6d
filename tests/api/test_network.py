"""Who can connect to whom, as of stored scans."""

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import select

from scanner.api.problems import MEDIA_TYPE
from scanner.model.coverage import Read, ReadState
from scanner.model.resources import RESOURCES
from scanner.store.database import reading
from scanner.store.tables import NETWORK_SCANS, NETWORK_STATES
from tests.api.conftest import Api, api_over, scan
from tests.builders import NOW, network_policy, snapshot, workload

_PORT = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 6379}]}
_POLICY = network_policy("cart", {"matchLabels": {"app": "cart"}}, ingress=[_PORT])
_SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 443, "targetPort": 8443}]},
}
OBJECTS = (workload("web"), workload("cart"), _SERVICE)
LATER = NOW + dt.timedelta(hours=1)


def ask(api: Api, path: str, **params: Any) -> Any:
    """Ask one question."""
    return api.get(f"/api/v1/network/{path}", params=params).raise_for_status().json()


@pytest.fixture
def scanned(api: Api) -> Api:
    """An API whose cluster was scanned once: a cart that only the web may reach, on one port."""
    scan(api.engine, *OBJECTS, _POLICY)
    return api


def test_peers_of_a_workload_are_workloads_then_addresses(scanned: Api) -> None:
    """With the ports that are open between them."""
    found = scanned.items("/api/v1/network/peers", workload="shop/web", direction="egress", limit=1)
    assert [peer["peer"].partition("-")[0] for peer in found] == ["shop/cart[Deployment]", "0.0.0.0", "::"]  # noqa: S104 - nothing binds to it
    assert found[0]["ports"] == {"TCP": "6379"}
    assert found[0]["workload"]["name"] == "cart"
    assert found[1]["workload"] is None


def test_who_may_not_connect_is_no_peer(scanned: Api) -> None:
    """The addresses outside are not among those that reach the cart."""
    answer = ask(scanned, "peers", workload="shop/cart[Deployment]", direction="ingress")
    assert [peer["peer"] for peer in answer["items"]] == ["shop/web[Deployment]"]
    assert answer["workload"]["name"] == "cart"


def test_a_connection_is_explained_by_rule_and_path(scanned: Api) -> None:
    """The policy, where the rule stands, and what it does."""
    answer = ask(scanned, "explain", src="shop/web", dst="shop/cart", protocol="TCP", port=6379)
    (rule,) = answer["explanations"][0]["ingress"]["rules"]
    assert answer["verdict"] == "open"
    assert (rule["policy"]["name"], rule["path"], rule["action"]) == ("cart", "spec.ingress[0]", "Allow")


@pytest.mark.parametrize(
    ("params", "verdict"),
    [
        ({"src": "192.0.2.1", "dst": "shop/cart"}, "closed"),
        ({"src": "shop/web", "dst": "shop/cart"}, "closed"),
        ({"src": "shop/cart", "dst": "shop/web", "port": 80}, "open"),
        ({"src": "shop/web", "dst": "2001:db8::1", "protocol": "UDP"}, "open"),
    ],
)
def test_a_connection_is_open_if_all_ports_in_question_are(scanned: Api, params: dict[str, Any], verdict: str) -> None:
    """Workloads and addresses of both families can be asked about."""
    assert ask(scanned, "explain", **params)["verdict"] == verdict


def test_exposure_names_doors(scanned: Api) -> None:
    """The load balancer leads to the web, and nothing to the cart."""
    found = {item["workload"]["name"]: item for item in scanned.items("/api/v1/network/exposure", limit=1)}
    (door,) = [d for d in found["web"]["doors"] if d["door"] == "LoadBalancer"]
    assert (door["through"]["name"], door["port"], door["targetPorts"]) == ("web", 443, "8443")
    assert found["cart"]["doors"] == []


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"door": "LoadBalancer"}, ["web"]),
        ({"door": "Ingress"}, []),
        ({"namespace": "shop"}, ["cart", "web"]),
        ({"namespace": "ops"}, []),
    ],
)
def test_exposure_is_filtered(scanned: Api, params: dict[str, str], names: list[str]) -> None:
    """By namespace and by kind of door."""
    assert [item["workload"]["name"] for item in ask(scanned, "exposure", **params)["items"]] == names


def test_changes_of_two_scans_name_pairs_and_policies(api: Api) -> None:
    """A new policy closes all ports but one."""
    old = scan(api.engine, *OBJECTS)
    new = scan(api.engine, *OBJECTS, _POLICY, at=LATER)
    answer = ask(api, "changes", **{"from": old, "to": new})
    web = next(item for item in answer["items"] if item["src"]["workloads"] == ["shop/web[Deployment]"])
    ports = {"TCP": "1-6378,6380-65535", "UDP": "1-65535", "SCTP": "1-65535"}
    assert web["changes"] == [{"before": "open", "after": "closed", "ports": ports}]
    assert [(c["policy"]["name"], c["change"]) for c in answer["policies"]] == [("cart", "added")]
    assert (answer["before"]["scan"], answer["after"]["scan"]) == (old, new)


def test_changes_are_listed_page_by_page(api: Api) -> None:
    """Links lead to the next page with the same two scans."""
    old = scan(api.engine, *OBJECTS)
    new = scan(api.engine, *OBJECTS, workload("new"), _POLICY, at=LATER)
    whole = ask(api, "changes", **{"from": old, "to": new})["items"]
    first = api.get("/api/v1/network/changes", params={"from": old, "to": new, "limit": 1})
    assert len(whole) > 1
    assert api.get(first.links["next"]["url"]).raise_for_status().json()["items"] == whole[1:2]
    assert api.items("/api/v1/network/changes", **{"from": old, "to": new, "limit": 1}) == whole


def test_an_unchanged_rescan_takes_no_more_room(api: Api) -> None:
    """Two scans that saw the same share what is kept, and have no difference."""
    old, new = (scan(api.engine, *OBJECTS, _POLICY, at=at) for at in (NOW, LATER))
    with reading(api.engine) as session:
        assert len(list(session.execute(select(NETWORK_STATES.c.digest)))) == 1
        assert len(list(session.execute(select(NETWORK_SCANS.c.scan_id)))) == 2
    assert ask(api, "changes", **{"from": old, "to": new})["items"] == []


def test_earlier_scans_can_be_asked_about(api: Api) -> None:
    """Before there was a policy, everyone reached the cart; other processes know that as well."""
    old = scan(api.engine, *OBJECTS)
    scan(api.engine, *OBJECTS, _POLICY, at=LATER)
    params = {"src": "192.0.2.1", "dst": "shop/cart"}
    restarted = api_over(api.engine)
    assert ask(restarted, "explain", **params)["verdict"] == "closed"
    assert ask(restarted, "explain", scan=old, **params)["verdict"] == "open"


def test_what_was_not_read_is_unknown_and_named(api: Api) -> None:
    """A list of policies that was forbidden leaves nothing open for certain."""
    coverage = [
        Read(resource=r.name, state=ReadState.FORBIDDEN if r.kind == "NetworkPolicy" else ReadState.COMPLETE)
        for r in RESOURCES
    ]
    scan(api.engine, taken=snapshot(*OBJECTS, coverage=coverage))
    answer = ask(api, "explain", src="shop/web", dst="shop/cart")
    assert answer["verdict"] == "unknown"
    assert any("not read: list networkpolicies" in reason for reason in answer["reasons"])
    assert "list networkpolicies.networking.k8s.io" in answer["asOf"]["missing"]


def test_before_the_first_scan_there_is_no_answer(api: Api) -> None:
    """A problem says what to do."""
    answer = api.get("/api/v1/network/exposure")
    assert (answer.status_code, answer.headers["content-type"]) == (409, MEDIA_TYPE)


def test_with_several_clusters_one_must_be_named(scanned: Api) -> None:
    """The problem lists them."""
    scan(scanned.engine, cluster="other")
    refused = scanned.get("/api/v1/network/exposure")
    assert (refused.status_code, refused.json()["errors"][0]["location"]) == (422, "query.cluster")
    assert ask(scanned, "exposure", cluster="test")["asOf"]["cluster"] == "test"


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("exposure", {"cluster": "nowhere"}, 404),
        ("exposure", {"scan": "none"}, 404),
        ("exposure", {"door": "window"}, 422),
        ("changes", {"from": "a", "to": "b"}, 404),
        ("changes", {"from": "a"}, 422),
        ("peers", {"workload": "shop/none", "direction": "ingress"}, 404),
        ("peers", {"workload": "192.0.2.1", "direction": "ingress"}, 404),
        ("explain", {"src": "192.0.2.1", "dst": "192.0.2.2"}, 422),
        ("explain", {"src": "shop/web", "dst": "shop/cart", "port": 0}, 422),
        ("explain", {"src": "<script>", "dst": "shop/cart"}, 404),
    ],
)
def test_what_does_not_fit_is_a_problem(scanned: Api, path: str, params: dict[str, Any], status: int) -> None:
    """With a status of its own."""
    answer = scanned.get(f"/api/v1/network/{path}", params=params)
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)


def test_scans_of_two_clusters_are_not_compared(scanned: Api) -> None:
    """Their workloads have nothing to do with each other."""
    one, other = scanned.items("/api/v1/scans")[0]["id"], scan(scanned.engine, cluster="other")
    assert scanned.get("/api/v1/network/changes", params={"from": one, "to": other}).status_code == 422
