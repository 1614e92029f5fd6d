"""Who may do what as of the last stored scan: kept in the database, indexed in memory when first asked."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from scanner.cluster.saved import snapshot_bytes, snapshot_of_bytes
from scanner.model.rbac import RBAC_GROUP
from scanner.model.refs import ClusterName
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import Snapshot
from scanner.store.database import reading
from scanner.store.grants import read_grants, scans_with_grants

_NAMES = frozenset(resource.name for resource in RESOURCES if resource.group == RBAC_GROUP)


@dataclass(frozen=True, slots=True)
class Grants:
    """Roles and bindings of one cluster, and the scan that read them."""

    scan_id: str
    #: Of these kinds alone, with their coverage.
    snapshot: Snapshot


def packed_grants(snapshot: Snapshot) -> bytes:
    """Pack the part of a snapshot that decides who may do what: a few hundred kilobytes for ten thousand objects."""
    return snapshot_bytes(
        replace(
            snapshot,
            objects={kind: found for kind, found in snapshot.objects.items() if kind.group == RBAC_GROUP},
            coverage=tuple(read for read in snapshot.coverage if read.resource in _NAMES),
        )
    )


class LastGrants:
    """Reads the last stored grants of each cluster, once a scan; may be used by several threads."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: dict[str, Grants] = {}
        self._turn = threading.Lock()

    def clusters(self, engine: Engine) -> Mapping[str, str]:
        """Map each cluster that can be asked about to the scan that the answers are from."""
        with reading(engine) as session:
            return scans_with_grants(session)

    def of(self, engine: Engine, cluster: str) -> Grants | None:
        """Return the grants of a cluster as of its last stored scan, or None if nothing is kept of it."""
        with self._turn:  # unpacking takes a second at most; two who ask at once would both do it
            with reading(engine) as session:
                scan_id = scans_with_grants(session).get(cluster)
                if scan_id is None:
                    return None
                known = self._known.get(cluster)
                if known is not None and known.scan_id == scan_id:
                    return known
                packed = read_grants(session, cluster)
            snapshot = snapshot_of_bytes(packed, f"what scan {scan_id} kept")
            found = Grants(scan_id, replace(snapshot, cluster=ClusterName(cluster)))
            self._known[cluster] = found
            return found
