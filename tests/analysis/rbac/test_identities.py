"""Findings about service accounts say which workloads run as them, and weigh by how near their tokens are."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from scanner.analysis.rbac.identities import uses_of
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Finding
from scanner.model.policy import PolicyId, Severity
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import SourceKind
from scanner.policy.evaluate import evaluate
from scanner.policy.load import load_policy
from scanner.posture.diff import content_of
from tests.builders import NOW, binding, cluster_role, pod, role, rule, snapshot, workload
from tests.policies.fixtures import ROOT

READ_SECRETS = load_policy(ROOT / "rbac" / "read-secrets" / "policy.yaml", PolicyId("rbac/read-secrets"))
GRANT = [cluster_role("reader", rule("get", "secrets")), binding("ClusterRole reader", "ServiceAccount shop/cart")]
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "cart", "namespace": "shop"}}
NO_TOKEN = ACCOUNT | {"automountServiceAccountToken": False}
CART = workload("cart", serviceAccountName="cart")
TOKEN = {"serviceAccountToken": {"path": "token"}}
VAULT_TOKEN = {"serviceAccountToken": {"path": "token", "audience": "vault"}}


def _found(
    *objects: dict[str, Any], source: SourceKind = SourceKind.LIVE, coverage: Sequence[Read] | None = None
) -> Finding:
    seen = snapshot(*GRANT, *objects, source=source, coverage=coverage)
    return next(
        f for f in evaluate(seen, [READ_SECRETS], now=NOW).findings if str(f.resource) == "ServiceAccount shop/cart"
    )


def _notes(finding: Finding) -> list[tuple[str, str]]:
    return [(str(fact.object), fact.note) for fact in finding.evidence if fact.path.endswith("serviceAccountName")]


def _node(name: str, *, control: bool = False) -> dict[str, Any]:
    labels = {"node-role.kubernetes.io/control-plane": ""} if control else {}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def _pods(*placed: tuple[str, str]) -> Iterable[dict[str, Any]]:
    for name, node in placed:
        one = pod(name, owner="StatefulSet cart", serviceAccountName="cart")
        one["spec"]["nodeName"] = node
        yield one


SET = workload("cart", kind="StatefulSet", serviceAccountName="cart")


def test_a_finding_names_the_workloads_that_run_as_the_account() -> None:
    """With the field that says so."""
    fact = next(f for f in _found(CART, workload("other")).evidence if f.object and f.object.kind == "Deployment")
    assert (str(fact.object), fact.path, fact.value) == (
        "Deployment shop/cart",
        "spec.template.spec.serviceAccountName",
        "cart",
    )


@pytest.mark.parametrize(
    ("account", "fields", "is_mounted"),
    [
        (ACCOUNT, {}, True),
        (NO_TOKEN, {}, False),
        (NO_TOKEN, {"automountServiceAccountToken": True}, True),
        (ACCOUNT, {"automountServiceAccountToken": False}, False),
        (NO_TOKEN, {"volumes": [{"name": "api", "projected": {"sources": [TOKEN]}}]}, True),
        (NO_TOKEN, {"volumes": [{"name": "vault", "projected": {"sources": [VAULT_TOKEN]}}]}, False),
        (NO_TOKEN, {"volumes": [{"name": "cache", "emptyDir": {}}]}, False),
    ],
)
def test_the_pod_has_the_last_word_on_its_token(
    account: dict[str, Any], fields: dict[str, Any], *, is_mounted: bool
) -> None:
    """Its own field wins over the account's, and a projected token for the API server over both."""
    (use,) = uses_of(snapshot(account, workload("cart", serviceAccountName="cart", **fields)), "shop", "cart")
    assert use.is_token_mounted is is_mounted


