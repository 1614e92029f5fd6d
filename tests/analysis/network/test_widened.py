"""Rules that others widen, holes that leave private networks in, and ports that no pod has."""

from typing import Any

import pytest

from scanner.analysis.network.doors import services_with_unknown_ports
from scanner.analysis.network.widened import holes_that_leave_private, rules_widened
from scanner.model.finding import Outcome
from tests.builders import NOW, container, network_policy, snapshot, workload

_CART = {"matchLabels": {"app": "cart"}}
_FRONT = {"podSelector": {"matchLabels": {"app": "front"}}}


def _widened(*others: dict[str, Any], rules: list[dict[str, Any]] | None = None) -> list[str]:
    narrow = [{"from": [_FRONT], "ports": [{"port": port}]} for port in (8080, 9090)]
    policy = network_policy("narrow", _CART, ingress=rules or narrow)
    world = snapshot(workload("cart"), workload("front"), workload("blog"), policy, *others)
    answers = {answer.resource.name: answer for answer in rules_widened(world, now=NOW)}
    return [fact.path for fact in answers["narrow"].evidence if fact.object is None]


def _all(name: str = "all", selector: dict[str, Any] | None = None, **port: Any) -> dict[str, Any]:
    return network_policy(name, selector or {}, ingress=[{"ports": [port]}])


def test_a_policy_for_everyone_widens_a_rule() -> None:
    """On the port that both are about."""
    assert _widened(_all(port=8080)) == ["spec.ingress[0]"]


def test_a_range_of_ports_widens_the_rules_within() -> None:
    """It is not about the other one."""
    assert _widened(_all(port=9000, endPort=9100)) == ["spec.ingress[1]"]


def test_the_same_peers_widen_nothing() -> None:
    """Two policies say the same."""
    assert not _widened(network_policy("same", _CART, ingress=[{"from": [_FRONT], "ports": [{"port": 8080}]}]))


def test_a_policy_for_other_pods_widens_nothing() -> None:
    """It must be about all pods of the narrow one."""
    assert not _widened(_all(selector={"matchLabels": {"app": "front"}}, port=8080))


def test_a_policy_that_is_moot_as_a_whole_is_told_elsewhere() -> None:
    """Every rule of it is widened."""
    assert not _widened(_all(port=8080), _all("more", port=9090))


def test_a_rule_for_everyone_cannot_be_widened() -> None:
    """There are no more peers."""
    assert not _widened(_all(port=8080), rules=[{"ports": [{"port": 8080}]}, {"ports": [{"port": 1}]}])


@pytest.mark.parametrize(
    ("cidr", "holes", "outcome"),
    [
        ("0.0.0.0/0", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"], Outcome.PASS),
        (
            "0.0.0.0/0",
            ["8.0.0.0/6", "172.0.0.0/8", "192.168.0.0/17", "192.168.128.0/17", "169.254.0.0/16"],
            Outcome.PASS,
        ),
        ("0.0.0.0/0", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], Outcome.FAIL),
        ("0.0.0.0/0", ["169.254.169.254/32"], Outcome.FAIL),
        ("::/0", ["fc00::/7"], Outcome.PASS),
        ("::/0", ["fd00:ec2::254/128"], Outcome.FAIL),
    ],
)
def test_holes_leave_private_networks_in(cidr: str, holes: list[str], outcome: Outcome) -> None:
    """Those of the block's own family, however the holes are cut."""
    peers = [{"ipBlock": {"cidr": cidr, "except": holes}}]
    policy = network_policy("out", {}, policyTypes=["Egress"], egress=[{"to": peers}])
    (answer,) = holes_that_leave_private(snapshot(policy), now=NOW)
    assert answer.outcome is outcome


@pytest.mark.parametrize(
    ("port", "outcome"),
    [
        ({"targetPort": "http"}, Outcome.PASS),
        ({"targetPort": "htpp"}, Outcome.FAIL),
        ({"targetPort": "http", "protocol": "UDP"}, Outcome.FAIL),
    ],
    ids=["the name", "another name", "another protocol"],
)
def test_a_named_target_port_needs_a_port_of_that_name(port: dict[str, Any], outcome: Outcome) -> None:
    """In some container of the pods."""
    spec = {"selector": {"app": "cart"}, "ports": [{"port": 80} | port]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"}, "spec": spec}
    cart = workload("cart", container(ports=[{"name": "http", "containerPort": 8080}]))
    (answer,) = services_with_unknown_ports(snapshot(cart, service), now=NOW)
    assert answer.outcome is outcome
