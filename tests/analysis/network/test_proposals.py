"""Proposed NetworkPolicies keep what is needed and cut the rest."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scanner.analysis.network.addresses import range_text
from scanner.analysis.network.changes import Ends
from scanner.analysis.network.connections import workload_text
from scanner.analysis.network.needs import (
    Addresses,
    End,
    EveryAddress,
    EveryNamespace,
    OwnNode,
    PodSet,
    selected,
)
from scanner.analysis.network.ports import by_protocol
from scanner.analysis.network.proposals import Connections, Proof, Proposal, ProposedPolicy, propose, prove
from scanner.cluster.manifests import read_manifests
from scanner.model.refs import ClusterName
from scanner.model.snapshot import Snapshot
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


def _pairs(found: Iterable[Connections]) -> Mapping[tuple[str, str], set[str]]:
    """Return ports by pair of ends as reports write them."""
    pairs: dict[tuple[str, str], set[str]] = defaultdict(set)
    for connections in found:
        ports = {f"{protocol} {text}" for protocol, text in by_protocol(connections.spans).items()}
        for source in _texts(connections.sources):
            for destination in _texts(connections.destinations):
                if source != destination:
                    pairs[source, destination] |= ports
    return pairs


def _texts(ends: Ends) -> list[str]:
    return [*map(workload_text, ends.workloads), *map(range_text, ends.addresses)]


def _between(found: Proposal, source: str, destination: str) -> list[str]:
    pairs = _pairs(found.kept).items()
    return sorted({p for (s, d), ports in pairs if s.startswith(source) and d.startswith(destination) for p in ports})


def test_who_names_a_service_keeps_its_target_port() -> None:
    """The named port is resolved, and everything else between the two is cut."""
    found = propose(snapshot(_service(), _cart(), _web()))
    assert _between(found, "front/web", "shop/cart") == ["TCP 8080"]


def test_what_policies_of_today_cut_and_the_proposal_opens_is_told() -> None:
    """Policies add up: a need that somebody cut on purpose is for a person to look at."""
    deny = network_policy("deny", {}, policyTypes=["Ingress"])
    found = propose(snapshot(_service(), _cart(), _web(), deny))
    opened = [([w.name for w in c.sources.workloads], by_protocol(c.spans)) for c in found.opened]
    assert opened == [(["web"], {"TCP": "8080"})]


def test_without_policies_nothing_is_opened() -> None:
    """All of it is open already."""
    assert propose(snapshot(_service(), _cart(), _web())).opened == ()


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
    assert {source for source, to in _pairs(found.kept) if to == "default/redis-cart[Deployment]"} == {
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


def _monitoring(kind: str, name: str = "cart", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


_PROMETHEUS = workload("prometheus", {"name": "p", "image": "quay.io/prometheus/prometheus:v3"}, namespace="watch")
_CART = {"matchLabels": {"app": "cart"}}


@pytest.mark.parametrize(
    ("endpoint", "kept"),
    [
        ({"port": "http"}, ["TCP 8080"]),
        ({"targetPort": 9090}, ["TCP 9090"]),
        ({"targetPort": "http"}, ["TCP 8080"]),
        ({"portNumber": 9091}, ["TCP 9091"]),
        ({"port": "elsewhere"}, []),
    ],
)
def test_what_a_pod_monitor_names_is_kept(endpoint: dict[str, Any], kept: list[str]) -> None:
    """Ports by name, by number, or by what containers call them; a name that no container has is nothing."""
    monitor = _monitoring("PodMonitor", selector=_CART, podMetricsEndpoints=[endpoint])
    assert _between(propose(snapshot(_PROMETHEUS, _cart(), monitor)), "watch/prometheus", "shop/cart") == kept


@pytest.mark.parametrize(
    ("chosen", "kept"),
    [
        ({}, []),
        ({"any": True}, ["TCP 8080"]),
        ({"matchNames": ["shop"]}, ["TCP 8080"]),
        ({"matchNames": ["front"]}, []),
        ({"any": False, "matchNames": []}, []),
    ],
)
def test_a_monitor_looks_into_the_namespaces_that_it_names(chosen: dict[str, Any], kept: list[str]) -> None:
    """Without names, into its own."""
    monitor = _monitoring(
        "PodMonitor",
        namespace="watch",
        selector=_CART,
        namespaceSelector=chosen,
        podMetricsEndpoints=[{"port": "http"}],
    )
    assert _between(propose(snapshot(_PROMETHEUS, _cart(), monitor)), "watch/prometheus", "shop/cart") == kept


def test_who_else_runs_beside_prometheus_does_not_scrape() -> None:
    """Its pods do, not its namespace."""
    target = workload("cart", annotations={"prometheus.io/scrape": "true", "prometheus.io/port": "9102"})
    found = propose(snapshot(_PROMETHEUS, workload("spy", namespace="watch"), target))
    assert not _between(found, "watch/spy", "shop/cart")


def test_an_unknown_scraper_is_said() -> None:
    """Targets are then open to every pod, which a reader must know."""
    monitor = _monitoring("PodMonitor", selector=_CART, podMetricsEndpoints=[{"port": "http"}])
    found = propose(snapshot(_cart(), workload("other", namespace="watch"), monitor))
    assert "where metrics are scraped from is not known: targets are open to every pod" in found.assumptions


def test_the_pods_that_the_operator_makes_scrape() -> None:
    """Files hold the Prometheus alone; its pods will have the operator's labels."""
    monitor = _monitoring("PodMonitor", selector=_CART, podMetricsEndpoints=[{"port": "http"}])
    labels = {"app.kubernetes.io/name": "prometheus"}
    made = workload("made", labels=labels, namespace="watch")
    found = propose(snapshot(_monitoring("Prometheus", "k8s", "watch"), made, _cart(), monitor))
    assert _between(found, "watch/made", "shop/cart") == ["TCP 8080"]


