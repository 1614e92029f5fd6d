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
        ({"fromEndpoints": [{}], "fromRequires": [{"matchLabels": {"app": "cart"}}]}, "fromRequires"),
        ({"fromEndpoints": [_WEB], "authentication": {"mode": "required"}}, "authentication"),
        ({"fromEndpoints": [_WEB], "fromEntities": ["world"]}, "in one rule"),
        ({"fromEndpoints": [_WEB], "toPorts": [{"ports": [{"port": "80"}]}], "icmps": [{}]}, "icmps and toPorts"),
        ({"fromEntities": ["moon"]}, "unknown entity"),
        ({"fromEntities": ["unmanaged"]}, "does not manage"),
        ({"fromEndpoints": [{"matchLabels": {"io.cilium.k8s.policy.cluster": "east"}}]}, "name that Cilium has"),
        ({"fromEndpoints": [{"matchLabels": {"container:app": "web"}}]}, "source container"),
    ],
)
def test_what_is_not_modelled_is_neither_open_nor_closed(rule: dict[str, Any], reason: str) -> None:
    """Whom the rule may mean is unknown, with the field that is why."""
    assert [reason in r.unknown for r in _rows(ingress=[rule]) if r.src.startswith("shop/web")] == [True]


def test_layer_7_rules_leave_other_pairs_decided() -> None:
    """A pod that the rule does not mean is kept out."""
    rule = {"fromEndpoints": [_WEB], "toPorts": [{"ports": [{"port": "80"}], "rules": {"http": [{}]}}]}
    assert {r.src for r in _rows(ingress=[rule])} == {"shop/web[Deployment]"}


def _unknown(**spec: Any) -> set[str]:
    return {r.src.partition("[")[0] for r in _rows(**spec) if r.unknown}


@pytest.mark.parametrize(
    ("rule", "unknown"),
    [
        ({"fromGroups": [{"aws": {"securityGroupsIds": ["sg-1"]}}]}, {"0.0.0.0-255.255.255.255"}),
        ({"fromEntities": ["kube-apiserver"]}, {"0.0.0.0-255.255.255.255"}),
        ({"fromEntities": ["health", "init", "ingress", "none"]}, set()),
        ({"fromEntities": ["host"]}, set()),
        ({"fromEndpoints": [{"matchLabels": {"reserved:host": ""}}]}, set()),
        ({"fromEndpoints": [{"matchLabels": {"cidr:10.0.0.0/8": ""}}]}, {"0.0.0.0-255.255.255.255"}),
        ({"fromNodes": [{"matchLabels": {"role": "edge"}}]}, set()),
    ],
)
def test_what_cannot_be_told_touches_what_it_may_mean_alone(rule: dict[str, Any], unknown: set[str]) -> None:
    """Clouds' groups and API servers lie outside, nodes are no pods with a network of their own."""
    assert _unknown(ingress=[rule]) == unknown


@pytest.mark.parametrize(
    "rule",
    [
        {"fromEndpoints": []},
        {"fromEndpoints": [], "toPorts": [{"ports": [{"port": "80"}]}]},
        {"fromEntities": []},
        {"fromCIDR": []},
        {"fromCIDRSet": []},
        {"toPorts": []},
        {"icmps": [{"fields": [{"type": 8}]}]},
    ],
)
def test_an_empty_list_means_nobody(rule: dict[str, Any]) -> None:
    """As opposed to one that is missing beside ports."""
    assert _rows(ingress=[rule]) == []


def test_a_policy_never_selects_pods_of_another_namespace() -> None:
    """A namespace that its endpointSelector names is replaced, and one of any source contradicts its own."""
    own, any_source = (
        {"matchLabels": {"app": "cart", key: "ops"}}
        for key in ("k8s:io.kubernetes.pod.namespace", "io.kubernetes.pod.namespace")
    )
    isolated = [not _rows(endpointSelector=selector, ingress=[{}]) for selector in (own, any_source)]
    assert isolated == [True, False]


