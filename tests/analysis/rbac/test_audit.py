"""Audit events are read as the authorizers saw the requests."""

import json
from typing import Any

import pytest

from scanner.analysis.rbac.audit import event_of, events_of, observed
from scanner.analysis.rbac.requests import Request
from scanner.analysis.rbac.usage import Observed


def event(**fields: Any) -> dict[str, Any]:
    """Make an event: a service account reads a ConfigMap."""
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/configmaps/prices?timeout=5s",
        "verb": "get",
        "user": {"username": "system:serviceaccount:shop:cart", "groups": ["system:authenticated"]},
        "objectRef": {"resource": "configmaps", "namespace": "shop", "name": "prices", "apiVersion": "v1"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-11-23T12:00:00.000000Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
    } | fields


def seen(**fields: Any) -> list[Observed]:
    """Return what an event tells."""
    found = event_of(json.dumps(event(**fields)).encode())
    assert found is not None
    return list(observed(found))


def request(**fields: Any) -> Request:
    """Return the one request that an event tells of."""
    (found,) = seen(**fields)
    return found.request


def test_request_is_that_of_the_authorizer() -> None:
    """Verb, resource, namespace and name are taken over."""
    assert request() == Request(verb="get", resource="configmaps", namespace="shop", name="prices")


def test_group_and_subresource_are_taken_over() -> None:
    """API groups and subresources count."""
    target = {"apiGroup": "apps", "resource": "deployments", "subresource": "scale", "namespace": "shop", "name": "a"}
    assert str(request(verb="patch", objectRef=target)) == "patch deployments.apps/scale a in shop"


def test_created_object_has_no_name_yet() -> None:
    """The authorizers know no name of what is to be created, though the event does."""
    assert request(verb="create").name == ""


def test_creation_under_an_object_has_its_name() -> None:
    """`create pods/exec` is about one pod."""
    target = {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "cart-0"}
    assert request(verb="create", objectRef=target).name == "cart-0"


def test_path_is_asked_without_its_query() -> None:
    """A request for no resource is for a path."""
    assert request(objectRef=None, requestURI="/metrics?x=1") == Request(verb="get", path="/metrics")


def test_path_is_decoded() -> None:
    """The authorizers see the path decoded."""
    assert request(objectRef=None, requestURI="/logs/a%20b").path == "/logs/a b"


@pytest.mark.parametrize("stage", ["RequestReceived", "Unknown"])
def test_request_without_answer_tells_nothing(stage: str) -> None:
    """What has not been decided is neither allowed nor denied."""
    assert seen(stage=stage) == []


def test_unauthenticated_request_tells_nothing() -> None:
    """Who is nobody uses nothing."""
    assert seen(user={}) == []


def test_forbidden_request_is_denied() -> None:
    """The authorizers' own word counts."""
    (found,) = seen(annotations={"authorization.k8s.io/decision": "forbid"}, responseStatus={"code": 403})
    assert not found.is_allowed


def test_request_that_admission_refused_was_allowed() -> None:
    """403 may come from admission, after the authorizers have said yes."""
    (found,) = seen(responseStatus={"code": 403})
    assert found.is_allowed


def test_without_annotation_the_status_counts() -> None:
    """An audit policy may leave annotations out."""
    (found,) = seen(annotations=None, responseStatus={"code": 403})
    assert not found.is_allowed


def test_object_that_is_not_there_was_asked_for() -> None:
    """404 is an answer to who may ask."""
    (found,) = seen(responseStatus={"code": 404})
    assert found.is_allowed


def test_impersonated_user_makes_the_request() -> None:
    """The one who is acted as uses the right."""
    found = seen(impersonatedUser={"username": "jane", "groups": ["ops", "system:authenticated"]})
    assert (found[0].identity.user, found[0].identity.groups) == ("jane", frozenset({"ops", "system:authenticated"}))


def test_impersonation_is_a_use_of_its_own() -> None:
    """Who acts as someone uses `impersonate` on the user and each group that was asked for."""
    found = seen(impersonatedUser={"username": "jane", "groups": ["ops", "system:authenticated"]})
    assert [str(one.request) for one in found[1:]] == ["impersonate users jane", "impersonate groups ops"]


def test_impersonated_service_account_is_one() -> None:
    """Groups of service accounts come by themselves."""
    groups = ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]
    found = seen(impersonatedUser={"username": "system:serviceaccount:shop:bot", "groups": groups})
    assert [str(one.request) for one in found[1:]] == ["impersonate serviceaccounts bot in shop"]


def test_constrained_impersonation_has_its_own_verbs() -> None:
    """Of a constrained impersonation both halves are used."""
    found = seen(
        impersonatedUser={"username": "jane", "groups": ["system:authenticated"]},
        authenticationMetadata={"impersonationConstraint": "impersonate:user-info"},
    )
    assert [str(one.request) for one in found[1:]] == [
        "impersonate:user-info users.authentication.k8s.io jane",
        "impersonate-on:user-info:get configmaps prices in shop",
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"null",
        b'{"kind": "Pod", "apiVersion": "v1"}',
        json.dumps(event(kind="EventList")).encode(),
        json.dumps(event(apiVersion="v1")).encode(),
        json.dumps(event(verb=5)).encode(),
        json.dumps(event(requestReceivedTimestamp="2026-11-23T12:00:00")).encode(),
        b'{"verb": "\xff"}',
    ],
)
def test_other_lines_are_no_events(line: bytes) -> None:
    """What is no audit event is told apart."""
    assert event_of(line) is None


def test_bodies_are_not_read() -> None:
    """Whatever a log holds of objects is passed over."""
    assert "hunter2" not in str(event_of(json.dumps(event(requestObject={"data": "hunter2"})).encode()))


def test_items_of_a_list_say_no_kind() -> None:
    """The webhook posts a list, whose kind is that of its items."""
    item = {key: value for key, value in event().items() if key not in {"kind", "apiVersion"}}
    found = events_of(json.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [item, {}]}).encode())
    assert found is not None
    assert [one is not None for one in found] == [True, False]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"kind": "List", "apiVersion": "v1", "items": []}', b'{"items": []}'])
def test_other_bodies_are_no_lists(body: bytes) -> None:
    """What is no list of audit events is told apart."""
    assert events_of(body) is None
