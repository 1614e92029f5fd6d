"""Proposed NetworkPolicies keep what is needed and cut the rest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scanner.analysis.network.proposals import Proposal, propose
from scanner.cluster.manifests import read_manifests
from scanner.model.refs import ClusterName
from tests.builders import NOW, binding, container, network_policy, snapshot, workload
from tests.cli.running import EXAMPLE
from tests.kube import kube
from tests.services import ControlPlane

REALWORLD = ("argo-cd", "kube-prometheus", "microservices-demo")


def _service(name: str = "cart", *, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": ports} | spec,
    }


def _cart() -> dict[str, Any]:
    return workload("cart", container(ports=[{"name": "http", "containerPort": 8080}]))


def _web(url: str = "http://cart.shop:80/", namespace: str = "front") -> dict[str, Any]:
    return workload("web", container(env=[{"name": "CART", "value": url}]), namespace=namespace)


def _between(found: Proposal, source: str, destination: str) -> list[str]:
    return [f"{c.protocol} {c.ports}" for c in found.kept if c.src.startswith(source) and c.dst.startswith(destination)]


def test_who_names_a_service_keeps_its_target_port() -> None:
    """The named port is resolved, and everything else between the two is cut."""
    found = propose(snapshot(_service(), _cart(), _web()))
    assert _between(found, "front/web", "shop/cart") == ["TCP 8080"]


def test_who_does_not_name_a_service_is_cut_off_where_another_does() -> None:
    """A stranger in another namespace, and a neighbour."""
    found = propose(snapshot(_service(), _cart(), _web(), workload("spy", namespace="front"), workload("neighbour")))
    assert not _between(found, "front/spy", "shop/cart") + _between(found, "shop/neighbour", "shop/cart")


def test_a_service_that_nobody_names_is_kept_for_its_namespace() -> None:
    """That is an assumption, and said to be one."""
    found = propose(snapshot(_service(), _cart(), workload("neighbour")))
    assert _between(found, "shop/neighbour", "shop/cart") == ["TCP 8080"]
    assert any("called from its own namespace" in text for text in found.assumptions)


def test_dns_is_kept() -> None:
    """Every pod asks the pods behind kube-dns, at their port."""
    dns = _service("kube-dns", namespace="kube-system", ports=[{"port": 53, "targetPort": 5353, "protocol": "UDP"}])
    found = propose(snapshot(dns, workload("kube-dns", namespace="kube-system"), _cart()))
    assert _between(found, "shop/cart", "kube-system/kube-dns") == ["UDP 5353"]


def test_a_load_balancer_is_kept_open() -> None:
    """Its clients are anywhere."""
    found = propose(snapshot(_service(type="LoadBalancer"), _cart()))
    assert _between(found, "0.0.0.0-", "shop/cart") == ["TCP 8080"]


def test_the_controller_that_was_found_reaches_backends() -> None:
    """Nobody else outside does."""
    rule = {"http": {"paths": [{"path": "/", "backend": {"service": {"name": "cart", "port": {"number": 80}}}}]}}
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"rules": [rule]},
    }
    image = "registry.k8s.io/ingress-nginx/controller:v1"
    controller = workload("nginx", {"name": "nginx", "image": image}, namespace="ingress")
    found = propose(snapshot(ingress, controller, _service(), _cart()))
    assert _between(found, "ingress/nginx", "shop/cart") == ["TCP 8080"]
    assert not _between(found, "0.0.0.0-", "shop/cart")


def test_scrape_targets_are_kept_for_prometheus() -> None:
    """By annotation."""
    prometheus = workload("prometheus", {"name": "p", "image": "quay.io/prometheus/prometheus:v3"}, namespace="watch")
    target = workload("cart", annotations={"prometheus.io/scrape": "true", "prometheus.io/port": "9102"})
    found = propose(snapshot(prometheus, target))
    assert _between(found, "watch/prometheus", "shop/cart") == ["TCP 9102"]


def test_a_token_with_rights_keeps_the_way_to_the_api_server() -> None:
    """Its address is not known, the ports are."""
    found = propose(snapshot(_cart(), binding("ClusterRole view", "ServiceAccount shop/default")))
    assert _between(found, "shop/cart", "0.0.0.0-") == ["TCP 443,6443"]


def test_a_token_without_rights_keeps_nothing() -> None:
    """Who has nothing to ask is cut off."""
    assert not _between(propose(snapshot(_cart())), "shop/cart", "0.0.0.0-")


def test_what_a_service_monitor_names_is_kept() -> None:
    """For the namespace of the Prometheus."""
    prometheus = workload("prometheus", {"name": "p", "image": "quay.io/prometheus/prometheus:v3"}, namespace="watch")
    service = _service(ports=[{"name": "metrics", "port": 9, "targetPort": 9090}])
    service["metadata"]["labels"] = {"team": "cart"}
    monitor = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"team": "cart"}}, "endpoints": [{"port": "metrics"}]},
    }
    found = propose(snapshot(prometheus, service, _cart(), monitor))
    assert _between(found, "watch/prometheus", "shop/cart") == ["TCP 9090"]


def test_the_backend_of_a_webhook_is_kept_open_for_the_api_server() -> None:
    """Its address is not known."""
    client = {"service": {"namespace": "shop", "name": "cart", "port": 80}}
    hooks = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "cart"},
        "webhooks": [{"name": "cart.example.com", "clientConfig": client}],
    }
    assert _between(propose(snapshot(hooks, _service(), _cart())), "0.0.0.0-", "shop/cart") == ["TCP 8080"]


@pytest.mark.parametrize("text", ["--cart", "cart_1", "mycart", "cart-2", "carts.example.com"])
def test_a_word_that_holds_a_services_name_does_not_name_it(text: str) -> None:
    """Else whoever really calls it would be cut off for a word."""
    neighbour = workload("neighbour", container(args=[text]))
    found = propose(snapshot(_service(), _cart(), neighbour, workload("other")))
    assert _between(found, "shop/other", "shop/cart") == ["TCP 8080"]


def test_only_the_namespaces_that_are_named_get_policies() -> None:
    """Others stay as they are."""
    found = propose(snapshot(_service(), _cart(), _web()), ["shop"])
    assert {policy.namespace for policy in found.policies} == {"shop"}


def test_policies_that_are_there_keep_what_they_allow() -> None:
    """Policies add up."""
    there = network_policy("spy", {"matchLabels": {"app": "cart"}}, ingress=[{"ports": [{"port": 9}]}])
    found = propose(snapshot(there, _cart(), workload("spy", namespace="front")), ["shop"])
    assert _between(found, "front/spy", "shop/cart") == ["TCP 9"]


def _proposed(path: Path) -> Proposal:
    return propose(read_manifests([str(path)], cluster=ClusterName("test"), now=NOW))


@pytest.mark.parametrize("install", REALWORLD)
def test_every_need_of_a_real_install_is_kept(corpus: Path, install: str) -> None:
    """The engine proves it."""
    assert _proposed(corpus / "realworld" / install).broken == ()


def test_an_install_without_policies_is_cut_down_to_its_needs(corpus: Path) -> None:
    """The shop's cart is reached by those that name it, and its database by the cart alone."""
    found = _proposed(corpus / "realworld" / "microservices-demo" / "release" / "kubernetes-manifests.yaml")
    assert {c.src for c in found.kept if c.dst == "default/redis-cart[Deployment]"} == {
        "default/cartservice[Deployment]"
    }


@pytest.mark.control_plane
def test_the_api_server_takes_what_is_proposed_for_the_example(control_plane: ControlPlane) -> None:
    """All of it, by dry-run."""
    assert _refused(control_plane, _proposed(EXAMPLE)) == []


@pytest.mark.control_plane
@pytest.mark.parametrize("install", REALWORLD)
def test_the_api_server_takes_what_is_proposed_for_real_installs(
    control_plane: ControlPlane, corpus: Path, install: str
) -> None:
    """All of it, by dry-run."""
    assert _refused(control_plane, _proposed(corpus / "realworld" / install)) == []


def _refused(control_plane: ControlPlane, proposal: Proposal) -> list[str]:
    manifests: list[Mapping[str, Any]] = [policy.manifest for policy in proposal.policies]
    assert manifests, "nothing was proposed"
    with kube(control_plane) as server:
        namespaces = {policy.namespace for policy in proposal.policies}
        server.install({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in namespaces)
        answers = [server.create(manifest, dry_run=True) for manifest in manifests]
    return [answer.text for answer in answers if not answer.is_success]
