"""The pace of asking: bounded, jittered, and as the server wants it."""

import pytest

from scanner.cluster.pace import LONGEST_WAIT_SECONDS, RetryBudget, TokenBucket, wait_before


@pytest.mark.parametrize(("attempt", "seconds"), [(0, 0.5), (1, 1.0), (2, 2.0), (10, 60.0)])
def test_waits_double_up_to_a_minute(attempt: int, seconds: float) -> None:
    """Without a hint from the server."""
    assert wait_before(attempt, None, 0) == seconds


def test_jitter_spreads_the_waits() -> None:
    """By up to a half, and never sooner."""
    assert wait_before(0, 10, 1) == 15


def test_a_server_cannot_make_us_wait_for_hours() -> None:
    """Its Retry-After is capped."""
    assert wait_before(0, 86_400, 0) == LONGEST_WAIT_SECONDS


def test_a_burst_goes_through_at_once() -> None:
    """Up to its size."""
    bucket = TokenBucket(lambda: 0.0, rate=10, burst=3)
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0.1, 0.2]


def test_tokens_come_back_with_time() -> None:
    """One every tenth of a second, at ten a second."""
    now = 0.0
    bucket = TokenBucket(lambda: now, rate=10, burst=1)
    bucket.take()
    now = 0.1
    assert bucket.take() == 0


def test_retries_run_out() -> None:
    """For all requests together."""
    budget = RetryBudget(left=2)
    assert [budget.spend() for _ in range(3)] == [True, True, False]


def test_answers_give_retries_back() -> None:
    """A tenth each."""
    budget = RetryBudget(left=0.95)
    budget.refund()
    assert budget.spend()
