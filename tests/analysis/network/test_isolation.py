"""Which workloads NetworkPolicies isolate, and which NetworkPolicies select nothing."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from scanner.analysis.network.default_deny import workloads_without_isolation
from scanner.analysis.network.isolation import policies_selecting_nothing
from scanner.model.answer import Answer
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Outcome
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import Snapshot, SourceKind
from tests.builders import NOW, network_policy, pod, snapshot, workload


def _answer(*objects: Mapping[str, Any], direction: str = "ingress", **options: Any) -> Answer:
    (answer,) = workloads_without_isolation(snapshot(*objects, **options), now=NOW, direction=direction)
    return answer


def _reads(**states: ReadState) -> list[Read]:
    """Every kind read wholly, but the resources named: `networkpolicies=ReadState.FORBIDDEN`."""
    return [Read(resource=r.name, state=states.get(r.plural, ReadState.COMPLETE)) for r in RESOURCES]


@pytest.mark.parametrize(
    ("spec", "ingress", "egress"),
    [
        ({}, True, False),
        ({"policyTypes": []}, True, False),
        ({"egress": []}, True, False),
        ({"egress": [{}]}, True, True),
        ({"policyTypes": ["Egress"]}, False, True),
        ({"policyTypes": ["Egress"], "ingress": [{}]}, False, True),
        ({"policyTypes": ["Ingress"], "egress": [{}]}, True, False),
        ({"policyTypes": ["Ingress", "Egress"]}, True, True),
    ],
)
def test_policy_types_decide_which_directions_are_isolated(spec: dict[str, Any], ingress: bool, egress: bool) -> None:
    """A missing policyTypes means ingress, and egress if there is an egress rule."""
    objects = (workload(), network_policy(**spec))
    found = [_answer(*objects, direction=d).outcome is Outcome.PASS for d in ("ingress", "egress")]
    assert found == [ingress, egress]


@pytest.mark.parametrize(
    ("selector", "isolated"),
    [
        ({}, True),
        ({"matchLabels": {"app": "cart"}}, True),
        ({"matchLabels": {"app": "cart", "tier": "web"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["cart", "web"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"app": "cart"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
    ],
)
def test_a_pod_selector_selects_by_labels_and_expressions(selector: dict[str, Any], isolated: bool) -> None:
    """All of a selector's requirements must hold; an empty one selects every pod."""
    assert (_answer(workload(), network_policy("p", selector)).outcome is Outcome.PASS) is isolated


def test_a_policy_of_another_namespace_isolates_nothing() -> None:
    """A NetworkPolicy concerns the pods of its own namespace."""
    assert _answer(workload(), network_policy(namespace="payments")).outcome is Outcome.FAIL


def test_a_host_network_workload_passes_with_a_message_that_says_why() -> None:
    """NetworkPolicies are not made for pods on the host network, and the answer states it."""
    answer = _answer(workload(hostNetwork=True))
    assert (answer.outcome, answer.evidence[0].path, "network of their node" in answer.message) == (
        Outcome.PASS,
        "spec.template.spec.hostNetwork",
        True,
    )


def test_one_pod_that_is_not_selected_makes_its_workload_fail() -> None:
    """A pod that somebody relabelled is open, whatever the template says."""
    selector = {"matchLabels": {"app": "cart"}}
    answer = _answer(
        workload(kind="StatefulSet"),
        pod("cart-0", labels={"app": "cart"}, owner="StatefulSet cart"),
        pod("cart-1", labels={"app": "quarantine"}, owner="StatefulSet cart"),
        network_policy("cart", selector),
    )
    assert (answer.outcome, str(answer.evidence[0].object)) == (Outcome.FAIL, "Pod shop/cart-1")


def test_terminated_pods_do_not_count() -> None:
    """A pod that has run to its end has no network."""
    answer = _answer(
        workload(kind="StatefulSet"),
        pod("cart-0", labels={"app": "cart"}, owner="StatefulSet cart"),
        pod("cart-1", labels={"app": "old"}, owner="StatefulSet cart", phase="Failed"),
        network_policy("cart", {"matchLabels": {"app": "cart"}}),
    )
    assert answer.outcome is Outcome.PASS


