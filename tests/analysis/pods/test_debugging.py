"""Which workloads carry containers that people added while they ran."""

from typing import Any

from scanner.analysis.pods.debugging import debug_containers
from scanner.model.finding import Outcome
from tests.builders import NOW, snapshot

APP = {"name": "app", "image": "registry.example.com/shop/cart:1.9"}
DEBUGGER = {"name": "debugger-x7k2p", "image": "busybox:1.37"}


def _replica_set() -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [APP]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "cart"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": _named("cart"), "spec": spec}


def _named(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": "shop"}


def _pod(*, debugged: bool, owned: bool) -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart", "uid": "1", "controller": True}
    metadata = _named("cart-1") | ({"ownerReferences": [owner]} if owned else {})
    spec = {"containers": [APP]} | ({"ephemeralContainers": [DEBUGGER]} if debugged else {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def test_a_debug_container_of_an_owned_pod_is_told_of_its_root_owner() -> None:
    """The finding is about the ReplicaSet; the evidence names the pod that holds the container."""
    (answer,) = debug_containers(snapshot(_replica_set(), _pod(debugged=True, owned=True)), now=NOW)
    (fact,) = answer.evidence
    assert (str(answer.resource), answer.outcome, str(fact.object), fact.container) == (
        "ReplicaSet shop/cart",
        Outcome.FAIL,
        "Pod shop/cart-1",
        "debugger-x7k2p",
    )


def test_a_debug_container_of_a_bare_pod_is_told_of_the_pod() -> None:
    """Nothing else owns it, so the evidence names no other object."""
    (answer,) = debug_containers(snapshot(_pod(debugged=True, owned=False)), now=NOW)
    assert [(fact.path, fact.object) for fact in answer.evidence] == [("spec.ephemeralContainers[0]", None)]


def test_a_workload_without_debug_containers_passes() -> None:
    """It is counted as judged."""
    (answer,) = debug_containers(snapshot(_replica_set(), _pod(debugged=False, owned=True)), now=NOW)
    assert answer.outcome is Outcome.PASS
