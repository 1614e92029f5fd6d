"""What containers reserve, and where they end."""

from typing import Any, Literal

import pytest

from scanner.analysis.readiness.resources import containers_without
from scanner.model.finding import Outcome
from tests.analysis.readiness.builders import limit_range, unread
from tests.builders import NOW, container, snapshot, workload


def _lacking(*objects: dict[str, Any], section: Literal["requests", "limits"] = "requests") -> list[str]:
    (answer,) = containers_without(snapshot(*objects), now=NOW, section=section, resources=["cpu", "memory"])
    return [f"{fact.container} {fact.path.rpartition('.')[2]}" for fact in answer.evidence]


def test_each_missing_request_is_evidence() -> None:
    """By container and resource."""
    app = container(resources={"requests": {"cpu": "250m"}})
    assert _lacking(workload("cart", app, container("metrics"))) == ["app memory", "metrics cpu", "metrics memory"]


def test_a_limit_is_a_request_too() -> None:
    """The API server copies it."""
    assert _lacking(workload("cart", container(resources={"limits": {"cpu": 1, "memory": "1Gi"}}))) == []


def test_a_request_is_no_limit() -> None:
    """Nothing stops the container there."""
    app = container(resources={"requests": {"cpu": 1, "memory": "1Gi"}})
    assert _lacking(workload("cart", app), section="limits") == ["app cpu", "app memory"]


@pytest.mark.parametrize("zero", [0, "0"])
def test_zero_bounds_nothing(zero: int | str) -> None:
    """For the kubelet it is as if it were missing."""
    app = container(resources={"limits": {"cpu": zero, "memory": "1Gi"}})
    assert _lacking(workload("cart", app), section="limits") == ["app cpu"]


def test_resources_of_the_pod_count_for_its_containers() -> None:
    """All of them share what the pod has."""
    assert _lacking(workload("cart", resources={"requests": {"cpu": 1, "memory": "1Gi"}})) == []


def test_sidecars_are_judged_and_init_containers_are_not() -> None:
    """Those end, these stay."""
    full = container(resources={"limits": {"cpu": 1, "memory": "1Gi"}})
    extra = [container("migrate"), container("proxy", restartPolicy="Always")]
    assert _lacking(workload("cart", full, initContainers=extra)) == ["proxy cpu", "proxy memory"]


@pytest.mark.parametrize(
    ("item", "requests", "limits"),
    [
        ({"default": {"cpu": 1}}, ["app memory"], ["app memory"]),
        ({"max": {"cpu": 1}}, ["app memory"], ["app memory"]),
        ({"defaultRequest": {"cpu": 1}}, ["app memory"], ["app cpu", "app memory"]),
        ({"min": {"cpu": 1}}, ["app memory"], ["app cpu", "app memory"]),
        ({"type": "Pod", "max": {"cpu": 1}}, ["app cpu", "app memory"], ["app cpu", "app memory"]),
    ],
    ids=["default", "max", "defaultRequest", "min", "of pods"],
)
def test_a_limit_range_fills_in_what_is_missing(item: dict[str, Any], requests: list[str], limits: list[str]) -> None:
    """A maximum is a default limit, a default limit a default request, and a minimum a default request."""
    objects = workload("cart"), limit_range(**item)
    assert (_lacking(*objects), _lacking(*objects, section="limits")) == (requests, limits)


def test_a_limit_range_of_another_namespace_fills_in_nothing() -> None:
    """It is about its own."""
    assert _lacking(workload("cart"), limit_range("other", default={"cpu": 1, "memory": 1})) == [
        "app cpu",
        "app memory",
    ]


def test_limit_ranges_that_could_not_be_read_leave_it_open() -> None:
    """One of them may give what is missing."""
    seen = snapshot(workload("cart"), coverage=unread("limitranges"))
    (answer,) = containers_without(seen, now=NOW, section="limits", resources=["memory"])
    assert answer.outcome is Outcome.UNKNOWN
