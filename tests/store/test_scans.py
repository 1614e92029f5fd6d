"""Scans: one at a time a cluster, alive or failed."""

import datetime as dt

import pytest
from sqlalchemy import Engine

from scanner.errors import ScanRunningError, ScanStoppedError
from scanner.model.coverage import Read, ReadState
from scanner.model.refs import ClusterName
from scanner.store.database import reading, writing
from scanner.store.scans import (
    ABANDONED,
    LEASE,
    RunningScan,
    begin_scan,
    claim_scan,
    fail_abandoned_scans,
    fail_scan,
    finish_scan,
    get_scan,
    has_succeeded,
    list_clusters,
    list_scans,
    record_progress,
)
from scanner.store.tables import ScanRow
from tests.builders import NOW

CLUSTER = ClusterName("test")
LATER = NOW + LEASE + dt.timedelta(seconds=1)


def begin(engine: Engine, cluster: str = CLUSTER, now: dt.datetime = NOW) -> RunningScan:
    """Begin a scan."""
    with writing(engine) as connection:
        return begin_scan(connection, cluster=ClusterName(cluster), source="live", trigger="api", now=now)


def finish(engine: Engine, scan: RunningScan, coverage: tuple[Read, ...] = ()) -> None:
    """End a scan well."""
    with writing(engine) as connection:
        finish_scan(
            connection,
            scan,
            is_complete=True,
            server_version="v1.37.2",
            summary={"failed": 1},
            coverage=coverage,
            now=NOW,
        )


def row(engine: Engine, scan: RunningScan) -> ScanRow:
    """Read the row of a scan."""
    with reading(engine) as session:
        found = get_scan(session, scan.id)
    assert found
    return found[0]


def test_a_scan_that_begins_is_running(engine: Engine) -> None:
    """It is seen at once, in its first phase."""
    found = row(engine, begin(engine))
    assert (found.state, found.phase, found.progress, found.started_at) == ("running", "reading", 0, NOW)


def test_a_second_scan_of_a_cluster_is_refused(engine: Engine) -> None:
    """Two at once would undo each other's findings."""
    begin(engine)
    with pytest.raises(ScanRunningError):
        begin(engine)


def test_two_clusters_may_be_scanned_at_once(engine: Engine) -> None:
    """They share no findings."""
    begin(engine)
    assert begin(engine, "other").cluster == "other"


def test_a_dead_scan_gives_way_to_the_next(engine: Engine) -> None:
    """A killed process leaves a running row behind; the next scan marks it and begins."""
    dead = begin(engine)
    begin(engine, now=LATER)
    assert (row(engine, dead).state, row(engine, dead).error) == ("failed", ABANDONED)


def test_a_sign_of_life_keeps_a_scan(engine: Engine) -> None:
    """A long scan is not taken for dead."""
    scan = begin(engine)
    with writing(engine) as connection:
        record_progress(connection, scan, phase="judging", progress=40, now=LATER)
        assert fail_abandoned_scans(connection, LATER) == 0


def test_a_service_that_is_alone_gives_up_every_running_scan(engine: Engine) -> None:
    """At its start nothing of its own can be alive, however fresh it looks."""
    begin(engine)
    with writing(engine) as connection:
        assert fail_abandoned_scans(connection, NOW, lease=dt.timedelta(0)) == 1


def test_a_scan_that_was_given_up_is_told(engine: Engine) -> None:
    """Its process was slow, not dead: it must learn that it lost."""
    scan = begin(engine)
    with writing(engine) as connection:
        fail_abandoned_scans(connection, LATER)
        assert not record_progress(connection, scan, phase="judging", progress=1, now=LATER)


def test_a_scan_that_was_given_up_stores_nothing(engine: Engine) -> None:
    """Another may have run since; the transaction that would store it ends."""
    scan = begin(engine)
    begin(engine, now=LATER)
    with pytest.raises(ScanStoppedError), writing(engine) as connection:
        claim_scan(connection, scan, now=LATER)


def test_a_failed_scan_keeps_one_line(engine: Engine) -> None:
    """However long the error was."""
    scan = begin(engine)
    with writing(engine) as connection:
        fail_scan(connection, scan, error="it broke\n  in two\0", now=LATER)
    found = row(engine, scan)
    assert (found.state, found.error, found.finished_at) == ("failed", "it broke in two\ufffd", LATER)


def test_a_cluster_without_a_stored_scan_has_not_succeeded(engine: Engine) -> None:
    """Failed and running ones don't count."""
    scan = begin(engine)
    with writing(engine) as connection:
        fail_scan(connection, scan, error="it broke", now=NOW)
        assert not has_succeeded(connection, CLUSTER)


def test_a_cluster_with_a_stored_scan_has_succeeded(engine: Engine) -> None:
    """From then on changes are told, not summaries."""
    finish(engine, begin(engine))
    with writing(engine) as connection:
        assert has_succeeded(connection, CLUSTER)


def test_a_scan_is_read_with_its_coverage(engine: Engine) -> None:
    """Sorted by resource and namespace."""
    scan = begin(engine)
    forbidden = Read(resource="secrets", state=ReadState.FORBIDDEN, reason="403")
    finish(engine, scan, (forbidden, Read(resource="pods", state=ReadState.COMPLETE, count=7)))
    with reading(engine) as session:
        found = get_scan(session, scan.id)
    assert found
    assert [(c.resource, c.state, c.reason, c.count) for c in found[1]] == [
        ("pods", "complete", "", 7),
        ("secrets", "forbidden", "403", 0),
    ]


def test_an_unknown_scan_is_none(engine: Engine) -> None:
    """No error: the caller says 404."""
    with reading(engine) as session:
        assert get_scan(session, "no-such-scan") is None


def test_scans_are_listed_from_the_youngest(engine: Engine) -> None:
    """Page by page, without one twice."""
    made = []
    for minute in range(5):
        scan = begin(engine, now=NOW + dt.timedelta(minutes=minute))
        finish(engine, scan)
        made.append(scan.id)
    with reading(engine) as session:
        first = [scan.id for scan in list_scans(session, cluster=CLUSTER, limit=3)]
        rest = [scan.id for scan in list_scans(session, cluster=CLUSTER, before=first[-1], limit=3)]
    assert first + rest == made[::-1]


def test_scans_are_filtered_by_state_and_cluster(engine: Engine) -> None:
    """Each filter alone and both."""
    finish(engine, begin(engine))
    running, other = begin(engine), begin(engine, "other")
    with reading(engine) as session:
        assert {s.id for s in list_scans(session, state="running", limit=9)} == {running.id, other.id}
        assert [s.id for s in list_scans(session, cluster=CLUSTER, state="running", limit=9)] == [running.id]


def test_clusters_are_listed_once(engine: Engine) -> None:
    """However often each was scanned."""
    finish(engine, begin(engine))
    begin(engine)
    begin(engine, "other")
    with reading(engine) as session:
        assert list_clusters(session) == ["other", "test"]