@pytest.mark.parametrize(
    "objects",
    [
        (pod("import", phase="Succeeded"),),
        (workload("import", kind="Job"), pod("import-x", owner="Job import", phase="Succeeded")),
        (workload("import", kind="Job"),),
    ],
)
def test_what_has_ended_is_not_judged(objects: Sequence[dict[str, Any]]) -> None:
    """Neither a completed pod nor a live Job without running pods can be reached."""
    assert not list(workloads_without_isolation(snapshot(*objects), now=NOW, direction="ingress"))


def test_a_job_in_a_file_is_judged_by_its_template() -> None:
    """It has not run yet."""
    answer = _answer(workload("import", kind="Job"), source=SourceKind.MANIFESTS)
    assert answer.outcome is Outcome.FAIL


def test_a_selector_on_a_generated_label_is_decided_by_the_running_pods() -> None:
    """The controller's own labels are on pods alone."""
    selector = {"matchLabels": {"statefulset.kubernetes.io/pod-name": "cart-0"}}
    running = pod(
        "cart-0", labels={"app": "cart", "statefulset.kubernetes.io/pod-name": "cart-0"}, owner="StatefulSet cart"
    )
    owner, policy = workload(kind="StatefulSet"), network_policy("first", selector)
    assert [_answer(owner, policy).outcome, _answer(owner, running, policy).outcome] == [Outcome.UNKNOWN, Outcome.PASS]


def test_unread_network_policies_make_an_open_workload_unknown() -> None:
    """What could not be listed may isolate it."""
    answer = _answer(workload(), coverage=_reads(networkpolicies=ReadState.FORBIDDEN))
    assert answer.outcome is Outcome.UNKNOWN
    assert "list networkpolicies.networking.k8s.io" in answer.missing


@pytest.mark.parametrize(
    ("api_version", "kind", "namespace", "outcome"),
    [
        ("crd.antrea.io/v1beta1", "NetworkPolicy", "shop", Outcome.UNKNOWN),
        ("crd.antrea.io/v1beta1", "NetworkPolicy", "payments", Outcome.FAIL),
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", "", Outcome.UNKNOWN),
    ],
)
def test_a_policy_of_another_kind_makes_what_it_may_isolate_unknown(
    api_version: str, kind: str, namespace: str, outcome: Outcome
) -> None:
    """No finding is raised for pods that the network plugin's own policies may isolate."""
    metadata = {"name": "deny"} | ({"namespace": namespace} if namespace else {})
    other = {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": {"ingress": [{}]}}
    assert _answer(workload(), other).outcome is outcome


_EVERY_ADDRESS = ["0.0.0.0/0", "::/0"]


def _ordered(kind: str, tier: str = "", **rules: Any) -> dict[str, Any]:
    """Make a policy of the policy API for all pods."""
    version, priority = ("v1alpha2", {"tier": tier, "priority": 5}) if tier else ("v1alpha1", {})
    if kind == "AdminNetworkPolicy":
        priority = {"priority": 5}
    return {
        "apiVersion": f"policy.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": {"name": "default"},
        "spec": {"subject": {"namespaces": {}}} | priority | rules,
    }


@pytest.mark.parametrize(
    ("direction", "policy", "outcome"),
    [
        (
            "ingress",
            _ordered("BaselineAdminNetworkPolicy", ingress=[{"action": "Deny", "from": [{"namespaces": {}}]}]),
            Outcome.PASS,
        ),
        (
            "ingress",
            _ordered("ClusterNetworkPolicy", "Baseline", ingress=[{"action": "Deny", "from": [{"namespaces": {}}]}]),
            Outcome.PASS,
        ),
        (
            "ingress",
            _ordered(
                "ClusterNetworkPolicy",
                "Baseline",
                ingress=[{"action": "Deny", "from": [{"namespaces": {}}], "protocols": [{"tcp": {}}]}],
            ),
            Outcome.FAIL,
        ),
        (
            "ingress",
            _ordered("AdminNetworkPolicy", ingress=[{"action": "Allow", "from": [{"namespaces": {}}]}]),
            Outcome.FAIL,
        ),
        (
            "egress",
            _ordered("BaselineAdminNetworkPolicy", egress=[{"action": "Deny", "to": [{"namespaces": {}}]}]),
            Outcome.FAIL,
        ),
        (
            "egress",
            _ordered(
                "BaselineAdminNetworkPolicy",
                egress=[{"action": "Deny", "to": [{"namespaces": {}}, {"networks": _EVERY_ADDRESS}]}],
            ),
            Outcome.PASS,
        ),
    ],
)
def test_denying_everyone_is_isolation_and_denying_some_is_not(
    direction: str, policy: dict[str, Any], outcome: Outcome
) -> None:
    """Everyone is every pod for ingress, which rules can name nobody else for, and addresses too for egress."""
    assert _answer(workload(), policy, direction=direction).outcome is outcome


def test_the_open_pod_of_several_is_shown() -> None:
    """Of pods that policies tell apart, the evidence is one that is open."""
    baseline = _ordered("BaselineAdminNetworkPolicy", ingress=[{"action": "Deny", "from": [{"namespaces": {}}]}])
    baseline["spec"]["subject"] = {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "cart"}}}}
    answer = _answer(
        workload(kind="StatefulSet"),
        pod("cart-0", labels={"app": "cart"}, owner="StatefulSet cart"),
        pod("cart-1", labels={"app": "old"}, owner="StatefulSet cart"),
        baseline,
    )
    assert (answer.outcome, str(answer.evidence[0].object)) == (Outcome.FAIL, "Pod shop/cart-1")