def test_a_service_that_is_annotated_is_scraped_at_its_target_ports() -> None:
    """As Prometheus' example configuration does with endpoints."""
    service = _service()
    service["metadata"]["annotations"] = {"prometheus.io/scrape": "true"}
    found = propose(snapshot(_PROMETHEUS, service, _cart()))
    assert _between(found, "watch/prometheus", "shop/cart") == ["TCP 8080"]


def test_the_backend_of_an_api_service_is_kept_open_for_the_api_server() -> None:
    """Metrics of autoscalers are asked for that way."""
    metrics = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.custom.metrics.k8s.io"},
        "spec": {"service": {"namespace": "shop", "name": "cart", "port": 80}},
    }
    assert _between(propose(snapshot(metrics, _service(), _cart())), "0.0.0.0-", "shop/cart") == ["TCP 8080"]


def test_source_ranges_narrow_a_load_balancer_that_keeps_addresses() -> None:
    """With externalTrafficPolicy Local nobody hides who comes."""
    ranges: dict[str, Any] = {"loadBalancerSourceRanges": ["192.0.2.0/24"], "externalTrafficPolicy": "Local"}
    found = propose(snapshot(_service(type="LoadBalancer", **ranges), _cart()))
    assert [ends for ends in _pairs(found.kept) if ends[1] == "shop/cart[Deployment]"] == [
        ("192.0.2.0-192.0.2.255", "shop/cart[Deployment]")
    ]


def test_source_ranges_do_not_narrow_one_that_nodes_hide() -> None:
    """Clients then come with a node's address."""
    ranges: dict[str, Any] = {"loadBalancerSourceRanges": ["192.0.2.0/24"]}
    found = propose(snapshot(_service(type="LoadBalancer", **ranges), _cart()))
    assert _between(found, "0.0.0.0-255", "shop/cart") == ["TCP 8080"]


def test_the_cache_of_dns_on_nodes_is_kept() -> None:
    """It takes addresses of its own, which its arguments name."""
    image = {"name": "c", "image": "registry.k8s.io/dns/k8s-dns-node-cache:1", "args": ["-localip", "169.254.20.11"]}
    cache = workload("node-local-dns", image, namespace="kube-system", hostNetwork=True)
    found = propose(snapshot(cache, _cart()))
    assert _between(found, "shop/cart", "169.254.20.11-") == ["TCP 53", "UDP 53"]


@pytest.mark.parametrize(
    ("namespace", "name", "labels"),
    [
        ("openshift-dns", "dns-default", {}),
        ("names", "names", {"k8s-app": "kube-dns"}),
        ("names", "resolver", {}),
    ],
)
def test_dns_is_found_by_other_names(namespace: str, name: str, labels: dict[str, str]) -> None:
    """By those of distributions, by its label, else by what it runs."""
    service = _service(name, namespace=namespace, ports=[{"port": 53, "targetPort": 5353, "protocol": "UDP"}])
    service["metadata"]["labels"] = labels
    server = workload(name, {"name": "d", "image": "registry.k8s.io/coredns/coredns:v1"}, namespace=namespace)
    assert _between(propose(snapshot(service, server, _cart())), "shop/cart", namespace) == ["UDP 5353"]


def test_a_sidecar_proxy_makes_no_gateway() -> None:
    """Only where a proxy runs alone does it reach backends."""
    rule = {"backendRefs": [{"name": "cart", "port": 80}]}
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"rules": [rule]},
    }
    proxy = {"name": "istio-proxy", "image": "docker.io/istio/proxyv2:1"}
    gateway = workload("gateway", proxy, namespace="edge")
    app = workload("app", container(), proxy, namespace="front")
    found = propose(snapshot(route, gateway, app, _service(), _cart()))
    assert (_between(found, "edge/gateway", "shop/cart"), _between(found, "front/app", "shop/cart")) == (
        ["TCP 8080"],
        [],
    )


