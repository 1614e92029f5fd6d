"""The fixtures of policies/rbac are true: a real API server takes them, and it is no matter how they are read."""

from pathlib import Path
from typing import Any

import pytest

from scanner.model.finding import Outcome
from scanner.model.policy import PolicyId
from scanner.model.refs import GroupKind, group_of
from scanner.model.resources import plural_of
from scanner.model.snapshot import SourceKind
from scanner.policy.evaluate import evaluate
from scanner.policy.load import load_policy
from tests.analysis.rbac.kube import Client
from tests.builders import NOW, snapshot
from tests.policies.fixtures import FOLDERS, objects_of
from tests.services import ControlPlane

FILES = [
    file
    for name, folder in FOLDERS
    if name.startswith("rbac/")
    for file in sorted(folder.glob("*.yaml"))
    if file.name != "policy.yaml"
]
IDS = [f"{file.parent.name}/{file.stem}" for file in FILES]
#: Whether no pod runs as an account is known of a live cluster alone: files give unknown.
LIVE_ONLY = frozenset({"unused-identity-rights"})


@pytest.mark.control_plane
@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_the_api_server_takes_every_object(control_plane: ControlPlane, file: Path) -> None:
    """Server-side apply, as a dry run, accepts each fixture; missing namespaces are the only thing left out."""
    with Client(control_plane) as client:
        for o in objects_of(file):
            placed = o | {
                "metadata": o["metadata"] | ({"namespace": "default"} if "namespace" in o["metadata"] else {})
            }
            client.apply(_path(placed), placed)


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_files_and_a_live_cluster_give_the_same_findings(file: Path) -> None:
    """The fixtures rest on nothing that only a live cluster, or only Kubernetes' own roles, would tell.

    Only how near a service account is to anyone is known of a live cluster alone, and so how severe a finding is.
    """
    policy = load_policy(file.parent / "policy.yaml", PolicyId(f"rbac/{file.parent.name}"))
    found = [
        [
            (f.outcome, f.resource, f.evidence, f.expected)
            for f in evaluate(snapshot(*objects_of(file), source=source), [policy], now=NOW).findings
        ]
        for source in (SourceKind.LIVE, SourceKind.MANIFESTS)
    ]
    live, files = found
    if file.parent.name in LIVE_ONLY:
        assert [f[1:] for f in files] == [f[1:] for f in live]
        assert {outcome for outcome, *_ in files} <= {Outcome.UNKNOWN}
    else:
        assert files == live


def _path(o: dict[str, Any]) -> str:
    metadata = o["metadata"]
    if o["kind"] == "ServiceAccount":
        return f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{metadata['name']}"
    plural = plural_of(GroupKind(group_of(o["apiVersion"]), o["kind"]))
    place = f"namespaces/{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"/apis/{o['apiVersion']}/{place}{plural}/{metadata['name']}"
