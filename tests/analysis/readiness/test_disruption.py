"""Whether drains take too much, or cannot go on."""

from typing import Any

import pytest

from scanner.analysis.readiness.disruption import (
    budgets_that_block_drains,
    overlapping_budgets,
    replicated_without_budget,
)
from scanner.model.finding import Outcome
from scanner.model.snapshot import SourceKind
from tests.analysis.readiness.builders import autoscaler, budget, replicated, unread
from tests.builders import NOW, pod, snapshot, workload


def _blocking(*objects: dict[str, Any], source: SourceKind = SourceKind.LIVE) -> Outcome:
    (answer,) = budgets_that_block_drains(snapshot(*objects, source=source), now=NOW)
    return answer.outcome


def _unprotected(*objects: dict[str, Any]) -> Outcome:
    (answer,) = replicated_without_budget(snapshot(*objects), now=NOW)
    return answer.outcome


@pytest.mark.parametrize(
    ("spec", "replicas", "expected"),
    [
        ({"maxUnavailable": 0}, 3, Outcome.FAIL),
        ({"maxUnavailable": "0%"}, 3, Outcome.FAIL),
        ({"maxUnavailable": 1}, 1, Outcome.PASS),
        ({"maxUnavailable": "1%"}, 3, Outcome.PASS),
        ({"minAvailable": 3}, 3, Outcome.FAIL),
        ({"minAvailable": 4}, 3, Outcome.FAIL),
        ({"minAvailable": 2}, 3, Outcome.PASS),
        ({"minAvailable": 0}, 3, Outcome.PASS),
        ({"minAvailable": "100%"}, 3, Outcome.FAIL),
        ({"minAvailable": "67%"}, 3, Outcome.FAIL),
        ({"minAvailable": "66%"}, 3, Outcome.PASS),
        ({"minAvailable": 1}, 1, Outcome.FAIL),
        ({"minAvailable": 1}, 0, Outcome.PASS),
        ({"maxUnavailable": 0}, 0, Outcome.PASS),
        ({}, 3, Outcome.PASS),
    ],
    ids=str,
)
def test_a_budget_blocks_if_it_lets_none_of_the_healthy_pods_go(
    spec: dict[str, Any], replicas: int, expected: Outcome
) -> None:
    """Percentages are rounded up, for what must stay as for what may go."""
    assert _blocking(replicated(replicas), budget(**spec)) is expected


def test_the_fewest_pods_of_an_autoscaler_count() -> None:
    """A drain at night is a drain."""
    assert _blocking(replicated(9), autoscaler(minReplicas=2), budget(minAvailable=2)) is Outcome.FAIL


def test_pods_of_all_covered_workloads_count_together() -> None:
    """The budget asks for a number of pods, whoever made them."""
    blue, green = (replicated(1, name, labels={"app": "cart"}) for name in ("blue", "green"))
    assert _blocking(blue, green, budget(minAvailable=1)) is Outcome.PASS


def test_a_bare_pod_counts_as_one() -> None:
    """It is covered like any other."""
    assert _blocking(pod("cart", labels={"app": "cart"}), budget(minAvailable=1)) is Outcome.FAIL


def test_running_pods_of_a_custom_controller_count() -> None:
    """Nothing else tells how many it wants."""
    pods = [pod(f"cart-{i}", labels={"app": "cart"}, owner="Rollout cart") for i in range(2)]
    assert _blocking(*pods, budget(minAvailable=2)) is Outcome.FAIL


def test_pods_of_daemon_sets_block_no_drain() -> None:
    """Drains leave them where they are."""
    assert _blocking(workload("cart", kind="DaemonSet"), budget(maxUnavailable=0)) is Outcome.PASS


@pytest.mark.parametrize(
    ("source", "expected"), [(SourceKind.LIVE, Outcome.PASS), (SourceKind.MANIFESTS, Outcome.UNKNOWN)]
)
def test_a_strict_budget_of_no_pods_depends_on_what_absence_means(source: SourceKind, expected: Outcome) -> None:
    """In a cluster there are none; beside a file there may be."""
    assert _blocking(budget(maxUnavailable=0), source=source) is expected


def test_a_job_of_unknown_size_leaves_a_number_open() -> None:
    """How many of its pods there will be nothing tells."""
    assert _blocking(workload("cart", kind="Job"), budget(minAvailable=2)) is Outcome.UNKNOWN


def test_replicas_without_a_budget_fail() -> None:
    """The plain case."""
    assert _unprotected(replicated(3)) is Outcome.FAIL


@pytest.mark.parametrize("selector", [{}, {"matchLabels": {"app": "cart"}}], ids=["everything", "by label"])
def test_a_budget_that_selects_the_pods_protects_them(selector: dict[str, Any]) -> None:
    """An empty selector covers the namespace."""
    assert _unprotected(replicated(3), budget(selector=selector, maxUnavailable=1)) is Outcome.PASS


def test_a_budget_without_selector_protects_nothing() -> None:
    """Missing is not empty."""
    bare = budget(maxUnavailable=1)
    del bare["spec"]["selector"]
    assert _unprotected(replicated(3), bare) is Outcome.FAIL


def test_budgets_that_could_not_be_read_leave_it_open() -> None:
    """One of them may cover the pods."""
    seen = snapshot(replicated(3), coverage=unread("poddisruptionbudgets.policy"))
    (answer,) = replicated_without_budget(seen, now=NOW)
    assert answer.outcome is Outcome.UNKNOWN


def test_two_budgets_on_one_pod_fail() -> None:
    """The API server refuses the eviction."""
    seen = snapshot(replicated(3), budget("one", maxUnavailable=1), budget("two", selector={}, maxUnavailable=1))
    (answer,) = overlapping_budgets(seen, now=NOW)
    assert [str(fact.object) for fact in answer.evidence] == [
        "PodDisruptionBudget shop/one",
        "PodDisruptionBudget shop/two",
    ]


def test_one_budget_passes() -> None:
    """That is as it should be."""
    (answer,) = overlapping_budgets(snapshot(replicated(3), budget(maxUnavailable=1)), now=NOW)
    assert answer.outcome is Outcome.PASS
