"""Installs that many people run, in a real API server: the live scan says what the scan of their files says."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from scanner.model.finding import Outcome
from tests.cli.running import plimsoll
from tests.kube import kube
from tests.services import ControlPlane

INSTALLS = {
    "kube-prometheus": "manifests",
    "argo-cd": "manifests/install.yaml",
    "microservices-demo": "release/kubernetes-manifests.yaml",
}
#: What these say of an object does not depend on what else is in the cluster.
LOCAL = ("pods/*", "readiness/no-*", "readiness/*probe*")


def _objects(path: Path) -> list[dict[str, Any]]:
    files = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
    documents = [o for file in files for o in yaml.safe_load_all(file.read_text()) if o]
    objects = [o for document in documents for o in document.get("items", [document])]
    # An APIService without its server would break discovery for every test of this API server.
    return [o for o in objects if o["kind"] != "APIService"]


def _said(report: Mapping[str, Any], about: Iterable[tuple[str, str, str]]) -> set[tuple[str, ...]]:
    wanted = set(about)
    return {
        (result["policy"], *place, *sorted(f"{fact.get('container', '')}" for fact in result["evidence"]))
        for result in report["results"]
        for place in [(result["resource"]["kind"], result["resource"]["namespace"], result["resource"]["name"])]
        if place in wanted and result["outcome"] == Outcome.FAIL
    }


@pytest.mark.control_plane
@pytest.mark.parametrize("install", INSTALLS)
def test_live_and_files_agree(control_plane: ControlPlane, corpus: Path, install: str) -> None:
    """Same policies, same root owners, same containers; the API server's defaults change no verdict."""
    path = corpus / "realworld" / install / INSTALLS[install]
    objects = _objects(path)
    with kube(control_plane) as server:
        server.install(objects)
    about = {(o["kind"], o["metadata"].get("namespace", "default"), o["metadata"]["name"]) for o in objects}
    live = plimsoll("scan", "--kubeconfig", control_plane.kubeconfig, "-o", "json", "--policies", *LOCAL)
    files = plimsoll("scan", "--manifests", path, "-o", "json", "--policies", *LOCAL)
    assert _said(live.json, about) == _said(files.json, about)
    assert _said(live.json, about), "nothing was found in a real install, which is not believable"


@pytest.mark.control_plane
def test_a_live_scan_reads_everything_but_secrets(control_plane: ControlPlane) -> None:
    """Coverage says so; what hangs on Secrets is unknown, never a pass."""
    ended = plimsoll("scan", "--kubeconfig", control_plane.kubeconfig, "-o", "json")
    assert ended.status == 0, ended.err
    states = {read["resource"]: read["state"] for read in ended.json["coverage"]}
    opt_in = {"secrets", "TLS Secrets"}
    assert {states[name] for name in opt_in} == {"skipped"}
    assert {state for name, state in states.items() if name not in opt_in} <= {"complete", "absent"}
    unknown = {r["policy"] for r in ended.json["results"] if r["outcome"] == "unknown"}
    assert "secrets/legacy-service-account-token" in unknown
    assert json.loads(ended.out)["serverVersion"] == "v1.37.2"