def _selecting(*objects: Mapping[str, Any], **options: Any) -> Answer:
    (answer,) = policies_selecting_nothing(snapshot(*objects, **options), now=NOW)
    return answer


def test_a_policy_that_selects_no_pod_of_a_live_namespace_fails() -> None:
    """The pods that it was written for have other labels."""
    answer = _selecting(network_policy("p", {"matchLabels": {"app": "chekout"}}), workload("checkout"))
    assert (answer.outcome, answer.evidence[0].value) == (Outcome.FAIL, {"matchLabels": {"app": "chekout"}})


def test_an_empty_selector_is_never_without_effect() -> None:
    """It waits for whatever comes to the namespace."""
    assert _selecting(network_policy()).outcome is Outcome.PASS


def test_in_files_without_workloads_a_selector_proves_nothing() -> None:
    """The workloads may lie in another folder."""
    policy = network_policy("p", {"matchLabels": {"app": "cart"}})
    answer = _selecting(policy, source=SourceKind.MANIFESTS)
    assert (answer.outcome, answer.missing) == (Outcome.UNKNOWN, ("list pods",))


def test_in_files_an_operators_resource_may_stand_for_the_pods() -> None:
    """An operator makes pods of a Prometheus resource that are in no file."""
    prometheus = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "metadata": {"name": "k8s", "namespace": "shop"},
    }
    policy = network_policy("p", {"matchLabels": {"app.kubernetes.io/name": "prometheus"}})
    assert _selecting(policy, workload(), prometheus, source=SourceKind.MANIFESTS).outcome is Outcome.UNKNOWN


