"""What is kept of a snapshot gives the answers of the whole, and no more than they need."""

from collections import defaultdict
from typing import Any

from hypothesis import HealthCheck, given, settings

from scanner.analysis.network.addresses import by_family, range_text
from scanner.analysis.network.connections import rows, workload_text
from scanner.analysis.network.connectivity import connectivity
from scanner.analysis.network.exposure import exposures
from scanner.analysis.network.kept import kept
from scanner.analysis.network.peers import peers
from scanner.analysis.network.ports import Span, by_protocol
from scanner.analysis.network.rules import Direction
from scanner.cluster.manifests import read_manifests
from scanner.model.refs import ClusterName, ObjectRef
from scanner.model.snapshot import Snapshot, SourceKind
from tests.analysis.network.worlds import calico_worlds, worlds
from tests.builders import NOW, pod, snapshot
from tests.cli.running import EXAMPLE

_thorough = settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))


def _owned(world: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give every pod to a StatefulSet, three of each alike but for its name, its index and its address."""
    made: list[dict[str, Any]] = []
    for o in world:
        if o["kind"] != "Pod":
            made.append(o)
            continue
        meta, spec = o["metadata"], o["spec"]
        owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": meta["name"], "uid": "u", "controller": True}
        template = {"metadata": {"labels": meta["labels"]}, "spec": spec}
        made.append(
            {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
                "spec": {"template": template},
            }
        )
        for n in range(3):
            labels = meta["labels"] | {"apps.kubernetes.io/pod-index": str(n)}
            name = f"{meta['name']}-{n}"
            made.append(o | {"metadata": meta | {"name": name, "labels": labels, "ownerReferences": [owner]}})
    services = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"type": "LoadBalancer", "selector": {"app": name}, "ports": [{"port": 80}]},
        }
        for name in ("a", "b")
        for namespace in ("ops", "shop")
    ]
    return [*made, *services]


def _assert_same(whole: Snapshot) -> None:
    part = kept(whole)
    for policy_only in (True, False):
        assert list(rows(connectivity(part, policy_only=policy_only))) == list(
            rows(connectivity(whole, policy_only=policy_only))
        )
    assert exposures(part) == exposures(whole)


@_thorough
@given(worlds(with_addresses=True, with_host_pods=True, with_networks=True))
def test_the_kept_part_answers_as_the_whole(world: list[dict[str, Any]]) -> None:
    """Connections, with what is unknown and why, and exposure are the same, for bare pods and for owned ones."""
    _assert_same(snapshot(*world))
    _assert_same(snapshot(*_owned(world)))
    _assert_same(snapshot(*_owned(world), source=SourceKind.MANIFESTS))


@settings(_thorough, max_examples=100)
@given(calico_worlds(with_addresses=True, with_host_pods=True, with_networks=True))
def test_the_kept_part_answers_as_the_whole_with_policies_of_calico(world: list[dict[str, Any]]) -> None:
    """Their tiers, network sets and service accounts are kept too."""
    _assert_same(snapshot(*world))
    _assert_same(snapshot(*_owned(world)))


def test_an_example_of_every_kind_answers_as_the_whole() -> None:
    """Deployments, jobs, gateways, ingresses and custom controllers too."""
    _assert_same(read_manifests([EXAMPLE], cluster=ClusterName("example"), now=NOW))


def test_endpoints_of_files_are_kept() -> None:
    """They tell what is behind a Service without selector."""
    meta = {"name": "web", "namespace": "shop"}
    spec = {"type": "NodePort", "ports": [{"port": 80}]}
    subset = {"addresses": [{"ip": "10.0.0.7", "targetRef": {"kind": "Pod", "name": "web"}}], "ports": [{"port": 80}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
    endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": [subset]}
    _assert_same(snapshot(pod("web"), service, endpoints, source=SourceKind.MANIFESTS))
    _assert_same(snapshot(pod("web"), service, source=SourceKind.MANIFESTS))


def _pods(count: int, address: str = "10.1.0.") -> list[dict[str, Any]]:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "registry.example.com/app:1", "env": [{"name": "A"}]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": f"{address}7"}]},
    }
    owned = _owned([pod])[0:1]
    for n in range(count):
        labels = {"app": "web", "apps.kubernetes.io/pod-index": str(n)}
        owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "u", "controller": True}
        meta = {"name": f"web-{n}", "namespace": "shop", "uid": f"u{n}", "labels": labels, "ownerReferences": [owner]}
        owned.append(pod | {"metadata": meta, "status": {"phase": "Running", "podIPs": [{"ip": f"{address}{n}"}]}})
    return owned


def test_replicas_that_nothing_tells_apart_are_one() -> None:
    """A hundred pods of one owner with addresses of their own take the room of one."""
    assert len(kept(snapshot(*_pods(100))).of("", "Pod")) == 1


def test_what_comes_and_goes_by_itself_is_not_kept() -> None:
    """More replicas with other addresses, at another time, are the same state."""
    assert kept(snapshot(*_pods(3))).objects == kept(snapshot(*_pods(5, "10.7.0."))).objects


@_thorough
@given(worlds(with_addresses=True, with_host_pods=True, with_networks=True))
def test_peers_are_the_rows_that_a_workload_has_a_part_in(world: list[dict[str, Any]]) -> None:
    """In both directions, with the same ports and reasons; neighbouring addresses may be cut elsewhere."""
    found = connectivity(snapshot(*world))
    together: dict[tuple[str, ...], list[Span]] = defaultdict(list)
    for workload in found.grouping.workloads:
        for direction in Direction:
            for peer in peers(found, workload, direction):
                for spans, unknown in ((peer.allowed, ""), (peer.unknown, "; ".join(peer.reasons))):
                    for protocol, ports in by_protocol(spans).items():
                        key = (workload_text(workload), str(direction), protocol, ports, unknown)
                        if isinstance(peer.end, ObjectRef):
                            together[*key, workload_text(peer.end)] = []
                        else:
                            together[key].append(peer.end)
    assert {
        _row(key, end)
        for key, ranges in together.items()
        for end in (map(range_text, by_family(ranges)) if ranges else [key[-1]])
    } == {tuple(row) for row in rows(found)}


def _row(key: tuple[str, ...], end: str) -> tuple[str, ...]:
    own, direction, protocol, ports, unknown = key[:5]
    ends = (own, end) if direction == Direction.EGRESS else (end, own)
    return (*ends, protocol, ports, unknown)


def test_a_pod_that_an_endpoint_names_keeps_its_address() -> None:
    """Its neighbours in the same range do not."""
    metadata = {"name": "cart", "namespace": "shop"}
    labels = {"kubernetes.io/service-name": "cart"}
    _assert_same(
        snapshot(
            *(
                pod(f"cart-{n}", owner="StatefulSet cart")
                | {"status": {"phase": "Running", "podIPs": [{"ip": f"10.0.0.{n}"}]}}
                for n in range(3)
            ),
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"type": "NodePort", "ports": [{"port": 80}]},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": metadata | {"labels": labels},
                "endpoints": [{"addresses": ["10.0.0.1"]}],
                "ports": [{"port": 80}],
            },
        )
    )
