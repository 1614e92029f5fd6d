"""Which workloads the internet reaches, and which administration pages the whole cluster reaches."""

from collections.abc import Mapping
from typing import Any

import pytest

from scanner.analysis.network.admin_ports import admin_pages_within
from scanner.analysis.network.internet import reachable_from_internet
from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from scanner.model.policy import Severity
from tests.builders import NOW, container, network_policy, snapshot, workload


def _service(**spec: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {"selector": {"app": "cart"}, "ports": [{"port": 80, "targetPort": 8080}]}
    metadata = {"name": "cart", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": defaults | spec}


def _node(kind: str) -> dict[str, Any]:
    status = {"addresses": [{"type": kind, "address": "198.51.100.7"}]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"}, "status": status}


def _answers(*objects: Mapping[str, Any], **pod_spec: Any) -> list[Answer]:
    return list(reachable_from_internet(snapshot(workload(**pod_spec), *objects), now=NOW))


def test_a_workload_without_doors_gets_no_answer() -> None:
    """Nothing leads to it."""
    assert not _answers(_service())


@pytest.mark.parametrize(("spec", "outcome"), [
    ({}, Outcome.FAIL),
    ({"loadBalancerSourceRanges": ["198.51.100.0/24"]}, Outcome.PASS),
])  # fmt: skip
def test_a_load_balancer_for_all_addresses_is_the_internet(spec: dict[str, Any], outcome: Outcome) -> None:
    """Ranges of sources keep the rest out."""
    (answer,) = _answers(_service(type="LoadBalancer", **spec))
    assert answer.outcome is outcome


def test_a_policy_keeps_the_internet_out() -> None:
    """It allows one office, and the client's address is seen."""
    policy = network_policy("office", {}, ingress=[{"from": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]}])
    (answer,) = _answers(_service(type="LoadBalancer", externalTrafficPolicy="Local"), policy)
    assert answer.outcome is Outcome.PASS


@pytest.mark.parametrize(("kind", "count"), [("ExternalIP", 1), ("InternalIP", 0)])
def test_ports_of_nodes_count_where_nodes_are_public(kind: str, count: int) -> None:
    """A node with private addresses alone is no door to the internet."""
    assert len(_answers(_service(type="NodePort"), _node(kind))) == count


@pytest.mark.parametrize(
    "spec",
    [
        {"hostPID": True},
        {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]},
        {"containers": [container(securityContext={"privileged": True})]},
    ],
    ids=["namespaces", "paths", "privileged"],
)
def test_a_way_on_to_the_node_is_high(spec: dict[str, Any]) -> None:
    """Whoever breaks into the workload owns the node."""
    (answer,) = _answers(_service(type="LoadBalancer"), **spec)
    assert answer.severity is Severity.HIGH


def _page(*objects: Mapping[str, Any], image: str = "kubernetesui/dashboard:v2.7.0", **fields: Any) -> list[Answer]:
    page = container(image=image, **{"ports": [{"containerPort": 8443}]} | fields)
    return list(
        admin_pages_within(snapshot(workload("page", page), workload("other", namespace="bank"), *objects), now=NOW)
    )


def test_a_page_without_policies_is_open_to_every_namespace() -> None:
    """The evidence is the port."""
    (answer,) = _page()
    assert [fact.path for fact in answer.evidence] == ["spec.template.spec.containers[0].ports[0]"]


def test_a_page_for_its_own_namespace_passes() -> None:
    """Others do not connect to it."""
    (answer,) = _page(network_policy("own", {}, ingress=[{"from": [{"podSelector": {}}]}]))
    assert answer.outcome is Outcome.PASS


def test_metrics_of_a_page_may_be_open_to_all() -> None:
    """A port named after metrics is not the page."""
    policy = network_policy("metrics", {}, ingress=[{"ports": [{"port": 9000}]}])
    ports = [{"containerPort": 8443}, {"containerPort": 9000, "name": "metrics"}]
    (answer,) = _page(policy, ports=ports)
    assert answer.outcome is Outcome.PASS


def test_a_page_with_a_login_is_milder() -> None:
    """Grafana asks who comes."""
    (answer,) = _page(image="grafana/grafana:12.0.0")
    assert answer.is_milder


@pytest.mark.parametrize(("argument", "count"), [("/usr/local/bin/argocd-server", 1), ("argocd-repo-server", 0)])
def test_an_image_of_many_programs_is_told_by_what_starts_it(argument: str, count: int) -> None:
    """Only the server is a page."""
    assert len(_page(image="quay.io/argoproj/argocd:v3.0.0", args=[argument])) == count
