"""What we take for Kubernetes' own roles and bindings is what a real API server makes."""

from pathlib import Path

import msgspec
import pytest

from scanner.analysis.rbac import bootstrap
from scanner.analysis.rbac.bootstrap import bootstrap_bindings, is_expected
from scanner.analysis.rbac.requests import canonical_subject
from scanner.model.rbac import Subject
from tests.analysis.rbac.kube import Client
from tests.analysis.rbac.refresh_bootstrap import bootstrap_objects_of
from tests.builders import binding, snapshot
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
