"""Which databases, remote shells and administration pages all addresses may come to."""

from collections.abc import Mapping
from typing import Any

import pytest

from scanner.analysis.network.admin_ports import admin_ports_exposed
from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from tests.builders import NOW, container, network_policy, snapshot, workload


def _answer(*objects: Mapping[str, Any], image: str = "registry.example.com/app:1", target: int, **spec: Any) -> Answer:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"selector": {"app": "cart"}, "ports": [{"port": 80, "targetPort": target}]} | spec,
    }
    one = snapshot(workload("cart", container(image=image)), service, *objects)
    (answer,) = admin_ports_exposed(one, now=NOW)
    return answer


@pytest.mark.parametrize(("target", "outcome"), [(5432, Outcome.FAIL), (8080, Outcome.PASS)])
def test_the_port_of_the_pods_tells_what_is_behind_a_door(target: int, outcome: Outcome) -> None:
    """The Service's own port says nothing."""
    assert _answer(target=target, type="LoadBalancer").outcome is outcome


@pytest.mark.parametrize(
    ("image", "outcome"),
    [
        ("docker.io/library/adminer:4.8.1", Outcome.FAIL),
        ("adminer", Outcome.FAIL),
        ("prom/prometheus:v3.1.0", Outcome.FAIL),
        ("registry.example.com:5000/prom/prometheus@sha256:0123", Outcome.FAIL),
        ("registry.example.com/shop/my-adminer:1", Outcome.PASS),
    ],
)
def test_the_image_tells_what_a_page_is_for(image: str, outcome: Outcome) -> None:
    """Whole names only, with any registry, tag or digest."""
    assert _answer(image=image, target=8080, type="LoadBalancer").outcome is outcome


def test_a_door_on_nodes_alone_is_milder() -> None:
    """Whoever comes to it must come to the nodes."""
    assert _answer(target=5432, type="NodePort").is_milder


def test_where_the_plugin_decides_it_is_unknown() -> None:
    """A policy may see a node's address in place of the client's."""
    policy = network_policy("some", {}, ingress=[{"from": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]}])
    assert _answer(policy, target=5432, type="LoadBalancer").outcome is Outcome.UNKNOWN


def test_ranges_of_sources_are_a_restriction() -> None:
    """The load balancer lets in some addresses only."""
    answer = _answer(target=5432, type="LoadBalancer", loadBalancerSourceRanges=["198.51.100.0/24"])
    assert answer.outcome is Outcome.PASS
