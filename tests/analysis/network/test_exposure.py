"""Who can really reach a workload from outside and inside, and what it reaches."""

from collections.abc import Mapping
from typing import Any

import pytest

from scanner.analysis.network.exposure import Entry, Exposure, Scope, Verdict, exposures
from scanner.model.coverage import Read, ReadState
from scanner.model.snapshot import SourceKind
from tests.builders import container, network_policy, pod, snapshot, workload

_DENY = network_policy("deny", {}, policyTypes=["Ingress", "Egress"])


def _service(**spec: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {"selector": {"app": "cart"}, "ports": [{"port": 80, "targetPort": 8080}]}
    metadata = {"name": "cart", "namespace": "shop", "annotations": spec.pop("annotations", {})}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": defaults | spec}


_INGRESS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {"name": "cart", "namespace": "shop"},
    "spec": {"defaultBackend": {"service": {"name": "cart", "port": {"number": 80}}}},
}


def _allow(*networks: str) -> dict[str, Any]:
    peers = [{"ipBlock": {"cidr": network}} for network in networks]
    return network_policy("allow", {}, ingress=[{"from": peers, "ports": [{"port": 8080}]}])


_CLASS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "IngressClass",
    "metadata": {"name": "nginx", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
    "spec": {"controller": "k8s.io/ingress-nginx"},
}


def _exposure(*objects: Mapping[str, Any]) -> Exposure:
    return next(e for e in exposures(snapshot(workload(), _CLASS, *objects)) if e.workload.name == "cart")


def _entry(*objects: Mapping[str, Any]) -> Entry:
    return _exposure(*objects).entries[0]


def test_a_workload_without_doors_has_none() -> None:
    """A Service of type ClusterIP is no door."""
    assert _exposure(_service()).entries == ()


@pytest.mark.parametrize(
    "spec",
    [{"type": "LoadBalancer"}, {"type": "NodePort"}, {"externalIPs": ["192.0.2.1"]}],
    ids=lambda spec: str(spec.get("type", "externalIP")),
)
def test_a_service_without_policies_is_open_to_everywhere(spec: dict[str, Any]) -> None:
    """Nothing isolates the pods behind it."""
    entry = _entry(_service(**spec))
    assert (entry.verdict, entry.addresses) == (Verdict.OPEN, ("everywhere",))


def test_a_door_leads_to_the_port_of_the_pods() -> None:
    """A policy that allows the Service's own port only leaves its pods closed."""
    policy = network_policy("allow", {}, ingress=[{"ports": [{"port": 80}]}])
    assert _entry(_service(type="NodePort", externalTrafficPolicy="Local"), policy).verdict is Verdict.CLOSED


def test_a_named_target_port_is_resolved_in_the_containers() -> None:
    """The name leads to the number that the container declares."""
    cart = workload("cart", container(ports=[{"name": "http", "containerPort": 9000}]))
    service = _service(type="NodePort", ports=[{"port": 80, "targetPort": "http"}])
    (found,) = exposures(snapshot(cart, service))
    assert [entry.door.target for entry in found.entries] == [(8999, 8999)]


def test_the_sources_that_a_policy_allows_are_shown_where_the_client_is_seen() -> None:
    """`externalTrafficPolicy: Local` leaves the address of the client as it is."""
    entry = _entry(_service(type="LoadBalancer", externalTrafficPolicy="Local"), _allow("198.51.100.0/24"))
    assert (entry.verdict, entry.addresses) == (Verdict.OPEN, ("198.51.100.0-198.51.100.255",))


def test_the_sources_of_the_load_balancer_count_too() -> None:
    """Who gets in passes both the load balancer and the policies."""
    service = _service(type="LoadBalancer", externalTrafficPolicy="Local", loadBalancerSourceRanges=["198.51.100.0/25"])
    assert _entry(service, _allow("198.51.100.0/24")).addresses == ("198.51.100.0-198.51.100.127",)


def test_a_node_may_stand_in_for_the_client() -> None:
    """With `Cluster`, whose address a policy sees is up to the network plugin."""
    assert _entry(_service(type="LoadBalancer"), _allow("198.51.100.0/24")).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(("allocates", "kinds"), [(True, ["LoadBalancer", "NodePort"]), (False, ["LoadBalancer"])])
