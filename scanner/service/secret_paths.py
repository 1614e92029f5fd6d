"""Who reaches which Secret as of the last stored scan: kept in the database, indexed in memory when first asked."""

import gzip
import threading
import zlib
from dataclasses import dataclass

import msgspec
from sqlalchemy import Engine

from scanner.analysis.paths.secret_access import SecretPaths
from scanner.analysis.paths.secret_world import KnownSecret, SecretWorld, secret_world
from scanner.errors import StoreError
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.service.grants import Grants
from scanner.store.database import reading
from scanner.store.resources import resource_id
from scanner.store.secret_worlds import read_secret_world

#: Taste: half of the time of the best level, for a few percent of size.
_LEVEL = 5
_decoder = msgspec.json.Decoder(SecretWorld)


@dataclass(frozen=True, slots=True)
class KeptSecretPaths:
    """Who reaches which Secret of one cluster, by one scan."""

    grants: Grants
    paths: SecretPaths
    #: Secrets by the ids under which callers ask for them.
    by_id: dict[str, KnownSecret]


def packed_secret_world(snapshot: Snapshot) -> bytes:
    """Pack what of a snapshot, beside roles and bindings, decides who reaches a Secret."""
    # No time in it: equal worlds are equal bytes.
    return gzip.compress(msgspec.json.encode(secret_world(snapshot)), _LEVEL, mtime=0)


def secret_id(cluster: str, secret: KnownSecret) -> str:
    """Return the id of a Secret, the same as that of the resource that findings are about."""
    return resource_id(cluster, ObjectRef("v1", "Secret", secret.namespace, secret.name))


class LastSecretPaths:
    """Reads what the last scan of each cluster kept, once a scan; may be used by several threads."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: dict[str, KeptSecretPaths] = {}
        self._turn = threading.Lock()

    def of(self, engine: Engine, grants: Grants) -> KeptSecretPaths | None:
        """Return who reaches what by the scan that these grants are from.

        None if that scan kept nothing of it: it was made by an earlier release, or a later one was stored meanwhile.
        """
        cluster = str(grants.snapshot.cluster)
        with self._turn:  # unpacking takes a second at most; two who ask at once would both do it
            known = self._known.get(cluster)
            if known is not None and known.grants is grants:
                return known
            with reading(engine) as session:
                kept = read_secret_world(session, cluster)
            if kept is None or kept[0] != grants.scan_id:
                return None
            world = _unpacked(kept[1])
            by_id = {secret_id(cluster, secret): secret for secret in world.secrets}
            found = KeptSecretPaths(grants, SecretPaths(grants.snapshot, world), by_id)
            self._known[cluster] = found
            return found


def _unpacked(packed: bytes) -> SecretWorld:
    try:
        return _decoder.decode(gzip.decompress(packed))
    except (EOFError, OSError, zlib.error, msgspec.DecodeError) as error:
        raise StoreError("what the last scan kept of Secrets is damaged: scan again") from error
