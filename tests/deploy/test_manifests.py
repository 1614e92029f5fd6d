"""The manifests under `deploy/` work, need little, and pass their own scan."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from scanner.model.resources import RESOURCES, SECRETS
from scanner.settings import Settings
from tests.cli.running import REPOSITORY, plimsoll
from tests.kube import Kube, kube
from tests.services import ControlPlane

DEPLOY = REPOSITORY / "deploy"
ADMISSION = DEPLOY / "admission" / "policies.yaml"


def _objects() -> list[dict[str, Any]]:
    names = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())["resources"]
    return [o for name in names for o in yaml.safe_load_all((DEPLOY / name).read_text())]


def _as_installed(server: Kube, control_plane: ControlPlane, folder: Path) -> Path:
    """Install everything and return a kubeconfig of the service account that the service runs as."""
    server.install(_objects())
    answer = server.client.post(
        "/api/v1/namespaces/plimsoll/serviceaccounts/plimsoll/token",
        json={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}},
    )
    config = json.loads(Path(control_plane.kubeconfig).read_text())
    config["users"][0]["user"]["token"] = answer.raise_for_status().json()["status"]["token"]
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    return kubeconfig


@pytest.mark.control_plane
def test_the_installed_rights_are_enough_for_a_complete_scan(control_plane: ControlPlane, tmp_path: Path) -> None:
    """Secrets are the one thing that it never asks for.

    Params of the admission policies that other tests of this API server leave are not ours to read: those need a right
    of their own, which coverage names.
    """
    with kube(control_plane) as server:
        kubeconfig = _as_installed(server, control_plane, tmp_path)
    ended = plimsoll("scan", "--kubeconfig", kubeconfig, "-o", "json")
    not_read = {read["resource"] for read in ended.json["coverage"] if read["state"] not in {"complete", "absent"}}
    assert not_read & {resource.name for resource in RESOURCES} == {SECRETS.name}


def test_the_cluster_role_lists_and_does_nothing_else() -> None:
    """No Secrets, no wildcard, no write."""
    (role,) = [o for o in _objects() if o["kind"] == "ClusterRole"]
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"list"}
    assert not {"*", "secrets"} & {name for rule in role["rules"] for name in (*rule["resources"], *rule["apiGroups"])}


@pytest.mark.parametrize("mode", ["secret-metadata", "certificates"])
def test_a_mode_is_a_component_that_sets_its_variable(mode: str) -> None:
    """And brings its rights; without it, the service holds none on Secrets."""
    component = yaml.safe_load((DEPLOY / mode / "kustomization.yaml").read_text())
    (patch,) = component["patches"]
    (operation,) = yaml.safe_load(patch["patch"])
    setting = operation["value"]["name"].removeprefix("PLIMSOLL_").lower()
    assert (component["kind"], component["resources"]) == ("Component", ["rights.yaml"])
    assert Settings.model_fields[setting].default is False


def test_it_passes_its_own_scan() -> None:
    """Nothing at medium or above, but for what SQLite brings with it: a single replica."""
    report = plimsoll(
        "scan",
        "--manifests",
        DEPLOY / "namespace.yaml",
        DEPLOY / "plimsoll.yaml",
        DEPLOY / "cluster-role.yaml",
        "-o",
        "json",
    ).json
    failed = [
        (r["policy"], r["resource"]["name"])
        for r in report["results"]
        if r["outcome"] == "fail" and r["severity"] != "low"
    ]
    assert failed == [("readiness/single-replica", "plimsoll")]


@pytest.mark.control_plane
def test_the_admission_policies_are_accepted(control_plane: ControlPlane) -> None:
    """By dry-run, each with its binding."""
    documents = list(yaml.safe_load_all(ADMISSION.read_text()))
    assert len(documents) > 50
    with kube(control_plane) as server:
        for document in documents:
            # Other tests of this API server create the same policies.
            document["metadata"]["name"] += "-as-deployed"
            answer = server.create(document, dry_run=True)
            assert answer.is_success, answer.text
