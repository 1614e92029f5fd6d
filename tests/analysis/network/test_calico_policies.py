"""Calico's policies: what its reference pages promise, case by case."""

from typing import Any

import pytest

from scanner.analysis.network.calico_selectors import parsed
from scanner.analysis.network.connections import rows
from scanner.analysis.network.connectivity import connectivity
from scanner.analysis.network.explain import end_of, explain
from scanner.analysis.network.matching import ADDRESS_UNKNOWN
from scanner.analysis.network.ports import port_span
from scanner.model.coverage import Read, ReadState
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import Snapshot, SourceKind
from tests.builders import network_policy, snapshot, workload

ALLOW = [{"action": "Allow"}]
DENY = [{"action": "Deny"}]
SHOP = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}}}
OPS = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ops", "labels": {"team": "b"}}}
WEB = workload("web", labels={"app": "web"})
CART = workload("cart", labels={"app": "cart"})
ADMIN = workload("admin", labels={"app": "admin"}, namespace="ops")
WORLD = (SHOP, OPS, WEB, CART, ADMIN)
ON_CART = "app == 'cart'"


def calico(name: str, *, namespace: str = "", labels: dict[str, str] | None = None, kind: str = "", **spec: Any) -> Any:
    """Make an object of Calico's: a policy of a namespace or of the cluster, if no kind is given."""
    metadata: dict[str, Any] = {"name": name} | ({"namespace": namespace} if namespace else {})
    kind = kind or ("NetworkPolicy" if namespace else "GlobalNetworkPolicy")
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": kind,
        "metadata": metadata | ({"labels": labels} if labels else {}),
        "spec": spec,
    }


def said(found: Snapshot, source: str, destination: str, port: int = 80, protocol: str = "TCP") -> bool | None:
    """Tell whether one may connect to the other; None if that is unknown."""
    whole = connectivity(found)
    asked = port_span(protocol, port, port)
    answer = explain(whole, end_of(whole, found, source), end_of(whole, found, destination), asked)
    return None if answer.unknown else bool(answer.allowed)


def ask(*policies: Any, source: str = "shop/web", destination: str = "shop/cart", port: int = 80) -> bool | None:
    """Ask in the small world of these tests."""
    return said(snapshot(*WORLD, *policies), source, destination, port)


def reasons(*policies: Any, source: str = "shop/web", destination: str = "shop/cart") -> set[str]:
    """Return why a connection is unknown."""
    found = rows(connectivity(snapshot(*WORLD, *policies)))
    return {r.unknown for r in found if r.src.startswith(source) and r.dst.startswith(destination) and r.unknown}


def test_a_policy_without_rules_isolates_ingress_alone() -> None:
    """Without types and rules it is for ingress, and what no rule decides is denied at the end of its tier."""
    policy = calico("deny", namespace="shop", selector=ON_CART)
    assert ask(policy) is False
    assert ask(policy, source="shop/cart", destination="shop/web") is True


def test_a_policy_with_egress_rules_alone_is_for_egress_alone() -> None:
    """The types follow the rules that there are."""
    policy = calico("out", namespace="shop", selector=ON_CART, egress=DENY)
    assert ask(policy) is True
    assert ask(policy, source="shop/cart", destination="shop/web") is False


def test_the_first_rule_that_matches_decides_and_a_log_goes_on() -> None:
    """Log is no verdict."""
    from_web = {"source": {"selector": "app == 'web'"}}
    rules = [{"action": "Log"}, {"action": "Deny", **from_web}, {"action": "Allow"}]
    policy = calico("ordered", namespace="shop", selector=ON_CART, ingress=rules)
    assert ask(policy) is False
    assert ask(policy, source="ops/admin") is True


@pytest.mark.parametrize(("allow", "deny", "expected"), [(1, 2, True), (2, 1, False), (2.5, 2.25, False)])
def test_a_lower_order_comes_first(allow: float, deny: float, expected: bool) -> None:
    """Within a tier."""
    found = (
        calico("a", selector=ON_CART, order=allow, ingress=ALLOW),
        calico("b", selector=ON_CART, order=deny, ingress=DENY),
    )
    assert ask(*found) is expected


