"""Scans run when the schedule says, and a missed one is caught up once."""

import datetime as dt
import threading

import pytest

from scanner.errors import SettingsError
from scanner.schedule import Job, cron_trigger, every, is_missed, scan_trigger, scheduler_of

#: A Monday.
NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
NONE = dt.timedelta(0)


def fires(expression: str, count: int) -> list[str]:
    """Return the next times of a cron expression after NOW."""
    trigger, found, at = cron_trigger(expression), [], NOW
    for _ in range(count):
        at = trigger.get_next_fire_time(None, at + dt.timedelta(microseconds=1))
        found.append(f"{at:%a %d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("30 3 * * *", ["Tue 24 03:30", "Wed 25 03:30"]),
        ("0 */6 * * *", ["Mon 23 18:00", "Tue 24 00:00"]),
        ("0 0 * * 0", ["Sun 29 00:00", "Sun 06 00:00"]),
        ("0 0 * * 7", ["Sun 29 00:00", "Sun 06 00:00"]),
        ("0 0 * * 1-2", ["Tue 24 00:00", "Mon 30 00:00"]),
        ("0 0 * * fri-sun", ["Fri 27 00:00", "Sat 28 00:00"]),
        ("0 0 * * 0-1", ["Sun 29 00:00", "Mon 30 00:00"]),
        ("0 0 * * */2", ["Tue 24 00:00", "Thu 26 00:00"]),
        ("0 0 25 * 2", ["Tue 24 00:00", "Wed 25 00:00"]),
        ("0 0 1 jan *", ["Fri 01 00:00"]),
    ],
)
def test_cron_reads_as_crontab_does(expression: str, times: list[str]) -> None:
    """Sunday is 0 and 7, and of two restricted day fields either suffices."""
    assert fires(expression, len(times)) == times


@pytest.mark.parametrize("expression", ["61 * * * *", "* * * * mun", "* * * * 8", "a b c d e", "0 0 30 2 *"])
def test_cron_that_means_nothing_is_refused(expression: str) -> None:
    """A wrong expression is told at start, by the name of its setting."""
    with pytest.raises(SettingsError, match="setting schedule"):
        scan_trigger(expression, None, NOW, NONE)


def test_off_never_scans() -> None:
    """Without a schedule there is no trigger."""
    assert scan_trigger("off", None, NOW, NONE) is None


def test_interval_counts_from_the_last_scan() -> None:
    """A restart does not put the next scan off."""
    trigger = scan_trigger("1h", NOW - dt.timedelta(minutes=50), NOW, NONE)
    assert trigger is not None
    assert trigger.get_next_fire_time(None, NOW) == NOW + dt.timedelta(minutes=10)


def test_jitter_only_delays() -> None:
    """No scan starts before its time, none later than the jitter allows."""
    trigger = scan_trigger("1h", NOW, NOW, dt.timedelta(minutes=5))
    assert trigger is not None
    times = [trigger.get_next_fire_time(None, NOW) for _ in range(50)]
    assert all(NOW + HOUR <= at <= NOW + HOUR + dt.timedelta(minutes=5) for at in times)


@pytest.mark.parametrize(
    ("schedule", "last", "missed"),
    [
        ("1h", None, True),
        ("0 6 * * *", None, True),
        ("off", None, False),
        ("1h", NOW - dt.timedelta(minutes=59), False),
        ("1h", NOW - HOUR, True),
        ("1h", NOW - 30 * HOUR, True),
        ("0 6 * * *", dt.datetime(2026, 11, 23, 6, 0, 1, tzinfo=dt.UTC), False),
        ("0 6 * * *", dt.datetime(2026, 11, 23, 6, 0, tzinfo=dt.UTC), False),
        ("0 6 * * *", dt.datetime(2026, 11, 23, 5, 59, 59, tzinfo=dt.UTC), True),
        ("0 6 * * *", dt.datetime(2026, 11, 1, 6, 0, tzinfo=dt.UTC), True),
        ("0 12 * * *", dt.datetime(2026, 11, 22, 12, 0, 5, tzinfo=dt.UTC), True),
    ],
)
def test_missed_run_is_told_from_the_last_scan(schedule: str, last: dt.datetime | None, missed: bool) -> None:
    """A run is missed if one was due after the last scan and before now."""
    assert is_missed(schedule, last, NOW) is missed


def test_jobs_run_again_and_again() -> None:
    """A job runs in a thread after each interval."""
    ran, twice = [0], threading.Event()

    def run() -> None:
        ran[0] += 1
        if ran[0] == 2:
            twice.set()

    scheduler = scheduler_of([Job(name="count", run=run, trigger=every(dt.timedelta(milliseconds=20)))])
    scheduler.start()
    try:
        assert twice.wait(10)
    finally:
        scheduler.shutdown()


def test_slow_job_never_overlaps_itself() -> None:
    """A run that is due while the last one runs is left out."""
    release, started = threading.Event(), threading.Semaphore(0)
    other = threading.Semaphore(0)

    def slow() -> None:
        started.release()
        release.wait(10)

    tick = dt.timedelta(milliseconds=20)
    scheduler = scheduler_of(
        [Job(name="slow", run=slow, trigger=every(tick)), Job(name="other", run=other.release, trigger=every(tick))]
    )
    scheduler.start()
    try:
        assert started.acquire(timeout=10)
        assert all(other.acquire(timeout=10) for _ in range(5))
        assert not started.acquire(blocking=False)
    finally:
        release.set()
        scheduler.shutdown()


def test_job_that_fails_runs_again() -> None:
    """One failure does not end a job."""
    tries = threading.Semaphore(0)

    def fail() -> None:
        tries.release()
        raise ConnectionError("no")

    scheduler = scheduler_of([Job(name="fails", run=fail, trigger=every(dt.timedelta(milliseconds=20)))])
    scheduler.start()
    try:
        assert all(tries.acquire(timeout=10) for _ in range(3))
    finally:
        scheduler.shutdown()
