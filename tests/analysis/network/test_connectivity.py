"""What the API leaves open, or the objects do not tell, is unknown with its reason; what is certain stays certain."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from scanner.analysis.network.connections import Row, rows
from scanner.analysis.network.connectivity import connectivity
from scanner.analysis.network.matching import BLOCK_OF_PODS, HOST_NETWORK, LABELS_UNKNOWN, NODES_UNKNOWN
from scanner.model.coverage import Read, ReadState
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import SourceKind
from tests.builders import container, network_policy, pod, snapshot, workload

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"tenant": "a"}}}
CLOSED = network_policy("closed", {"matchLabels": {"app": "cart"}}, policyTypes=["Ingress"])


def _between(*objects: Mapping[str, Any], source: str = "web", destination: str = "cart", **how: Any) -> list[Row]:
    """Return the rows from one workload of the shop to another."""
    policy_only = how.pop("policy_only", False)
    found = rows(connectivity(snapshot(*objects, **how), policy_only=policy_only))
    return [r for r in found if f"/{source}[" in r.src and f"/{destination}[" in r.dst]


def _verdicts(found: Sequence[Row]) -> set[str]:
    return {row.unknown for row in found}


def _ordered(kind: str = "ClusterNetworkPolicy", name: str = "policy", **spec: Any) -> dict[str, Any]:
    version = "v1alpha2" if kind == "ClusterNetworkPolicy" else "v1alpha1"
    tier = {"tier": "Admin"} if kind == "ClusterNetworkPolicy" else {}
    return {
        "apiVersion": f"policy.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"priority": 1, "subject": {"namespaces": {}}} | tier | spec,
    }


def test_a_workload_without_policies_is_reached_on_every_port() -> None:
    """Three protocols, all ports, nothing unknown."""
    found = _between(NAMESPACE, workload("web"), workload("cart"))
    assert [(r.protocol, r.ports, r.unknown) for r in found] == [(p, "1-65535", "") for p in ("TCP", "UDP", "SCTP")]


def test_an_isolated_workload_without_rules_is_not_reached() -> None:
    """There is no row."""
    assert _between(NAMESPACE, workload("web"), workload("cart"), CLOSED) == []


def test_a_policy_for_pods_on_the_host_network_is_up_to_the_plugin() -> None:
    """The row is unknown and says why."""
    found = _between(NAMESPACE, workload("web"), workload("cart", hostNetwork=True), CLOSED)
    assert _verdicts(found) == {HOST_NETWORK}


def test_by_policies_alone_the_host_network_is_like_any_other() -> None:
    """The policy closes it."""
    found = _between(NAMESPACE, workload("web"), workload("cart", hostNetwork=True), CLOSED, policy_only=True)
    assert found == []


def test_whether_a_block_means_pods_is_up_to_the_plugin() -> None:
    """A rule for all addresses leaves pods unknown."""
    opened = network_policy(
        "open", {"matchLabels": {"app": "cart"}}, ingress=[{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]
    )
    assert _verdicts(_between(NAMESPACE, workload("web"), workload("cart"), opened)) == {BLOCK_OF_PODS}


def test_a_label_that_a_controller_will_add_is_not_known_before() -> None:
    """A template shows no pod-template-hash."""
    closed = network_policy("closed", {"matchLabels": {"pod-template-hash": "5d8f"}}, policyTypes=["Ingress"])
    assert _verdicts(_between(NAMESPACE, workload("web"), workload("cart"), closed)) == {LABELS_UNKNOWN}


def test_labels_of_a_namespace_that_no_file_defines_are_not_known() -> None:
    """A selector of namespaces by such a label is undecided."""
    peer = {"namespaceSelector": {"matchLabels": {"tenant": "a"}}}
    opened = network_policy("open", {"matchLabels": {"app": "cart"}}, ingress=[{"from": [peer]}])
    found = rows(connectivity(snapshot(workload("web"), workload("cart"), opened, source=SourceKind.MANIFESTS)))
    assert {r.unknown for r in found if r.src.startswith("shop/web") and "cart" in r.dst} == {LABELS_UNKNOWN}


def _antrea(kind: str = "ClusterNetworkPolicy", namespace: str = "", **spec: Any) -> dict[str, Any]:
    metadata = {"name": "rules", "namespace": namespace}
    return {"apiVersion": "crd.antrea.io/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}


ON_CART = {"podSelector": {"matchLabels": {"app": "cart"}}}


@pytest.mark.parametrize(
    ("spec", "unknown"),
    [
        ({"appliedTo": [ON_CART], "ingress": [{}]}, True),
        ({"ingress": [{"appliedTo": [ON_CART]}]}, True),
        ({"appliedTo": [{"group": "carts"}], "ingress": [{}]}, True),
        ({"appliedTo": "carts"}, True),
        ({"appliedTo": [ON_CART], "egress": [{}]}, False),
        ({"appliedTo": [ON_CART]}, False),
        ({"appliedTo": [{"podSelector": {"matchLabels": {"app": "other"}}}], "ingress": [{}]}, False),
        ({"appliedTo": [{"namespaceSelector": {"matchLabels": {"tenant": "b"}}}], "ingress": [{}]}, False),
    ],
)
def test_a_policy_that_is_not_evaluated_makes_what_it_may_touch_unknown(spec: dict[str, Any], unknown: bool) -> None:
    """It neither opens nor closes, and the reason names it; other pods and the other direction stay decided."""
    for other in (_antrea(**spec), _antrea("NetworkPolicy", "shop", **spec)):
        if other["kind"] == "NetworkPolicy" and "namespaceSelector" in str(spec):
            continue
        (reason,) = _verdicts(_between(NAMESPACE, workload("web"), workload("cart"), other))
        assert (f"the rules of {other['kind']}" in reason) is unknown


def test_a_plugins_policy_of_another_namespace_touches_nothing_here() -> None:
    """Pairs of other namespaces stay decided."""
    other = _antrea("NetworkPolicy", "ops", ingress=[{}], egress=[{}])
    assert _verdicts(_between(NAMESPACE, workload("web"), workload("cart"), other)) == {""}


def test_policies_that_could_not_be_read_leave_connections_unknown() -> None:
    """The reason is the read that is missing."""
    refused = "networkpolicies.networking.k8s.io"
    unread = [
        Read(resource=r.name, state=ReadState.FORBIDDEN if r.name == refused else ReadState.COMPLETE) for r in RESOURCES
    ]
    (reason,) = _verdicts(_between(NAMESPACE, workload("web"), workload("cart"), coverage=unread))
    assert reason == f"not read: list {refused}"


def test_two_policies_of_one_priority_that_contradict_decide_nothing() -> None:
    """Which of them applies is not defined, and the reason names both."""
    rules = [_ordered(name=a, ingress=[{"action": a, "from": [{"namespaces": {}}]}]) for a in ("Accept", "Deny")]
    (reason,) = _verdicts(_between(NAMESPACE, workload("web"), workload("cart"), *rules))
    assert "ClusterNetworkPolicy Accept and ClusterNetworkPolicy Deny have the same priority" in reason


def test_a_rule_about_nodes_that_were_not_read_leaves_addresses_unknown() -> None:
    """Any address might be a node's."""
    deny = _ordered(egress=[{"action": "Deny", "to": [{"nodes": {}}]}])
    found = list(rows(connectivity(snapshot(NAMESPACE, workload("web"), deny))))
    assert {r.unknown for r in found if r.src.startswith("shop/web")} == {NODES_UNKNOWN}


