"""Where the service's scans read from: a live cluster, or manifests."""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from scanner.cluster.access import Access, load_access
from scanner.cluster.client import JSON, Client, RequestError
from scanner.cluster.collect import collect
from scanner.cluster.connect import cluster_name, identify
from scanner.cluster.manifests import read_manifests
from scanner.model.refs import ClusterName
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.service.scan import Clock, Progress
from scanner.telemetry import Metrics, status_class

#: Readers tell a share of the whole, scans count steps.
_STEPS = 100


class _CountedClient(Client):
    """A client whose answers are counted by the class of their status, once all retries are done."""

    def __init__(self, load: Callable[[], Access], metrics: Metrics) -> None:
        super().__init__(load)
        self._metrics = metrics

    def get(self, path: str, query: Mapping[str, str | int] | None = None, *, accept: str = JSON) -> bytes:
        """Return the body of a successful answer."""
        with self._counted():
            return super().get(path, query, accept=accept)

    def post(self, path: str, body: bytes) -> bytes:
        """Ask a question that has a body."""
        with self._counted():
            return super().post(path, body)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        status = 200
        try:
            yield
        except RequestError as error:
            status = error.status or 0
            raise
        finally:
            self._metrics.cluster_requests.labels(status_class(status)).inc()


@dataclass(frozen=True)
class LiveSource:
    """A cluster's API server; each scan connects anew, so that changed credentials are noticed."""

    kubeconfig: str
    context: str
    #: Empty for the name that the kubeconfig or the cluster itself gives.
    name: str
    namespaces: tuple[str, ...]
    read_secrets: bool
    read_certificates: bool
    clock: Clock
    metrics: Metrics
    kind: SourceKind = SourceKind.LIVE

    def cluster(self) -> ClusterName:
        """Return the name under which findings are kept; once known it stays, whatever the API server says later."""
        return ClusterName(self.name) if self.name else self._found_name

    @cached_property
    def _found_name(self) -> ClusterName:
        with self._connected() as client:
            return cluster_name(client)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Client]:
        """Open a client of an API server that knows us."""
        client = _CountedClient(lambda: load_access(self.kubeconfig, self.context), self.metrics)
        with contextlib.closing(client):
            identify(client)
            yield client

    def read(self, progress: Progress) -> Snapshot:
        """Read every kind that policies need, and tell how far it is."""
        with self._connected() as client:
            return collect(
                client,
                cluster=self.cluster(),
                now=self.clock(),
                namespaces=self.namespaces,
                read_secrets=self.read_secrets,
                read_certificates=self.read_certificates,
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
