"""Versions, backups and adapters, where fixtures alone cannot show it."""

from typing import Any

import pytest

from scanner.analysis.readiness.apis import removed_apis
from scanner.analysis.readiness.autoscaling import autoscalers_without_adapter
from scanner.analysis.readiness.backups import backups_made
from scanner.analysis.readiness.skew import component_skew
from scanner.model.finding import Outcome
from scanner.model.snapshot import SourceKind
from tests.analysis.readiness.builders import autoscaler, unread
from tests.builders import NOW, container, pod, snapshot

EXTERNAL = [{"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "3"}}}]


def _node(version: str) -> dict[str, Any]:
    status = {"nodeInfo": {"kubeletVersion": version}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": status}


@pytest.mark.parametrize(
    ("node", "outcome"), [("v1.37.1-gke.1200", Outcome.PASS), ("v1.37.1", Outcome.UNKNOWN), ("", Outcome.UNKNOWN)]
)
def test_backups_are_the_provider_s_or_unknown(node: str, outcome: Outcome) -> None:
    """What makes them may be outside; that none is seen does not say that none is made."""
    assert [a.outcome for a in backups_made(snapshot(_node(node)), now=NOW)] == [outcome]


@pytest.mark.parametrize(
    ("image", "server", "outcomes"),
    [
        ("registry.k8s.io/kube-proxy:v1.25.3", "v1.27.0", [Outcome.PASS]),
        ("registry.k8s.io/kube-proxy:v1.24.3", "v1.27.0", [Outcome.FAIL]),
        ("registry.k8s.io/kube-proxy:v1.34.3", "v1.37.0", [Outcome.PASS]),
        ("registry.k8s.io/kube-scheduler:v1.37.3", "", [Outcome.UNKNOWN]),
        ("registry.k8s.io:5000/kube-scheduler:latest", "v1.37.0", [Outcome.UNKNOWN]),
        ("registry.k8s.io:5000/kube-scheduler", "v1.37.0", [Outcome.UNKNOWN]),
        ("registry.k8s.io/kube-schedulerette:v1.1.0", "v1.37.0", []),
    ],
)
def test_the_tag_of_an_image_tells_its_version(image: str, server: str, outcomes: list[Outcome]) -> None:
    """And what has no such tag is unknown."""
    seen = snapshot(pod("part", container(image=image), namespace="kube-system"), server_version=server)
    assert [a.outcome for a in component_skew(seen, now=NOW)] == outcomes


def test_an_api_in_which_somebody_wrote_is_in_use() -> None:
    """The cluster serves the object in a new version; its managed fields tell the old one, and who."""
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "managedFields": [
                {"manager": "kubectl", "operation": "Apply", "apiVersion": "policy/v1", "fieldsV1": {}},
                {"manager": "helm", "operation": "Update", "apiVersion": "policy/v1beta1", "fieldsV1": {}},
            ],
        },
    }
    (answer,) = removed_apis(snapshot(budget), now=NOW)
    assert (answer.evidence[0].path, answer.evidence[0].note) == ("metadata.managedFields", "written so by helm")


@pytest.mark.parametrize(
    ("source", "unreadable", "outcome"),
    [
        (SourceKind.LIVE, [], Outcome.FAIL),
        (SourceKind.LIVE, ["apiservices.apiregistration.k8s.io"], Outcome.UNKNOWN),
        (SourceKind.MANIFESTS, [], Outcome.UNKNOWN),
    ],
)
def test_an_adapter_that_was_not_seen(source: SourceKind, unreadable: list[str], outcome: Outcome) -> None:
    """Is missing only where APIServices could be read."""
    seen = snapshot(autoscaler(metrics=EXTERNAL), source=source, coverage=unread(*unreadable))
    assert [a.outcome for a in autoscalers_without_adapter(seen, now=NOW)] == [outcome]
