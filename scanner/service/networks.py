"""Who could connect to whom as of stored scans: kept in the database, unpacked when somebody asks."""

import datetime as dt
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from scanner.analysis.network.kept import kept
from scanner.cluster.saved import snapshot_bytes, snapshot_of_bytes
from scanner.model.refs import ClusterName
from scanner.model.snapshot import Snapshot
from scanner.store.database import reading
from scanner.store.networks import NetworkScan, last_network_scans, network_scan, read_network

#: Two to compare; each may take hundreds of megabytes for a cluster of tens of thousands of workloads.
_IN_MEMORY = 2
#: In place of the time of a scan, so that equal states are equal bytes.
_NO_TIME = dt.datetime.fromtimestamp(0, dt.UTC)


@dataclass(frozen=True, slots=True)
class PackedNetwork:
    """The part of a snapshot that decides who can connect to whom, as it is stored."""

    digest: str
    snapshot: bytes
    taken_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Network:
    """What a stored scan saw of that."""

    scan_id: str
    snapshot: Snapshot


def packed_network(snapshot: Snapshot) -> PackedNetwork:
    """Pack that part of a snapshot; scans between which nothing of it changed have one digest."""
    packed = snapshot_bytes(replace(kept(snapshot), taken_at=_NO_TIME))
    return PackedNetwork(hashlib.blake2b(packed, digest_size=16).hexdigest(), packed, snapshot.taken_at)


class KeptNetworks:
    """Reads what is kept, each state once as long as it is in use; may be used by several threads."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: OrderedDict[tuple[str, str], Snapshot] = OrderedDict()
        self._turn = threading.Lock()

    def last(self, engine: Engine) -> Mapping[str, NetworkScan]:
        """Map each cluster that can be asked about to its last scan."""
        with reading(engine) as session:
            return last_network_scans(session)

    def scan(self, engine: Engine, scan_id: str) -> NetworkScan | None:
        """Return a scan of which the state is kept, or None."""
        with reading(engine) as session:
            return network_scan(session, scan_id)

    def of(self, engine: Engine, scan: NetworkScan) -> Network | None:
        """Return what a scan saw, or None if it was forgotten meanwhile."""
        key = (scan.cluster, scan.digest)
        with self._turn:  # unpacking takes seconds at most; two who ask at once would both do it
            if key not in self._known:
                with reading(engine) as session:
                    packed = read_network(session, scan)
                if packed is None:
                    return None
                found = snapshot_of_bytes(packed, f"what scan {scan.scan_id} kept")
                self._known[key] = replace(found, cluster=ClusterName(scan.cluster))
            self._known.move_to_end(key)
            while len(self._known) > _IN_MEMORY:
                self._known.popitem(last=False)
            return Network(scan.scan_id, self._known[key])
