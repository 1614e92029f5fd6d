"""What decided who could connect to whom in the last scans of each cluster, written with everything else of a scan.

Scans that saw the same share one row, so that an unchanged rescan costs a line. Of each cluster the last states are
kept, however many scans saw them.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, insert, select
from sqlmodel import Session

from scanner.store.scans import RunningScan
from scanner.store.tables import NETWORK_SCANS, NETWORK_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkScan:
    """A scan of which the state is kept."""

    scan_id: str
    cluster: str
    digest: str
    taken_at: dt.datetime


def write_network(  # noqa: PLR0913 - the columns
    connection: Connection, scan: RunningScan, *, digest: str, snapshot: bytes, taken_at: dt.datetime, states_kept: int
) -> None:
    """Keep what a scan saw, and forget the states of its cluster that are older than the last `states_kept`."""
    known = (NETWORK_STATES.c.cluster == scan.cluster) & (NETWORK_STATES.c.digest == digest)
    if connection.execute(select(NETWORK_STATES.c.digest).where(known)).first() is None:
        connection.execute(insert(NETWORK_STATES).values(cluster=scan.cluster, digest=digest, snapshot=snapshot))
    connection.execute(
        insert(NETWORK_SCANS).values(scan_id=scan.id, cluster=scan.cluster, digest=digest, taken_at=taken_at)
    )
    own = NETWORK_SCANS.c.cluster == scan.cluster
    # Ids of scans are in the order of their time.
    last = func.max(NETWORK_SCANS.c.scan_id)
    query = select(NETWORK_SCANS.c.digest).where(own).group_by(NETWORK_SCANS.c.digest).order_by(last.desc())
    _forget(connection, scan.cluster, list(connection.scalars(query))[states_kept:])


def _forget(connection: Connection, cluster: str, digests: Iterable[str]) -> None:
    for digest in digests:
        for table in (NETWORK_SCANS, NETWORK_STATES):
            connection.execute(delete(table).where((table.c.cluster == cluster) & (table.c.digest == digest)))


def last_network_scans(session: Session) -> dict[str, NetworkScan]:
    """Map each cluster of which something is kept to its last scan."""
    later = NETWORK_SCANS.alias()
    is_last = ~exists().where(
        (later.c.cluster == NETWORK_SCANS.c.cluster) & (later.c.scan_id > NETWORK_SCANS.c.scan_id)
    )
    rows = session.execute(select(NETWORK_SCANS).where(is_last).order_by(NETWORK_SCANS.c.cluster))
    return {row.cluster: _scan(row) for row in rows}


def network_scan(session: Session, scan_id: str) -> NetworkScan | None:
    """Return a scan of which the state is kept, or None."""
    row = session.execute(select(NETWORK_SCANS).where(NETWORK_SCANS.c.scan_id == scan_id)).first()
    return _scan(row) if row else None


def read_network(session: Session, scan: NetworkScan) -> bytes | None:
    """Return what a scan saw, or None if it was forgotten meanwhile."""
    kept = (NETWORK_STATES.c.cluster == scan.cluster) & (NETWORK_STATES.c.digest == scan.digest)
    found: bytes | None = session.execute(select(NETWORK_STATES.c.snapshot).where(kept)).scalar_one_or_none()
    return found


def _scan(row: Row[Any]) -> NetworkScan:
    return NetworkScan(scan_id=row.scan_id, cluster=row.cluster, digest=row.digest, taken_at=row.taken_at)
