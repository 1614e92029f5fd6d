"""Who gets into kube-system, and from one tenant to another."""

from collections.abc import Mapping
from typing import Any

import pytest

from scanner.analysis.network.tenancy import namespaces_that_other_tenants_reach, system_workloads_reachable
from scanner.model.answer import Answer
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Outcome
from scanner.model.resources import RESOURCES
from tests.builders import NOW, network_policy, snapshot, workload

_LABELS = ("capsule.clastix.io/tenant", "*.tree.hnc.x-k8s.io/depth", "tenant")


def _namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _system(*objects: Mapping[str, Any], **options: Any) -> dict[str, Answer]:
    world = snapshot(*objects, workload("front"), **options)
    answers = system_workloads_reachable(
        world, now=NOW, namespaces=["kube-system"], for_everyone={"k8s-app": ["kube-dns"]}
    )
    return {answer.resource.name: answer for answer in answers}


def _tenants(*objects: Mapping[str, Any], shared: tuple[str, ...] = ()) -> dict[str, Answer]:
    world = snapshot(*objects, workload("front"), workload("ledger", namespace="bank"))
    answers = namespaces_that_other_tenants_reach(world, now=NOW, labels=_LABELS, shared=shared)
    return {answer.resource.name: answer for answer in answers}


def _deny(namespace: str) -> dict[str, Any]:
    return network_policy("deny", {}, namespace=namespace, policyTypes=["Ingress"])


def test_a_workload_of_kube_system_without_policies_is_reachable() -> None:
    """Every pod of the cluster connects to it."""
    assert _system(workload("metrics", namespace="kube-system"))["metrics"].outcome is Outcome.FAIL


def test_a_policy_in_kube_system_keeps_others_out() -> None:
    """It denies all ingress."""
    found = _system(workload("metrics", namespace="kube-system"), _deny("kube-system"))
    assert found["metrics"].outcome is Outcome.PASS


def test_isolated_callers_do_not_reach_kube_system() -> None:
    """The engine looks at both sides: no pod of another namespace may connect out."""
    egress = network_policy("deny", {}, namespace="shop", policyTypes=["Egress"])
    assert _system(workload("metrics", namespace="kube-system"), egress)["metrics"].outcome is Outcome.PASS


def test_dns_is_for_everyone() -> None:
    """Its pods are told by their label."""
    dns = workload("coredns", namespace="kube-system", labels={"k8s-app": "kube-dns"})
    assert _system(dns)["coredns"].outcome is Outcome.PASS


def test_pods_on_the_host_network_are_left_out() -> None:
    """NetworkPolicies are not made for them."""
    assert not _system(workload("proxy", namespace="kube-system", hostNetwork=True))


def test_some_namespaces_alone_are_milder() -> None:
    """Someone let them in."""
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}]
    policy = network_policy("shop", {}, namespace="kube-system", ingress=[{"from": peers}])
    found = _system(
        workload("metrics", namespace="kube-system"), workload("blog", namespace="press"), policy, _namespace("shop")
    )
    assert (found["metrics"].outcome, found["metrics"].is_milder) == (Outcome.FAIL, True)


def test_unread_policies_leave_kube_system_unknown() -> None:
    """A NetworkPolicy may be there."""
    reads = [
        Read(
            resource=r.name,
            state=ReadState.FORBIDDEN if r.name == "networkpolicies.networking.k8s.io" else ReadState.COMPLETE,
        )
        for r in RESOURCES
    ]
    found = _system(workload("metrics", namespace="kube-system"), coverage=reads)
    assert found["metrics"].outcome is Outcome.UNKNOWN


def test_without_tenants_nothing_is_said() -> None:
    """Namespaces have no label that declares any."""
    assert not _tenants(_namespace("shop"), _namespace("bank"))


def test_one_tenant_alone_has_no_neighbours() -> None:
    """Namespaces without the label are nobody's."""
    assert not _tenants(_namespace("shop", tenant="retail"), _namespace("bank"))


def test_tenants_without_policies_reach_each_other() -> None:
    """The evidence names the workloads."""
    found = _tenants(_namespace("shop", tenant="retail"), _namespace("bank", tenant="bank"))
    assert {n: [str(f.object) for f in a.evidence] for n, a in found.items()} == {
        "shop": ["Deployment shop/front"],
        "bank": ["Deployment bank/ledger"],
    }


def test_namespaces_of_one_tenant_may_reach_each_other() -> None:
    """Only what crosses counts."""
    third = (_namespace("press", tenant="press"), _deny("shop"), _deny("bank"))
    found = _tenants(_namespace("shop", tenant="retail"), _namespace("bank", tenant="retail"), *third)
    assert {answer.outcome for answer in found.values()} == {Outcome.PASS}


def test_a_tenant_that_isolates_itself_passes() -> None:
    """The other is open all the same."""
    found = _tenants(_namespace("shop", tenant="retail"), _namespace("bank", tenant="bank"), _deny("bank"))
    assert {name: answer.outcome for name, answer in found.items()} == {"shop": Outcome.FAIL, "bank": Outcome.PASS}


def test_what_a_policy_lets_in_is_milder() -> None:
    """Someone wrote that the others may come."""
    policy = network_policy(
        "all", {}, namespace="bank", ingress=[{"from": [{"namespaceSelector": {}}], "ports": [{"port": 80}]}]
    )
    found = _tenants(_namespace("shop", tenant="retail"), _namespace("bank", tenant="bank"), policy)
    assert (found["bank"].outcome, found["bank"].is_milder) == (Outcome.FAIL, True)


def test_shared_namespaces_are_no_tenants() -> None:
    """Their names match a pattern."""
    labelled = (_namespace("shop", tenant="retail"), _namespace("bank", tenant="bank"))
    assert not _tenants(*labelled, shared=("ba*",))


@pytest.mark.parametrize(
    ("labels", "tenant"),
    [
        ({"capsule.clastix.io/tenant": "oil", "tenant": "gas"}, "oil"),
        ({"bank.tree.hnc.x-k8s.io/depth": "0", "acme.tree.hnc.x-k8s.io/depth": "1"}, "acme"),
    ],
    ids=["the first label", "the root of a hierarchy"],
)
def test_labels_tell_the_tenant(labels: dict[str, str], tenant: str) -> None:
    """In the order of the policy's list."""
    found = _tenants(_namespace("shop", tenant="retail"), _namespace("bank", **labels))
    assert found["bank"].message.endswith(f"of tenant {tenant}")
