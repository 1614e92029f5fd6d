"""What admission enforces on pods: labels, webhooks and policies by namespace, and what nobody could read."""

from collections.abc import Mapping
from typing import Any

import pytest

from scanner.analysis.pods.admission import Enforced, enforced, setting_of, webhooks_that_fail_open
from scanner.model.finding import Outcome
from tests.builders import NOW, pod, snapshot
from tests.policy.api_server import namespace, policy, policy_binding

PREFIX = "pod-security.kubernetes.io/"
PODS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
NOT_SYSTEM = {
    "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}]
}


def webhook(**fields: Any) -> dict[str, Any]:
    """Make a configuration of one webhook that sees pods and fails open, unless told otherwise."""
    hook = {"name": "w.example", "failurePolicy": "Ignore", "rules": [PODS]} | fields
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "engine"},
        "webhooks": [hook],
    }


def of(name: str, *things: Mapping[str, Any]) -> Enforced:
    """Return what is enforced in one namespace."""
    return next(e for e in enforced(snapshot(*things)) if e.namespace == name)


@pytest.mark.parametrize(
    ("labels", "level", "version", "labelled"),
    [
        ({}, "privileged", "latest", False),
        ({"enforce": "baseline"}, "baseline", "latest", True),
        ({"enforce": "restricted", "enforce-version": "v1.30"}, "restricted", "v1.30", True),
        ({"enforce": "Baseline"}, "restricted", "latest", True),
        ({"enforce": "baseline", "enforce-version": "1.30"}, "baseline", "latest", True),
        ({"warn": "restricted"}, "privileged", "latest", False),
    ],
)
def test_labels_mean_what_the_admission_plugin_takes_them_for(
    labels: dict[str, str], level: str, version: str, labelled: bool
) -> None:
    """What it does not know is restricted, and a version that is none is latest."""
    found = setting_of({PREFIX + key: value for key, value in labels.items()}, "enforce")
    assert (found.level, found.version, found.is_labelled) == (level, version, labelled)


def test_without_a_visible_api_server_exemptions_are_unknown() -> None:
    """No API shows the file that they stand in."""
    assert "no pod of the API server is visible" in of("shop", namespace("shop")).unknown[0]


def test_an_api_server_without_the_file_exempts_nobody() -> None:
    """Its static pod shows its flags."""
    server = pod("kube-apiserver-a", namespace="kube-system")
    server["spec"]["containers"][0]["command"] = ["kube-apiserver", "--etcd-servers=https://127.0.0.1:2379"]
    assert of("shop", namespace("shop"), server).unknown == ()


def test_an_api_server_with_the_file_says_nothing_of_it() -> None:
    """The file itself is out of reach."""
    server = pod("kube-apiserver-a", namespace="kube-system")
    server["spec"]["containers"][0]["command"] = ["kube-apiserver", "--admission-control-config-file=/etc/a.yaml"]
    assert "not readable" in of("shop", namespace("shop"), server).unknown[0]


def test_webhooks_and_policies_are_named_where_their_selectors_reach() -> None:
    """Not in the namespaces that they spare."""
    spec = {"matchConstraints": {"resourceRules": [PODS], "namespaceSelector": NOT_SYSTEM}, "validations": []}
    bound = policy_binding("b", {"policyName": "p", "validationActions": ["Warn"]})
    things = (webhook(namespaceSelector=NOT_SYSTEM), policy("p", spec), bound)
    shop = of("shop", namespace("shop"), namespace("kube-system"), *things)
    spared = of("kube-system", namespace("shop"), namespace("kube-system"), *things)
    assert shop.webhooks == ("ValidatingWebhookConfiguration engine/w.example (Ignore)",)
    assert shop.policies == ("p, bound by b (Warn)",)
    assert (spared.webhooks, spared.policies) == ((), ())


def test_a_webhook_that_fails_open_says_whom_it_spares() -> None:
    """It fails once, with all that makes it worse."""
    world = snapshot(namespace("kube-system"), webhook(namespaceSelector=NOT_SYSTEM, timeoutSeconds=1))
    (answer,) = webhooks_that_fail_open(world, now=NOW)
    assert answer.outcome is Outcome.FAIL
    assert "has 1 s" in answer.message
    assert "never asked about kube-system" in answer.message


def test_a_webhook_whose_service_has_no_pod_never_answers() -> None:
    """Fails open for ever."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "engine", "namespace": "policies"},
        "spec": {"selector": {"app": "engine"}},
    }
    hook = webhook(clientConfig={"service": {"name": "engine", "namespace": "policies"}})
    (answer,) = webhooks_that_fail_open(snapshot(service, hook), now=NOW)
    assert "it never answers" in answer.message
    running = pod("engine-1", namespace="policies", labels={"app": "engine"})
    (answer,) = webhooks_that_fail_open(snapshot(service, hook, running), now=NOW)
    assert "it never answers" not in answer.message


@pytest.mark.parametrize(
    "fields", [{"rules": [PODS | {"resources": ["configmaps"]}]}, {"rules": [PODS | {"scope": "Cluster"}]}]
)
def test_a_webhook_that_sees_no_pod_is_not_judged(fields: dict[str, Any]) -> None:
    """Whatever its failurePolicy."""
    assert not list(webhooks_that_fail_open(snapshot(webhook(**fields)), now=NOW))


@pytest.mark.parametrize(
    ("constraints", "told"),
    [
        ({"objectSelector": {"matchLabels": {"app": "cart"}}}, "; only those with labels app=cart"),
        ({"resourceRules": [PODS | {"resourceNames": ["cart"]}]}, "; only those named cart"),
        ({"excludeResourceRules": [PODS | {"resourceNames": ["cart"]}]}, "; not all named cart"),
        (
            {"resourceRules": [PODS | {"apiGroups": ["apps"], "resources": ["deployments"]}]},
            "; sees deployments and no pods",
        ),
        ({"excludeResourceRules": [PODS]}, None),
        ({"resourceRules": [PODS | {"apiVersions": ["v2"]}]}, None),
        ({"resourceRules": [PODS | {"scope": "Cluster"}]}, None),
    ],
)
def test_what_a_policy_does_not_see_is_said(constraints: dict[str, Any], told: str | None) -> None:
    """None of the pods: it is not listed."""
    spec = {"matchConstraints": {"resourceRules": [PODS]} | constraints, "validations": []}
    bound = policy_binding("b", {"policyName": "p", "validationActions": ["Deny"]})
    found = of("shop", namespace("shop"), policy("p", spec), bound).policies
    assert found == (() if told is None else (f"p, bound by b (Deny){told}",))


def test_match_conditions_of_a_webhook_are_named() -> None:
    """Whether they hold for a pod is up to the pod."""
    hook = webhook(matchConditions=[{"name": "not-system", "expression": "true"}])
    (told,) = of("shop", namespace("shop"), hook).webhooks
    assert told.endswith("; only where its match conditions hold: not-system")


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_policies_that_mutate_pods_are_listed(version: str) -> None:
    """They come before everything that judges a pod."""
    mutating = {
        "apiVersion": f"admissionregistration.k8s.io/{version}",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": "m"},
        "spec": {"matchConstraints": {"resourceRules": [PODS]}, "failurePolicy": "Ignore"},
    }
    bound = {
        "apiVersion": f"admissionregistration.k8s.io/{version}",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "b"},
        "spec": {"policyName": "m"},
    }
    assert of("shop", namespace("shop"), mutating, bound).mutations == ("m, bound by b (Ignore)",)
