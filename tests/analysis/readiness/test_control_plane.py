"""The control plane as its static pods and its nodes show it."""

from typing import Any

import pytest

from scanner.analysis.readiness.control_plane import (
    control_plane_flags,
    control_plane_seen,
    managed_service,
    version_skew,
)
from scanner.model.finding import Outcome
from scanner.model.snapshot import SourceKind
from tests.builders import NOW, container, pod, snapshot


def _api_server(*flags: str, namespace: str = "kube-system") -> dict[str, Any]:
    """Make the API server's mirror pod, which its node controls."""
    made = pod("kube-apiserver-cp-1", container(command=["kube-apiserver", *flags]), namespace=namespace)
    owner = {"apiVersion": "v1", "kind": "Node", "name": "cp-1", "uid": "1", "controller": True}
    made["metadata"]["ownerReferences"] = [owner]
    return made


def _node(version: str, **labels: str) -> dict[str, Any]:
    status = {"nodeInfo": {"kubeletVersion": version}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": labels}, "status": status}


def _flag(*flags: str, **arguments: Any) -> list[Outcome]:
    asked = {"component": "kube-apiserver", "flag": "anonymous-auth", "default": "true", "allow": ["false"]} | arguments
    return [a.outcome for a in control_plane_flags(snapshot(_api_server(*flags)), now=NOW, **asked)]


@pytest.mark.parametrize(
    ("flags", "outcome"),
    [
        (["--anonymous-auth=false"], Outcome.PASS),
        (["--anonymous-auth", "false"], Outcome.PASS),
        (["--anonymous-auth=false", "--anonymous-auth=true"], Outcome.FAIL),
        (["--anonymous-auth"], Outcome.FAIL),
        ([], Outcome.FAIL),
        (["--authentication-config=/etc/auth.yaml"], Outcome.UNKNOWN),
    ],
)
def test_a_flag_is_read_as_the_program_reads_it(flags: list[str], outcome: Outcome) -> None:
    """The last one counts, a missing one has its default, and a file in its place is not known."""
    assert _flag(*flags, instead=["authentication-config"]) == [outcome]


def test_only_pods_of_the_system_namespace_are_the_control_plane() -> None:
    """Anyone may call a container so elsewhere."""
    elsewhere = snapshot(_api_server(namespace="shop"))
    asked = control_plane_flags(elsewhere, now=NOW, component="kube-apiserver", flag="profiling")
    assert list(asked) == []


def test_a_managed_control_plane_is_unknown_and_named() -> None:
    """By the version of its nodes."""
    (answer,) = control_plane_seen(snapshot(_node("v1.37.1-eks-0a1b2c3")), now=NOW, components=["kube-apiserver"])
    assert (answer.outcome, "Amazon EKS" in answer.message) == (Outcome.UNKNOWN, True)


@pytest.mark.parametrize(
    ("node", "name"),
    [
        (_node("v1.37.1-gke.1200"), "Google GKE"),
        (_node("v1.37.1", **{"kubernetes.azure.com/cluster": "c"}), "Azure AKS"),
        (_node("v1.37.1+k3s1"), ""),
    ],
)
def test_managed_services_are_known_by_versions_and_labels(node: dict[str, Any], name: str) -> None:
    """Of their nodes."""
    assert managed_service(snapshot(node)) == name


@pytest.mark.parametrize(
    ("server", "kubelet", "outcome"),
    [
        ("v1.37.2", "v1.37.9", Outcome.PASS),
        ("v1.37.2", "v1.34.0", Outcome.PASS),
        ("v1.37.2", "v1.33.0", Outcome.FAIL),
        ("v1.37.2", "v1.38.0", Outcome.FAIL),
        ("v1.27.0", "v1.25.0", Outcome.PASS),
        ("v1.27.0", "v1.24.0", Outcome.FAIL),
        ("v1.37.2", "nonsense", Outcome.UNKNOWN),
        ("", "v1.37.0", Outcome.UNKNOWN),
    ],
)
def test_the_skew_policy_of_kubernetes_decides(server: str, kubelet: str, outcome: Outcome) -> None:
    """Never newer; three minors older, two before 1.28."""
    (answer,) = version_skew(snapshot(_node(kubelet), server_version=server), now=NOW)
    assert answer.outcome is outcome


def test_files_do_not_tell_the_versions_of_a_cluster() -> None:
    """Unknown, once."""
    (answer,) = version_skew(snapshot(source=SourceKind.MANIFESTS, server_version=""), now=NOW)
    assert (answer.outcome, answer.missing) == (Outcome.UNKNOWN, ("list nodes",))
