"""From a live API server to a `Snapshot`: lists every kind, and notes each refusal in the coverage.

The scan goes on whatever happens to one kind. What could not be read, and why, is part of the snapshot; only where
nothing at all could be read is there an error instead.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from scanner.analysis.secrets.served import GATEWAY, INGRESS, served
from scanner.cluster.client import CONCURRENT, JSON, Client, RequestError
from scanner.cluster.config_maps import without_values
from scanner.cluster.connect import presented, server_version
from scanner.cluster.decode import Interner
from scanner.cluster.discovery import Catalog, Served, discover
from scanner.cluster.listing import Lister, Listing
from scanner.cluster.progress import Board, Progress
from scanner.cluster.related import owner_kinds, param_kinds
from scanner.cluster.rights import METADATA_LIST, Namespaces
from scanner.errors import UnreachableError
from scanner.model.certificate import TLS_SECRETS
from scanner.model.coverage import Read, ReadState
from scanner.model.objects import KubeObject
from scanner.model.refs import ClusterName, GroupKind
from scanner.model.resources import BY_KIND, RESOURCES, SECRETS, Resource
from scanner.model.secret import SecretRef
from scanner.model.snapshot import Snapshot, SourceKind

NAMESPACE = GroupKind("", "Namespace")
#: Custom controllers own each other at most this deep; more is a circle that only broken objects make.
MAX_OWNER_DEPTH = 5
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
NOT_OPTED_IN = "not asked for: the scanner reads Secrets only where that is opted in to"
NO_CERTIFICATES = "not asked for: the scanner reads certificates of TLS Secrets only where that is opted in to"
#: Certificates that are read one by one: two minutes at our own rate limit.
MAX_CERTIFICATES = 5_000


def collect(  # noqa: PLR0913 - what a scan is made of
    client: Client,
    *,
    cluster: ClusterName,
    now: dt.datetime,
    resources: Sequence[Resource] = RESOURCES,
    namespaces: Iterable[str] = (),
    read_secrets: bool = False,
    read_certificates: bool = False,
    progress: Progress | None = None,
) -> Snapshot:
    """Read a cluster.

    `namespaces` are tried where a kind may not be listed in the whole cluster; without them, those that the API server
    says we have rights in. Besides `resources`, the custom controllers that own pods are read, and the parameters of
    ValidatingAdmissionPolicies. With `read_secrets`, Secrets are read by their metadata alone.
    With `read_certificates`, those that Ingresses and Gateways name are read one by one, and what is kept of them is
    what the certificate says.

    `progress` is told the resource, its objects so far and the done fraction of the whole; what it raises ends the
    scan, and the client with it. Raises `UnreachableError` where nothing could be read at all.
    """
    catalog = _catalog(client, resources)
    board = Board(progress, len(resources))
    reader = _Reader(
        client=client,
        lister=Lister(client=client, interner=Interner()),
        catalog=catalog,
        namespaces=Namespaces(client, namespaces),
        read_secrets=read_secrets,
        board=board,
    )
    found = _read_all(reader, resources)
    _raise_if_unreachable(client, found)
    objects = _by_kind(found)
    for _ in range(MAX_OWNER_DEPTH):
        more = _missing(objects, catalog, {r.resource.group_kind for r in found})
        if not more:
            break
        board.expect(len(more))
        found += _read_all(reader, more)
        objects = _by_kind(found)
    certificates = _certificates(reader, objects) if read_certificates else _Certificates((), (_NO_CERTIFICATES_READ,))
    if certificates.objects:
        objects = {**objects, SECRETS.group_kind: _with(objects.get(SECRETS.group_kind, ()), certificates.objects)}
    return Snapshot(
        cluster=cluster,
        source=SourceKind.LIVE,
        taken_at=now,
        objects=without_values(objects),
        coverage=tuple(sorted((*(read for kind in found for read in kind.reads), *certificates.reads))),
        server_version=server_version(client),
        presented=presented(client),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """All that came of one kind."""

    resource: Resource
    objects: tuple[KubeObject, ...]
    reads: tuple[Read, ...]


@dataclass(frozen=True, slots=True)
class _Certificates:
    """The Secrets that were read by name for their certificates, and how that ended."""

    objects: tuple[KubeObject, ...]
    reads: tuple[Read, ...]


_NO_CERTIFICATES_READ = Read(str(TLS_SECRETS), ReadState.SKIPPED, reason=NO_CERTIFICATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Reads single kinds; many threads may read at once."""

    client: Client
    lister: Lister
    catalog: Catalog
    namespaces: Namespaces
    read_secrets: bool
    board: Board

    def read(self, resource: Resource) -> _Found:
        """Read one kind, in the whole cluster or, where that is forbidden, in single namespaces."""
        found = self._read(resource)
        self.board.finish(resource.name, len(found.objects))
        return found

    def _read(self, resource: Resource) -> _Found:
        if resource == SECRETS and not self.read_secrets:
            return _nothing(resource, ReadState.SKIPPED, NOT_OPTED_IN)
        served = self.catalog.find(resource)
        if self.catalog.is_view(resource):
            return _nothing(resource, ReadState.ABSENT, "")
        if served is None:
            reason = self.catalog.broken.get(resource.group, "")
            return _nothing(resource, ReadState.FAILED if reason else ReadState.ABSENT, reason)
        whole = self._list(resource, f"{served.path}/{served.plural}")
        found = [(whole, "")]
        if whole.state is ReadState.FORBIDDEN and (resource.namespaced or resource.group_kind == NAMESPACE):
            found += [(self._in_namespace(resource, served, name), name) for name in self.namespaces.to_try(resource)]
        return _Found(
            resource,
            tuple(sorted((o for listing, _ in found for o in listing.objects), key=_place)),
            tuple(_read_of(resource, listing, namespace) for listing, namespace in found),
        )

    def _in_namespace(self, resource: Resource, served: Served, namespace: str) -> Listing:
        if resource.group_kind == NAMESPACE:
            return self.lister.read_one(f"{served.path}/{served.plural}/{namespace}", resource)
        return self._list(resource, f"{served.path}/namespaces/{namespace}/{served.plural}")

    def certificate(self, secret: SecretRef) -> Listing:
        """Read one Secret for its certificate; one that does not exist is a complete read without objects."""
        return self.lister.read_one(f"/api/v1/namespaces/{secret.namespace}/secrets/{secret.name}", SECRETS)

    def _list(self, resource: Resource, path: str) -> Listing:
        accept = METADATA_LIST if resource == SECRETS else JSON
        listing = self.lister.read(path, resource, self.board.watcher(resource.name), accept=accept)
        if listing.state is ReadState.ABSENT and not resource.group:
            # Every API server serves the core group: whoever says otherwise is not one.
            return Listing((), ReadState.FAILED, "the server does not know this kind, which every API server does")
        return listing