def test_a_rule_about_nodes_means_their_addresses() -> None:
    """Just the address of the node is cut out."""
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "one"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.9"}, {"type": "Hostname", "address": "one"}]
        },
    }
    deny = _ordered(egress=[{"action": "Deny", "to": [{"nodes": {}}]}])
    found = list(rows(connectivity(snapshot(NAMESPACE, node, workload("web"), deny))))
    tcp = [r.dst for r in found if r.src.startswith("shop/web") and r.protocol == "TCP" and "." in r.dst]
    assert tcp == ["0.0.0.0-10.0.0.8", "10.0.0.10-255.255.255.255"]


def test_a_peer_of_an_unknown_sort_fails_closed() -> None:
    """An Accept rule then means nobody, a Deny rule everyone."""
    accept = _ordered(ingress=[{"action": "Deny", "from": [{"serviceAccounts": {}}]}])
    assert _between(NAMESPACE, workload("web"), workload("cart"), accept) == []


def test_a_pod_that_has_ended_is_no_end() -> None:
    """It has no network any more."""
    ended = pod("web") | {"status": {"phase": "Succeeded"}}
    assert _between(NAMESPACE, ended, workload("cart")) == []


def test_a_name_for_two_ports_of_a_pod_is_unknown_on_both() -> None:
    """Either may be meant."""
    ports = [container(n, ports=[{"name": "http", "containerPort": p}]) for n, p in (("a", 80), ("b", 81))]
    opened = network_policy("open", {"matchLabels": {"app": "cart"}}, ingress=[{"ports": [{"port": "http"}]}])
    found = _between(NAMESPACE, workload("web"), workload("cart", *ports), opened)
    assert [(r.ports, bool(r.unknown)) for r in found] == [("80-81", True)]


def test_a_workload_is_no_peer_of_itself() -> None:
    """A pod always reaches itself, so that there is nothing to tell."""
    assert _between(NAMESPACE, workload("web"), source="web", destination="web") == []
