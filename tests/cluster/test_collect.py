"""A scan of a real API server reads what it may, and says what it could not."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from scanner.cluster.client import Client
from scanner.cluster.collect import NOT_OPTED_IN, collect
from scanner.cluster.discovery import discover
from scanner.model.coverage import Read, ReadState
from scanner.model.refs import ClusterName, GroupKind, ObjectRef
from scanner.model.resources import BY_KIND, RESOURCES, SECRETS, Resource
from scanner.model.secret import SecretBody
from scanner.model.snapshot import Snapshot
from tests.builders import NOW
from tests.cluster.live import Api, owned_by, pod_spec, rights, thing, unique, wait_until

PODS = BY_KIND[GroupKind("", "Pod")]
ACCOUNTS = BY_KIND[GroupKind("", "ServiceAccount")]
NAMESPACES = BY_KIND[GroupKind("", "Namespace")]
REPLICA_SETS = BY_KIND[GroupKind("apps", "ReplicaSet")]
POLICIES = BY_KIND[GroupKind("admissionregistration.k8s.io", "ValidatingAdmissionPolicy")]
METRICS = Resource(
    group="metrics.k8s.io", versions=("v1beta1",), plural="pods", kind="PodMetrics", namespaced=True, reason="a test"
)
LIST_ALL = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["list", "get"]}]

pytestmark = pytest.mark.control_plane


def scan(client: Client, resources: Sequence[Resource] = RESOURCES, **options: Any) -> Snapshot:
    """Read a cluster and close the client."""
    with contextlib.closing(client):
        return collect(client, cluster=ClusterName("test"), now=NOW, resources=resources, **options)


def reads(snapshot: Snapshot, resource: str) -> list[tuple[str, ReadState, int]]:
    """Return what the coverage says of a resource: namespace, state and count."""
    return sorted((r.namespace, r.state, r.count) for r in snapshot.coverage if r.resource == resource)


def names(snapshot: Snapshot, kind: str, namespace: str, group: str = "") -> list[str]:
    """Return the names of what was read in a namespace."""
    return [o.meta.name for o in snapshot.of(group, kind) if o.meta.namespace == namespace]


@pytest.fixture
def pod(api: Api, namespace: str) -> Iterator[str]:
    """A pod in the test's namespace."""
    with api.having(thing("v1", "Pod", "web", namespace, spec=pod_spec())):
        yield "web"


def test_an_administrator_reads_every_kind(api: Api) -> None:
    """Complete, absent, or not asked for; nothing else."""
    found = scan(api.client())
    assert {r.state for r in found.coverage} <= {ReadState.COMPLETE, ReadState.ABSENT, ReadState.SKIPPED}
    assert {r.name for r in RESOURCES} <= {r.resource for r in found.coverage}


def test_the_version_of_the_server_is_known(api: Api) -> None:
    """As it calls itself."""
    assert scan(api.client(), (NAMESPACES,)).server_version == api.call("GET", "/version")["gitVersion"]


def test_objects_arrive_as_they_are(api: Api, namespace: str, pod: str) -> None:
    """With the fields that the API server defaulted."""
    found = scan(api.client(), (PODS,)).find("", "Pod", namespace, pod)
    assert found is not None
    assert found.as_dict()["spec"]["containers"][0]["terminationMessagePolicy"] == "File"


@pytest.mark.usefixtures("pod")
def test_a_kind_that_may_not_be_read_is_noted_and_the_rest_is_read(api: Api, namespace: str) -> None:
    """403 stops nothing else."""
    listed = [{"apiGroups": [""], "resources": ["namespaces", "serviceaccounts"], "verbs": ["list"]}]
    with api.having(*rights(unique("reader"), listed, "robot", namespace)):
        found = scan(api.client(api.token(namespace, "robot")), (NAMESPACES, PODS, ACCOUNTS))
    assert reads(found, "pods") == [("", ReadState.FORBIDDEN, 0)]
    assert names(found, "ServiceAccount", namespace) == ["robot"]
    (reason,) = (r.reason for r in found.coverage if r.resource == "pods")
    assert reason == (
        f'HTTP 403: pods is forbidden: User "system:serviceaccount:{namespace}:robot" cannot list resource "pods" '
        'in API group "" at the cluster scope'
    )


