"""How ready each workload is, by stored findings."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from scanner.model.coverage import Read, ReadState
from scanner.model.policy import Chapter, Severity
from scanner.model.resources import RESOURCES
from tests.api.conftest import PRIVILEGED, UNPINNED, Api, api_over, deployment, scan
from tests.builders import cel_policy, snapshot

LABELLED = cel_policy(
    "pods/namespace-labelled", severity=Severity.LOW, subject="Namespace", forbid="!has(object.metadata.labels)"
)
POLICIES = (
    replace(PRIVILEGED, chapter=Chapter.SECURITY),
    replace(UNPINNED, chapter=Chapter.PERFORMANCE),
    replace(LABELLED, chapter=Chapter.MONITORING),
)
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bank"}}


@pytest.fixture
def ready(engine: Engine) -> Iterator[Api]:
    """An API over a scan of four workloads in two namespaces; the one called bank has no labels."""
    made = api_over(engine, policies=POLICIES)
    things = (
        deployment("cart"),
        deployment("web", privileged=False, tag="1"),
        deployment("till", "bank", tag="1"),
        deployment("vault", "bank", privileged=False, tag="1"),
    )
    scan(made.engine, *things, NAMESPACE, policies=POLICIES)
    yield made
    assert made.runner.stop(30)


def _verdicts(api: Api, **params: Any) -> dict[str, dict[str, str]]:
    """Return the verdicts by name of the workload, page by page."""
    found = api.items("/api/v1/readiness", kind="Deployment", **params)
    return {i["resource"]["name"]: {c: s["verdict"] for c, s in i["chapters"].items()} for i in found}


def test_a_chapter_is_as_ready_as_its_findings(ready: Api) -> None:
    """What fails is not ready, what does not is, and what no policy is asked about is unknown."""
    found = _verdicts(ready, namespace="shop")
    asked = ("security", "performance", "monitoring", "logging")
    assert [found["cart"][c] for c in asked] == ["not-ready", "not-ready", "ready", "unknown"]
    assert [found["web"][c] for c in asked] == ["ready", "ready", "ready", "unknown"]


def test_what_is_said_of_a_namespace_counts_for_its_workloads(ready: Api) -> None:
    """And for no others."""
    assert {name: v["monitoring"] for name, v in _verdicts(ready).items()} == {
        "till": "not-ready",
        "vault": "not-ready",
        "cart": "ready",
        "web": "ready",
    }


def test_pages_leave_nothing_out_and_repeat_nothing(ready: Api) -> None:
    """However small they are."""
    assert list(_verdicts(ready, limit=1)) == list(_verdicts(ready)) == ["till", "vault", "cart", "web"]


def test_what_could_not_be_read_is_unknown(engine: Engine) -> None:
    """For each workload, since it is said of the cluster."""
    made = api_over(engine, policies=POLICIES)
    reads = [
        Read(r.name, ReadState.FORBIDDEN if r.name == "pods" else ReadState.COMPLETE, reason="") for r in RESOURCES
    ]
    scan(engine, policies=POLICIES, taken=snapshot(deployment("web", privileged=False, tag="1"), coverage=reads))
    assert _verdicts(made)["web"]["security"] == "unknown"
    assert made.runner.stop(30)


def test_a_filter_that_is_misspelt_is_refused(ready: Api) -> None:
    """It is never without effect."""
    assert ready.get("/api/v1/readiness", params={"namespaces": "shop"}).status_code == 422