def test_default_deny_that_is_switched_off_only_adds() -> None:
    """Alone it leaves everything open; beside a NetworkPolicy it allows what it names."""
    spec: dict[str, Any] = {"ingress": [{"fromEndpoints": [_WEB]}], "enableDefaultDeny": {"ingress": False}}
    other = network_policy("cart", {"matchLabels": {"app": "cart"}})
    alone, beside = ({r.src.partition("[")[0] for r in found} for found in (_rows(**spec), _rows(other, **spec)))
    assert (alone, beside) == ({"shop/web", "ops/web", "0.0.0.0-255.255.255.255"}, {"shop/web"})


def test_a_denial_without_default_deny_leaves_the_rest_open() -> None:
    """The documented policy against the world: what comes from the cluster still comes in."""
    spec: dict[str, Any] = {
        "endpointSelector": {},
        "ingressDeny": [{"fromEntities": ["world"]}],
        "ingress": [{"fromEntities": ["all"]}],
    }
    assert _from(namespace="", **spec) == {("shop/web", "1-65535"), ("ops/web", "1-65535")}


@pytest.mark.parametrize(
    ("denied", "ports"),
    [
        ([], {"1-65535"}),
        ([{"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]}], {"1-79,81-65535"}),
        ([{"fromEndpoints": [_WEB]}], set()),
        ([{"fromEndpoints": [_WEB], "toPorts": [{"ports": [{"port": "80"}]}]}, {"fromEndpoints": [_WEB]}], set()),
    ],
)
def test_the_table_of_allow_and_deny_policies(denied: list[dict[str, Any]], ports: set[str]) -> None:
    """Columns 1 to 4 of the table in https://docs.cilium.io/en/stable/security/policy/deny/."""
    allowed = [
        {"fromEndpoints": [_WEB]},
        {"toPorts": [{"ports": [{"port": p, "protocol": "TCP"} for p in ("80", "81")]}]},
    ]
    found = _rows(ingress=allowed, ingressDeny=denied)
    assert {r.ports for r in found if r.src.startswith("shop/web")} == ports


def test_services_mean_the_pods_that_they_select() -> None:
    """By name or by label; one without selector has addresses that are not known, one that is not there none."""
    services = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "shop", "labels": {"tier": name}},
            "spec": spec,
        }
        for name, spec in (("web", {"selector": {"app": "web"}}), ("remote", {}))
    ]
    wanted = (
        {"k8sService": {"serviceName": "web", "namespace": "shop"}},
        {"k8sServiceSelector": {"selector": {"matchLabels": {"tier": "web"}}}},
        {"k8sService": {"serviceName": "remote", "namespace": "shop"}},
        {"k8sService": {"serviceName": "gone", "namespace": "shop"}},
    )
    found = []
    for one in wanted:
        policy = _egress(toServices=[one])
        all_rows = rows(connectivity(snapshot(*_OBJECTS, *services, policy)))
        mine = [r for r in all_rows if r.src.startswith("shop/cart") and r.protocol == "TCP" and "::" not in r.dst]
        found.append({(r.dst.partition("[")[0], bool(r.unknown)) for r in mine})
    outside = {("0.0.0.0-255.255.255.255", True)}
    assert found == [{("shop/web", False)}, {("shop/web", False)}, outside, set()]


def _egress(**rule: Any) -> dict[str, Any]:
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"endpointSelector": {"matchLabels": {"app": "cart"}}, "egress": [rule]},
    }


def test_domain_names_lead_outside_alone() -> None:
    """The documented policy: DNS to kube-dns, then one name; no pod is reached by a name."""
    found = rows(connectivity(snapshot(*_OBJECTS, _egress(toFQDNs=[{"matchName": "my-remote-service.com"}]))))
    mine = [r for r in found if r.src.startswith("shop/cart")]
    assert mine
    assert all(r.unknown and "-" in r.dst.partition("[")[0] and "/" not in r.dst for r in mine)


