"""Autoscalers that can never do their work."""

from typing import Any

import pytest

from scanner.analysis.readiness.autoscaling import autoscalers_that_cannot_scale
from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from scanner.model.snapshot import SourceKind
from tests.analysis.readiness.builders import autoscaler, limit_range, replicated, unread
from tests.builders import NOW, container, snapshot, workload

WITH_CPU = container(resources={"requests": {"cpu": "250m"}})


def _judge(*objects: dict[str, Any], source: SourceKind = SourceKind.LIVE) -> Answer:
    (answer,) = autoscalers_that_cannot_scale(snapshot(*objects, source=source), now=NOW)
    return answer


def _metric(name: str, target: str, **more: Any) -> dict[str, Any]:
    kind = "containerResource" if more else "resource"
    return {"type": kind[0].upper() + kind[1:], kind: {"name": name, "target": {"type": target}} | more}


@pytest.mark.parametrize(
    ("source", "expected"), [(SourceKind.LIVE, Outcome.FAIL), (SourceKind.MANIFESTS, Outcome.UNKNOWN)]
)
def test_a_missing_target_depends_on_what_absence_means(source: SourceKind, expected: Outcome) -> None:
    """In a cluster it does not exist; beside a file it may."""
    assert _judge(autoscaler("Deployment gone"), source=source).outcome is expected


def test_a_target_of_a_kind_that_is_not_read_is_unknown() -> None:
    """A custom resource may well exist."""
    assert _judge(autoscaler("Rollout cart")).outcome is Outcome.UNKNOWN


def test_a_target_that_could_not_be_read_is_unknown() -> None:
    """Absence proves nothing then."""
    seen = snapshot(autoscaler("Deployment gone"), coverage=unread("deployments.apps"))
    (answer,) = autoscalers_that_cannot_scale(seen, now=NOW)
    assert (answer.outcome, answer.missing) == (Outcome.UNKNOWN, ("list deployments.apps",))


def test_the_use_of_what_is_not_requested_cannot_be_measured() -> None:
    """Without metrics it is CPU that is measured; one container without a request is enough."""
    answer = _judge(autoscaler(), workload("cart", WITH_CPU, container("metrics")))
    assert [fact.path for fact in answer.evidence] == ["spec.template.spec.containers[1].resources.requests.cpu"]


def test_requested_use_can_be_measured() -> None:
    """All containers ask for CPU."""
    assert _judge(autoscaler(), workload("cart", WITH_CPU)).outcome is Outcome.PASS


def test_requests_from_the_namespace_count() -> None:
    """Its pods have them."""
    objects = autoscaler(), replicated(1), limit_range(defaultRequest={"cpu": "100m"})
    assert _judge(*objects).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (_metric("cpu", "Utilization"), Outcome.FAIL),
        (_metric("cpu", "AverageValue"), Outcome.PASS),
        (_metric("memory", "Utilization"), Outcome.FAIL),
        (_metric("cpu", "Utilization", container="app"), Outcome.PASS),
        (_metric("cpu", "Utilization", container="metrics"), Outcome.FAIL),
        ({"type": "External", "external": {"metric": {"name": "queue"}}}, Outcome.PASS),
    ],
    ids=["share", "amount", "memory", "of one container", "of the other container", "from elsewhere"],
)
def test_only_shares_of_requests_need_requests(metric: dict[str, Any], expected: Outcome) -> None:
    """Amounts, and metrics from elsewhere, are measured as they are."""
    objects = autoscaler(metrics=[metric]), workload("cart", WITH_CPU, container("metrics"))
    assert _judge(*objects).outcome is expected


def test_the_first_version_has_a_field_for_cpu() -> None:
    """It is a share of requests as well."""
    objects = autoscaler(version="v1", targetCPUUtilizationPercentage=70), replicated(1)
    assert _judge(*objects).outcome is Outcome.FAIL


def test_the_first_version_keeps_other_metrics_in_an_annotation() -> None:
    """Then a missing CPU target means that CPU is not measured."""
    made = autoscaler(version="v1")
    made["metadata"]["annotations"] = {"autoscaling.alpha.kubernetes.io/metrics": "[]"}
    assert _judge(made, replicated(1)).outcome is Outcome.PASS