def test_nodes_are_counted_and_those_of_the_control_plane_named() -> None:
    """Where a token lies tells who can take it."""
    nodes = [_node("cp-1", control=True), _node("w-1"), _node("w-2")]
    found = _found(SET, *_pods(("cart-0", "cp-1"), ("cart-1", "w-1"), ("cart-2", "w-1")), *nodes)
    assert _notes(found) == [
        ("StatefulSet shop/cart", "its pods carry the token; on 2 nodes, of the control plane cp-1")
    ]


def test_pods_that_come_and_go_do_not_change_a_finding() -> None:
    """Other names on other nodes are the same finding with the same content."""
    nodes = [_node(f"w-{number}") for number in range(4)]
    before = _found(SET, *_pods(("cart-0", "w-0"), ("cart-1", "w-1")), *nodes)
    after = _found(SET, *_pods(("cart-2", "w-3"), ("cart-3", "w-2")), *nodes)
    assert content_of(before) == content_of(after)


def test_workloads_do_not_change_the_id_of_a_finding() -> None:
    """What runs as an account is evidence, not identity."""
    seen = snapshot()
    assert _found(CART).fingerprint(seen.cluster) == _found().fingerprint(seen.cluster)


def test_a_token_that_a_pod_carries_weighs_in_full() -> None:
    """The policy's own severity."""
    assert _found(CART).severity is Severity.HIGH


def test_a_token_that_nobody_can_get_weighs_less() -> None:
    """No pod, no Secret, nobody who may make one."""
    assert _found(NO_TOKEN, CART).severity is Severity.MEDIUM


def _bound(*rules: dict[str, Any], subject: str = "User jane", namespace: str = "shop") -> list[dict[str, Any]]:
    return [role("maker", *rules, namespace=namespace), binding("Role maker", subject, namespace=namespace)]


SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {
        "name": "cart-token",
        "namespace": "shop",
        "annotations": {"kubernetes.io/service-account.name": "cart"},
    },
    "type": "kubernetes.io/service-account-token",
}


@pytest.mark.parametrize(
    ("objects", "severity"),
    [
        (_bound(rule("create", "pods")), Severity.HIGH),
        (_bound(rule("create", "cronjobs", group="batch")), Severity.HIGH),
        (_bound(rule("create", "serviceaccounts/token", names="cart")), Severity.HIGH),
        (_bound(rule("impersonate", "serviceaccounts")), Severity.HIGH),
        ([SECRET], Severity.HIGH),
        (_bound(rule("create", "serviceaccounts/token", names="other")), Severity.MEDIUM),
        (_bound(rule("create", "pods"), namespace="bank"), Severity.MEDIUM),
        (_bound(rule("create", "pods"), subject="ServiceAccount shop/cart"), Severity.MEDIUM),
        (_bound(rule("*", "*", group="*")), Severity.MEDIUM),
    ],
)
def test_who_else_can_get_the_token_decides(objects: list[dict[str, Any]], severity: Severity) -> None:
    """Those who may do everything anyway and the account itself don't count."""
    assert _found(*objects).severity is severity


def test_files_do_not_prove_that_no_pod_carries_the_token() -> None:
    """Workloads may be elsewhere."""
    assert _found(source=SourceKind.MANIFESTS).severity is Severity.HIGH


def test_workloads_that_were_not_read_may_carry_the_token() -> None:
    """What is not known makes nothing milder."""
    coverage = [
        Read(resource=r.name, state=ReadState.FORBIDDEN if r.kind == "CronJob" else ReadState.COMPLETE)
        for r in RESOURCES
    ]
    assert _found(coverage=coverage).severity is Severity.HIGH


def test_an_account_of_many_workloads_shows_the_first() -> None:
    """The rest is counted."""
    found = _found(*(workload(f"cart-{number:02}", serviceAccountName="cart") for number in range(23)))
    assert (len(_notes(found)), found.message.endswith("; 3 more workloads run as it")) == (20, True)


def test_a_message_says_why_a_finding_is_milder() -> None:
    """Nothing is lowered in silence."""
    assert _found().message.endswith("; no pod carries its token and nobody else can get one")