def test_probes_are_needs_that_the_api_allows_always() -> None:
    """They are listed, with their ports by number, and need no policy."""
    probed = workload(
        "cart", container(ports=[{"name": "http", "containerPort": 8080}], livenessProbe={"httpGet": {"port": "http"}})
    )
    [proven] = [n for n in propose(snapshot(probed)).needs if isinstance(n.need.source, OwnNode)]
    assert (proven.proof, proven.need.ports) == (Proof.ALWAYS, (("TCP", 8080),))


def _world() -> Snapshot:
    """A cluster with a need of every sort, and all pods that any is about."""
    dns = _service("kube-dns", namespace="kube-system", ports=[{"port": 53, "protocol": "UDP"}])
    rule = {"http": {"paths": [{"path": "/", "backend": {"service": {"name": "cart", "port": {"number": 80}}}}]}}
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"rules": [rule]},
    }
    metrics = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1.cart"},
        "spec": {"service": {"namespace": "shop", "name": "api", "port": 80}},
    }
    image = "registry.k8s.io/ingress-nginx/controller:v1"
    ranges = {"loadBalancerSourceRanges": ["192.0.2.0/24"], "externalTrafficPolicy": "Local", "type": "LoadBalancer"}
    return snapshot(
        dns,
        workload("kube-dns", namespace="kube-system", labels={"app": "kube-dns"}),
        ingress,
        metrics,
        workload("nginx", {"name": "nginx", "image": image}, namespace="ingress"),
        _PROMETHEUS,
        _monitoring("PodMonitor", selector=_CART, podMetricsEndpoints=[{"targetPort": 9102}]),
        binding("ClusterRole view", "ServiceAccount front/default"),
        _service(),
        _cart(),
        _web(),
        _service("web", namespace="front", ports=[{"port": 443, "targetPort": 8443}], **ranges),
        _service("api", ports=[{"port": 80, "targetPort": 7000}]),
        workload("api", container()),
        _service("db", clusterIP="None", ports=[{"port": 5432}]),
        workload("db", container(), kind="StatefulSet"),
        workload("neighbour"),
    )


def _less_one(policies: Sequence[ProposedPolicy]) -> Iterator[tuple[str, list[ProposedPolicy]]]:
    """Yield the policies with one port for one peer taken away, for each of them."""
    for place, policy in enumerate(policies):
        spec = json.loads(json.dumps(policy.manifest["spec"]))
        for key, side in (("ingress", "from"), ("egress", "to")):
            for number, rule in enumerate(spec.get(key, [])):
                for peer in rule[side]:
                    for port in rule["ports"]:
                        left = [
                            *({side: [p], "ports": rule["ports"]} for p in rule[side] if p != peer),
                            *({side: [peer], "ports": [p]} for p in rule["ports"] if p != port),
                        ]
                        rules = [*spec[key][:number], *left, *spec[key][number + 1 :]]
                        changed = ProposedPolicy(dict(policy.manifest) | {"spec": spec | {key: rules}}, ())
                        name = f"{policy.namespace}/{policy.manifest['metadata']['name']} {side} {peer} {port}"
                        yield name, [*policies[:place], changed, *policies[place + 1 :]]


def test_no_rule_can_be_left_out() -> None:
    """Without any one port for any one peer, the engine says that some need is broken."""
    world = _world()
    found = propose(world)
    wanted = [proven.need for proven in found.needs]
    taken = list(_less_one(found.policies))
    assert len(taken) > 20, "the world has too few rules to prove anything"
    spare = [name for name, left in taken if all(n.proof is not Proof.BROKEN for n in prove(world, left, wanted))]
    assert spare == []


def test_nothing_but_needs_is_left_open() -> None:
    """Every port of every pair that stays open is one that a need asks for."""
    world = _world()
    found = propose(world)
    asked = {
        (source, destination, f"{protocol} {port}")
        for proven in found.needs
        for source in _of(world, proven.need.source)
        for destination in _of(world, proven.need.destination)
        for protocol, port in proven.need.ports
    }
    left = {
        (_kind_of(source), _kind_of(destination), f"{protocol} {port}")
        for (source, destination), texts in _pairs(found.kept).items()
        for text in texts
        for protocol, _, ports in [text.partition(" ")]
        for port in ports.split(",")
    }
    beyond = {row for row in left - asked if "kube-dns" not in row[0]}  # kube-system gets no policies, and stays
    assert beyond == set()


def _of(world: Snapshot, end: End) -> list[str]:
    match end:
        case PodSet():
            return [workload_text(w.ref) for w in selected(world, end)]
        case EveryNamespace():
            return [workload_text(w.ref) for w in world.workloads]
        case EveryAddress():
            return ["192.0.2.0/24", "elsewhere"]
        case Addresses(cidrs=cidrs):
            return list(cidrs)
        case OwnNode():
            return []


def _kind_of(end: str) -> str:
    """Write addresses as `_of` does: the only ones that this world tells apart."""
    is_address = "/" not in end
    return end if not is_address else "192.0.2.0/24" if end.startswith("192.0.2.0-") else "elsewhere"
