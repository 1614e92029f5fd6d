"""How many pods a workload runs."""

from typing import Any

import pytest

from scanner.analysis.readiness.scale import Scale, scale_of
from scanner.model.finding import Fact
from tests.analysis.readiness.builders import autoscaler, replicated
from tests.builders import pod, snapshot, workload


def _scale(*objects: dict[str, Any]) -> Scale | None:
    found = snapshot(*objects)
    return scale_of(found, found.workloads[0])


def _range(*objects: dict[str, Any]) -> tuple[int, int]:
    scale = _scale(*objects)
    assert scale is not None
    return scale.fewest, scale.most


@pytest.mark.parametrize(("replicas", "expected"), [(None, (1, 1)), (0, (0, 0)), (3, (3, 3))])
def test_replicas_say_how_many(replicas: int | None, expected: tuple[int, int]) -> None:
    """Missing replicas are one, as the API server fills them in."""
    assert _range(replicated(replicas)) == expected


def test_an_autoscaler_overrules_replicas() -> None:
    """What is written as replicas lasts until it looks for the first time."""
    assert _range(replicated(8), autoscaler(minReplicas=2)) == (2, 5)


def test_an_autoscaler_without_minimum_goes_down_to_one() -> None:
    """The API server fills in 1."""
    assert _range(replicated(8), autoscaler()) == (1, 5)


def test_an_autoscaler_leaves_what_is_switched_off_alone() -> None:
    """Scaling to zero by hand turns it off."""
    assert _range(replicated(0), autoscaler(minReplicas=2)) == (0, 0)


@pytest.mark.parametrize("target", ["StatefulSet cart", "Deployment basket"])
def test_an_autoscaler_of_another_target_changes_nothing(target: str) -> None:
    """Kind and name must both fit."""
    assert _range(replicated(3), autoscaler(target, minReplicas=5)) == (3, 3)


def test_the_evidence_is_the_field_that_decides() -> None:
    """Here it is the autoscaler's."""
    scale = _scale(replicated(8), autoscaler(minReplicas=2))
    assert scale is not None
    assert (scale.fact.path, str(scale.fact.object)) == ("spec.minReplicas", "HorizontalPodAutoscaler shop/cart")


def test_the_evidence_of_replicas_is_what_stands_there() -> None:
    """A missing field is shown as missing, not as its default."""
    scale = _scale(replicated(None))
    assert scale is not None
    assert scale.fact == Fact(path="spec.replicas", value=None)


@pytest.mark.parametrize("unscaled", [pod("cart"), workload("cart", kind="DaemonSet"), workload("cart", kind="Job")])
def test_kinds_without_replicas_have_no_scale(unscaled: dict[str, Any]) -> None:
    """How many run is not theirs to say."""
    assert _scale(unscaled) is None


def test_a_custom_controller_has_no_scale() -> None:
    """Its own object was not read."""
    assert _scale(pod("cart-0", owner="Rollout cart")) is None