def test_no_order_comes_last_and_names_decide_between_equals() -> None:
    """Of two without an order the one with the lower name is asked first."""
    first = calico("a", selector=ON_CART, ingress=ALLOW)
    second = calico("b", selector=ON_CART, ingress=DENY)
    assert ask(second, first) is True
    assert ask(first, calico("z", selector=ON_CART, order=9e9, ingress=DENY)) is False


def test_which_of_two_kinds_with_one_order_decides_is_unknown() -> None:
    """Releases differ in how they compare the names of a namespaced policy and one of the cluster."""
    found = (
        calico("a", selector=ON_CART, ingress=ALLOW),
        calico("b", namespace="shop", selector=ON_CART, ingress=DENY),
    )
    (reason,) = reasons(*found)
    assert "have the same priority" in reason


def test_tiers_are_asked_by_order_and_a_pass_leaves_to_the_next() -> None:
    """A pass skips the rest of its tier."""
    early, late = calico("early", kind="Tier", order=1), calico("late", kind="Tier", order=2)
    passing = calico("early.pass", tier="early", selector=ON_CART, order=1, ingress=[{"action": "Pass"}])
    skipped = calico("early.deny", tier="early", selector=ON_CART, order=2, ingress=DENY)
    allowing = calico("late.allow", tier="late", selector=ON_CART, ingress=ALLOW)
    assert ask(early, late, passing, skipped, allowing) is True
    assert ask(early, late, skipped, allowing) is False


def test_a_pass_in_the_last_tier_lets_through() -> None:
    """Then the profile of the namespace is asked, which allows."""
    assert ask(calico("pass", selector=ON_CART, ingress=[{"action": "Pass"}])) is True


@pytest.mark.parametrize(("action", "expected"), [("Deny", False), ("Pass", True)])
def test_the_default_action_of_a_tier_meets_what_no_rule_decides(action: str, expected: bool) -> None:
    """A policy without a rule for the traffic still brings its pods into the tier."""
    tier = calico("mine", kind="Tier", order=1, defaultAction=action)
    policy = calico("mine.none", tier="mine", selector=ON_CART, types=["Ingress"])
    assert ask(tier, policy) is expected


def test_a_tier_without_a_policy_for_a_pod_does_not_concern_it() -> None:
    """Only pods that one of its policies is for meet its end."""
    tier = calico("mine", kind="Tier", order=1, defaultAction="Deny")
    assert ask(tier, calico("mine.other", tier="mine", selector="app == 'web'", types=["Ingress"])) is True


@pytest.mark.parametrize(("order", "expected"), [(999, True), (1001, False)])
def test_network_policies_stand_in_the_default_tier_at_order_1000(order: int, expected: bool) -> None:
    """What they do not allow is denied at the end of the tier; what they allow is asked at 1000."""
    closed = network_policy("closed", {"matchLabels": {"app": "cart"}}, policyTypes=["Ingress"])
    opened = network_policy("opened", {"matchLabels": {"app": "cart"}}, ingress=[{}])
    assert ask(closed, calico("allow", selector=ON_CART, order=order, ingress=ALLOW)) is True
    assert ask(opened, calico("deny", selector=ON_CART, order=order, ingress=DENY)) is not expected


def test_tiers_stand_around_those_of_the_policy_api() -> None:
    """Administrators' policies stand at order 1000, before the default tier; the baseline comes after it."""
    admin = {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "AdminNetworkPolicy",
        "metadata": {"name": "deny"},
        "spec": {
            "subject": {"namespaces": {}},
            "priority": 1,
            "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}],
        },
    }
    allow: dict[str, Any] = {"selector": ON_CART, "ingress": ALLOW}
    assert ask(admin, calico("allow", **allow)) is False
    assert ask(admin, calico("t", kind="Tier", order=999), calico("t.allow", tier="t", **allow)) is True
    assert ask(admin, calico("t", kind="Tier", order=1001), calico("t.allow", tier="t", **allow)) is False


def test_a_selector_in_a_namespaced_policy_stays_in_its_namespace() -> None:
    """Unless a namespaceSelector says where."""
    everyone = {"selector": "all()"}
    own = calico("own", namespace="shop", selector=ON_CART, ingress=[{"action": "Allow", "source": everyone}])
    assert ask(own) is True
    assert ask(own, source="ops/admin") is False
    all_ = calico(
        "all",
        namespace="shop",
        selector=ON_CART,
        ingress=[{"action": "Allow", "source": everyone | {"namespaceSelector": "team == 'b'"}}],
    )
    assert ask(all_) is False
    assert ask(all_, source="ops/admin") is True


