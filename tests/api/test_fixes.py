"""What ends a finding about RBAC, as of the last scan."""

from typing import Any

import pytest

from scanner.model.policy import PolicyId
from scanner.policy.load import load_policies
from tests.api.conftest import Api, scan
from tests.builders import binding, cluster_role, rule
from tests.policies.fixtures import ROOT

READ_SECRETS = load_policies(ROOT, only=("rbac/read-secrets",))
OBJECTS = (
    cluster_role("reader", rule("get list", "pods secrets")),
    binding("ClusterRole reader", "User jane", name="readers"),
)


@pytest.fixture
def scanned(sqlite_api: Api) -> Api:
    """An API that knows one policy about RBAC, by which its cluster was judged."""
    sqlite_api.app.state.services.policies[PolicyId("rbac/read-secrets")] = READ_SECRETS[0]
    scan(sqlite_api.engine, *OBJECTS, policies=READ_SECRETS)
    return sqlite_api


def _detail(api: Api, **params: Any) -> Any:
    (item,) = api.items("/api/v1/findings", **params)
    return api.get(f"/api/v1/findings/{item['id']}").raise_for_status().json()


def test_an_open_finding_has_its_patch(scanned: Api) -> None:
    """A JSON Patch of the role."""
    (patch,) = _detail(scanned)["patch"]
    assert (patch["action"], patch["resource"]["name"]) == ("patch", "reader")
    assert patch["patch"][-1] == {"op": "replace", "path": "/rules/0", "value": rule("get list", "pods")}


def test_the_patch_follows_the_last_scan(scanned: Api) -> None:
    """Somebody else is bound to the role too, and fails as well; it is the same patch for both."""
    more = binding("ClusterRole reader", "User joe", name="more")
    scan(scanned.engine, *OBJECTS, more, policies=READ_SECRETS)
    (joe,) = (i for i in scanned.items("/api/v1/findings") if i["resource"]["name"] == "joe")
    (patch,) = scanned.get(f"/api/v1/findings/{joe['id']}").json()["patch"]
    assert patch["resource"]["name"] == "reader"


def test_a_resolved_finding_has_none(scanned: Api) -> None:
    """Nothing is left to do."""
    scan(scanned.engine, OBJECTS[0], policies=READ_SECRETS)
    assert _detail(scanned, state="resolved")["patch"] == []