def _read_all(reader: _Reader, resources: Iterable[Resource]) -> list[_Found]:
    """Read kinds, a few at a time; the first error stops the rest."""
    with ThreadPoolExecutor(CONCURRENT, thread_name_prefix="collect") as pool:
        reads = [pool.submit(reader.read, resource) for resource in resources]
        try:
            return [read.result() for read in reads]
        except BaseException:
            reader.board.stop()
            reader.client.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _certificates(reader: _Reader, objects: Mapping[GroupKind, tuple[KubeObject, ...]]) -> _Certificates:
    """Read the Secrets that Ingresses and Gateways serve, by their names."""
    named = sorted({place.secret for place in served(objects.get(INGRESS, ()), objects.get(GATEWAY, ()))})
    wanted = [secret for secret in named if _is_name(secret.namespace) and _is_name(secret.name)]
    with ThreadPoolExecutor(CONCURRENT, thread_name_prefix="certificates") as pool:
        listings = list(pool.map(reader.certificate, wanted[:MAX_CERTIFICATES]))
    refused: dict[str, list[tuple[str, Listing]]] = {}
    for secret, listing in zip(wanted, listings, strict=False):
        if listing.state is not ReadState.COMPLETE:
            refused.setdefault(secret.namespace, []).append((secret.name, listing))
    for secret in wanted[MAX_CERTIFICATES:]:
        many = Listing((), ReadState.FAILED, f"more than {MAX_CERTIFICATES} TLS Secrets are named")
        refused.setdefault(secret.namespace, []).append((secret.name, many))
    read = tuple(o for listing in listings for o in listing.objects)
    whole = Read(str(TLS_SECRETS), ReadState.COMPLETE, count=len(read))
    return _Certificates(read, (whole, *(_refused(namespace, failed) for namespace, failed in refused.items())))


