"""Snapshots after a change: as an API server and its controllers would leave them."""

from typing import Any

import pytest

from scanner.analysis.rbac.changed import changed, patched
from scanner.model.change import Create, Delete, Patch, PatchStep
from scanner.model.refs import ObjectRef
from tests.builders import RBAC_V1, cluster_role, rule, snapshot

FEEDER = cluster_role("feeder", rule("get", "secrets"), labels={"feeds": "reader"})
READER = cluster_role("reader", rule("get", "secrets")) | {
    "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"feeds": "reader"}}]}
}
REF = ObjectRef(RBAC_V1, "ClusterRole", "", "feeder")


def test_what_is_created_is_there() -> None:
    """With its body."""
    after = changed(snapshot(), [Create(cluster_role("new", rule("get", "pods")))])
    assert after.roles["ClusterRole", "", "new"].rules[0].resources == ("pods",)


def test_what_exists_cannot_be_created() -> None:
    """As the API server answers 409."""
    with pytest.raises(ValueError, match="feeder is there already"):
        changed(snapshot(FEEDER), [Create(FEEDER)])


def test_what_is_deleted_is_gone() -> None:
    """The rest stays."""
    assert not changed(snapshot(FEEDER), [Delete(REF)]).roles


def test_what_is_not_there_cannot_be_deleted() -> None:
    """As the API server answers 404."""
    with pytest.raises(ValueError, match="feeder is not there"):
        changed(snapshot(), [Delete(REF)])


@pytest.mark.parametrize(
    "steps",
    [
        [PatchStep("remove", "/rules/0")],
        [PatchStep("remove", "/metadata/labels/feeds")],
    ],
    ids=["without its rule", "without its label"],
)
def test_aggregated_roles_follow(steps: list[PatchStep]) -> None:
    """A controller gathers their rules anew when one that feeds them changes."""
    after = changed(snapshot(FEEDER, READER), [Patch(REF, tuple(steps))])
    assert after.roles["ClusterRole", "", "reader"].rules == ()


def test_a_test_that_fails_stops_a_patch() -> None:
    """Someone changed it meanwhile."""
    with pytest.raises(ValueError, match="/rules/0 is not what was seen"):
        patched(FEEDER, [PatchStep("test", "/rules/0", rule("list", "secrets"))])


@pytest.mark.parametrize(
    ("stored", "seen"),
    [
        (rule("get", "secrets") | {"resourceNames": []}, rule("get", "secrets")),
        ({"kind": "User", "name": "jane"}, {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}),
    ],
    ids=["empty list", "missing apiGroup"],
)
def test_what_files_leave_out_is_read_as_the_api_server_does(stored: dict[str, Any], seen: dict[str, Any]) -> None:
    """A test of the stored form passes on the file's."""
    assert patched({"items": [stored]}, [PatchStep("test", "/items/0", seen)]) == {"items": [stored]}


def test_pointers_are_unescaped() -> None:
    """Labels have slashes in their keys."""
    assert patched({"labels": {"a/b~c": "1"}}, [PatchStep("remove", "/labels/a~1b~0c")]) == {"labels": {}}
