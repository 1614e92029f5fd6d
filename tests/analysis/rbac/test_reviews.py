"""SubjectAccessReviews are read as the API server reads them."""

import json
from typing import Any

import pytest

from scanner.analysis.rbac.requests import Identity, Request
from scanner.analysis.rbac.reviews import parse_review
from scanner.errors import InputError
from tests.analysis.rbac.oracle import REVIEWS, ApiServer
from tests.services import ControlPlane

PODS = {"verb": "get", "resource": "pods"}
VALID: list[dict[str, Any]] = [
    {"user": "jane", "resourceAttributes": PODS},
    {"groups": ["ops"], "resourceAttributes": PODS},
    {"user": "jane", "groups": None, "uid": "1", "extra": {"a": ["b"]}, "resourceAttributes": {**PODS, "name": None}},
    {"user": "jane", "nonResourceAttributes": {"verb": "get", "path": "/metrics"}},
    {"user": "jane", "nonResourceAttributes": {}},
    {"user": "jane", "resourceAttributes": {}},
    {"user": "jane", "groups": [""], "resourceAttributes": {"version": "v1"}},
]
INVALID: list[dict[str, Any]] = [
    {"user": "jane"},
    {"resourceAttributes": PODS},
    {"user": "", "groups": [], "resourceAttributes": PODS},
    {"user": "jane", "resourceAttributes": PODS, "nonResourceAttributes": {"verb": "get", "path": "/"}},
    {"user": 5, "resourceAttributes": PODS},
    {"user": "jane", "groups": "ops", "resourceAttributes": PODS},
    {"user": "jane", "resourceAttributes": []},
]


def test_a_spec_and_a_whole_review_are_the_same_question() -> None:
    """Exactly these groups, and nothing that was not said."""
    spec = {
        "user": "jane",
        "groups": ["ops"],
        "resourceAttributes": {**PODS, "subresource": "log", "namespace": "shop"},
    }
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    wanted = Request(verb="get", resource="pods", subresource="log", namespace="shop")
    assert parse_review(json.dumps(spec).encode()) == (Identity("jane", frozenset({"ops"})), wanted)
    assert parse_review(json.dumps(review).encode()) == parse_review(json.dumps(spec).encode())


@pytest.mark.parametrize("text", [b"\xff", b"", b"null", b"5", b'{"user": "jane"', b'{"kind": "Pod", "spec": {}}'])
def test_what_is_none_is_refused(text: bytes) -> None:
    """In one line."""
    with pytest.raises(InputError) as caught:
        parse_review(text)
    assert "\n" not in str(caught.value)


@pytest.mark.control_plane
@pytest.mark.parametrize(
    ("spec", "valid"), [*((spec, True) for spec in VALID), *((spec, False) for spec in INVALID)], ids=json.dumps
)
def test_the_api_server_takes_what_we_take(control_plane: ControlPlane, spec: dict[str, Any], *, valid: bool) -> None:
    """And refuses what we refuse."""
    assert _is_taken(lambda: parse_review(json.dumps(spec).encode()), InputError) is valid
    with ApiServer(control_plane) as server:
        assert _is_taken(lambda: server.call("POST", REVIEWS, {"spec": spec}), AssertionError) is valid


def _is_taken(ask: Any, refusal: type[Exception]) -> bool:
    try:
        ask()
    except refusal:
        return False
    return True
