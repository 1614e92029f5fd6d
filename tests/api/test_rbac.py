"""Who may do what, as of the last scan."""

import datetime as dt
from typing import Any

import pytest

from scanner.api.problems import MEDIA_TYPE
from scanner.model.coverage import Read, ReadState
from scanner.model.resources import RESOURCES
from tests.api.conftest import Api, api_over, scan
from tests.builders import NOW, binding, cluster_role, role, rule, snapshot

CART = "system:serviceaccount:shop:cart"
OBJECTS = (
    role("cart", rule("get list", "pods"), rule("create", "pods/exec"), rule("patch", "deployments", group="apps")),
    binding("Role cart", "ServiceAccount shop/cart", namespace="shop", name="cart"),
    cluster_role("metrics", rule("get", urls="/metrics")),
    binding("ClusterRole metrics", "Group watchers", "User jane", name="watchers"),
)


def ask(api: Api, path: str, **params: Any) -> Any:
    """Ask one question."""
    return api.get(f"/api/v1/rbac/{path}", params=params).raise_for_status().json()


@pytest.fixture
def scanned(api: Api) -> Api:
    """An API whose cluster was scanned once."""
    scan(api.engine, *OBJECTS)
    return api


def test_a_yes_carries_its_chain(scanned: Api) -> None:
    """Binding, role and rule."""
    answer = ask(scanned, "can", user=CART, verb="create", resource="pods/exec", namespace="shop")
    (chain,) = answer["chains"]
    assert (answer["allowed"], answer["verdict"]) == (True, "allowed")
    assert (chain["binding"]["name"], chain["role"]["name"], chain["ruleIndex"]) == ("cart", "cart", 1)
    assert chain["rule"]["resources"] == ["pods/exec"]


@pytest.mark.parametrize(
    ("params", "allowed"),
    [
        ({"user": CART, "verb": "patch", "resource": "deployments.apps", "namespace": "shop"}, True),
        ({"user": CART, "verb": "patch", "resource": "deployments", "api_group": "apps", "namespace": "shop"}, True),
        ({"user": CART, "verb": "get", "resource": "pods"}, False),
        ({"user": "joe", "verb": "get", "resource": "/metrics"}, False),
        ({"user": "joe", "group": ["a", "watchers"], "verb": "get", "resource": "/metrics"}, True),
    ],
)
def test_questions_are_written_as_for_kubectl(scanned: Api, params: dict[str, Any], *, allowed: bool) -> None:
    """Groups, API groups and paths mean what they mean there."""
    assert ask(scanned, "can", **params)["allowed"] is allowed


def test_answers_say_what_they_are_from(scanned: Api) -> None:
    """Which scan of which cluster, and when it read."""
    assert ask(scanned, "can", user="joe", verb="get", resource="pods")["asOf"] == {
        "cluster": "test",
        "scan": scanned.items("/api/v1/scans")[0]["id"],
        "takenAt": "2026-11-23T12:00:00Z",
        "source": "live",
        "isComplete": True,
    }


def test_the_last_scan_counts(scanned: Api) -> None:
    """What an earlier one saw is forgotten, even if it was asked about."""
    asked = {"user": CART, "verb": "get", "resource": "pods", "namespace": "shop"}
    assert ask(scanned, "can", **asked)["allowed"]
    scan(scanned.engine, *OBJECTS[2:], at=NOW + dt.timedelta(hours=1))
    assert not ask(scanned, "can", **asked)["allowed"]


def test_answers_survive_a_restart(scanned: Api) -> None:
    """Another process over the same database answers without a scan of its own."""
    restarted = api_over(scanned.engine)
    assert ask(restarted, "can", user=CART, verb="get", resource="pods", namespace="shop")["allowed"]


def test_before_the_first_scan_there_is_no_answer(api: Api) -> None:
    """A problem says what to do."""
    answer = api.get("/api/v1/rbac/who-can", params={"verb": "get", "resource": "pods"})
    assert (answer.status_code, answer.headers["content-type"]) == (409, MEDIA_TYPE)
    assert answer.json()["type"] == "/problems/not-scanned"


def test_a_no_without_all_reads_is_unknown(api: Api) -> None:
    """The answer names what is missing."""
    coverage = [
        Read(resource=r.name, state=ReadState.FORBIDDEN if r.kind == "RoleBinding" else ReadState.COMPLETE)
        for r in RESOURCES
    ]
    scan(api.engine, taken=snapshot(*OBJECTS, coverage=coverage))
    answer = ask(api, "can", user="joe", verb="get", resource="pods", namespace="shop")
    assert (answer["allowed"], answer["verdict"]) == (False, "unknown")
    assert answer["missing"] == ["list rolebindings.rbac.authorization.k8s.io"]
    assert not answer["asOf"]["isComplete"]


def test_who_can_names_every_subject_page_by_page(scanned: Api) -> None:
    """In the order of kind, namespace and name."""
    found = scanned.items("/api/v1/rbac/who-can", verb="get", resource="/metrics", limit=1)
    assert [f"{h['subject']['kind']} {h['subject']['name']}" for h in found] == [
        "Group system:masters",
        "Group watchers",
        "User jane",
    ]


def test_what_can_lists_every_grant_page_by_page(scanned: Api) -> None:
    """Rule by rule."""
    found = scanned.items("/api/v1/rbac/what-can", user=CART, limit=2)
    assert [(chain["namespace"], chain["binding"]["name"], chain["ruleIndex"]) for chain in found] == [
        ("shop", "cart", 0),
        ("shop", "cart", 1),
        ("shop", "cart", 2),
    ]


def test_of_many_chains_the_first_are_shown(api: Api) -> None:
    """With the number of all."""
    bindings = [binding("ClusterRole metrics", "User jane", name=f"jane-{number:03}") for number in range(300)]
    scan(api.engine, OBJECTS[2], *bindings)
    answer = ask(api, "can", user="jane", verb="get", resource="/metrics")
    assert (len(answer["chains"]), answer["chainCount"]) == (10, 300)
    assert answer["chains"][0]["binding"]["name"] == "jane-000"


def test_masters_may_do_everything(scanned: Api) -> None:
    """No binding is needed."""
    assert ask(scanned, "what-can", user="joe", group="system:masters")["isEverything"]


def test_with_several_clusters_one_must_be_named(scanned: Api) -> None:
    """The problem lists them."""
    scan(scanned.engine, cluster="other")
    asked = {"user": CART, "verb": "get", "resource": "pods", "namespace": "shop"}
    refused = scanned.get("/api/v1/rbac/can", params=asked)
    assert (refused.status_code, refused.json()["errors"][0]["location"]) == (422, "query.cluster")
    assert ask(scanned, "can", cluster="test", **asked)["allowed"]


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"user": "joe", "verb": "get", "resource": "pods", "cluster": "nowhere"}, 404),
        ({"user": "joe", "verb": "get", "resource": "/metrics", "namespace": "shop"}, 422),
        ({"user": "joe", "verb": "get", "resource": "deployments.apps", "api_group": "batch"}, 422),
        ({"user": "", "verb": "get", "resource": "pods"}, 422),
        ({"user": "joe", "verb": "get"}, 422),
        ({"user": "joe", "verb": "get", "resource": "pods", "ressource": "x"}, 422),
    ],
)
def test_what_does_not_fit_is_a_problem(scanned: Api, params: dict[str, Any], status: int) -> None:
    """With a status of its own."""
    answer = scanned.get("/api/v1/rbac/can", params=params)
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)
