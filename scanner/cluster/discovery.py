"""Which kinds an API server serves, so that a kind that it lacks is no error, and a kind that it cannot serve is one.

One request for each of `/api` and `/apis` where the server knows aggregated discovery (since 1.26); else one for each
group and version. A group that an aggregated API server should serve, and does not, is noted and stops nothing else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from scanner.cluster.client import JSON, Client, RequestError
from scanner.model.refs import GroupKind, group_of
from scanner.model.resources import Resource

AGGREGATED = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Served:
    """A kind that the API server serves, in one version."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def path(self) -> str:
        """The path of its lists, without namespace."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


@dataclass(frozen=True)
class Catalog:
    """What an API server serves."""

    #: By group and kind; the versions as the server prefers them.
    kinds: Mapping[GroupKind, tuple[Served, ...]]
    #: Why a group cannot tell what it serves.
    broken: Mapping[str, str]
    #: Whether nobody could be asked, so that all that may be served is taken for served.
    is_guess: bool = False

    def is_view(self, resource: Resource) -> bool:
        """Tell whether the server keeps the same objects under another group, which is read instead."""
        return bool(resource.view_of) and not self.is_guess and GroupKind(resource.view_of, resource.kind) in self.kinds

    def find(self, resource: Resource) -> Served | None:
        """Return the version of a kind that is best to read: the first of the resource's that is served."""
        served = {s.version: s for s in self.kinds.get(resource.group_kind, ())}
        return next((served[v] for v in resource.versions if v in served), None)


class _Kind(msgspec.Struct):
    kind: str = ""


class _AggregatedResource(msgspec.Struct, rename="camel"):
    resource: str
    response_kind: _Kind | None = None
    scope: str = ""
    verbs: tuple[str, ...] = ()


class _AggregatedVersion(msgspec.Struct):
    version: str
    resources: tuple[_AggregatedResource, ...] | None = None
    freshness: str = ""


class _GroupMeta(msgspec.Struct):
    name: str = ""


class _AggregatedGroup(msgspec.Struct):
    metadata: _GroupMeta = msgspec.field(default_factory=_GroupMeta)
    versions: tuple[_AggregatedVersion, ...] | None = None


class _GroupVersion(msgspec.Struct, rename="camel"):
    group_version: str


class _Group(msgspec.Struct):
    versions: tuple[_GroupVersion, ...] = ()


class _Root(msgspec.Struct):
    """Any of the three answers that `/api` and `/apis` give, told apart by its kind."""

    kind: str
    items: tuple[_AggregatedGroup, ...] | None = None
    groups: tuple[_Group, ...] | None = None
    versions: tuple[str, ...] | None = None


class _LegacyResource(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool = False
    verbs: tuple[str, ...] = ()


class _LegacyList(msgspec.Struct):
    resources: tuple[_LegacyResource, ...] | None = None


def discover(client: Client) -> Catalog:
    """Ask an API server what it serves; raises `RequestError` if it does not tell at all."""
    found: list[Served] = []
    broken: dict[str, str] = {}
    for path in ("/api", "/apis"):
        root = _root(client, path)
        if root.kind == "APIGroupDiscoveryList":
            found += _aggregated(root.items or (), broken)
        else:
            versions = [g.group_version for group in root.groups or () for g in group.versions]
            found += _legacy(client, versions or list(root.versions or ()), broken)
    kinds: dict[GroupKind, tuple[Served, ...]] = {}
    for served in found:
        key = GroupKind(served.group, served.kind)
        kinds[key] = (*kinds.get(key, ()), served)
    return Catalog(kinds, broken)


def _root(client: Client, path: str) -> _Root:
    try:
        return msgspec.json.decode(client.get(path, accept=f"{AGGREGATED},{JSON}"), type=_Root)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"{path}: not a list of what is served") from error


def _aggregated(groups: Iterable[_AggregatedGroup], broken: dict[str, str]) -> Iterable[Served]:
    for group in groups:
        name = group.metadata.name
        for version in group.versions or ():
            if version.freshness == "Stale":
                broken[name] = f"{name}/{version.version} is not available: its API service does not answer"
            for entry in version.resources or ():
                if entry.response_kind and "list" in entry.verbs:
                    namespaced = entry.scope == "Namespaced"
                    yield Served(name, version.version, entry.resource, entry.response_kind.kind, namespaced)


def _legacy(client: Client, versions: Iterable[str], broken: dict[str, str]) -> Iterable[Served]:
    for group_version in versions:
        group, _, version = group_version.rpartition("/")
        path = f"/apis/{group_version}" if group else f"/api/{version}"
        try:
            answer = msgspec.json.decode(client.get(path), type=_LegacyList)
        except (RequestError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reason = error.reason if isinstance(error, RequestError) else "not a list of what is served"
            broken[group_of(group_version)] = f"{group_version} is not available: {reason}"
            continue
        for entry in answer.resources or ():
            if "list" in entry.verbs:
                yield Served(group, version, entry.name, entry.kind, entry.namespaced)