# Small alphabets, so that policies and pods meet often.
_LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["a", "b"]))
_EXPRESSIONS = st.one_of(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(["app", "tier"]),
            "operator": st.sampled_from(["In", "NotIn"]),
            "values": st.lists(st.sampled_from(["a", "b"]), min_size=1, unique=True),
        }
    ),
    st.fixed_dictionaries(
        {"key": st.sampled_from(["app", "tier"]), "operator": st.sampled_from(["Exists", "DoesNotExist"])}
    ),
)
_SELECTORS = st.fixed_dictionaries(
    {}, optional={"matchLabels": _LABELS, "matchExpressions": st.lists(_EXPRESSIONS, max_size=2)}
)
_SPECS = st.fixed_dictionaries(
    {},
    optional={
        "policyTypes": st.lists(st.sampled_from(["Ingress", "Egress"]), unique=True),
        "ingress": st.lists(st.just({}), max_size=1),
        "egress": st.lists(st.just({}), max_size=1),
    },
)
_NAMESPACES = st.sampled_from(["shop", "payments"])
_POLICIES = st.lists(st.tuples(_SELECTORS, _SPECS, _NAMESPACES), max_size=6).map(
    lambda made: [network_policy(f"p{i}", s, namespace=n, **spec) for i, (s, spec, n) in enumerate(made)]
)
_WORKLOADS = st.lists(st.tuples(_LABELS, _NAMESPACES), min_size=1, max_size=5).map(
    lambda made: [workload(f"w{i}", labels=labels, namespace=n) for i, (labels, n) in enumerate(made)]
)
_DIRECTIONS = st.sampled_from(["ingress", "egress"])


def _isolated(world: Snapshot, direction: str) -> set[str]:
    answers = workloads_without_isolation(world, now=NOW, direction=direction)
    return {str(a.resource) for a in answers if a.outcome is Outcome.PASS}


def _holds(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement["key"])
    match requirement["operator"]:
        case "In":
            return value in requirement["values"]
        case "NotIn":
            return value not in requirement["values"]
        case "Exists":
            return value is not None
        case _:
            return value is None


def _brute_force(
    workloads: Sequence[Mapping[str, Any]], policies: Sequence[Mapping[str, Any]], direction: str
) -> set[str]:
    """Ask every policy about every workload, in the words of the API's documentation."""
    isolated = set()
    for w in workloads:
        labels = w["spec"]["template"]["metadata"]["labels"]
        for p in policies:
            spec = p["spec"]
            types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
            selector = spec["podSelector"]
            wanted = selector.get("matchLabels", {}).items()
            if (
                p["metadata"]["namespace"] == w["metadata"]["namespace"]
                and direction.capitalize() in types
                and all(labels.get(k) == v for k, v in wanted)
                and all(_holds(r, labels) for r in selector.get("matchExpressions", []))
            ):
                isolated.add(f"Deployment {w['metadata']['namespace']}/{w['metadata']['name']}")
    return isolated


@given(workloads=_WORKLOADS, policies=_POLICIES, direction=_DIRECTIONS)
def test_isolation_equals_a_brute_force_reading(
    workloads: list[dict[str, Any]], policies: list[dict[str, Any]], direction: str
) -> None:
    """Every policy asked about every workload gives the same."""
    assert _isolated(snapshot(*workloads, *policies), direction) == _brute_force(workloads, policies, direction)


@given(workloads=_WORKLOADS, policies=_POLICIES, more=_POLICIES, direction=_DIRECTIONS)
def test_another_policy_never_undoes_isolation(
    workloads: list[dict[str, Any]], policies: list[dict[str, Any]], more: list[dict[str, Any]], direction: str
) -> None:
    """What is isolated stays isolated, whatever policies are added."""
    renamed = [p | {"metadata": p["metadata"] | {"name": f"more-{p['metadata']['name']}"}} for p in more]
    before = _isolated(snapshot(*workloads, *policies), direction)
    assert before <= _isolated(snapshot(*workloads, *policies, *renamed), direction)


@given(workloads=_WORKLOADS, policies=_POLICIES, seed=st.integers(), direction=_DIRECTIONS)
def test_the_order_of_objects_changes_no_answer(
    workloads: list[dict[str, Any]], policies: list[dict[str, Any]], seed: int, direction: str
) -> None:
    """Shuffling a snapshot gives the same answers, evidence included."""
    objects = [*workloads, *policies]
    shuffled = random.Random(seed).sample(objects, len(objects))
    one, other = (
        list(workloads_without_isolation(snapshot(*o), now=NOW, direction=direction)) for o in (objects, shuffled)
    )
    assert one == other