def test_a_selector_of_everyone_means_no_address_outside() -> None:
    """A rule with `all()` is about endpoints and network sets; a rule without selector is about all packets."""
    source = {"selector": "all()"}
    policy = calico("in", selector=ON_CART, ingress=[{"action": "Allow", "source": source}])
    assert ask(policy) is True
    assert ask(policy, source="198.51.100.7") is False
    assert ask(calico("in", selector=ON_CART, ingress=ALLOW), source="198.51.100.7") is True


def test_not_selector_means_anywhere_but_in_a_namespaced_policy_its_namespace() -> None:
    """`notSelector: has(foo)` matches packets from outside the cluster too."""
    rules = [{"action": "Allow", "source": {"notSelector": "app == 'web'"}}]
    whole = calico("not", selector=ON_CART, ingress=rules)
    assert (ask(whole), ask(whole, source="ops/admin"), ask(whole, source="198.51.100.7")) == (False, True, True)
    own = calico("not", namespace="shop", selector=ON_CART, ingress=rules)
    assert (ask(own), ask(own, source="ops/admin"), ask(own, source="198.51.100.7")) == (False, False, False)


def test_global_means_network_sets_without_a_namespace() -> None:
    """And no pod, but one with such an address, which is not known of pods that do not run."""
    office = calico("office", kind="GlobalNetworkSet", labels={"role": "office"}, nets=["198.51.100.0/24"])
    rules = [{"action": "Allow", "source": {"namespaceSelector": "global()", "selector": "all()"}}]
    policy = calico("in", namespace="shop", selector=ON_CART, ingress=rules)
    assert ask(policy) is False
    assert ask(policy, office, source="198.51.100.7") is True
    assert ask(policy, office, source="198.51.101.7") is False
    assert reasons(policy, office) == {ADDRESS_UNKNOWN}


def test_a_network_set_is_selected_by_its_labels() -> None:
    """One of a namespace from within it, one of the cluster by policies of the cluster."""
    rules = [{"action": "Allow", "source": {"selector": "role == 'office'"}}]
    own = calico("o", kind="NetworkSet", namespace="shop", labels={"role": "office"}, nets=["198.51.100.7"])
    policy = calico("in", namespace="shop", selector=ON_CART, ingress=rules)
    assert ask(policy, own, source="198.51.100.7") is True
    assert ask(policy, own, source="198.51.100.8") is False
    whole = calico("o", kind="GlobalNetworkSet", labels={"role": "office"}, nets=["198.51.100.7"])
    assert ask(policy, whole, source="198.51.100.7") is False
    assert ask(calico("in", selector=ON_CART, ingress=rules), whole, source="198.51.100.7") is True


