"""When things run: scans by interval or cron expression, and whatever else comes in `jobs`.

A run that was missed while the process was down is caught up once, at start; which one that is follows from the last
scan in the database, so that nothing about the schedule needs to be stored.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scanner.errors import SettingsError
from scanner.settings import duration

#: Never scan by itself.
OFF = "off"
#: As cron counts them: Sunday is 0, and 7.
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON_FIELDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to run again and again; never twice at a time."""

    name: str
    run: Callable[[], object]
    trigger: BaseTrigger


def every(interval: dt.timedelta, jitter: dt.timedelta = dt.timedelta(0)) -> BaseTrigger:
    """Return a trigger that fires after each interval, for the first time one interval from now."""
    return IntervalTrigger(seconds=interval.total_seconds(), jitter=_seconds(jitter), timezone=dt.UTC)


def scan_trigger(schedule: str, last: dt.datetime | None, now: dt.datetime, jitter: dt.timedelta) -> BaseTrigger | None:
    """Return when scans start, None for never; an interval counts from the last scan.

    Raises SettingsError for a cron expression that means nothing, or no day that there will ever be.
    """
    if schedule == OFF:
        return None
    if len(schedule.split()) == _CRON_FIELDS:
        trigger = cron_trigger(schedule, jitter)
        if trigger.get_next_fire_time(None, now) is None:
            raise SettingsError(f"setting schedule: {schedule!r} never comes")
        return trigger
    interval = duration(schedule)
    start = now + interval if last is None else max(now, last + interval)
    return IntervalTrigger(seconds=interval.total_seconds(), start_date=start, jitter=_seconds(jitter), timezone=dt.UTC)


def is_missed(schedule: str, last: dt.datetime | None, now: dt.datetime) -> bool:
    """Tell whether a scan should have started between the last one and now; without a last one it always should."""
    if schedule == OFF:
        return False
    if last is None:
        return True
    if len(schedule.split()) == _CRON_FIELDS:
        following = cron_trigger(schedule).get_next_fire_time(None, last + dt.timedelta(microseconds=1))
        return following is not None and following <= now
    return last + duration(schedule) <= now


def cron_trigger(expression: str, jitter: dt.timedelta = dt.timedelta(0)) -> BaseTrigger:
    """Return a trigger for a cron expression in UTC, as crontab(5) reads it.

    The library counts weekdays from Monday and wants day of month and day of week both to fit; cron counts from Sunday,
    and takes either if both are restricted.
    """
    minute, hour, day, month, weekday = expression.split()

    def trigger(day: str, weekday: str) -> BaseTrigger:
        return CronTrigger(
            minute=minute,
            hour=hour,
            day=day,
            month=month,
            day_of_week=weekday,
            timezone=dt.UTC,
            jitter=_seconds(jitter),
        )

    try:
        days = _weekdays(weekday)
        if day.startswith("*") or weekday.startswith("*"):
            return trigger(day, days)
        return OrTrigger([trigger(day, "*"), trigger("*", days)])
    except ValueError as error:
        raise SettingsError(f"setting schedule: {expression!r}: {error}") from error


def _weekdays(field: str) -> str:
    """Write the weekdays of a cron field as a list of names."""
    if field == "*":
        return field
    chosen = {day % 7 for part in field.lower().split(",") for day in _weekday_range(part)}
    return ",".join(_WEEKDAYS[day] for day in sorted(chosen))


def _weekday_range(part: str) -> range:
    """Return the days that `*/2`, `1-5`, `fri-sun` or `7` names."""
    bounds, _, step = part.partition("/")
    first, dash, last = bounds.partition("-")
    start = 0 if first == "*" else _weekday(first)
    end = _weekday(last) if dash else (6 if first == "*" or step else start)
    if dash and end < start:
        end += 7  # fri-sun, where Sunday is 0
    return range(start, end + 1, int(step or 1))


def _weekday(text: str) -> int:
    if text in _WEEKDAYS:
        return _WEEKDAYS.index(text)
    if text in {"0", "1", "2", "3", "4", "5", "6", "7"}:
        return int(text)
    msg = f"{text!r} is no weekday"
    raise ValueError(msg)


def _seconds(jitter: dt.timedelta) -> float | None:
    return jitter.total_seconds() or None


def scheduler_of(jobs: Iterable[Job]) -> BackgroundScheduler:
    """Return a scheduler for the jobs, not started yet.

    Each job runs in a thread, one instance at a time; runs that were due together, since the process stood still, are
    made up for by one, however late it is.
    """
    scheduler = BackgroundScheduler(
        timezone=dt.UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    for job in jobs:
        scheduler.add_job(job.run, job.trigger, id=job.name, name=job.name)
    return scheduler
