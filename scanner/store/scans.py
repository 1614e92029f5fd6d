"""Scans: begun, alive, and ended whole or not at all.

A running scan is a row that its process keeps alive. The database itself allows one such row a cluster, so two scans of
one cluster never overlap; a process that was killed leaves its row to be found and marked failed by the next.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from scanner.errors import ScanRunningError, ScanStoppedError
from scanner.model.coverage import Read
from scanner.model.refs import ClusterName
from scanner.store.bulk import insert_rows, plain_text
from scanner.store.ids import uuid7
from scanner.store.tables import COVERAGE, SCANS, CoverageRow, ScanRow

#: A scan that gave no sign of life for so long has lost its process; four times the longest pause of a live one.
LEASE = dt.timedelta(seconds=60)
ABANDONED = "the process that ran this scan ended before it was stored"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningScan:
    """A scan that was begun and whose row this process keeps alive."""

    id: str
    cluster: ClusterName
    started_at: dt.datetime


def begin_scan(
    connection: Connection, *, cluster: ClusterName, source: str, trigger: str, now: dt.datetime
) -> RunningScan:
    """Record that a scan runs.

    Raises:
        ScanRunningError: Another scan of this cluster is alive.
    """
    fail_abandoned_scans(connection, now)
    scan = RunningScan(id=uuid7(now), cluster=cluster, started_at=now)
    row = {
        "id": scan.id,
        "cluster": cluster,
        "source": source,
        "trigger": trigger,
        "state": "running",
        "started_at": now,
        "alive_at": now,
        "phase": "reading",
        "progress": 0,
        "server_version": "",
        "error": "",
        "summary": {},
    }
    try:
        connection.execute(insert(SCANS), row)
    except IntegrityError as error:  # the unique index over running scans
        raise ScanRunningError(f"a scan of cluster {cluster} is running") from error
    return scan


def record_progress(connection: Connection, scan: RunningScan, *, phase: str, progress: int, now: dt.datetime) -> bool:
    """Give a sign of life; False tells that the scan was given up as dead by another process."""
    return _change(connection, scan.id, phase=phase, progress=progress, alive_at=now)


def fail_scan(connection: Connection, scan: RunningScan, *, error: str, now: dt.datetime) -> bool:
    """End a scan that could not be finished; nothing but its row remembers it."""
    line = plain_text(" ".join(error.split()))
    return _change(connection, scan.id, state="failed", error=line, finished_at=now, alive_at=now)


def fail_abandoned_scans(connection: Connection, now: dt.datetime, *, lease: dt.timedelta = LEASE) -> int:
    """Mark running scans whose processes are dead as failed, and return how many there were.

    At start, a service that is alone with its database (SQLite) passes a lease of zero: none of its scans can be alive.
    """
    dead = (SCANS.c.state == "running") & (SCANS.c.alive_at <= now - lease)
    return connection.execute(
        update(SCANS).where(dead).values(state="failed", error=ABANDONED, finished_at=now)
    ).rowcount


def claim_scan(connection: Connection, scan: RunningScan, *, now: dt.datetime) -> None:
    """Take hold of a scan's row for the transaction that stores it: from here on nobody can give it up.

    Raises:
        ScanStoppedError: It was given up already, and another scan may have run since.
    """
    if not _change(connection, scan.id, phase="storing", progress=0, alive_at=now):
        raise ScanStoppedError("the scan was given up as dead by another process; nothing of it was stored")


def finish_scan(  # noqa: PLR0913 - the columns that a finished scan fills
    connection: Connection,
    scan: RunningScan,
    *,
    is_complete: bool,
    server_version: str,
    summary: Mapping[str, int],
    coverage: Iterable[Read],
    now: dt.datetime,
) -> None:
    """Record the end of a scan and its coverage."""
    insert_rows(
        connection,
        COVERAGE,
        ("scan_id", "resource", "namespace", "state", "reason", "count"),
        [
            (scan.id, plain_text(r.resource), plain_text(r.namespace), r.state.value, plain_text(r.reason), r.count)
            for r in coverage
        ],
    )
    _change(
        connection,
        scan.id,
        state="complete" if is_complete else "partial",
        phase="",
        progress=100,
        server_version=server_version,
        summary=dict(summary),
        finished_at=now,
        alive_at=now,
    )


def _change(connection: Connection, scan_id: str, **values: Any) -> bool:
    running = (SCANS.c.id == scan_id) & (SCANS.c.state == "running")
    return connection.execute(update(SCANS).where(running).values(**values)).rowcount == 1


def has_succeeded(connection: Connection, cluster: ClusterName) -> bool:
    """Tell whether any scan of a cluster was ever stored."""
    stored = (SCANS.c.cluster == cluster) & SCANS.c.state.in_(("complete", "partial"))
    return connection.execute(select(SCANS.c.id).where(stored).limit(1)).first() is not None


def list_scans(
    session: Session, *, cluster: str | None = None, state: str | None = None, before: str | None = None, limit: int
) -> list[ScanRow]:
    """Return scans, the youngest first, those before the one with the id `before`."""
    query = select(ScanRow).order_by(SCANS.c.id.desc()).limit(limit)
    if cluster is not None:
        query = query.where(SCANS.c.cluster == cluster)
    if state is not None:
        query = query.where(SCANS.c.state == state)
    if before is not None:
        query = query.where(SCANS.c.id < before)
    return list(session.scalars(query))


def get_scan(session: Session, scan_id: str) -> tuple[ScanRow, list[CoverageRow]] | None:
    """Return one scan with its coverage sorted by resource and namespace, or None."""
    scan = session.get(ScanRow, scan_id)
    if scan is None:
        return None
    query = select(CoverageRow).where(COVERAGE.c.scan_id == scan_id).order_by(COVERAGE.c.resource, COVERAGE.c.namespace)
    return scan, list(session.scalars(query))


def list_clusters(session: Session) -> list[str]:
    """Return the names of all clusters that were ever scanned, sorted."""
    return list(session.scalars(select(SCANS.c.cluster).distinct().order_by(SCANS.c.cluster)))
