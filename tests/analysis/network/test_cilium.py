"""Which workloads Cilium's own policies isolate."""

from typing import Any

import pytest

from scanner.analysis.network.default_deny import workloads_without_isolation
from scanner.model.finding import Outcome
from tests.builders import NOW, snapshot, workload

ALL: list[dict[str, Any]] = [{"fromEndpoints": [{}]}]


def _policy(*specs: dict[str, Any], namespace: str = "shop") -> dict[str, Any]:
    kind = "CiliumNetworkPolicy" if namespace else "CiliumClusterwideNetworkPolicy"
    metadata = {"name": "policy"} | ({"namespace": namespace} if namespace else {})
    body: dict[str, Any] = {"spec": specs[0]} if len(specs) == 1 else {"specs": list(specs)}
    return {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata} | body


def _outcome(policy: dict[str, Any], *, direction: str = "ingress") -> Outcome:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "shop", "labels": {"team": "store"}},
    }
    world = snapshot(workload(), policy, namespace)
    (answer,) = workloads_without_isolation(world, now=NOW, direction=direction)
    return answer.outcome


@pytest.mark.parametrize(
    ("spec", "ingress", "egress"),
    [
        ({"ingress": ALL}, True, False),
        ({"ingress": [{}]}, True, False),
        ({"ingress": [], "egress": []}, False, False),
        ({"egressDeny": [{}]}, False, True),
        ({"ingress": ALL, "enableDefaultDeny": {"ingress": False}}, False, False),
        ({"enableDefaultDeny": {"ingress": True, "egress": True}}, True, True),
    ],
)
def test_a_rule_isolates_where_it_has_rules(spec: dict[str, Any], ingress: bool, egress: bool) -> None:
    """An empty list does not apply; enableDefaultDeny says otherwise."""
    policy = _policy({"endpointSelector": {}} | spec)
    found = [_outcome(policy, direction=d) is Outcome.PASS for d in ("ingress", "egress")]
    assert found == [ingress, egress]


@pytest.mark.parametrize(
    ("selector", "outcome"),
    [
        ({"matchLabels": {"app": "cart"}}, Outcome.PASS),
        ({"matchLabels": {"k8s:app": "cart"}}, Outcome.PASS),
        ({"matchLabels": {"any:app": "web"}}, Outcome.FAIL),
        ({"matchLabels": {"k8s:io.kubernetes.pod.namespace": "shop"}}, Outcome.PASS),
        ({"matchLabels": {"io.cilium.k8s.namespace.labels.team": "store"}}, Outcome.PASS),
        (
            {"matchExpressions": [{"key": "io.kubernetes.pod.namespace", "operator": "NotIn", "values": ["shop"]}]},
            Outcome.FAIL,
        ),
        ({"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "cart"}}, Outcome.FAIL),
        ({"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "default"}}, Outcome.PASS),
        ({"matchLabels": {"io.cilium.k8s.policy.cluster": "east"}}, Outcome.UNKNOWN),
        ({"matchLabels": {"reserved:host": ""}}, Outcome.FAIL),
    ],
)
@pytest.mark.parametrize("namespace", ["shop", ""], ids=["namespaced", "clusterwide"])
def test_an_endpoint_selector_reads_labels_of_pods_and_namespaces(
    selector: dict[str, Any], outcome: Outcome, namespace: str
) -> None:
    """What it reads besides is not known here, and the verdict says so."""
    assert _outcome(_policy({"endpointSelector": selector, "ingress": ALL}, namespace=namespace)) is outcome


def test_each_of_several_specs_counts() -> None:
    """One isolates egress, the other ingress."""
    policy = _policy({"endpointSelector": {}, "egress": [{}]}, {"endpointSelector": {}, "ingress": [{}]})
    assert [_outcome(policy, direction=d) for d in ("ingress", "egress")] == [Outcome.PASS, Outcome.PASS]


@pytest.mark.parametrize("spec", [{"nodeSelector": {}, "ingress": ALL}, {"ingress": ALL}])
def test_a_rule_without_endpoint_selector_isolates_no_pod(spec: dict[str, Any]) -> None:
    """It is about nodes, or about nothing."""
    assert _outcome(_policy(spec, namespace="")) is Outcome.FAIL


def test_a_policy_of_another_namespace_does_not_count() -> None:
    """A CiliumNetworkPolicy concerns the pods of its own namespace."""
    assert _outcome(_policy({"endpointSelector": {}, "ingress": ALL}, namespace="payments")) is Outcome.FAIL
