"""Aggregated ClusterRoles in files hold what the controller would write into them."""

from typing import Any

from scanner.analysis.rbac.aggregation import with_aggregated_rules
from scanner.analysis.rbac.bootstrap import bootstrap_roles
from scanner.model.rbac import Role, Rule
from tests.builders import cluster_role, rule, snapshot


def _aggregate(name: str, label: str, *rules: dict[str, Any], labels: dict[str, str] | None = None) -> dict[str, Any]:
    selector = {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}
    return cluster_role(name, *rules, labels=labels) | {"aggregationRule": selector}


def _settled(*objects: dict[str, Any]) -> dict[str, tuple[Rule, ...]]:
    roles = {role.meta.name: role for role in snapshot(*objects).roles.values()}
    return {name: role.rules for name, role in with_aggregated_rules(roles).items()}


LIST_CARTS = rule("list", "carts", group="shop.example.com")


def test_rules_come_from_the_selected_roles() -> None:
    """A ClusterRole with the label feeds the one that selects it."""
    found = _settled(_aggregate("all", "to-all"), cluster_role("carts", LIST_CARTS, labels={"to-all": "true"}))
    assert found["all"] == (Rule(("list",), ("shop.example.com",), ("carts",)),)


def test_rules_pass_through_aggregated_roles() -> None:
    """A role that feeds `edit` reaches `admin` through it."""
    found = _settled(
        _aggregate("admin", "to-admin"),
        _aggregate("edit", "to-edit", labels={"to-admin": "true"}),
        cluster_role("carts", LIST_CARTS, labels={"to-edit": "true"}),
    )
    assert found["admin"] == found["edit"] == found["carts"]


def test_roles_that_select_each_other_settle() -> None:
    """A circle of aggregation ends, with the rules of all in each."""
    found = _settled(
        _aggregate("one", "to-one", labels={"to-two": "true"}),
        _aggregate("two", "to-two", labels={"to-one": "true"}),
        cluster_role("carts", LIST_CARTS, labels={"to-one": "true"}),
    )
    assert found["one"] == found["two"] == found["carts"]


def test_rules_that_are_there_stay() -> None:
    """A role that was read with its rules is as the controller left it."""
    found = _settled(
        _aggregate("all", "to-all", rule("get", "pods")), cluster_role("carts", LIST_CARTS, labels={"to-all": "true"})
    )
    assert found["all"] == (Rule(("get",), ("",), ("pods",)),)


def test_the_user_facing_roles_include_each_other() -> None:
    """`admin` holds all of `edit`, and `edit` all of `view`, as in every cluster."""
    roles: dict[str, Role] = {r.meta.name: r for r in bootstrap_roles() if r.ref.kind == "ClusterRole"}
    rules = {name: set(role.rules) for name, role in with_aggregated_rules(roles).items()}
    assert rules["admin"] > rules["edit"] > rules["view"] > set()
