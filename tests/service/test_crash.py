"""A scan whose process is killed: nothing half-visible, nothing lost, and the next scan is right."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scanner.errors import ScanRunningError
from scanner.store.scans import ABANDONED
from tests.service.crash import POINTS
from tests.service.worlds import before_and_after, remembered, rows, scan

BEFORE, AFTER = before_and_after()


def crash(engine: Engine, point: str) -> None:
    """Run a scan in another process, which is killed at a point."""
    url = engine.url.render_as_string(hide_password=False)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.service.crash", url, point],
        cwd=Path(__file__).parents[2],
        env=dict(os.environ),
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_scan_leaves_everything_as_it_was_and_the_next_is_right(engine: Engine, point: str) -> None:
    """Wherever it was killed; each change is told exactly once, by the scan that was stored."""
    scan(engine, BEFORE)
    before = remembered(engine)
    crash(engine, point)
    assert remembered(engine) == before
    # The row of the killed scan gives way once its lease is over.
    scan(engine, AFTER, hour=2)
    assert rows(engine, "SELECT state, error FROM scans ORDER BY started_at") == [
        ("complete", ""),
        ("failed", ABANDONED),
        ("complete", ""),
    ]
    assert rows(engine, "SELECT name, state FROM findings ORDER BY name") == [
        ("cart", "resolved"),
        ("ledger", "open"),
        ("mailer", "open"),
    ]
    assert rows(engine, "SELECT transition, count(*) FROM finding_events GROUP BY 1 ORDER BY 1") == [
        ("opened", 3),
        ("resolved", 1),
    ]
    assert rows(engine, "SELECT count(*) FROM deliveries") == [(2,)]


def test_a_killed_scan_stands_in_the_way_until_its_lease_is_over(engine: Engine) -> None:
    """Nobody can tell a dead process from a slow one any sooner."""
    crash(engine, "while judging")
    with pytest.raises(ScanRunningError):
        scan(engine, AFTER, hour=1)
