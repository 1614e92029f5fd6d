"""Answers are honest about what was not read."""

from typing import Any

import pytest

from scanner.analysis.rbac.answers import can, what_can, who_can
from scanner.analysis.rbac.authorizer import Verdict
from scanner.analysis.rbac.requests import MASTERS, NODES, Identity, Request, identity_of
from scanner.model.coverage import Read, ReadState
from scanner.model.snapshot import Snapshot, SourceKind
from tests.builders import binding, cluster_role, role, rule, snapshot

JANE = identity_of("jane")
IN_SHOP = Request(verb="get", resource="pods", namespace="shop")
EVERYWHERE = Request(verb="get", resource="pods")
KINDS = ("roles", "rolebindings", "clusterroles", "clusterrolebindings")


def seen(*objects: dict[str, Any], unread: str = "", namespace: str = "") -> Snapshot:
    """Make a live snapshot in which one kind could not be read, in the whole cluster or in one namespace."""
    reads = [Read(resource=f"{kind}.rbac.authorization.k8s.io", state=ReadState.COMPLETE) for kind in KINDS]
    missing = Read(resource=f"{unread}.rbac.authorization.k8s.io", state=ReadState.FORBIDDEN, namespace=namespace)
    kept = [read for read in reads if namespace or read.resource != missing.resource]
    return snapshot(*objects, coverage=[*kept, missing] if unread else reads)


@pytest.mark.parametrize(
    ("unread", "request_", "verdict"),
    [
        ("", IN_SHOP, Verdict.DENIED),
        ("rolebindings", IN_SHOP, Verdict.UNKNOWN),
        ("rolebindings", EVERYWHERE, Verdict.DENIED),
        ("roles", IN_SHOP, Verdict.UNKNOWN),
        ("clusterroles", EVERYWHERE, Verdict.UNKNOWN),
        ("clusterrolebindings", IN_SHOP, Verdict.UNKNOWN),
    ],
)
def test_a_no_that_rests_on_a_missing_read_is_unknown(unread: str, request_: Request, verdict: Verdict) -> None:
    """Only what could have granted it counts."""
    decision = can(seen(unread=unread), JANE, request_)
    assert decision.verdict is verdict
    assert decision.missing == ((f"list {unread}.rbac.authorization.k8s.io",) if verdict is Verdict.UNKNOWN else ())


@pytest.mark.parametrize(("namespace", "verdict"), [("shop", Verdict.UNKNOWN), ("bank", Verdict.DENIED)])
def test_a_read_that_is_missing_elsewhere_matters_not(namespace: str, verdict: Verdict) -> None:
    """RoleBindings of one namespace say nothing about another."""
    assert can(seen(unread="rolebindings", namespace=namespace), JANE, IN_SHOP).verdict is verdict


def test_a_yes_stands_whatever_was_not_read() -> None:
    """Rights only add up."""
    objects = cluster_role("reader", rule("get", "pods")), binding("ClusterRole reader", "User jane")
    decision = can(seen(*objects, unread="rolebindings"), JANE, IN_SHOP)
    assert (decision.verdict, decision.missing) == (Verdict.ALLOWED, ())


def test_who_can_tells_that_there_may_be_others() -> None:
    """The list names the missing read."""
    assert who_can(seen(unread="rolebindings"), IN_SHOP).missing == ("list rolebindings.rbac.authorization.k8s.io",)


def test_a_role_that_files_do_not_show_may_grant_it() -> None:
    """To those whom it is bound to, where it is bound."""
    files = snapshot(binding("ClusterRole own", "User jane", namespace="shop"), source=SourceKind.MANIFESTS)
    verdicts = [can(files, who, what).verdict for who in (JANE, identity_of("joe")) for what in (IN_SHOP, EVERYWHERE)]
    assert verdicts == [Verdict.UNKNOWN, Verdict.DENIED, Verdict.DENIED, Verdict.DENIED]


def test_what_can_joins_a_user_and_its_groups() -> None:
    """Cluster-wide grants first, then by namespace, rule by rule."""
    world = seen(
        role("cart", rule("get", "pods"), rule("list", "pods")),
        binding("Role cart", "User jane", namespace="shop", name="cart"),
        cluster_role("everyone", rule("get", urls="/version")),
        binding("ClusterRole everyone", "Group system:authenticated", name="everyone"),
    )
    rights = what_can(world, JANE)
    assert [(c.namespace, c.binding.ref.name, c.rule_index) for c in rights.chains] == [
        ("", "everyone", 0),
        ("shop", "cart", 0),
        ("shop", "cart", 1),
    ]


def test_masters_can_do_everything() -> None:
    """Whatever bindings say."""
    assert what_can(seen(), Identity("jane", frozenset({MASTERS}))).is_master


@pytest.mark.parametrize(
    ("request_", "verdict"),
    [
        (Request(verb="get", resource="secrets", name="tls", namespace="shop"), Verdict.UNKNOWN),
        (Request(verb="delete", resource="namespaces", name="shop"), Verdict.DENIED),
    ],
)
def test_only_what_the_node_authorizer_may_allow_is_unknown(request_: Request, verdict: Verdict) -> None:
    """The rest is a no, as nobody else would allow it."""
    node = Identity("system:node:n1", frozenset({NODES}))
    assert can(seen(), node, request_).verdict is verdict


def test_a_subject_of_many_bindings_is_answered_by_any() -> None:
    """All chains are found, however many rules there are to try."""
    roles = [cluster_role(f"r-{n}", rule("get", f"kind-{n}"), rule("list", "pods")) for n in range(100)]
    bindings = [binding(f"ClusterRole r-{n}", "User jane") for n in range(100)]
    world = seen(*roles, *bindings)
    assert len(can(world, JANE, Request(verb="list", resource="pods")).chains) == 100
    assert len(can(world, JANE, Request(verb="get", resource="kind-42")).chains) == 1
    assert can(world, JANE, Request(verb="get", resource="kind-100")).verdict is Verdict.DENIED
