"""What counts as a way to a right: names, paths, places, releases, and rights that must meet in one role."""

from collections.abc import Mapping
from typing import Any

import pytest

from scanner.analysis.rbac.rights import subjects_who_can
from scanner.model.finding import Outcome
from scanner.model.rbac import RBAC_GROUP
from tests.builders import NOW, binding, cluster_role, role, rule, snapshot

#: Both halves of rewriting a role.
REWRITE: dict[str, Any] = {
    "together": [
        [
            {"verbs": [verb], "resources": [f"clusterroles.{RBAC_GROUP}"], "same_name": True, "cluster_scoped": True}
            for verb in ("escalate", "update")
        ]
    ]
}


def _failing(asked: Mapping[str, Any], *objects: Mapping[str, Any], server_version: str = "v1.37.2") -> list[str]:
    seen = snapshot(*objects, server_version=server_version)
    answers = subjects_who_can(seen, now=NOW, **asked)
    return [str(answer.resource) for answer in answers if answer.outcome is Outcome.FAIL]


def _jane(*rules: Mapping[str, Any], namespace: str = "", name: str = "own") -> tuple[dict[str, Any], dict[str, Any]]:
    """Grant rules to a user by a ClusterRole."""
    bound = binding(f"ClusterRole {name}", "User jane", namespace=namespace, name=name)
    return cluster_role(name, *rules), bound


def _way(**fields: Any) -> dict[str, Any]:
    return {"any_of": [fields]}


@pytest.mark.parametrize(
    ("path", "found"),
    [("/metrics", True), ("/met*", True), ("*", True), ("/metrics/", False), ("/metrics/*", False)],
)
def test_a_way_may_be_a_path(path: str, found: bool) -> None:
    """A path is named exactly, or by its start."""
    asked = _way(verbs=["get"], paths=["/metrics"], cluster_scoped=True)
    assert bool(_failing(asked, *_jane(rule("get", urls=path)))) is found


def test_a_role_binding_grants_no_path() -> None:
    """Paths have no namespace."""
    asked = _way(verbs=["get"], paths=["/metrics"], cluster_scoped=True)
    assert _failing(asked, *_jane(rule("get", urls="*"), namespace="shop")) == []


@pytest.mark.parametrize(("namespace", "found"), [("", True), ("kube-system", True), ("shop", False)])
def test_a_way_may_lead_through_one_namespace(namespace: str, found: bool) -> None:
    """A right in the whole cluster includes that namespace, a right in another does not."""
    asked = _way(verbs=["create"], resources=["secrets"], namespace="kube-system")
    assert bool(_failing(asked, *_jane(rule("create", "secrets"), namespace=namespace))) is found


def test_creating_an_object_carries_no_name() -> None:
    """A rule for `create` that is limited to names grants nothing, whatever the names."""
    asked = _way(verbs=["create", "deletecollection"], resources=["secrets"], names=["login"], any_name=True)
    assert _failing(asked, *_jane(rule("create deletecollection", "secrets", names="login"))) == []


def test_creating_a_subresource_carries_the_name_of_its_object() -> None:
    """A rule for a token that is limited to names grants it for these."""
    asked = _way(verbs=["create"], resources=["serviceaccounts/token"], any_name=True)
    assert _failing(asked, *_jane(rule("create", "serviceaccounts/token", names="robot"))) == ["User jane"]


@pytest.mark.parametrize(
    ("names", "fields", "found"),
    [
        ("", {}, True),
        ("joe", {}, False),
        ("joe", {"names": ["joe"]}, True),
        ("joe", {"any_name": True}, True),
        ("", {"any_name": True}, True),
        ("joe", {"only_named": True}, True),
        ("", {"only_named": True}, False),
        ("joe", {"only_named": True, "names": ["jack"]}, False),
        ("joe jack", {"only_named": True, "names": ["jack"]}, True),
    ],
)
def test_a_way_says_which_names_count(names: str, fields: Mapping[str, Any], found: bool) -> None:
    """Without a word none do; a list, any, or only rules that are limited."""
    asked = _way(verbs=["impersonate"], resources=["users"], **fields)
    assert bool(_failing(asked, *_jane(rule("impersonate", "users", names=names)))) is found


@pytest.mark.parametrize(("name", "found"), [("robot", []), ("boss", ["ServiceAccount shop/robot"])])
def test_a_right_on_oneself_is_no_right_on_others(name: str, found: list[str]) -> None:
    """A service account that may make its own tokens gains none."""
    asked = _way(verbs=["create"], resources=["serviceaccounts/token"], only_named=True)
    own = role("own", rule("create", "serviceaccounts/token", names=name))
    assert _failing(asked, own, binding("Role own", "ServiceAccount shop/robot", namespace="shop")) == found


