"""How Secrets lie at rest, as far as the cluster shows it."""

from typing import Any

import pytest

from scanner.analysis.readiness.at_rest import at_rest, secrets_at_rest
from scanner.model.finding import Outcome
from scanner.model.snapshot import Snapshot
from tests.builders import NOW, container, pod, snapshot, workload


def server(*flags: str, name: str = "kube-apiserver-cp-1") -> dict[str, Any]:
    """Make the API server's static pod."""
    return pod(name, container(command=["kube-apiserver", *flags]), namespace="kube-system")


def node(label: str) -> dict[str, Any]:
    """Make a node with a label."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {label: "x"}}}


def outcomes(found: Snapshot) -> list[Outcome]:
    """Return how it is judged."""
    return [answer.outcome for answer in secrets_at_rest(found, now=NOW)]


def test_without_the_flag_secrets_are_plain() -> None:
    """One API server of several is enough."""
    found = snapshot(server("--encryption-provider-config=/enc.yaml"), server(name="kube-apiserver-cp-2"))
    assert (at_rest(found).verdict, outcomes(found)) == ("plain", [Outcome.UNKNOWN, Outcome.FAIL])


def test_with_the_flag_it_is_unknown_what_is_encrypted() -> None:
    """The file may name `identity` alone: that is no pass."""
    found = snapshot(server("--encryption-provider-config=/enc.yaml"))
    assert (at_rest(found).verdict, outcomes(found)) == ("configured", [Outcome.UNKNOWN])


@pytest.mark.parametrize(
    ("label", "service"),
    [
        ("eks.amazonaws.com/nodegroup", "Amazon EKS"),
        ("cloud.google.com/gke-nodepool", "Google GKE"),
        ("kubernetes.azure.com/cluster", "Azure AKS"),
    ],
)
def test_of_a_managed_service_it_says_what_the_provider_says(label: str, service: str) -> None:
    """And stays unknown: nothing in the cluster proves it."""
    found = snapshot(node(label))
    assert (at_rest(found).verdict, outcomes(found)) == ("unknown", [Outcome.UNKNOWN])
    assert f"it is {service}'s, and it says" in at_rest(found).why


def test_where_nothing_is_seen_it_is_unknown() -> None:
    """An empty cluster is no encrypted one."""
    assert (at_rest(snapshot()).verdict, outcomes(snapshot())) == ("unknown", [Outcome.UNKNOWN])


@pytest.mark.parametrize(
    ("thing", "store"),
    [
        (workload("eso", container(image="ghcr.io/external-secrets/external-secrets:v1")), "External Secrets Operator"),
        (workload("ss", container(image="bitnami/sealed-secrets-controller:0.30")), "Sealed Secrets"),
        (workload("kms", container(image="example.com/aws-encryption-provider:1")), "KMS plugin"),
        (
            workload("web", volumes=[{"name": "s", "csi": {"driver": "secrets-store.csi.k8s.io"}}]),
            "Secrets Store CSI Driver",
        ),
        (workload("app", annotations={"vault.hashicorp.com/agent-inject": "true"}), "Vault Agent Injector"),
    ],
)
def test_what_keeps_secrets_elsewhere_is_named(thing: dict[str, Any], store: str) -> None:
    """With the workload that shows it."""
    (found,) = at_rest(snapshot(thing)).stores
    assert (found.name, [ref.name for ref in found.seen_in]) == (store, [thing["metadata"]["name"]])


def test_an_ordinary_workload_is_no_store() -> None:
    """Nor is one with another CSI volume."""
    found = snapshot(workload("web", volumes=[{"name": "s", "csi": {"driver": "efs.csi.aws.com"}}]))
    assert at_rest(found).stores == ()