def test_a_load_balancer_is_open_on_nodes_too(allocates: bool, kinds: list[str]) -> None:
    """Unless the Service says otherwise, it has ports on the nodes, which no range of sources restricts."""
    service = _service(type="LoadBalancer", allocateLoadBalancerNodePorts=allocates)
    assert [entry.door.kind for entry in _exposure(service).entries] == kinds


def test_isolation_closes_a_door_where_the_client_is_seen() -> None:
    """No address is allowed."""
    assert _entry(_service(type="NodePort", externalTrafficPolicy="Local"), _DENY).verdict is Verdict.CLOSED


def test_an_ingress_to_open_pods_is_open() -> None:
    """Whatever pods the controller runs in, they reach the backend."""
    assert _entry(_service(), _INGRESS).verdict is Verdict.OPEN


def test_an_ingress_to_isolated_pods_depends_on_the_controller() -> None:
    """A policy that allows some pods may mean the controller's, if it is not known."""
    policy = network_policy("allow", {}, ingress=[{"from": [{"podSelector": {}}]}])
    assert _entry(_service(), _INGRESS, policy).verdict is Verdict.UNKNOWN


def test_a_known_controller_that_is_allowed_opens_an_ingress() -> None:
    """The image tells which pods they are."""
    controller = workload("nginx", container(image="registry.k8s.io/ingress-nginx/controller:v1.12.0"))
    policy = network_policy("allow", {}, ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "nginx"}}}]}])
    assert _entry(_service(), _INGRESS, policy, controller).verdict is Verdict.OPEN


def test_a_port_of_the_node_is_a_door() -> None:
    """`hostPort` opens the container on its node."""
    one = pod("one", container(ports=[{"containerPort": 80, "hostPort": 8080}]))
    (found,) = exposures(snapshot(one))
    assert [(e.door.kind, e.door.port, e.verdict) for e in found.entries] == [("hostPort", 8080, Verdict.OPEN)]


def test_policies_on_the_host_network_are_up_to_the_plugin() -> None:
    """Isolation of such pods is no more than a maybe."""
    one = pod("one", container(ports=[{"containerPort": 80}]), hostNetwork=True)
    (found,) = exposures(snapshot(one, _DENY))
    assert [entry.verdict for entry in found.entries] == [Verdict.UNKNOWN]


def test_a_private_load_balancer_is_not_public() -> None:
    """The provider's annotation asks for an internal address."""
    annotations = {"service.beta.kubernetes.io/aws-load-balancer-internal": "true"}
    assert not _entry(_service(type="LoadBalancer", annotations=annotations)).is_public


def test_without_policies_every_namespace_reaches_it() -> None:
    """Nothing keeps anyone from it."""
    assert _exposure(workload("web", namespace="front")).reached_from is Scope.EVERY_NAMESPACE


def test_a_policy_for_its_own_namespace_keeps_the_others_out() -> None:
    """Peers without namespaceSelector are of the policy's namespace."""
    policy = network_policy("own", {}, ingress=[{"from": [{"podSelector": {}}]}])
    assert _exposure(workload("web", namespace="front"), policy).reached_from is Scope.OWN_NAMESPACE


def test_nobody_reaches_what_denies_everyone() -> None:
    """An isolated workload without rules has no callers."""
    assert _exposure(workload("web", namespace="front"), _DENY).reached_from is Scope.NOBODY


def test_without_policies_all_targets_are_reached() -> None:
    """API server, internet, kubelets and the metadata address."""
    assert {name: o.verdict for name, o in _exposure().reaches.items()} == dict.fromkeys(
        ("api-server", "internet", "kubelets", "metadata"), Verdict.OPEN
    )


def test_a_hole_for_the_metadata_address_closes_it() -> None:
    """The internet stays open."""
    peer = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}
    policy = network_policy("out", {}, policyTypes=["Egress"], egress=[{"to": [peer]}])
    reaches = _exposure(policy).reaches
    assert (reaches["internet"].verdict, reaches["metadata"].verdict) == (Verdict.OPEN, Verdict.CLOSED)


def test_private_addresses_are_not_the_internet() -> None:
    """A rule for 10.0.0.0/8 alone does not lead out."""
    egress = [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]
    policy = network_policy("out", {}, policyTypes=["Egress"], egress=egress)
    assert _exposure(policy).reaches["internet"].verdict is Verdict.CLOSED


