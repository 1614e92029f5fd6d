"""What Cilium's policies allow and deny, and what of them leaves connections unknown."""

from typing import Any

import pytest

from scanner.analysis.network.connections import Row, rows
from scanner.analysis.network.connectivity import connectivity
from tests.builders import network_policy, snapshot, workload

_WEB = {"matchLabels": {"app": "web"}}
_OBJECTS = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"tenant": "a"}}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ops", "labels": {"tenant": "b"}}},
    workload("web"),
    workload("cart"),
    workload("web", namespace="ops"),
)


def _rows(*others: dict[str, Any], namespace: str = "shop", **spec: Any) -> list[Row]:
    """Return what reaches the cart, on TCP, when a Cilium policy with this spec is on it."""
    kind = "CiliumNetworkPolicy" if namespace else "CiliumClusterwideNetworkPolicy"
    policy = {
        "apiVersion": "cilium.io/v2",
        "kind": kind,
        "metadata": {"name": "cart", "namespace": namespace},
        "spec": {"endpointSelector": {"matchLabels": {"app": "cart"}}} | spec,
    }
    found = rows(connectivity(snapshot(*_OBJECTS, *others, policy)))
    return [r for r in found if r.dst.startswith("shop/cart") and r.protocol == "TCP" and "::" not in r.src]


def _from(**spec: Any) -> set[tuple[str, str]]:
    return {(r.src.partition("[")[0], r.ports) for r in _rows(**spec)}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, set()),
        ({"fromEndpoints": [_WEB]}, {("shop/web", "1-65535")}),
        ({"fromEndpoints": [{"matchLabels": {"k8s:app": "web"}}]}, {("shop/web", "1-65535")}),
        ({"fromEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "ops"}}]}, {("ops/web", "1-65535")}),
        (
            {"fromEndpoints": [{"matchLabels": {"io.cilium.k8s.namespace.labels.tenant": "b"}}]},
            {("ops/web", "1-65535")},
        ),
        ({"fromEndpoints": [_WEB], "toPorts": [{"ports": [{"port": "80"}]}]}, {("shop/web", "80")}),
        (
            {"fromEndpoints": [_WEB], "toPorts": [{"ports": [{"port": "80", "endPort": 90, "protocol": "TCP"}]}]},
            {("shop/web", "80-90")},
        ),
        ({"fromEntities": ["cluster"]}, {("shop/web", "1-65535"), ("ops/web", "1-65535")}),
        ({"fromEntities": ["world"]}, {("0.0.0.0-255.255.255.255", "1-65535")}),
        (
            {"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.0.0.0/9"]}]},
            {("10.128.0.0-10.255.255.255", "1-65535")},
        ),
        ({"fromCIDR": ["0.0.0.0/0"]}, {("0.0.0.0-255.255.255.255", "1-65535")}),
        ({"toPorts": [{"ports": [{"port": "80", "protocol": "UDP"}]}]}, set()),
    ],
)
def test_a_rule_allows_whom_it_means(rule: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    """Pods by label and namespace, entities and CIDRs, on ports."""
    assert _from(ingress=[rule]) == expected


def test_what_is_denied_goes_before_what_is_allowed() -> None:
    """A denied port stays closed whatever another rule says."""
    denied = {"fromEndpoints": [_WEB], "toPorts": [{"ports": [{"port": "80"}]}]}
    assert _from(ingress=[{"fromEndpoints": [_WEB]}], ingressDeny=[denied]) == {("shop/web", "1-79,81-65535")}


def test_what_network_policies_allow_is_added() -> None:
    """Each of the two isolates, and both allow."""
    other = network_policy("cart", {"matchLabels": {"app": "cart"}}, ingress=[{"ports": [{"port": 443}]}])
    found = _rows(other, ingress=[{"fromEndpoints": [_WEB], "toPorts": [{"ports": [{"port": "80"}]}]}])
    assert [r.ports for r in found if r.src.startswith("shop/web")] == ["80,443"]


def test_a_clusterwide_policy_means_endpoints_of_every_namespace() -> None:
    """It has no namespace to stay in."""
    assert _from(namespace="", ingress=[{"fromEndpoints": [_WEB]}]) == {("shop/web", "1-65535"), ("ops/web", "1-65535")}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"fromEndpoints": [_WEB], "toPorts": [{"ports": [{"port": "80"}], "rules": {"http": [{}]}}]}, "layer 7"),
        ({"fromEndpoints": [_WEB], "fromRequires": [_WEB]}, "fromRequires"),
    ],
)
def test_what_is_not_modelled_is_neither_open_nor_closed(rule: dict[str, Any], reason: str) -> None:
    """Whom the rule may mean is unknown, with the field that is why."""
    assert [reason in r.unknown for r in _rows(ingress=[rule]) if r.src.startswith("shop/web")] == [True]


def test_layer_7_rules_leave_other_pairs_decided() -> None:
    """A pod that the rule does not mean is kept out."""
    rule = {"fromEndpoints": [_WEB], "toPorts": [{"ports": [{"port": "80"}], "rules": {"http": [{}]}}]}
    assert {r.src for r in _rows(ingress=[rule])} == {"shop/web[Deployment]"}
