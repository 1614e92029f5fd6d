"""A workload is what a person edits; what controllers make of it is joined to it and judged once."""

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from scanner.model.refs import GroupKind
from scanner.model.workload import ContainerRole, Workload
from tests.builders import container, pod, snapshot, workload

NEW, OLD = container(image="registry.example.com/app:2"), container(image="registry.example.com/app:1")


def owned(thing: dict[str, Any], kind: str, name: str, api_version: str = "apps/v1", uid: str = "") -> dict[str, Any]:
    """Give an object a controller."""
    reference = {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": True}
    thing["metadata"] |= {"ownerReferences": [reference]}
    return thing


def replica_set(name: str, *containers: Mapping[str, Any], replicas: int = 1, created: str = "") -> dict[str, Any]:
    """Make a ReplicaSet."""
    made = workload(name, *containers, kind="ReplicaSet")
    made["spec"]["replicas"] = replicas
    if created:
        made["metadata"]["creationTimestamp"] = created
    return made


def job(name: str, *containers: Mapping[str, Any]) -> dict[str, Any]:
    """Make a Job."""
    return workload(name, *containers, kind="Job")


def cron_job(name: str, *containers: Mapping[str, Any]) -> dict[str, Any]:
    """Make a CronJob."""
    spec = {"schedule": "@daily", "jobTemplate": {"spec": job(name, *containers)["spec"]}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def custom(kind: str, name: str, api_version: str = "example.com/v1", namespace: str = "shop") -> dict[str, Any]:
    """Make a custom resource."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def workloads(*objects: Mapping[str, Any]) -> tuple[Workload, ...]:
    """Return the workloads of a cluster."""
    return snapshot(*objects).workloads


def roots(*objects: Mapping[str, Any]) -> list[str]:
    """Return their names as people say them."""
    return [str(w.ref) for w in workloads(*objects)]


def images(found: Workload) -> list[str]:
    """Return the images of the templates, in order."""
    return [c.spec["image"].rpartition(":")[2] for t in found.templates for c in t.containers]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet"])
def test_what_nothing_owns_is_a_workload(kind: str) -> None:
    """Of every built-in kind with a pod template."""
    assert roots(workload("web", kind=kind)) == [f"{kind} shop/web"]


def test_a_bare_pod_is_a_workload() -> None:
    """Someone made it by hand."""
    (found,) = workloads(pod("web"))
    assert (str(found.ref), found.template.path) == ("Pod shop/web", "spec")


def test_a_deployment_owns_the_pods_of_its_replica_sets() -> None:
    """Through them, all of it is one workload."""
    middle = owned(replica_set("web-1"), "Deployment", "web")
    (found,) = workloads(workload("web"), middle, pod("web-1-a", owner="ReplicaSet web-1"))
    assert (str(found.ref), [p.ref.name for p in found.pods]) == ("Deployment shop/web", ["web-1-a"])


def test_a_cron_job_owns_the_pods_of_its_jobs() -> None:
    """Its template lies two templates deep."""
    middle = owned(job("nightly-1"), "CronJob", "nightly", "batch/v1")
    (found,) = workloads(cron_job("nightly"), middle, pod("nightly-1-a", owner="Job nightly-1"))
    assert (str(found.ref), found.template.path) == ("CronJob shop/nightly", "spec.jobTemplate.spec.template.spec")


def test_a_custom_controller_above_replica_sets_is_the_root() -> None:
    """An Argo Rollout, for one, whether it was read or not."""
    rollout = custom("Rollout", "web", "argoproj.io/v1alpha1")
    middle = owned(replica_set("web-1"), "Rollout", "web", "argoproj.io/v1alpha1")
    assert roots(middle) == roots(rollout, middle) == ["Rollout shop/web"]


def test_a_custom_controller_of_pods_is_the_root() -> None:
    """Its template is what its pods show."""
    owner = ("Cluster", "db", "postgresql.example.com/v1")
    (found,) = workloads(custom("Cluster", "db", owner[2]), owned(pod("db-1"), *owner), owned(pod("db-2"), *owner))
    assert (str(found.ref), len(found.templates), len(found.pods)) == ("Cluster shop/db", 1, 2)
    assert found.object is not None


def test_custom_controllers_are_climbed_to_the_top() -> None:
    """One may own the next."""
    application = custom("Application", "shop")
    database = owned(custom("Database", "db"), "Application", "shop", "example.com/v1")
    assert roots(application, database, owned(pod("db-1"), "Database", "db", "example.com/v1")) == [
        "Application shop/shop"
    ]


def test_a_controller_of_the_whole_cluster_is_found() -> None:
    """What it owns lies in a namespace, it does not."""
    assert roots(custom("Fleet", "f", namespace=""), owned(pod("a"), "Fleet", "f", "example.com/v1")) == ["Fleet f"]


def test_a_mirror_pod_is_a_workload() -> None:
    """Its node only reports it; a person edits its file there."""
    mirror = owned(pod("etcd-node-1"), "Node", "node-1", "v1")
    assert roots({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}, mirror) == [
        "Pod shop/etcd-node-1"
    ]


def test_an_owner_that_does_not_control_is_no_root() -> None:
    """It only has its dependents collected with it."""
    made = pod("web", owner="ReplicaSet web-1")
    made["metadata"]["ownerReferences"][0]["controller"] = False
    assert roots(made) == ["Pod shop/web"]


def test_an_owner_in_another_namespace_is_not_meant() -> None:
    """References do not leave their namespace."""
    (found,) = workloads(workload("web", kind="StatefulSet", namespace="other"), pod("web-0", owner="StatefulSet web"))[
        1:
    ]
    assert (found.ref.namespace, found.object) == ("shop", None)


def test_an_owner_that_was_not_read_is_named_by_its_reference() -> None:
    """With everything that the reference tells."""
    (found,) = workloads(pod("web-0", owner="StatefulSet web"))
    assert (found.ref.api_version, found.ref.kind, found.ref.uid) == ("apps/v1", "StatefulSet", "1")


def test_pods_that_name_one_owner_differently_are_one_workload() -> None:
    """By another version, or by the uid of an owner that was made anew."""
    one, other = (owned(pod(n), "Rollout", "web", f"argoproj.io/{v}", n) for n, v in (("a", "v1"), ("b", "v1alpha1")))
    assert roots(one, other) == ["Rollout shop/web"]


def test_a_deployment_is_found_behind_a_replica_set_that_was_not_read() -> None:
    """A list of ReplicaSets that fails once must not make new workloads of them."""
    labels = {"pod-template-hash": "5d8f"}
    assert roots(workload("web"), pod("web-5d8f-a", owner="ReplicaSet web-5d8f", labels=labels)) == [
        "Deployment shop/web"
    ]


def test_a_replica_set_that_only_looks_like_a_deployments_is_its_own() -> None:
    """Without the label of the Deployment controller, its name says nothing."""
    assert roots(workload("web"), pod("web-5d8f-a", owner="ReplicaSet web-5d8f")) == [
        "Deployment shop/web",
        "ReplicaSet shop/web-5d8f",
    ]


def test_owners_in_a_circle_are_one_workload() -> None:
    """No API server makes them, but a file can."""
    one, other = (owned(replica_set(a), "ReplicaSet", b) for a, b in (("a", "b"), ("b", "a")))
    assert roots(one, other) == ["ReplicaSet shop/a"]


def test_what_hangs_below_a_circle_belongs_to_it() -> None:
    """Wherever the climb starts."""
    one, other = (owned(replica_set(a), "ReplicaSet", b) for a, b in (("b", "c"), ("c", "b")))
    assert roots(one, other, pod("x", owner="ReplicaSet c"), owned(replica_set("a"), "ReplicaSet", "c")) == [
        "ReplicaSet shop/b"
    ]


def test_an_object_that_owns_itself_is_a_workload() -> None:
    """The smallest circle."""
    assert roots(owned(replica_set("a"), "ReplicaSet", "a")) == ["ReplicaSet shop/a"]


def test_the_order_of_objects_makes_no_difference() -> None:
    """Two scans that list them differently agree."""
    objects = [
        workload("web"),
        owned(replica_set("web-1", NEW), "Deployment", "web"),
        owned(replica_set("web-0", OLD), "Deployment", "web"),
        pod("web-1-a", owner="ReplicaSet web-1"),
        pod("web-0-a", container("debug"), owner="ReplicaSet web-0"),
    ]
    assert len({str(workloads(*shuffled)) for shuffled in itertools.permutations(objects)}) == 1


def test_workloads_are_sorted() -> None:
    """By their names."""
    found = [w.ref for w in workloads(pod("b"), workload("a"), pod("a"))]
    assert found == sorted(found)


def test_the_template_of_a_deployment_is_its_own() -> None:
    """A ReplicaSet of the same spec adds none."""
    (found,) = workloads(workload("web", NEW), owned(replica_set("web-1", NEW), "Deployment", "web"))
    assert ([t.owner.kind for t in found.templates], images(found)) == (["Deployment"], ["2"])


def test_a_superseded_replica_set_is_left_out() -> None:
    """It has no replicas, and never will again."""
    old = owned(replica_set("web-0", OLD, replicas=0), "Deployment", "web")
    (found,) = workloads(workload("web", NEW), old)
    assert images(found) == ["2"]


def test_an_old_replica_set_that_still_runs_is_judged_too() -> None:
    """A rollout that is stuck keeps old pods; what they run is a risk today."""
    old = owned(replica_set("web-0", OLD), "Deployment", "web")
    (found,) = workloads(workload("web", NEW), old)
    assert images(found) == ["2", "1"]


def test_a_finished_job_of_a_cron_job_is_left_out() -> None:
    """The next one comes from the CronJob's template."""
    old = owned(job("nightly-1", OLD), "CronJob", "nightly", "batch/v1")
    (found,) = workloads(cron_job("nightly", NEW), old, pod("nightly-1-a", owner="Job nightly-1", phase="Succeeded"))
    assert images(found) == ["2"]


def test_a_job_that_still_runs_is_judged_too() -> None:
    """It was made from an older template."""
    old = owned(job("nightly-1", OLD), "CronJob", "nightly", "batch/v1")
    (found,) = workloads(cron_job("nightly", NEW), old, pod("nightly-1-a", OLD, owner="Job nightly-1"))
    assert images(found) == ["2", "1"]


def test_of_a_custom_controller_what_runs_is_judged() -> None:
    """Stable and canary, not what both replaced."""
    versions = (("web-0", container(image="app:0"), 0), ("web-1", OLD, 3), ("web-2", NEW, 1))
    below = (owned(replica_set(n, c, replicas=r), "Rollout", "web", "example.com/v1") for n, c, r in versions)
    (found,) = workloads(*below)
    assert images(found) == ["1", "2"]


def test_of_a_custom_controller_at_rest_the_latest_is_judged() -> None:
    """Scaled to nothing, it would come back with that."""
    versions = (("web-a", NEW, "2026-11-02T00:00:00Z"), ("web-b", OLD, "2026-11-01T00:00:00Z"))
    below = (
        owned(replica_set(name, spec, replicas=0, created=created), "Rollout", "web", "example.com/v1")
        for name, spec, created in versions
    )
    (found,) = workloads(*below)
    assert images(found) == ["2"]


def test_a_replica_set_of_its_own_is_judged_at_rest() -> None:
    """Nothing superseded it."""
    (found,) = workloads(replica_set("web", OLD, replicas=0))
    assert images(found) == ["1"]


def test_an_injected_sidecar_is_an_extra_container() -> None:
    """Named by the first pod that has it, once for all pods."""
    pods = (pod(n, container(), container("proxy"), owner="Deployment web") for n in ("web-b", "web-a"))
    (found,) = workloads(workload("web"), *pods)
    assert [(c.name, c.path, c.owner.name) for c in found.extra_containers] == [
        ("proxy", "spec.containers[1]", "web-a")
    ]


def test_a_debug_container_is_an_extra_container() -> None:
    """With its role."""
    debugged = pod("web-a", owner="Deployment web", ephemeralContainers=[container("debug")])
    (found,) = workloads(workload("web"), debugged)
    assert [(c.name, c.role) for c in found.extra_containers] == [("debug", ContainerRole.EPHEMERAL)]


def test_extra_containers_of_one_name_and_other_content_are_two() -> None:
    """Both are there."""
    pods = (
        pod(n, container(), container("proxy", image=f"proxy:{i}"), owner="Deployment web")
        for i, n in enumerate(("a", "b"))
    )
    (found,) = workloads(workload("web"), *pods)
    assert [c.spec["image"] for c in found.extra_containers] == ["proxy:0", "proxy:1"]


def test_a_pod_that_has_ended_adds_no_container() -> None:
    """What it had runs no more."""
    (found,) = workloads(workload("web"), pod("a", container("debug"), owner="Deployment web", phase="Succeeded"))
    assert found.extra_containers == ()


def test_sidecars_are_told_from_init_containers() -> None:
    """By their restartPolicy."""
    init = [container("setup"), container("proxy", restartPolicy="Always")]
    (found,) = workloads(workload("web", initContainers=init))
    assert [(c.name, c.role) for c in found.containers] == [
        ("setup", ContainerRole.INIT),
        ("proxy", ContainerRole.SIDECAR),
        ("app", ContainerRole.REGULAR),
    ]


def test_every_pod_belongs_to_exactly_one_workload() -> None:
    """None is lost, none counts twice."""
    objects = [
        pod("a"),
        pod("b", owner="Deployment web"),
        owned(pod("c"), "Thing", "t", "example.com/v1"),
        owned(pod("d"), "Node", "n", "v1"),
    ]
    seen = snapshot(workload("web"), *objects)
    names = sorted(p.ref.name for w in seen.workloads for p in w.pods)
    assert names == [p.meta.name for p in seen.objects[GroupKind("", "Pod")]]
