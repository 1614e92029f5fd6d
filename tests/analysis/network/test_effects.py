"""Which NetworkPolicies change nothing, which holes are filled, and which peers are nobody."""

from collections.abc import Mapping
from typing import Any

from scanner.analysis.network.effects import holes_filled, peers_that_are_nobody, policies_without_effect
from scanner.model.finding import Outcome
from scanner.model.snapshot import SourceKind
from tests.builders import NOW, network_policy, snapshot, workload

_CART = {"matchLabels": {"app": "cart"}}
_WEB = {"podSelector": {"matchLabels": {"app": "web"}}}
_NARROW = network_policy("narrow", _CART, ingress=[{"from": [_WEB], "ports": [{"port": 80}]}])


def _moot(*objects: Mapping[str, Any]) -> set[str]:
    answers = policies_without_effect(snapshot(workload("cart"), workload("web"), *objects), now=NOW)
    return {a.resource.name for a in answers if a.outcome is Outcome.FAIL}


def _filled(*rules: Mapping[str, Any]) -> list[str]:
    policy = network_policy("out", _CART, policyTypes=["Egress"], egress=list(rules))
    (answer,) = holes_filled(snapshot(workload("cart"), policy), now=NOW)
    return [fact.path for fact in answer.evidence]


def _block(cidr: str, *holes: str, port: int = 443) -> dict[str, Any]:
    return {"to": [{"ipBlock": {"cidr": cidr, "except": list(holes)}}], "ports": [{"port": port}]}


def test_a_wider_policy_makes_a_narrow_one_moot() -> None:
    """All that the narrow one allows is allowed by the wide one."""
    assert _moot(_NARROW, network_policy("wide", {}, ingress=[{}])) == {"narrow"}


def test_a_default_deny_leaves_the_rules_of_others_their_effect() -> None:
    """Without the narrow policy, nothing would be allowed."""
    assert _moot(_NARROW, network_policy("deny", {}, policyTypes=["Ingress"])) == set()


def test_a_policy_that_alone_isolates_has_an_effect() -> None:
    """Nothing else is on its pods."""
    assert _moot(_NARROW) == set()


def test_a_denial_beside_an_allowance_is_moot() -> None:
    """NetworkPolicies cannot take away what others allow."""
    assert _moot(_NARROW, network_policy("closed", _CART, policyTypes=["Ingress"])) == {"closed"}


def test_two_denials_are_no_failure() -> None:
    """Both deny, and nothing is wider than it looks."""
    deny = network_policy("deny", {}, policyTypes=["Ingress"])
    assert _moot(deny, network_policy("closed", _CART, policyTypes=["Ingress"])) == set()


def test_of_two_that_are_alike_one_is_moot() -> None:
    """All that fail may go together, so one of them stays."""
    again = network_policy("same", _CART, ingress=[{"from": [_WEB], "ports": [{"port": 80}]}])
    assert _moot(_NARROW, again) == {"same"}


def test_another_port_is_an_effect() -> None:
    """The wide policy is for other ports."""
    assert _moot(_NARROW, network_policy("wide", {}, ingress=[{"ports": [{"port": 81}]}])) == set()


def test_an_effect_on_one_workload_is_an_effect() -> None:
    """The wide policy is on one of the two workloads only."""
    both = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["cart", "web"]}]}
    narrow = network_policy("narrow", both, ingress=[{"from": [_WEB]}])
    assert _moot(narrow, network_policy("wide", _CART, ingress=[{}])) == set()


def test_an_effect_in_one_direction_is_an_effect() -> None:
    """Ingress is allowed anyway, but egress is isolated by this policy alone."""
    narrow = network_policy("narrow", _CART, policyTypes=["Ingress", "Egress"], ingress=[{"from": [_WEB]}])
    assert _moot(narrow, network_policy("wide", {}, ingress=[{}])) == set()


def test_a_hole_that_another_rule_allows_is_filled() -> None:
    """The second rule means all of it on the same port."""
    rules = _block("0.0.0.0/0", "10.0.0.0/8"), _block("10.0.0.0/8")
    assert _filled(*rules) == ["spec.egress[0].to[0].ipBlock.except[0]"]


def test_a_hole_that_is_open_on_another_port_is_not_filled() -> None:
    """A database inside and the web outside is a usual pair."""
    assert _filled(_block("0.0.0.0/0", "10.0.0.0/8"), _block("10.0.0.0/8", port=5432)) == []


def test_a_hole_of_which_a_part_is_open_is_not_filled() -> None:
    """One network of many is meant to be reached."""
    assert _filled(_block("0.0.0.0/0", "10.0.0.0/8"), _block("10.7.0.0/16")) == []


def test_a_hole_at_the_edge_of_its_network_stays_out() -> None:
    """Addresses outside the network are treated like it and are not allowed either."""
    assert _filled(_block("10.0.0.0/8", "10.0.0.0/9")) == []


def _nobody(peer: Mapping[str, Any], source: SourceKind = SourceKind.LIVE) -> Outcome:
    policy = network_policy("cart", _CART, ingress=[{"from": [peer]}])
    (answer,) = peers_that_are_nobody(snapshot(workload("cart"), policy, source=source), now=NOW)
    return answer.outcome


def test_a_peer_that_no_pod_is_fails() -> None:
    """No pod of the namespace has that label."""
    assert _nobody(_WEB) is Outcome.FAIL


def test_an_empty_selector_waits_for_pods() -> None:
    """Whatever comes is meant."""
    assert _nobody({"namespaceSelector": {}}) is Outcome.PASS


def test_a_peer_in_another_namespace_is_unknown_in_files() -> None:
    """The files need not hold all namespaces."""
    peer = {"namespaceSelector": {"matchLabels": {"team": "web"}}}
    assert _nobody(peer, SourceKind.MANIFESTS) is Outcome.UNKNOWN
