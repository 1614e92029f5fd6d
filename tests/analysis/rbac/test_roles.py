"""Roles that nobody is bound to, and roles that put sensitive rights into others."""

import json
from pathlib import Path
from typing import Any

import pytest

from scanner.analysis.rbac import bootstrap
from scanner.analysis.rbac.roles import feeders_of_sensitive_rights, unused_roles
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Outcome
from scanner.model.policy import Severity
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import SourceKind
from tests.builders import NOW, binding, cluster_role, role, rule, snapshot

FRESH: list[dict[str, Any]] = json.loads(Path(bootstrap.__file__).with_name("bootstrap.json").read_text())
SENSITIVE = [{"verbs": ["get"], "resources": ["secrets"]}, {"verbs": ["impersonate"], "resources": ["users"]}]
TO = "rbac.authorization.k8s.io/aggregate-to-"


def _unused(*objects: dict[str, Any], **snapshot_fields: Any) -> dict[str, str]:
    seen = snapshot(*objects, **snapshot_fields)
    return {str(answer.resource): str(answer.outcome) for answer in unused_roles(seen, now=NOW)}


def _added(*objects: dict[str, Any]) -> dict[str, Severity | None]:
    """Judge roles in a fresh cluster; the severity of each that fails."""
    answers = feeders_of_sensitive_rights(snapshot(*FRESH, *objects), now=NOW, sensitive=SENSITIVE)
    return {answer.resource.name: answer.severity for answer in answers if answer.outcome is Outcome.FAIL}


def test_a_role_that_nobody_is_bound_to_fails() -> None:
    """A binding elsewhere, or to a ClusterRole of the same name, is none to it."""
    reader = role("reader", rule("get", "pods"))
    bound = binding("ClusterRole reader", "User jane", namespace="shop")
    other = binding("Role reader", "User jane", namespace="bank")
    assert _unused(reader, bound, other) == {"Role shop/reader": "fail"}


def test_a_cluster_role_in_files_may_be_bound_elsewhere() -> None:
    """A Role stands beside its RoleBinding or nowhere; a ClusterRole does not."""
    found = _unused(cluster_role("reader"), role("reader"), source=SourceKind.MANIFESTS)
    assert found == {"ClusterRole reader": "unknown", "Role shop/reader": "fail"}


def test_bindings_that_were_not_read_may_use_a_role() -> None:
    """A namespace that may not be read leaves ClusterRoles unknown, and roles of other namespaces known."""
    complete = [Read(resource=r.name, state=ReadState.COMPLETE) for r in RESOURCES if r.kind != "RoleBinding"]
    name = "rolebindings.rbac.authorization.k8s.io"
    reads = [
        Read(resource=name, namespace="bank", state=ReadState.FORBIDDEN),
        Read(resource=name, namespace="shop", state=ReadState.COMPLETE),
    ]
    found = _unused(cluster_role("reader"), role("reader"), coverage=[*complete, *reads])
    assert found == {"ClusterRole reader": "unknown", "Role shop/reader": "fail"}


def test_no_role_of_a_fresh_cluster_is_unused() -> None:
    """Kubernetes makes roles for those who may want to bind them."""
    assert set(_unused(*FRESH).values()) == {"pass"}


def test_a_role_that_a_program_binds_is_used() -> None:
    """The verb `bind` on its name is the use; on other names it is not."""
    binder = cluster_role("binder", rule("bind", "clusterroles", group="rbac.authorization.k8s.io", names="tenant"))
    found = _unused(cluster_role("tenant"), cluster_role("other"), binder, binding("ClusterRole binder", "User jane"))
    assert (found["ClusterRole tenant"], found["ClusterRole other"]) == ("pass", "fail")


def test_nothing_is_added_to_the_roles_of_a_fresh_cluster() -> None:
    """What Kubernetes gives `edit` is no finding."""
    assert _added() == {}


@pytest.mark.parametrize(
    ("target", "words", "found"),
    [
        ("view", rule("get", "secrets"), {"extra": Severity.HIGH}),
        ("edit", rule("get", "secrets"), {}),
        ("edit", rule("impersonate", "users"), {"extra": None}),
        ("edit", rule("impersonate", "serviceaccounts"), {}),
        ("view", rule("get", "secrets", names="banner"), {}),
        ("view", rule("*", "*", group="shop.example.com"), {}),
        ("nothing", rule("*", "*", group="*"), {}),
    ],
)
def test_what_is_added_decides(target: str, words: dict[str, Any], found: dict[str, Severity | None]) -> None:
    """Sensitive rights beyond those that the target has by itself; worst where people were only to look."""
    assert _added(cluster_role("extra", words, labels={f"{TO}{target}": "true"})) == found


def test_a_feeder_of_kubernetes_that_someone_changed_fails() -> None:
    """The label does not excuse what it brings in."""
    changed = [
        o | {"rules": [*o["rules"], rule("impersonate", "users")]}
        if o["metadata"]["name"] == "system:aggregate-to-edit"
        else o
        for o in FRESH
    ]
    answers = feeders_of_sensitive_rights(snapshot(*changed), now=NOW, sensitive=SENSITIVE)
    assert [a.resource.name for a in answers if a.outcome is Outcome.FAIL] == ["system:aggregate-to-edit"]


def test_a_role_of_ones_own_that_aggregates_has_nothing_by_itself() -> None:
    """Every sensitive right that it is fed was added."""
    target = cluster_role("monitoring") | {
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"feeds": "monitoring"}}]}
    }
    assert _added(target, cluster_role("extra", rule("get", "secrets"), labels={"feeds": "monitoring"})) == {
        "extra": None
    }
