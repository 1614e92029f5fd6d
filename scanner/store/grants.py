"""Roles and bindings of each cluster's last stored scan, written in the transaction that stored it.

So whoever asks what an identity may do is answered after a restart too, by every replica, and as of the same scan as
the findings.
"""

from sqlalchemy import Connection, delete, insert, select
from sqlmodel import Session

from scanner.store.scans import RunningScan
from scanner.store.tables import GRANTS


def write_grants(connection: Connection, scan: RunningScan, snapshot: bytes) -> None:
    """Replace what is kept of a scan's cluster."""
    connection.execute(delete(GRANTS).where(GRANTS.c.cluster == scan.cluster))
    connection.execute(insert(GRANTS).values(cluster=scan.cluster, scan_id=scan.id, snapshot=snapshot))


def scans_with_grants(session: Session) -> dict[str, str]:
    """Map each cluster that something is kept of to the scan that it is from."""
    rows = session.execute(select(GRANTS.c.cluster, GRANTS.c.scan_id).order_by(GRANTS.c.cluster))
    return {cluster: scan for cluster, scan in rows}  # noqa: C416 - a row is more than a pair


def read_grants(session: Session, cluster: str) -> bytes:
    """Return what is kept of a cluster that something is kept of."""
    packed: bytes = session.execute(select(GRANTS.c.snapshot).where(GRANTS.c.cluster == cluster)).scalar_one()
    return packed
