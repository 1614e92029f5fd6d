"""Where the service's scans read from: a live cluster, or manifests."""

import contextlib
import io
from dataclasses import dataclass
from functools import cached_property

from scanner.cluster.collect import collect
from scanner.cluster.connect import cluster_name, connect
from scanner.cluster.manifests import read_manifests
from scanner.model.refs import ClusterName
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.service.scan import Clock, Progress

#: Readers tell a share of the whole, scans count steps.
_STEPS = 100


@dataclass(frozen=True)
class LiveSource:
    """A cluster's API server; each scan connects anew, so that changed credentials are noticed."""

    kubeconfig: str
    context: str
    #: Empty for the name that the kubeconfig or the cluster itself gives.
    name: str
    namespaces: tuple[str, ...]
    read_secrets: bool
    clock: Clock
    kind: SourceKind = SourceKind.LIVE

    def cluster(self) -> ClusterName:
        """Return the name under which findings are kept; once known it stays, whatever the API server says later."""
        return ClusterName(self.name) if self.name else self._found_name

    @cached_property
    def _found_name(self) -> ClusterName:
        with contextlib.closing(connect(self.kubeconfig, self.context)) as client:
            return cluster_name(client)

    def read(self, progress: Progress) -> Snapshot:
        """Read every kind that policies need, and tell how far it is."""
        with contextlib.closing(connect(self.kubeconfig, self.context)) as client:
            return collect(
                client,
                cluster=self.cluster(),
                now=self.clock(),
                namespaces=self.namespaces,
                read_secrets=self.read_secrets,
                progress=lambda _what, _count, share: progress(int(share * _STEPS), _STEPS),
            )


@dataclass(frozen=True)
class ManifestSource:
    """Files and folders of manifests, read anew by each scan."""

    paths: tuple[str, ...]
    #: Empty for `manifests`.
    name: str
    clock: Clock
    kind: SourceKind = SourceKind.MANIFESTS

    def cluster(self) -> ClusterName:
        """Return the name under which findings are kept."""
        return ClusterName(self.name or "manifests")

    def read(self, progress: Progress) -> Snapshot:
        """Read every file, and tell how far it is."""
        return read_manifests(
            list(self.paths),
            stdin=io.BytesIO(),  # a service has no standard input to read
            cluster=self.cluster(),
            now=self.clock(),
            progress=lambda _what, _count, share: progress(int(share * _STEPS), _STEPS),
        )