@pytest.fixture
def limited(api: Api, namespace: str, pod: str) -> Iterator[str]:  # noqa: ARG001 - the pod is there to be read
    """The token of an identity that may read one namespace."""
    with api.having(*rights("reader", LIST_ALL, "robot", namespace, namespace)):
        yield api.token(namespace, "robot")


@pytest.mark.parametrize("configured", [True, False])
def test_an_identity_of_one_namespace_reads_that_one(
    api: Api, namespace: str, limited: str, *, configured: bool
) -> None:
    """Whether it is configured, or the API server says where it has rights."""
    client = api.client(limited, "" if configured else namespace)
    found = scan(client, (NAMESPACES, PODS), namespaces=[namespace] if configured else [])
    assert reads(found, "pods") == [("", ReadState.FORBIDDEN, 0), (namespace, ReadState.COMPLETE, 1)]
    assert reads(found, "namespaces") == [("", ReadState.FORBIDDEN, 0), (namespace, ReadState.COMPLETE, 1)]
    assert names(found, "Pod", namespace) == ["web"]


def test_what_was_read_in_one_namespace_is_known_there(api: Api, namespace: str, limited: str) -> None:
    """And nowhere else."""
    found = scan(api.client(limited), (PODS,), namespaces=[namespace])
    assert found.inconclusive([PODS.group_kind], namespace) == ()
    assert [r.state for r in found.inconclusive([PODS.group_kind], "default")] == [ReadState.FORBIDDEN]


def test_a_namespace_without_rights_is_noted(api: Api, namespace: str, limited: str) -> None:
    """When it was configured."""
    found = scan(api.client(limited), (PODS,), namespaces=["default", namespace])
    assert ("default", ReadState.FORBIDDEN, 0) in reads(found, "pods")


def test_two_scans_of_an_unchanged_cluster_are_equal(api: Api, namespace: str, limited: str) -> None:
    """Objects, coverage and all."""
    first, second = (scan(api.client(limited), namespaces=[namespace]) for _ in range(2))
    assert first == second


def test_objects_and_coverage_are_sorted(api: Api) -> None:
    """By namespace and name; by resource."""
    found = scan(api.client())
    places = [[(o.meta.namespace, o.meta.name) for o in objects] for objects in found.objects.values()]
    assert (places, found.coverage) == ([sorted(p) for p in places], tuple(sorted(found.coverage)))


def test_a_group_that_is_not_served_is_absent(api: Api) -> None:
    """Nothing of it can exist; that is no gap."""
    unserved = Resource(
        group="nobody.example.com", versions=("v1",), plural="things", kind="Thing", namespaced=True, reason="a test"
    )
    found = scan(api.client(), (unserved, NAMESPACES))
    assert Read("Thing.nobody.example.com", ReadState.ABSENT) in found.coverage


def test_a_group_whose_server_is_down_has_failed(api: Api) -> None:
    """An aggregated API that does not answer is a gap, and the rest is read."""
    service = thing(
        "apiregistration.k8s.io/v1",
        "APIService",
        "v1beta1.metrics.k8s.io",
        spec={
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": "metrics-server", "namespace": "kube-system"},
        },
    )
    with api.having(service), contextlib.closing(api.client()) as client:
        wait_until(lambda: "metrics.k8s.io" in discover(client).broken)
        found = scan(api.client(), (METRICS, NAMESPACES))
    (metrics,) = (r for r in found.coverage if r.resource == "PodMetrics.metrics.k8s.io")
    assert metrics.state is ReadState.FAILED
    assert metrics.reason == "metrics.k8s.io/v1beta1 is not available: its API service does not answer"
    assert [r.state for r in found.coverage if r.resource == "namespaces"] == [ReadState.COMPLETE]


def test_a_long_list_is_read_whole(api: Api, namespace: str) -> None:
    """Page by page, each object once."""
    accounts = [thing("v1", "ServiceAccount", f"robot-{i:03}", namespace) for i in range(510)]
    for account in accounts:
        api.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
    found = scan(api.client(), (ACCOUNTS,))
    assert names(found, "ServiceAccount", namespace) == ["robot", *(a["metadata"]["name"] for a in accounts)]


