"""The API server's audit events come in, and used rights and proposals go out."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from scanner.api.application import create_app
from scanner.api.dependencies import AuditWebhook
from scanner.api.middleware import Limits
from scanner.errors import ClusterError
from scanner.model.refs import ClusterName
from scanner.store.tables import AUDIT_IDENTITIES, AUDIT_USES
from tests.api.conftest import Api, scan
from tests.builders import binding, cluster_role, rule

TOKEN = "a-token-of-the-audit-webhook"
CART = "system:serviceaccount:shop:cart"
OBJECTS = (
    cluster_role("wide", rule("*", "*", group="*")),
    binding("ClusterRole wide", "ServiceAccount shop/cart", "User jane", name="wide"),
)


def event(verb: str = "get", name: str = "prices", user: str = CART, resource: str = "configmaps") -> dict[str, Any]:
    """Make an audit event."""
    return {
        "level": "Metadata",
        "stage": "ResponseComplete",
        "requestURI": "/",
        "verb": verb,
        "user": {"username": user, "groups": ["system:authenticated"]},
        "objectRef": {"resource": resource, "namespace": "shop", "name": name},
        "requestReceivedTimestamp": "2026-11-23T12:00:00.000000Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
    }


def events(*items: Any) -> dict[str, Any]:
    """Make what the audit webhook posts."""
    return {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": list(items)}


def taking(api: Api, cluster: Callable[[], ClusterName] = lambda: ClusterName("test")) -> Api:
    """Let an API take audit events."""
    services = dataclasses.replace(api.app.state.services, audit=AuditWebhook(token=SecretStr(TOKEN), cluster=cluster))
    limits = Limits(body_bytes=1000, larger_bodies={"/api/v1/audit": 5000})
    return dataclasses.replace(api, app=create_app(services, limits, version="1.2.3"))


def post(api: Api, body: Any, token: str = f"Bearer {TOKEN}") -> Any:
    """Post as the audit webhook does."""
    headers = {b"Authorization": token.encode("latin-1"), b"Content-Type": b"application/json"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return api.call("POST", "/api/v1/audit?timeout=30s", content=content, headers=headers)


def test_posted_events_are_listed(api: Api) -> None:
    """What an event tells can be read."""
    webhook = taking(api)
    assert post(webhook, events(event())).status_code == 204
    (found,) = webhook.items("/api/v1/rbac/usage")
    assert (found["user"], found["request"]["verb"], found["names"], found["count"]) == (CART, "get", ["prices"], 1)


def test_use_is_listed_page_by_page(api: Api) -> None:
    """Cursors lead through all of it."""
    webhook = taking(api)
    post(webhook, events(*(event(verb) for verb in ("get", "list", "watch")), event(user="jane")))
    found = webhook.items("/api/v1/rbac/usage", limit=1)
    assert [(each["user"]) for each in found] == ["jane", CART, CART, CART]


def test_use_can_be_filtered(sqlite_api: Api) -> None:
    """By user, namespace and resource."""
    webhook = taking(sqlite_api)
    post(webhook, events(event(), event(user="jane"), event(resource="pods")))
    found = webhook.items("/api/v1/rbac/usage", user=CART, namespace="shop", resource="pods")
    assert [each["request"]["resource"] for each in found] == ["pods"]


def test_proposals_come_from_posts_and_scans(api: Api) -> None:
    """The last scan says what was granted, the posts what was used."""
    webhook = taking(api)
    scan(api.engine, *OBJECTS)
    post(webhook, events(event(), event("list", "")))
    (found,) = webhook.items("/api/v1/rbac/proposals", user=CART)
    assert found["manifests"][0]["rules"] == [
        {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps"]}
    ]
    assert [each["name"] for each in found["replaces"]] == ["wide"]


def test_proposals_are_listed_page_by_page(api: Api) -> None:
    """Each subject comes once, also those that no request was seen of."""
    webhook = taking(api)
    scan(api.engine, *OBJECTS)
    post(webhook, events(event()))
    found = webhook.items("/api/v1/rbac/proposals", limit=1)
    assert [(each["subject"]["name"], len(each["manifests"])) for each in found] == [("cart", 2), ("jane", 0)]


def test_proposals_say_what_was_proven(sqlite_api: Api) -> None:
    """The authorizer was asked."""
    webhook = taking(sqlite_api)
    scan(sqlite_api.engine, *OBJECTS)
    post(webhook, events(event()))
    assert webhook.get("/api/v1/rbac/proposals").json()["proof"] == {"requests": 1, "rights": 1}


def test_proposals_need_a_scan(sqlite_api: Api) -> None:
    """Without roles and bindings nothing can be compared."""
    assert sqlite_api.get("/api/v1/rbac/proposals").json()["type"] == "/problems/not-scanned"


def test_nothing_is_known_before_the_first_post(sqlite_api: Api) -> None:
    """That is no empty list: it would read as if nothing was used."""
    assert sqlite_api.get("/api/v1/rbac/usage").status_code == 404


def test_without_token_set_nothing_is_taken(sqlite_api: Api) -> None:
    """The address does not exist unless it is asked for."""
    answer = post(sqlite_api, events())
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize("token", ["", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xff", TOKEN])
def test_wrong_token_is_refused(sqlite_api: Api, token: str) -> None:
    """Who doesn't know the token tells nothing."""
    answer = post(taking(sqlite_api), events(event()), token)
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/wrong-token")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"kind":"PodList","apiVersion":"v1","items":[]}'])
def test_other_bodies_are_refused(sqlite_api: Api, body: bytes) -> None:
    """Only lists of audit events are taken."""
    assert post(taking(sqlite_api), body).json()["type"] == "/problems/invalid-request"


def test_item_that_is_no_event_costs_no_other(sqlite_api: Api) -> None:
    """The rest of the list is taken."""
    webhook = taking(sqlite_api)
    assert post(webhook, events({"verb": 5}, event())).status_code == 204
    assert len(webhook.items("/api/v1/rbac/usage")) == 1


def test_only_this_address_takes_large_bodies(sqlite_api: Api) -> None:
    """A batch is larger than any other request may be."""
    webhook = taking(sqlite_api)
    body = events(*(event() for _ in range(8)))
    assert len(json.dumps(body)) > 1000
    assert post(webhook, body).status_code == 204
    assert webhook.call("POST", "/api/v1/scans", json=body).status_code == 413


def test_bodies_have_an_end(sqlite_api: Api) -> None:
    """A batch has a limit too."""
    answer = post(taking(sqlite_api), events(*(event() for _ in range(100))))
    assert answer.json()["type"] == "/problems/content-too-large"


def test_cluster_without_a_name_is_told(sqlite_api: Api) -> None:
    """The API server is to post again."""

    def unreachable() -> ClusterName:
        raise ClusterError("https://10.0.0.1: no answer")

    assert post(taking(sqlite_api, unreachable), events(event())).status_code == 503


def test_nothing_of_a_body_is_kept(sqlite_api: Api) -> None:
    """Whatever an audit policy lets through, no value of a Secret gets into the database."""
    webhook = taking(sqlite_api)
    post(webhook, events(event(resource="secrets") | {"responseObject": {"data": {"password": "aHVudGVyMg=="}}}))
    with sqlite_api.engine.connect() as connection:
        dump = [str(row) for table in (AUDIT_USES, AUDIT_IDENTITIES) for row in connection.execute(sa.select(table))]
    assert dump
    assert not any("aHVudGVyMg" in row for row in dump)