def test_groups_of_cidrs_are_read_by_name_and_by_label() -> None:
    """With their exceptions; a group that is not there has no address."""
    group = {
        "apiVersion": "cilium.io/v2alpha1",
        "kind": "CiliumCIDRGroup",
        "metadata": {"name": "office", "labels": {"site": "north"}},
        "spec": {"externalCIDRs": ["192.0.2.0/24", "198.51.100.7/32"]},
    }
    by_name, by_label, gone = (
        {r.src for r in _rows(group, ingress=[{"fromCIDRSet": [one]}])}
        for one in (
            {"cidrGroupRef": "office", "except": ["192.0.2.128/25"]},
            {"cidrGroupSelector": {"matchLabels": {"site": "north"}}},
            {"cidrGroupRef": "home"},
        )
    )
    address = "198.51.100.7-198.51.100.7"
    assert (by_name, by_label, gone) == (
        {"192.0.2.0-192.0.2.127", address},
        {"192.0.2.0-192.0.2.255", address},
        set(),
    )


def test_a_node_is_of_the_cluster_and_not_of_the_world() -> None:
    """Its address in a CIDR is unknown, since a setting decides; host and remote-node together mean all nodes."""
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "one"},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.7"}]},
    }
    here = "10.0.0.7-10.0.0.7"
    said = {}
    for name, rule in {
        "world": {"fromEntities": ["world"]},
        "cluster": {"fromEntities": ["cluster"]},
        "nodes": {"fromEntities": ["host", "remote-node"]},
        "host": {"fromEntities": ["host"]},
        "cidr": {"fromCIDR": ["10.0.0.0/24"]},
    }.items():
        said[name] = [bool(r.unknown) for r in _rows(node, ingress=[rule]) if r.src == here]
    assert said == {"world": [], "cluster": [False], "nodes": [False], "host": [True], "cidr": [True]}


def test_a_policy_for_nodes_leaves_pods_on_their_network_in_doubt() -> None:
    """Others are none of its business."""
    host = workload("agent", namespace="ops", hostNetwork=True)
    policy = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumClusterwideNetworkPolicy",
        "metadata": {"name": "lock-down"},
        "spec": {"nodeSelector": {}, "ingress": [{"fromEntities": ["cluster"]}]},
    }
    found = rows(connectivity(snapshot(*_OBJECTS, host, policy)))
    assert {r.dst for r in found if "host firewall" in r.unknown} == {"ops/agent[Deployment]"}


@pytest.mark.parametrize(
    "spec",
    [
        {"ingress": [{"fromCIDR": ["10.0.0.0/99"]}]},
        {"ingress": [{"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["192.0.2.0/24"]}]}]},
        {"ingress": [{"toPorts": [{"ports": [{"port": "70000"}]}]}]},
        {"ingress": [{"toPorts": [{}]}, {"toPorts": 7}]},
        {"ingress": [{"fromEndpoints": [{"matchExpressions": [{"key": "a", "operator": "Like"}]}]}]},
        {"ingress": [{"fromEndpoints": 3}]},
        {"ingress": [{"fromEntities": [[]]}]},
        {"ingress": [{"fromFuture": [{}]}]},
        {"ingress": "no"},
    ],
)
def test_a_policy_that_cilium_refuses_is_in_doubt(spec: dict[str, Any]) -> None:
    """It may have no effect at all; nothing crashes."""
    assert "shop/web" in _unknown(**spec)


@pytest.mark.parametrize("cidrs", [7, ["no network"], [7]])
def test_a_group_that_cannot_be_read_is_unknown(cidrs: object) -> None:
    """Only a file can hold one; nothing crashes, and only addresses come into question."""
    group = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumCIDRGroup",
        "metadata": {"name": "bad"},
        "spec": {"externalCIDRs": cidrs},
    }
    found = _rows(group, ingress=[{"fromCIDRSet": [{"cidrGroupRef": "bad"}]}])
    assert {(r.src, "cannot be read" in r.unknown) for r in found} == {("0.0.0.0-255.255.255.255", True)}


@pytest.mark.parametrize("field", ["fromRequires", "ingressDeny", "nodeSelector", "endpointSelector", "specs"])
@pytest.mark.parametrize("value", [7, "x", [7], [[]], {"matchLabels": 7}])
def test_no_shape_of_a_policy_crashes(field: str, value: object) -> None:
    """What Cilium's own schema would refuse is in doubt, or means nothing."""
    spec = {"ingress": [{field: value}]} if field == "fromRequires" else {field: value}
    assert isinstance(_rows(**spec), list)
