"""Grants of known add-ons are expected as they are published, and no wider."""

from typing import Any

import msgspec
import pytest

from scanner.analysis.rbac import bootstrap
from scanner.analysis.rbac.addons import Addon, addons
from scanner.analysis.rbac.rights import subjects_who_can
from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from tests.builders import NOW, binding, cluster_role, rule, snapshot

CALICO = ("calico-node", "calico-node")
PATCH_STATUS: dict[str, Any] = {"any_of": [{"verbs": ["patch"], "resources": ["nodes/status"], "cluster_scoped": True}]}


def _rules(addon: Addon) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(each) for each in addon.rules]


def _answer(
    *added: dict[str, Any], account: str = "ServiceAccount kube-system/calico-node", name: str = "calico-node"
) -> Answer:
    bound = cluster_role(name, *_rules(addons()[CALICO]), *added)
    (answer,) = subjects_who_can(snapshot(bound, binding(f"ClusterRole {name}", account)), now=NOW, **PATCH_STATUS)
    return answer


def test_an_add_on_as_it_is_published_is_expected() -> None:
    """The reason names it."""
    answer = _answer()
    assert (answer.outcome, answer.expected) == (
        Outcome.FAIL,
        "ClusterRole calico-node of the add-on Calico, as it is published",
    )


def test_an_add_on_may_do_what_it_likes_with_its_own_objects() -> None:
    """Releases add kinds to their own API group."""
    assert _answer(rule("*", "*", group="crd.projectcalico.org")).expected


@pytest.mark.parametrize("added", [rule("get", "secrets"), rule("delete", "nodes"), rule("get", urls="/debug/*")])
def test_a_right_more_stands_out(added: dict[str, Any]) -> None:
    """Another resource, another verb, a path."""
    assert _answer(added).expected == ""


@pytest.mark.parametrize(
    "bound",
    [
        {"account": "ServiceAccount shop/calico-node"},
        {"account": "ServiceAccount kube-system/other"},
        {"account": "User calico-node"},
        {"name": "calico"},
    ],
    ids=["another namespace", "another account", "a user", "another role"],
)
def test_another_subject_or_role_stands_out(bound: dict[str, str]) -> None:
    """The rules alone excuse nobody."""
    assert _answer(**bound).expected == ""


def test_entries_without_rules_are_roles_of_kubernetes() -> None:
    """Only of those are the rules known elsewhere."""
    known = {role.ref.name for role in bootstrap.bootstrap_roles()}
    assert {addon.role for addon in addons().values() if not addon.rules} <= known


def test_every_entry_says_where_it_is_from() -> None:
    """So that it can be checked when the add-on moves on."""
    assert all(addon.source.startswith("https://") for addon in addons().values())