def test_secrets_are_not_asked_for(api: Api, namespace: str) -> None:
    """Unless that is opted in to."""
    with api.having(thing("v1", "Secret", "db", namespace, stringData={"password": "hunter2"})):
        found = scan(api.client(), (SECRETS, NAMESPACES))
    assert Read("secrets", ReadState.SKIPPED, reason=NOT_OPTED_IN) in found.coverage
    assert found.of("", "Secret") == ()


def test_secrets_are_read_by_their_metadata(api: Api, namespace: str) -> None:
    """The names of their keys and when they changed, and no value."""
    with api.having(thing("v1", "Secret", "db", namespace, stringData={"password": "hunter2"})):
        found = scan(api.client(), (SECRETS,), read_secrets=True).find("", "Secret", namespace, "db")
    assert found is not None
    assert found.decode(SecretBody) == SecretBody(type="", keys=("password",), changed_at=found.meta.creation_timestamp)
    assert b"hunter2" not in msgspec.json.encode(found)


@pytest.fixture
def rollouts(api: Api, namespace: str) -> Iterator[str]:
    """A custom resource with the kind Rollout, in a group of the test's own."""
    group = f"{namespace}.example.com"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = thing(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        f"rollouts.{group}",
        spec={
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "rollouts", "kind": "Rollout"},
            "versions": [version],
        },
    )
    with api.having(definition), contextlib.closing(api.client()) as client:
        wait_until(lambda: GroupKind(group, "Rollout") in discover(client).kinds)
        yield group


def test_custom_controllers_that_own_pods_are_read(api: Api, namespace: str, rollouts: str) -> None:
    """The root owner of the pods is what a person edits."""
    rollout = thing(f"{rollouts}/v1", "Rollout", "checkout", namespace, spec={"strategy": "canary"})
    labels = {"app": "checkout"}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod_spec()}}
    with api.having(rollout) as (made,):
        replicas = thing("apps/v1", "ReplicaSet", "checkout-1", namespace, spec=spec)
        replicas["metadata"]["ownerReferences"] = owned_by(made)
        with api.having(replicas):
            found = scan(api.client(), (REPLICA_SETS,))
    (workload,) = (w for w in found.workloads if w.ref.namespace == namespace)
    uid = made["metadata"]["uid"]
    assert workload.ref == ObjectRef(f"{rollouts}/v1", "Rollout", namespace, "checkout", uid)
    assert workload.object is not None
    assert reads(found, f"Rollout.{rollouts}") == [("", ReadState.COMPLETE, 1)]


def test_parameters_of_admission_policies_are_read(api: Api, namespace: str, rollouts: str) -> None:
    """They are needed to judge what exists by the cluster's own policies."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    policy = thing(
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicy",
        namespace,
        spec={
            "paramKind": {"apiVersion": f"{rollouts}/v1", "kind": "Rollout"},
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "true"}],
        },
    )
    with api.having(thing(f"{rollouts}/v1", "Rollout", "limits", namespace, maximum=3), policy):
        found = scan(api.client(), (POLICIES,))
    (params,) = found.of(rollouts, "Rollout")
    assert params.as_dict()["maximum"] == 3
    assert reads(found, f"Rollout.{rollouts}") == [("", ReadState.COMPLETE, 1)]


def test_progress_rises_to_the_end(api: Api) -> None:
    """It never falls, and ends at one."""
    told: list[float] = []
    scan(api.client(), progress=lambda _resource, _count, fraction: told.append(fraction))
    assert (told, told[-1]) == (sorted(told), 1.0)


def test_progress_may_end_the_scan(api: Api) -> None:
    """What it raises comes out, and no list goes on."""

    def stop(_resource: str, _count: int, _fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(api.client(), progress=stop)


def test_of_endpoint_slices_those_that_no_selector_made_are_read(api: Api, namespace: str) -> None:
    """The cluster's own controller makes one for each Service with a selector; the pods tell the same."""
    slices = BY_KIND[GroupKind("discovery.k8s.io", "EndpointSlice")]
    rest = {"addressType": "IPv4", "endpoints": []}
    made_by = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    made = thing("discovery.k8s.io/v1", "EndpointSlice", "made", namespace, **rest)
    made["metadata"]["labels"] = made_by
    with api.having(made, thing("discovery.k8s.io/v1", "EndpointSlice", "written", namespace, **rest)):
        found = scan(api.client(), (slices,))
    assert names(found, "EndpointSlice", namespace, "discovery.k8s.io") == ["written"]
