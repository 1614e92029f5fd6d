"""Bindings to what does not exist, and when that is known."""

from typing import Any

from scanner.analysis.rbac.dangling import dangling_bindings
from scanner.model.answer import Answer
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Outcome
from scanner.model.policy import Severity
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import SourceKind
from tests.builders import NOW, binding, cluster_role, role, rule, snapshot

READER = cluster_role("reader", rule("get", "pods"))
ROBOT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "shop"}}


def _answer(*objects: dict[str, Any], source: SourceKind = SourceKind.LIVE, unread: str = "") -> Answer:
    coverage = [
        Read(resource=r.name, state=ReadState.FORBIDDEN if r.name == unread else ReadState.COMPLETE) for r in RESOURCES
    ]
    (answer,) = dangling_bindings(snapshot(*objects, source=source, coverage=coverage), now=NOW)
    return answer


def test_a_binding_with_role_and_account_passes() -> None:
    """All that it refers to exists."""
    assert _answer(READER, ROBOT, binding("ClusterRole reader", "ServiceAccount shop/robot")).outcome is Outcome.PASS


def test_a_missing_role_fails() -> None:
    """In a live cluster that was read wholly, the role does not exist."""
    answer = _answer(binding("ClusterRole reader", "User jane"))
    assert (answer.outcome, answer.severity, answer.evidence[0].path) == (Outcome.FAIL, Severity.MEDIUM, "roleRef")


def test_a_missing_role_of_a_binding_without_subjects_weighs_little() -> None:
    """Nobody would get its rules yet."""
    assert _answer(binding("ClusterRole reader")).severity is Severity.LOW


def test_a_missing_account_fails() -> None:
    """Whoever may create it gets its rights."""
    answer = _answer(READER, binding("ClusterRole reader", "User jane", "ServiceAccount shop/robot"))
    assert (answer.outcome, answer.severity, answer.evidence[0].path) == (Outcome.FAIL, Severity.LOW, "subjects[1]")


def test_a_role_that_could_not_be_listed_is_unknown() -> None:
    """What was not read may exist; the read that was missing is named."""
    answer = _answer(binding("ClusterRole reader", "User jane"), unread="clusterroles.rbac.authorization.k8s.io")
    assert (answer.outcome, answer.missing) == (
        Outcome.UNKNOWN,
        ("list clusterroles.rbac.authorization.k8s.io",),
    )


def test_an_account_that_could_not_be_listed_is_unknown() -> None:
    """The same for service accounts."""
    bound = binding("ClusterRole reader", "ServiceAccount shop/robot")
    assert _answer(READER, bound, unread="serviceaccounts").outcome is Outcome.UNKNOWN


def test_a_cluster_role_outside_the_files_is_unknown() -> None:
    """The cluster may have it already."""
    assert _answer(binding("ClusterRole reader", "User jane"), source=SourceKind.MANIFESTS).outcome is Outcome.UNKNOWN


def test_a_role_outside_the_files_fails() -> None:
    """A Role stands beside its RoleBinding or nowhere."""
    bound = binding("Role reader", "User jane", namespace="shop")
    assert _answer(bound, source=SourceKind.MANIFESTS).outcome is Outcome.FAIL


def test_roles_of_kubernetes_exist_for_files() -> None:
    """Every cluster has `view`."""
    assert _answer(binding("ClusterRole view", "User jane"), source=SourceKind.MANIFESTS).outcome is Outcome.PASS


def test_every_namespace_has_a_default_account() -> None:
    """No file says so, and every cluster makes it."""
    bound = binding("ClusterRole view", "ServiceAccount shop/default")
    assert _answer(bound, source=SourceKind.MANIFESTS).outcome is Outcome.PASS


LEFT = binding("Role gone", "User jane", namespace="shop", name="left")


def _latent(*objects: dict[str, Any]) -> Answer:
    found = dangling_bindings(snapshot(*objects, LEFT), now=NOW)
    return next(answer for answer in found if answer.resource.name == "left")


def test_who_may_create_the_missing_role_is_named() -> None:
    """With the binding and the rule that let them."""
    writer = role("writer", rule("create", "roles", group="rbac.authorization.k8s.io"))
    answer = _latent(writer, binding("Role writer", "Group leads", namespace="shop"))
    assert (answer.message, [str(fact.object) for fact in answer.evidence[1:]]) == (
        "Role shop/gone does not exist: whoever may create it gives its rules to its subject (Group leads may)",
        ["RoleBinding shop/writer-binding", "Role shop/writer"],
    )


def test_who_may_do_everything_is_not_named() -> None:
    """That is told elsewhere, and would be told of every binding."""
    owner = cluster_role("owner", rule("*", "*", group="*"))
    assert len(_latent(owner, binding("ClusterRole owner", "User joe")).evidence) == 1


def test_who_may_create_a_missing_service_account_is_named() -> None:
    """It then runs pods with what the binding gives."""
    maker = role("maker", rule("create", "serviceaccounts"))
    bound = binding("Role maker", "User joe", "ServiceAccount shop/gone", namespace="shop", name="left")
    (answer,) = dangling_bindings(snapshot(maker, bound), now=NOW)
    assert answer.message.endswith("gets what this binds (ServiceAccount shop/gone, User joe may)")