def test_service_accounts_are_told_by_name_and_label() -> None:
    """Both where both are given."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": "shop", "labels": {"trust": "high"}},
    }
    for accounts, expected in (
        ({"names": ["default"]}, True),
        ({"names": ["robot"]}, False),
        ({"selector": "trust == 'high'"}, True),
        ({"names": ["robot"], "selector": "trust == 'high'"}, False),
    ):
        rules = [{"action": "Allow", "source": {"serviceAccounts": accounts}}]
        assert ask(account, calico("in", namespace="shop", selector=ON_CART, ingress=rules)) is expected


def test_the_destination_of_an_ingress_rule_narrows_whose_rule_it_is() -> None:
    """One rule for some pods of the policy, the next for others."""
    rules = [
        {"action": "Allow", "protocol": "TCP", "destination": {"selector": ON_CART, "ports": [80, "8000:8100"]}},
        {"action": "Allow", "destination": {"selector": "app == 'web'"}},
    ]
    policy = calico("both", namespace="shop", ingress=rules)
    assert [ask(policy, port=port) for port in (80, 81, 8000, 8100, 8101)] == [True, False, True, True, False]
    assert ask(policy, source="ops/admin", destination="shop/web", port=81) is True


def test_ports_are_left_out_by_not_ports_and_protocols_by_not_protocol() -> None:
    """Numbers and ranges."""
    rules = [{"action": "Allow", "protocol": "TCP", "destination": {"notPorts": [22, "100:200"]}}]
    policy = calico("in", selector=ON_CART, ingress=rules)
    assert [ask(policy, port=port) for port in (21, 22, 23, 100, 200, 201)] == [True, False, True, False, False, True]
    assert ask(calico("in", selector=ON_CART, ingress=[{"action": "Allow", "notProtocol": "TCP"}])) is False
    assert ask(calico("in", selector=ON_CART, ingress=[{"action": "Deny", "protocol": "ICMP"}, *ALLOW])) is True


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"http": {"methods": ["GET"]}}, "http"),
        ({"source": {"services": {"name": "web"}}}, "services"),
        ({"protocol": "TCP", "source": {"ports": [1024]}}, "the port that a connection comes from"),
        ({"source": {"selector": "app = 'web'"}}, "selector"),
        ({"source": {"nets": ["nowhere"]}}, "nowhere"),
        ({"source": {"selector": "(" * 5000}}, "parentheses"),
        ({"source": {"domains": ["example.com"]}}, "domains"),
        ({"destination": {"ports": [80]}}, "ports without one protocol"),
        ({"protocol": "TCP", "destination": {"notPorts": ["web"]}}, "notPorts by name"),
        ({"ipVersion": 5}, "ipVersion"),
    ],
)
def test_what_is_not_evaluated_is_unknown_and_what_follows_decides_the_rest(rule: dict[str, Any], told: str) -> None:
    """Only for whom it may hold: the rule may allow, and what it does not is denied at the end."""
    policy = calico("in", selector=ON_CART, ingress=[{"action": "Allow", **rule}])
    (reason,) = reasons(policy)
    assert told in reason
    assert ask(policy, source="shop/cart", destination="shop/web") is True
    narrow = {"action": "Allow", **rule, "source": {"namespaceSelector": "team == 'b'", **rule.get("source", {})}}
    if "namespaceSelector" not in rule.get("source", {}) and told != "domains":
        assert ask(calico("in", selector=ON_CART, ingress=[narrow])) is (None if told in _UNREADABLE else False)


#: With these the selectors beside them cannot be read either.
_UNREADABLE = {"selector", "parentheses"}


def test_a_policy_of_an_unknown_tier_leaves_its_pods_undecided_in_its_directions() -> None:
    """Nothing tells where it stands among others."""
    policy = calico("x.deny", tier="x", selector=ON_CART, ingress=DENY)
    (reason,) = reasons(policy)
    assert "its tier x is not known" in reason
    assert ask(policy, source="shop/cart", destination="shop/web") is True


def test_staged_policies_have_no_effect() -> None:
    """They only tell what would be."""
    for kind in ("StagedNetworkPolicy", "StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy"):
        assert ask(calico("deny", namespace="shop", kind=kind, selector=ON_CART, ingress=DENY)) is True


def test_policies_for_host_endpoints_alone_do_not_concern_pods() -> None:
    """Untracked policies and those before address translation."""
    assert ask(calico("deny", applyOnForward=True, ingress=DENY, doNotTrack=True)) is True
    assert ask(calico("deny", applyOnForward=True, ingress=DENY, preDNAT=True)) is True


def test_a_host_endpoint_leaves_pods_on_the_network_of_nodes_undecided() -> None:
    """And only them, unless a policy for it is about what the node forwards."""
    host = calico("node-1", kind="HostEndpoint", labels={"role": "node"}, node="node-1", expectedIPs=["192.0.2.1"])
    agent = workload("agent", namespace="ops", labels={"app": "agent"}, hostNetwork=True)
    found = snapshot(*WORLD, agent, host)
    assert said(found, "ops/agent", "shop/cart") is None
    assert said(found, "shop/web", "shop/cart") is True
    forwarded = calico("fwd", selector="role == 'node'", applyOnForward=True, types=["Ingress"], ingress=ALLOW)
    assert said(snapshot(*WORLD, agent, host, forwarded), "shop/web", "shop/cart") is None


def test_the_name_under_which_a_policy_is_kept_makes_no_second_one() -> None:
    """A copy by Calico's API server is the same policy."""
    written = calico("allow", namespace="shop", selector=ON_CART, ingress=ALLOW)
    kept = calico("default.allow", namespace="shop", selector=ON_CART, ingress=DENY)
    kept["apiVersion"] = "crd.projectcalico.org/v1"
    assert ask(written, kept) is False


