"""A process that scans and is killed at a chosen point: `python -m tests.service.crash URL POINT`."""

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import scanner.service.scan
import scanner.store.findings
from scanner.model.snapshot import SourceKind
from scanner.service.scan import run_scan, start_scan
from scanner.store.database import open_database
from tests.service.worlds import CLUSTER, EVERYONE, POLICIES, at, before_and_after

#: Where the process ends: module and function whose call it does not survive, and whether the call is still made.
POINTS: dict[str, tuple[Any, str, bool]] = {
    "while judging": (scanner.service.scan, "evaluate", True),
    "before anything is written": (scanner.service.scan, "known_findings", False),
    "after new findings were inserted": (scanner.store.findings, "_insert", True),
    "after findings were resolved": (scanner.store.findings, "_end", True),
    "after news were enqueued": (scanner.service.scan, "_enqueue", True),
    "before the commit": (scanner.service.scan, "finish_scan", True),
}


def deadly(function: Callable[..., Any], *, is_called: bool) -> Callable[..., Any]:
    """Make a function the last that this process calls."""

    @functools.wraps(function)
    def last(*arguments: Any, **named: Any) -> None:
        if is_called:
            function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return last


def main(url: str, point: str) -> None:
    """Scan the changed cluster an hour later, up to the point."""
    module, name, is_called = POINTS[point]
    setattr(module, name, deadly(getattr(module, name), is_called=is_called))
    engine = open_database(url)
    begun = start_scan(engine, cluster=CLUSTER, source=SourceKind.LIVE, trigger="api", now=at(1))
    run_scan(
        engine,
        begun,
        read=lambda _: before_and_after()[1],
        policies=POLICIES,
        subscriptions=EVERYONE,
        clock=lambda: at(1),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
