"""What uses Secrets as of each cluster's last stored scan, written in the transaction that stored it."""

from sqlalchemy import Connection, delete, insert, select
from sqlmodel import Session

from scanner.store.scans import RunningScan
from scanner.store.tables import SECRET_WORLDS


def write_secret_world(connection: Connection, scan: RunningScan, world: bytes) -> None:
    """Replace what is kept of a scan's cluster."""
    connection.execute(delete(SECRET_WORLDS).where(SECRET_WORLDS.c.cluster == scan.cluster))
    connection.execute(insert(SECRET_WORLDS).values(cluster=scan.cluster, scan_id=scan.id, world=world))


def read_secret_world(session: Session, cluster: str) -> tuple[str, bytes] | None:
    """Return what is kept of a cluster and the scan that it is from, or None."""
    query = select(SECRET_WORLDS.c.scan_id, SECRET_WORLDS.c.world).where(SECRET_WORLDS.c.cluster == cluster)
    row = session.execute(query).first()
    return (row.scan_id, row.world) if row else None