def test_explanations_name_the_rules_of_calico() -> None:
    """By policy and path; a policy that isolates and has no rule for the traffic says so."""
    policy = calico("in", namespace="shop", selector=ON_CART, ingress=[{"action": "Log"}, *DENY])
    found = snapshot(*WORLD, policy)
    whole = connectivity(found)
    answer = explain(whole, end_of(whole, found, "shop/web"), end_of(whole, found, "shop/cart"))
    (one,) = answer.explained[0].ingress.says
    assert (one.policy.name, one.path, one.action) == ("in", "spec.ingress[1]", "Deny")


@pytest.mark.parametrize(
    ("unread", "expected"),
    [("globalnetworksets.crd.projectcalico.org", None), ("serviceaccounts", None), ("nodes", False)],
)
def test_what_was_not_read_leaves_unknown_what_it_could_have_meant(unread: str, expected: bool | None) -> None:
    """A selector may mean network sets, and a service account may have labels."""
    rules = [{"action": "Allow", "source": {"serviceAccounts": {"selector": "trust == 'high'"}, "selector": "all()"}}]
    coverage = [
        Read(resource=r.name, state=ReadState.FORBIDDEN if r.name == unread else ReadState.COMPLETE) for r in RESOURCES
    ]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "shop"}}
    accounts = () if unread == "serviceaccounts" else (account,)
    policy = calico("in", selector=ON_CART, ingress=rules)
    assert said(snapshot(*WORLD, *accounts, policy, coverage=coverage), "shop/web", "shop/cart") is expected


def test_files_without_a_namespace_leave_selectors_by_its_labels_undecided() -> None:
    """Its name is known all the same."""
    by_label = calico("in", selector=ON_CART, namespaceSelector="team == 'a'", types=["Ingress"])
    by_name = calico("in", selector=ON_CART, namespaceSelector="projectcalico.org/name == 'shop'", types=["Ingress"])
    for policy, expected in ((by_label, None), (by_name, False)):
        assert said(snapshot(WEB, CART, policy, source=SourceKind.MANIFESTS), "shop/web", "shop/cart") is expected


@pytest.mark.parametrize("spec", [{"order": "high"}, {"types": ["Sideways"]}, {"fresh": 1}])
def test_a_policy_that_calico_would_refuse_leaves_its_namespace_undecided(spec: dict[str, Any]) -> None:
    """No rule of the API says what it would mean."""
    policy = calico("in", namespace="shop", **spec)
    assert ask(policy) is None
    other = workload("other", labels={"app": "other"}, namespace="ops")
    assert said(snapshot(*WORLD, other, policy), "ops/admin", "ops/other") is True


def test_a_selector_that_is_none_leaves_undecided_what_the_others_leave() -> None:
    """In the directions that the policy is for."""
    policy = calico("in", selector="app ==", namespaceSelector="team == 'a'", types=["Ingress"])
    (reason,) = reasons(policy)
    assert reason.startswith("GlobalNetworkPolicy in: spec.selector: selector 'app =='")
    assert ask(policy, source="shop/cart", destination="ops/admin") is True


@pytest.mark.parametrize(
    "selector",
    ["all(", "a == b", "== 'x'", "a in 'x'", "( )", "a == 'b' c == 'd'", "has(a", "a\n== 'b'", "a & b", "a == 'b", "!"],
)
def test_what_is_no_selector_is_refused(selector: str) -> None:
    """With where it goes wrong."""
    with pytest.raises(ValueError, match="expected at character"):
        parsed(selector)


def test_long_selectors_are_read_and_deep_ones_are_refused() -> None:
    """Nothing in an object may exhaust the stack."""
    parsed("a == 'b' || " * 5000 + "all()")
    parsed("!" * 5001 + "all()")
    with pytest.raises(ValueError, match="parentheses"):
        parsed("(" * 5000 + "all()" + ")" * 5000)
