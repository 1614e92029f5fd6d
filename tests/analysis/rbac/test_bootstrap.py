"""What we take for Kubernetes' own roles and bindings is what a real API server makes."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanner.analysis.rbac import bootstrap
from scanner.analysis.rbac.bootstrap import bootstrap_bindings, is_expected
from scanner.analysis.rbac.requests import canonical_subject
from scanner.model.rbac import Subject
from scanner.policy.evaluate import evaluate
from scanner.policy.load import load_policies
from tests.analysis.rbac.kube import RBAC_PATH, Client
from tests.analysis.rbac.refresh_bootstrap import bootstrap_objects_of
from tests.builders import NOW, binding, snapshot
from tests.policies.fixtures import ROOT
from tests.services import ControlPlane

MASTERS = Subject("Group", "system:masters", "", "rbac.authorization.k8s.io")
OPS = Subject("Group", "ops", "", "rbac.authorization.k8s.io")


@pytest.mark.control_plane
def test_the_data_are_those_of_the_real_api_server(control_plane: ControlPlane) -> None:
    """Every role and binding that kube-apiserver creates at its start is in the data, with the same content."""
    stored = msgspec.json.decode(Path(bootstrap.__file__).with_name("bootstrap.json").read_bytes())
    with Client(control_plane) as client:
        assert stored == bootstrap_objects_of(client)


def test_every_default_subject_is_expected() -> None:
    """No binding of a fresh cluster stands out."""
    assert all(
        is_expected(b, canonical)
        for b in bootstrap_bindings()
        for named in b.subjects
        for canonical in (canonical_subject(named, b.ref.namespace),)
        if canonical is not None
    )


def test_a_subject_that_someone_added_is_not_expected() -> None:
    """Adding a group to the built-in cluster-admin binding stands out, label or not."""
    cluster_admin = next(b for b in bootstrap_bindings() if b.ref.name == "cluster-admin")
    assert not is_expected(cluster_admin, OPS)


def test_a_binding_without_the_label_is_not_expected() -> None:
    """The same name and subject alone don't make a binding Kubernetes' own."""
    (found,) = snapshot(binding("ClusterRole cluster-admin", str(MASTERS), name="cluster-admin")).bindings
    assert not is_expected(found, MASTERS)


def test_a_labelled_binding_of_another_name_is_not_expected() -> None:
    """The label is no passport: anyone who may create a binding can set it."""
    labelled = binding("ClusterRole cluster-admin", str(OPS), name="ops")
    labelled["metadata"]["labels"] = dict([bootstrap.LABEL])
    (found,) = snapshot(labelled).bindings
    assert not is_expected(found, OPS)


def test_a_controller_of_another_release_is_expected() -> None:
    """A controller's binding to its own role and service account is Kubernetes' own though this release lacks it."""
    name = "system:controller:route-planner"
    labelled = binding(f"ClusterRole {name}", "ServiceAccount kube-system/route-planner", name=name)
    labelled["metadata"]["labels"] = dict([bootstrap.LABEL])
    (found,) = snapshot(labelled).bindings
    assert is_expected(found, Subject("ServiceAccount", "route-planner", "kube-system"))


def _own_findings(objects: list[dict[str, Any]], server_version: str) -> dict[str, list[str]]:
    """Judge these by all policies about RBAC: policies by resource, of what stands out and what is expected."""
    policies = load_policies(ROOT, only=["rbac/cluster-admin-bound", "rbac/create-workloads", "rbac/mint-tokens"])
    found = evaluate(snapshot(*objects, server_version=server_version), policies, now=NOW).findings
    return {
        "stands out": [f"{f.policy} {f.resource}" for f in found if f.stands_out],
        "expected": [f"{f.policy} {f.resource}" for f in found if f.expected],
    }


@pytest.mark.control_plane
def test_one_verb_more_in_a_role_of_the_real_api_server_stands_out(control_plane: ControlPlane) -> None:
    """As the API server would store it: what was expected before is not any more, and nothing else changes."""
    changed = "system:controller:job-controller"
    with Client(control_plane) as client:
        version = client.call("GET", "/version")["gitVersion"]
        objects = [_as_served(o) for o in bootstrap_objects_of(client)]
        (at,) = [n for n, o in enumerate(objects) if (o["kind"], o["metadata"]["name"]) == ("ClusterRole", changed)]
        (rule,) = [n for n, r in enumerate(objects[at]["rules"]) if r["resources"] == ["pods"]]
        path = f"{RBAC_PATH}/clusterroles/{changed}"
        role = client.call("GET", path)
        role["rules"][rule]["verbs"].append("update")
        widened = client.call("PUT", f"{path}?dryRun=All", role)
    before = _own_findings(objects, version)
    after = _own_findings([*objects[:at], widened, *objects[at + 1 :]], version)
    finding = "rbac/create-workloads ServiceAccount kube-system/job-controller"
    assert (before["stands out"], after["stands out"]) == ([], [finding])
    assert set(before["expected"]) - set(after["expected"]) == {finding}


def _as_served(o: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is empty, as the API server does."""
    return {key: value for key, value in o.items() if value is not None}


@pytest.mark.control_plane
def test_the_data_name_the_release_that_they_are_of(control_plane: ControlPlane) -> None:
    """What its roles grant is held against that release exactly."""
    with Client(control_plane) as client:
        assert client.call("GET", "/version")["gitVersion"] == bootstrap.RELEASE
