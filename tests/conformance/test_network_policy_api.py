"""The official conformance pokes of ClusterNetworkPolicy: every one is decided as upstream demands."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scanner.analysis.network.connectivity import Connectivity, connectivity
from scanner.analysis.network.explain import end_of, explain
from scanner.analysis.network.ports import port_span
from scanner.cluster.manifests import read_manifests
from scanner.model.refs import ClusterName
from scanner.model.snapshot import Snapshot
from tests.builders import NOW


@cache
def _world(paths: tuple[Path, ...], policy_only: bool) -> tuple[Snapshot, Connectivity]:
    snapshot = read_manifests(list(paths), cluster=ClusterName("published"), now=NOW)
    return snapshot, connectivity(snapshot, policy_only=policy_only)


def _agrees(case: dict[str, Any], folder: Path, *, policy_only: bool) -> bool:
    snapshot, found = _world(tuple(folder / path for path in case["input"]), policy_only)
    # The pods are of StatefulSets: harry-potter-0 is one of harry-potter.
    source, destination = (end_of(found, snapshot, case[end].rpartition("-")[0]) for end in ("src", "dst"))
    asked = port_span(case["protocol"], case["port"], case["port"])
    answer = explain(found, source, destination, asked)
    return not answer.unknown and bool(answer.allowed) == case["allowed"]


@pytest.mark.parametrize("policy_only", [True, False], ids=["policies alone", "as it is"])
def test_official_pokes_are_decided_as_upstream_demands(corpus: Path, policy_only: bool) -> None:
    """All 110 agree, and none is unknown."""
    folder = corpus / "network-policy-api"
    cases = [json.loads(line) for line in (folder / "cases.jsonl").read_text().splitlines()]
    different = [case["id"] for case in cases if not _agrees(case, folder, policy_only=policy_only)]
    assert (len(cases), different) == (110, [])
