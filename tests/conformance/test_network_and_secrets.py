"""Published cases and real installs against the policies on network and secrets."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scanner.cluster.manifests import read_manifests
from scanner.model.finding import Finding
from scanner.model.refs import ClusterName
from scanner.policy.evaluate import evaluate
from scanner.policy.load import load_policies
from tests.builders import NOW
from tests.policies.fixtures import ROOT

ISOLATION = ("network/no-ingress-isolation", "network/no-egress-isolation")

#: Checks of other scanners, by source and name, and the policies of ours that ask the same.
CHECKS = {
    ("polaris", "automountServiceAccountToken"): (
        "secrets/default-service-account-used",
        "secrets/service-account-token-mounted-without-need",
    ),
    ("polaris", "missingNetworkPolicy"): ISOLATION,
    ("polaris", "sensitiveContainerEnvVar"): ("secrets/literal-credential-in-environment",),
    ("polaris", "tlsSettingsMissing"): ("network/ingress-without-tls",),
    ("regolibrary", "dangling-ingress-backend"): ("network/ingress-backend-missing",),
    ("regolibrary", "dangling-networkpolicy"): ("network/policy-selects-nothing",),
    ("regolibrary", "ensure_network_policy_configured_in_labels"): ISOLATION[:1],
    ("regolibrary", "ingress-and-egress-blocked"): ISOLATION,
    ("regolibrary", "ingress-no-tls"): ("network/ingress-without-tls",),
    ("regolibrary", "rule-credentials-in-env-var"): ("secrets/literal-credential-in-environment",),
    ("regolibrary", "rule-secrets-in-env-var"): ("secrets/secret-in-environment",),
}

_NOTHING_BESIDE = "files with neither workloads nor Services of the namespace leave absence unknown"
_NOT_A_CREDENTIAL = "neither name nor value is a credential: `some-name: JWT`, `random: Hello from the environment`"
_ANOTHER_POLICY = "a Secret handed over in the environment is secrets/secret-in-environment"

#: Where we differ on purpose, and why.
ON_PURPOSE = {
    "polaris/missingNetworkPolicy/failure.netpol_missing_egress_rules": "no rules deny everything: that is isolation",
    "polaris/missingNetworkPolicy/failure.netpol_missing_ingress_rules": "no rules deny everything: that is isolation",
    "regolibrary/dangling-ingress-backend/failed_dangling_default_backend": _NOTHING_BESIDE,
    "regolibrary/dangling-ingress-backend/failed_dangling_path": _NOTHING_BESIDE,
    "regolibrary/dangling-ingress-backend/failed_wrong_namespace": _NOTHING_BESIDE,
    "regolibrary/dangling-networkpolicy/failed_dangling_matchlabels": _NOTHING_BESIDE,
    "regolibrary/dangling-networkpolicy/failed_wrong_namespace": _NOTHING_BESIDE,
    "regolibrary/ensure_network_policy_configured_in_labels/success_pod_cilium_label_match": (
        "the CiliumNetworkPolicy API: an empty list of rules does not apply"
    ),
    "regolibrary/ingress-and-egress-blocked/cnp-only-egress": "egress rules alone leave ingress open",
    "regolibrary/ingress-and-egress-blocked/only-egress-policy": "egress rules alone leave ingress open",
    "regolibrary/ingress-and-egress-blocked/cronjob": "its pods are on the host network",
    "regolibrary/rule-credentials-in-env-var/cronjob-envfrom-secretref": _ANOTHER_POLICY,
    "regolibrary/rule-credentials-in-env-var/cronjob-initcontainer-envfrom-secretref": _ANOTHER_POLICY,
    "regolibrary/rule-credentials-in-env-var/deployment": _NOT_A_CREDENTIAL,
    "regolibrary/rule-credentials-in-env-var/pod": _NOT_A_CREDENTIAL,
    "regolibrary/rule-credentials-in-env-var/pod-allowed-values-keys": "a path is no password",
    "regolibrary/rule-credentials-in-env-var/pod-envfrom-secretref": _ANOTHER_POLICY,
    "regolibrary/rule-credentials-in-env-var/pod-initcontainer-envfrom-secretref": _ANOTHER_POLICY,
    "regolibrary/rule-credentials-in-env-var/workloads": _NOT_A_CREDENTIAL,
    "regolibrary/rule-credentials-in-env-var/workloads-envfrom-secretref": _ANOTHER_POLICY,
    "regolibrary/rule-credentials-in-env-var/workloads-initcontainer-envfrom-secretref": _ANOTHER_POLICY,
}

#: What was found in real installs, each looked at by hand: `policy outcome` and how often.
REAL_INSTALLS = {
    "argo-cd/manifests/install.yaml": {
        "network/no-egress-isolation fail": 7,
        "network/policy-allows-all fail": 1,  # argocd-server: `ingress: [{}]`
        "secrets/missing-secret-reference unknown": 1,  # argocd-redis is made by an init container
        "secrets/secret-in-environment fail": 4,
        "secrets/secret-possibly-unused fail": 2,  # Argo CD reads them by name over the API, which no object tells
    },
    "argo-cd/manifests/ha": {
        "network/no-egress-isolation fail": 7,
        "network/policy-allows-all fail": 1,
        "secrets/credential-in-configmap fail": 1,  # a false alarm: `auth-pass argocd …` names a master, not a password
        "secrets/missing-secret-reference unknown": 1,
        "secrets/secret-in-environment fail": 5,
        "secrets/secret-possibly-unused fail": 2,
    },
    "kube-prometheus/manifests": {
        "network/egress-to-anywhere fail": 8,  # `egress: [{}]`
        "network/egress-to-metadata fail": 8,
        "network/peer-selects-nothing unknown": 7,  # its files hold only part of what is in these namespaces
        "network/policy-allows-all fail": 1,  # prometheus-adapter: `ingress: [{}]`
        "network/policy-selects-nothing unknown": 2,  # the operator makes the pods of Prometheus and Alertmanager
        "network/service-without-backend unknown": 2,
        "secrets/secret-possibly-unused fail": 1,  # alertmanager-main: its operator knows it by a convention of names
    },
    "microservices-demo": {
        "network/egress-to-anywhere fail": 12,
        "network/egress-to-metadata fail": 12,
        "network/internet-reachable fail": 1,  # frontend, by frontend-external
        "network/load-balancer-open fail": 1,  # frontend-external
        "network/policy-allows-all fail": 1,  # frontend
        "secrets/default-service-account-used fail": 1,  # redis-cart
        "secrets/service-account-token-mounted-without-need fail": 11,
    },
}


def _findings(paths: list[Path], *policies: str) -> tuple[Finding, ...]:
    snapshot = read_manifests(paths, cluster=ClusterName("published"), now=NOW)
    return evaluate(snapshot, load_policies(ROOT, only=policies), now=NOW).findings


def _cases(corpus: Path) -> Iterator[tuple[Path, dict[str, Any], tuple[str, ...]]]:
    """Yield each case of a check that a policy of ours asks as well."""
    for source in ("polaris", "regolibrary"):
        for line in (corpus / source / "cases.jsonl").read_text().splitlines():
            case = json.loads(line)
            policies = CHECKS.get((source, case["check_hint"].partition(":")[0]))
            if policies:
                yield corpus / source, case, policies


def test_published_cases_agree_or_differ_on_purpose(corpus: Path) -> None:
    """A case of another scanner fails if and only if the policy that asks the same fails."""
    different: set[str] = set()
    count = 0
    for folder, case, policies in _cases(corpus):
        found = _findings([folder / file for file in case["input"]], *policies)
        outcome = "fail" if any(f.outcome == "fail" for f in found) else "unknown" if found else "pass"
        count += 1
        if outcome != case["expect"]:
            different.add(case["id"])
    assert (count, different) == (106, set(ON_PURPOSE))


@pytest.mark.parametrize("install", REAL_INSTALLS)
def test_real_installs_have_the_findings_that_were_looked_at(corpus: Path, install: str) -> None:
    """Nothing is found in them but what was checked by hand."""
    folder = corpus / "realworld" / install
    paths = [folder]
    if install == "microservices-demo":
        paths = [
            folder / "release" / "kubernetes-manifests.yaml",
            folder / "kustomize" / "components" / "network-policies",
        ]
    found = _findings(paths, "network/*", "secrets/*")
    assert Counter(f"{f.policy} {f.outcome}" for f in found) == REAL_INSTALLS[install]
