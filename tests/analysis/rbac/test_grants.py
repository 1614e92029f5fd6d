"""What bindings give: wildcards, everyone's rights, default service accounts."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scanner.analysis.rbac import bootstrap, grants
from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from scanner.model.policy import Severity
from scanner.model.snapshot import Snapshot
from scanner.policy.evaluate import evaluate
from scanner.policy.load import load_policies
from tests.builders import NOW, binding, cluster_role, rule, snapshot
from tests.policies.fixtures import ROOT

Ask = Callable[..., Iterator[Answer]]


def _severity(ask: Ask, words: dict[str, Any], subject: str, namespace: str = "") -> Severity | None:
    """Bind one rule to one subject; the severity of the finding, None if there is none."""
    seen = snapshot(cluster_role("one", words), binding("ClusterRole one", subject, namespace=namespace))
    return _found(ask, seen)


def _found(ask: Ask, seen: Snapshot) -> Severity | None:
    (answer,) = ask(seen, now=NOW)
    return answer.severity if answer.outcome is Outcome.FAIL else None


@pytest.mark.parametrize(
    ("words", "namespace", "severity"),
    [
        (rule("get", "*"), "", Severity.HIGH),
        (rule("get", "*"), "shop", Severity.MEDIUM),
        (rule("*", "pods"), "", Severity.MEDIUM),
        (rule("*", "pods"), "shop", Severity.LOW),
        (rule("get", "pods", group="*"), "", Severity.MEDIUM),
        (rule("*", "*", group="orders.example.com"), "", Severity.LOW),
        (rule("*", "*", group="networking.k8s.io"), "", Severity.HIGH),
        (rule("get", urls="*"), "", Severity.MEDIUM),
        (rule("get", urls="*"), "shop", None),
        (rule("get", urls="/logs/*"), "", None),
        (rule("*", "configmaps", names="flags"), "", None),
        (rule("update", "*/scale", group="apps"), "", None),
        (rule("get", "pods/*"), "", None),
    ],
)
def test_wildcards_weigh_by_what_they_reach(words: dict[str, Any], namespace: str, severity: Severity | None) -> None:
    """Resources weigh more than verbs, the cluster more than a namespace, Kubernetes' groups more than others."""
    assert _severity(grants.subjects_with_wildcards, words, "User jane", namespace) == severity


@pytest.mark.parametrize(
    ("words", "namespace", "severity"),
    [
        (rule("create", "pods"), "shop", Severity.CRITICAL),
        (rule("get", "secrets"), "shop", Severity.CRITICAL),
        (rule("get", "configmaps"), "", Severity.HIGH),
        (rule("get", urls="/metrics"), "", Severity.MEDIUM),
        (rule("get", urls="/metrics"), "shop", None),
        (rule("get", urls="/healthz /version /openid/v1/jwks"), "", None),
        (rule("post", urls="/version"), "", Severity.MEDIUM),
        (rule("get", "configmaps", names="cluster-info"), "kube-public", None),
        (rule("get", "configmaps", names="cluster-info"), "shop", Severity.HIGH),
        (rule("get", "configmaps"), "kube-public", Severity.HIGH),
    ],
)
def test_anyone_may_learn_what_serves_them(words: dict[str, Any], namespace: str, severity: Severity | None) -> None:
    """Discovery, health, token keys and kubeadm's cluster-info pass; anything else is a finding."""
    assert _severity(grants.anonymous_grants, words, "Group system:unauthenticated", namespace) == severity


def test_other_subjects_are_not_anyone() -> None:
    """Only the two names of those who did not log in are judged."""
    seen = snapshot(cluster_role("one", rule("get", "pods")), binding("ClusterRole one", "Group ops"))
    assert list(grants.anonymous_grants(seen, now=NOW)) == []


@pytest.mark.parametrize(
    ("words", "namespace", "severity"),
    [
        (rule("create", "pods"), "", Severity.HIGH),
        (rule("create", "pods"), "shop", Severity.MEDIUM),
        (rule("get list", "pods"), "", Severity.MEDIUM),
        (rule("get list", "pods"), "shop", Severity.LOW),
        (rule("list", "*"), "", Severity.HIGH),
        (rule("get", urls="/metrics"), "", Severity.LOW),
        (rule("create", "selfsubjectaccessreviews", group="authorization.k8s.io"), "", None),
        (rule("create", "subjectaccessreviews", group="authorization.k8s.io"), "", Severity.HIGH),
    ],
)
@pytest.mark.parametrize("name", ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:shop"])
def test_everyone_has_what_kubernetes_gives(
    name: str, words: dict[str, Any], namespace: str, severity: Severity | None
) -> None:
    """Asking about oneself passes; what else is bound to everyone is a finding, reading a lesser one."""
    assert _severity(grants.authenticated_grants, words, f"Group {name}", namespace) == severity


def test_a_default_account_with_a_right_is_a_finding() -> None:
    """Every pod of the namespace that names no account would have it."""
    assert _severity(grants.default_accounts_with_rights, rule("get", "pods"), "ServiceAccount shop/default")


def test_a_default_account_without_bindings_passes() -> None:
    """It is judged where the scan saw it, so that passes are counted."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "shop"}}
    (answer,) = grants.default_accounts_with_rights(snapshot(account), now=NOW)
    assert answer.outcome is Outcome.PASS


def test_nothing_of_a_fresh_cluster_stands_out() -> None:
    """What Kubernetes itself binds is held against nobody, by any policy about RBAC: it is expected."""
    objects = json.loads(Path(bootstrap.__file__).with_name("bootstrap.json").read_text())
    found = evaluate(snapshot(*objects), load_policies(ROOT, only=["rbac/*"]), now=NOW).findings
    assert found
    assert [f for f in found if not f.expected] == []


def test_who_may_do_everything_has_no_finding_of_wildcards() -> None:
    """It neither fails nor passes: the one finding that says it all is another policy's."""
    seen = snapshot(cluster_role("owner", rule("*", "*", group="*")), binding("ClusterRole owner", "User jane"))
    assert list(grants.subjects_with_wildcards(seen, now=NOW)) == []