def test_a_namesake_elsewhere_is_somebody_else() -> None:
    """The account of that name in another namespace counts."""
    asked = _way(verbs=["create"], resources=["serviceaccounts/token"], only_named=True)
    own = role("own", rule("create", "serviceaccounts/token", names="robot"))
    bound = binding("Role own", "ServiceAccount stage/robot", namespace="shop")
    assert _failing(asked, own, bound) == ["ServiceAccount stage/robot"]


@pytest.mark.parametrize(("version", "found"), [("v1.35.9", False), ("v1.36.0", True), ("v1.37.2", True), ("", True)])
def test_a_way_may_begin_with_a_release(version: str, found: bool) -> None:
    """What a release brought does not count on older ones; where the release is not known, it counts."""
    asked = _way(verbs=["use"], resources=["keys"], since="1.36")
    assert bool(_failing(asked, *_jane(rule("use", "keys")), server_version=version)) is found


@pytest.mark.parametrize(("version", "found"), [("v1.36.1-eks-0a1b2c3", True), ("v1.36.1", False), ("", False)])
def test_a_way_may_belong_to_a_distribution(version: str, found: bool) -> None:
    """The release's name tells; where it is not known, the way does not count."""
    asked = _way(verbs=["use"], resources=["keys"], only_on="-eks-")
    assert bool(_failing(asked, *_jane(rule("use", "keys")), server_version=version)) is found


@pytest.mark.parametrize(
    ("verb", "found"), [("act-on:list", True), ("act-on:", True), ("*", True), ("act-for:list", False), ("act", False)]
)
def test_verbs_may_share_a_start(verb: str, found: bool) -> None:
    """Any verb with that start counts on any resource, and so does every verb."""
    assert bool(_failing(_way(verbs=["act-on:*"]), *_jane(rule(verb, "pods")))) is found


def test_a_verb_on_paths_is_none_on_resources() -> None:
    """A rule of paths names no resource."""
    assert _failing(_way(verbs=["act-on:*"]), *_jane(rule("*", urls="*"))) == []


@pytest.mark.parametrize(("name", "found"), [("feeds", ["User jane"]), ("feeds-none", [])])
def test_a_role_that_feeds_another_counts_by_its_name(name: str, found: list[str]) -> None:
    """A name counts if an aggregationRule selects the ClusterRole."""
    asked = _way(verbs=["update"], resources=[f"clusterroles.{RBAC_GROUP}"], feeders=True, cluster_scoped=True)
    fed = cluster_role("fed") | {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "fed"}}]}}
    feeders = (cluster_role("feeds", labels={"to": "fed"}), cluster_role("feeds-none", labels={"to": "others"}))
    assert _failing(asked, fed, *feeders, *_jane(rule("update", "clusterroles", group=RBAC_GROUP, names=name))) == found


@pytest.mark.parametrize(
    ("escalates", "updates", "found"),
    [
        ("", "", True),
        ("own", "own", True),
        ("", "own", True),
        ("own", "", True),
        ("own", "other", False),
        ("other", "other", False),
        ("other own", "own", True),
    ],
)
def test_two_rights_must_meet_in_a_role_that_one_holds(escalates: str, updates: str, found: bool) -> None:
    """Both on all roles, or both on one role that the subject is bound to."""
    rules = (
        rule("escalate", "clusterroles", group=RBAC_GROUP, names=escalates),
        rule("update", "clusterroles", group=RBAC_GROUP, names=updates),
    )
    assert bool(_failing(REWRITE, *_jane(*rules))) is found


def test_the_role_may_be_held_through_a_group() -> None:
    """A role that all service accounts have is a service account's own."""
    halves = cluster_role("halves", rule("escalate update", "clusterroles", group=RBAC_GROUP, names="everyone"))
    everyone = cluster_role("everyone", rule("get", "pods"))
    objects = (
        halves,
        everyone,
        binding("ClusterRole halves", "ServiceAccount shop/robot"),
        binding("ClusterRole everyone", "Group system:serviceaccounts"),
    )
    assert _failing(REWRITE, *objects) == ["ServiceAccount shop/robot"]


def test_a_role_held_in_one_namespace_gives_its_rules_there() -> None:
    """Rewriting a ClusterRole that is bound in a namespace yields that namespace."""
    halves = _jane(rule("escalate update", "clusterroles", group=RBAC_GROUP, names="tenant"), name="halves")
    tenant = cluster_role("tenant", rule("get", "pods"))
    bound = binding("ClusterRole tenant", "User jane", namespace="shop")
    (answer,) = subjects_who_can(snapshot(*halves, tenant, bound), now=NOW, **REWRITE)
    assert answer.message.endswith("in namespace shop")