def test_kubelets_are_found_by_the_addresses_of_nodes() -> None:
    """A rule that allows a node's address on the kubelet's port reaches it."""
    status = {"addresses": [{"type": "InternalIP", "address": "10.1.2.3"}]}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"}, "status": status}
    egress = [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 10250}]}]
    policy = network_policy("out", {}, policyTypes=["Egress"], egress=egress)
    assert _exposure(policy, node).reaches["kubelets"].verdict is Verdict.OPEN


def _slice(service: str, address: str, *, namespace: str = "shop", **port: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": service}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": service, "namespace": namespace, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": [{"port": 8080} | port],
    }


def _at(address: str, **spec: Any) -> dict[str, Any]:
    made = pod("cart", labels={"app": "cart"}, **spec)
    return made | {"status": {"phase": "Running", "podIPs": [{"ip": address}]}}


def _published(*objects: Mapping[str, Any]) -> tuple[Entry, ...]:
    (found,) = exposures(snapshot(_service(type="LoadBalancer", selector=None), *objects))
    return found.entries


def test_a_service_without_selector_leads_to_the_pods_whose_addresses_were_written_down() -> None:
    """By hand, or by a controller of somebody's own."""
    entries = _published(_at("10.0.0.7"), _slice("cart", "10.0.0.7"))
    assert {(e.door.kind, e.door.target, e.verdict) for e in entries} == {
        ("LoadBalancer", (8079, 8079), Verdict.OPEN),
        ("NodePort", (8079, 8079), Verdict.OPEN),
    }


@pytest.mark.parametrize(
    ("one", "endpoints"),
    [
        (_at("10.0.0.8"), _slice("cart", "10.0.0.7")),
        (_at("10.0.0.7"), _slice("other", "10.0.0.7")),
        (_at("10.0.0.7"), _slice("cart", "10.0.0.7", name="other")),
        (_at("10.0.0.7"), _slice("cart", "not an address")),
        (_at("10.0.0.7", hostNetwork=True), _slice("cart", "10.0.0.7")),
        (_at("10.0.0.7"), _slice("cart", "10.0.0.7", port=0)),
    ],
    ids=["another pod", "another Service", "another port", "no address", "the address of a node", "no port"],
)
def test_endpoints_of_something_else_are_no_door(one: dict[str, Any], endpoints: dict[str, Any]) -> None:
    """The Service leads elsewhere, or nowhere."""
    assert [entry for entry in _published(one, endpoints) if entry.door.through.kind == "Service"] == []


def test_endpoints_do_not_count_for_a_service_with_a_selector() -> None:
    """Its own controller writes them; what else lies there leads nowhere for certain."""
    (found,) = exposures(
        snapshot(_at("10.0.0.7"), _service(type="NodePort", selector={"app": "x"}), _slice("cart", "10.0.0.7"))
    )
    assert found.entries == ()


def test_an_endpoint_of_a_file_names_its_pod() -> None:
    """Pods of files have no addresses yet."""
    named = _slice("cart", "10.0.0.7")
    named["endpoints"][0]["targetRef"] = {"kind": "Pod", "name": "cart"}
    assert {e.door.kind for e in _published(pod("cart"), named)} == {"LoadBalancer", "NodePort"}


def _endpoints(subset: Any, **meta: Any) -> dict[str, Any]:
    metadata = {"name": "cart", "namespace": "shop"} | meta
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subset}


_ADDRESS = {"ip": "10.0.0.7", "targetRef": {"kind": "Pod", "name": "cart"}}
_LOCK = {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}}


@pytest.mark.parametrize("readiness", ["addresses", "notReadyAddresses"])
def test_endpoints_of_a_file_are_read_as_slices_are(readiness: str) -> None:
    """A cluster mirrors them."""
    found = _published(pod("cart"), _endpoints([{readiness: [_ADDRESS], "ports": [{"port": 8080}]}]))
    assert {(e.door.kind, e.door.target, e.verdict) for e in found} == {
        ("LoadBalancer", (8079, 8079), Verdict.OPEN),
        ("NodePort", (8079, 8079), Verdict.OPEN),
    }


def _in_files(*objects: Mapping[str, Any]) -> list[Entry]:
    found = exposures(snapshot(_service(type="NodePort", selector=None), *objects, source=SourceKind.MANIFESTS))
    return [entry for one in found if one.workload.name == "cart" for entry in one.entries]