def _refused(namespace: str, failed: Sequence[tuple[str, Listing]]) -> Read:
    """Say of a namespace which TLS Secrets could not be read, by the first of them."""
    name, listing = failed[0]
    others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return Read(str(TLS_SECRETS), listing.state, namespace, f"{name}{others}: {listing.reason}")


def _is_name(name: str) -> bool:
    """Tell whether the API server would take it for a name: only such is put into a path."""
    return bool(_NAME.fullmatch(name))


def _with(listed: Iterable[KubeObject], read: Iterable[KubeObject]) -> tuple[KubeObject, ...]:
    """Put Secrets that were read by name in the place of what is known of them from a list."""
    return tuple(sorted({_place(o): o for o in (*listed, *read)}.values(), key=_place))


def _catalog(client: Client, resources: Iterable[Resource]) -> Catalog:
    """Ask what is served; where that may not be asked, take it that everything is, and let each list tell."""
    try:
        return discover(client)
    except RequestError as error:
        if error.status is None or error.is_transient:
            raise UnreachableError(f"{client.access.origin}: {error.reason}") from error
        served = {r.group_kind: (Served(r.group, r.versions[0], r.plural, r.kind, r.namespaced),) for r in resources}
        return Catalog(served, {}, is_guess=True)


def _raise_if_unreachable(client: Client, found: Iterable[_Found]) -> None:
    """A scan of which every read failed says nothing of the cluster: it must not look like an empty one."""
    asked = [r for kind in found for r in kind.reads if r.state not in {ReadState.SKIPPED, ReadState.ABSENT}]
    if asked and all(read.state is ReadState.FAILED for read in asked):
        raise UnreachableError(f"{client.access.origin}: nothing could be read: {asked[0].reason}")


def _missing(
    objects: Mapping[GroupKind, tuple[KubeObject, ...]], catalog: Catalog, known: set[GroupKind]
) -> list[Resource]:
    """Return the kinds that what was read refers to, and that were not read."""
    wanted = owner_kinds(objects) | param_kinds(objects)
    return [_resource(kind, reason, catalog) for kind, reason in sorted(wanted.items()) if kind not in known]


def _resource(kind: GroupKind, reason: str, catalog: Catalog) -> Resource:
    if kind in BY_KIND:
        return BY_KIND[kind]
    served = catalog.kinds.get(kind, ())
    return Resource(
        group=kind.group,
        versions=tuple(s.version for s in served) or ("v1",),
        plural=served[0].plural if served else kind.kind.lower(),
        kind=kind.kind,
        namespaced=served[0].namespaced if served else True,
        reason=reason,
    )


def _by_kind(found: Iterable[_Found]) -> dict[GroupKind, tuple[KubeObject, ...]]:
    return {kind.resource.group_kind: kind.objects for kind in found if kind.objects}


def _place(thing: KubeObject) -> tuple[str, str]:
    return (thing.meta.namespace, thing.meta.name)


def _nothing(resource: Resource, state: ReadState, reason: str) -> _Found:
    return _Found(resource, (), (Read(coverage_name(resource), state, reason=reason),))


def _read_of(resource: Resource, listing: Listing, namespace: str) -> Read:
    return Read(coverage_name(resource), listing.state, namespace, listing.reason, len(listing.objects))


def coverage_name(resource: Resource) -> str:
    """Return what the coverage calls a kind: `pods`, `deployments.apps`; a custom one by its kind.

    That is how `Snapshot.inconclusive` looks up kinds that are not in our table, whose plural it cannot know.
    """
    return resource.name if resource.group_kind in BY_KIND else str(resource.group_kind)
