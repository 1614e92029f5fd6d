"""Policies can be listed and read."""

import pytest

from tests.api.conftest import Api


@pytest.mark.parametrize(
    ("params", "ids"),
    [
        ({}, ["pods/privileged-container", "readiness/unpinned-image"]),
        ({"limit": 1}, ["pods/privileged-container", "readiness/unpinned-image"]),
        ({"area": "pods"}, ["pods/privileged-container"]),
        ({"framework": "nsa-cisa"}, ["readiness/unpinned-image"]),
        ({"min_severity": "high"}, ["pods/privileged-container"]),
    ],
)
def test_policies_are_listed_by_id(sqlite_api: Api, params: dict[str, str], ids: list[str]) -> None:
    """Each filter chooses what it names."""
    assert [policy["id"] for policy in sqlite_api.items("/api/v1/policies", **params)] == ids


def test_policy_is_shown_whole(sqlite_api: Api) -> None:
    """One policy says why it matters and what exactly it asks."""
    found = sqlite_api.get("/api/v1/policies/pods/privileged-container").json()
    assert (found["rationale"], found["forbid"]) == (
        "Because.",
        "container.?securityContext.?privileged.orValue(false)",
    )


def test_unknown_policy_is_not_found(sqlite_api: Api) -> None:
    """A policy that is not loaded is a 404."""
    assert sqlite_api.get("/api/v1/policies/pods/none").status_code == 404