@pytest.mark.parametrize(
    "objects",
    [(), (_endpoints([], **_LOCK),), (_slice("other", "10.0.0.7"),)],
    ids=["nothing", "the lock of a leader, which is not mirrored", "slices of another Service"],
)
def test_what_is_behind_a_service_without_endpoints_in_files_is_unknown(objects: tuple[dict[str, Any], ...]) -> None:
    """They may be elsewhere, and name any pod on any port."""
    (entry,) = _in_files(workload(), *objects)
    assert (entry.verdict, entry.door.kind) == (Verdict.UNKNOWN, "NodePort")
    assert "endpoints" in entry.reasons[0]


@pytest.mark.parametrize(
    "endpoints", [_endpoints([]), _endpoints(None), _endpoints("none"), _slice("cart", "10.9.9.9")]
)
def test_endpoints_in_files_that_name_nobody_are_no_door(endpoints: dict[str, Any]) -> None:
    """Those are all that the Service has."""
    assert _in_files(workload(), endpoints) == []


def test_isolation_closes_the_door_whose_backends_are_unknown() -> None:
    """Whichever pod it is, nobody comes in."""
    service = _service(type="NodePort", selector=None, externalTrafficPolicy="Local")
    (found,) = exposures(snapshot(workload(), service, _DENY, source=SourceKind.MANIFESTS))
    assert [entry.verdict for entry in found.entries] == [Verdict.CLOSED]


def test_an_ingress_to_a_service_without_endpoints_in_files_may_be_a_door() -> None:
    """As the Service itself."""
    found = exposures(snapshot(workload(), _service(selector=None), _INGRESS, source=SourceKind.MANIFESTS))
    assert [(e.door.kind, e.verdict) for e in found[0].entries] == [("Ingress", Verdict.UNKNOWN)]


def test_in_a_cluster_nothing_is_behind_a_service_without_endpoints() -> None:
    """The slices were read."""
    assert _published(workload()) == ()


def test_endpoints_that_may_not_be_read_leave_what_is_behind_a_service_unknown() -> None:
    """Until the right is granted."""
    coverage = [Read(resource="endpointslices.discovery.k8s.io", state=ReadState.FORBIDDEN)]
    (found,) = exposures(snapshot(workload(), _service(type="NodePort", selector=None), coverage=coverage))
    assert "not read" in found.entries[0].reasons[0]


def test_an_ingress_to_another_name_of_a_service_may_be_a_door_to_it() -> None:
    """Controllers differ in whether they follow a Service of type ExternalName."""
    metadata = {"name": "other", "namespace": "shop"}
    spec = {"type": "ExternalName", "externalName": "cart.shop.svc.cluster.local"}
    alias = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    backend = {"defaultBackend": {"service": {"name": "other", "port": {"number": 80}}}}
    entry = _entry(_service(), alias, _INGRESS | {"spec": backend})
    assert (entry.door.kind, entry.verdict) == ("Ingress", Verdict.UNKNOWN)
    assert "another name" in entry.reasons[0]


@pytest.mark.parametrize(
    ("network", "port", "verdict"),
    [
        ("10.9.0.0/24", 6443, Verdict.OPEN),
        ("10.9.0.0/24", 443, Verdict.CLOSED),
        ("10.8.0.0/24", 6443, Verdict.CLOSED),
    ],
)
def test_the_api_server_is_reached_at_its_own_address(network: str, port: int, verdict: Verdict) -> None:
    """The endpoints of the Service `kubernetes` say where it is, so that a rule for some addresses can be judged."""
    egress = [{"to": [{"ipBlock": {"cidr": network}}], "ports": [{"port": port}]}]
    policy = network_policy("out", {}, policyTypes=["Egress"], egress=egress)
    server = _slice("kubernetes", "10.9.0.1", namespace="default", name="https", port=6443)
    reached = _exposure(policy, server).reaches["api-server"]
    assert (reached.verdict, reached.ports) == (verdict, {"TCP": "6443"} if verdict is Verdict.OPEN else {})


def test_without_its_address_the_api_server_may_be_behind_any_rule() -> None:
    """Files do not tell it."""
    egress = [{"to": [{"ipBlock": {"cidr": "10.9.0.0/24"}}], "ports": [{"port": 6443}]}]
    policy = network_policy("out", {}, policyTypes=["Egress"], egress=egress)
    assert _exposure(policy).reaches["api-server"].verdict is Verdict.UNKNOWN
