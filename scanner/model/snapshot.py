"""Everything that one scan saw, and what it could not: the only input of analysis and policies."""

import datetime as dt
import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from scanner.model.certificate import Presented
from scanner.model.coverage import Read, ReadState
from scanner.model.objects import KubeObject
from scanner.model.ownership import workloads_of
from scanner.model.rbac import Binding, BindingBody, Role, RoleBody
from scanner.model.refs import ClusterName, GroupKind, ObjectRef
from scanner.model.resources import BY_KIND
from scanner.model.workload import Workload

T = TypeVar("T")


class SourceKind(enum.StrEnum):
    """Where a snapshot comes from, which decides what absence means."""

    #: An API server: what is not there does not exist, if the read was complete.
    LIVE = "live"
    #: Files: what is not there may exist elsewhere.
    MANIFESTS = "manifests"


@dataclass(frozen=True)
class Snapshot:
    """Every object of one scan, typed and immutable, with its indexes and what could not be read."""

    cluster: ClusterName
    source: SourceKind
    taken_at: dt.datetime
    #: Objects by kind, each sorted by namespace and name.
    objects: Mapping[GroupKind, tuple[KubeObject, ...]]
    #: Sorted.
    coverage: tuple[Read, ...]
    #: The API server's gitVersion, `v1.37.2`; empty for manifests.
    server_version: str = ""
    #: Certificates that the connection to the API server rests on; none for manifests.
    presented: tuple[Presented, ...] = ()

    def of(self, group: str, kind: str) -> tuple[KubeObject, ...]:
        """Return every object of a kind, sorted by namespace and name."""
        return self.objects.get(GroupKind(group, kind), ())

    @cached_property
    def by_name(self) -> Mapping[tuple[GroupKind, str, str], KubeObject]:
        """Objects by kind, namespace and name."""
        return {(kind, o.meta.namespace, o.meta.name): o for kind, objects in self.objects.items() for o in objects}

    def find(self, group: str, kind: str, namespace: str, name: str) -> KubeObject | None:
        """Return one object, or None if the scan did not see it."""
        return self.by_name.get((GroupKind(group, kind), namespace, name))

    @cached_property
    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """Labels by namespace.

        A namespace that only its objects tell of (manifests) has the one label that the API server gives to all.
        """
        named = {o.meta.namespace for objects in self.objects.values() for o in objects if o.meta.namespace}
        known = {o.meta.name: o.meta.labels or {} for o in self.of("", "Namespace")}
        return {
            name: {"kubernetes.io/metadata.name": name} | known.get(name, {}) for name in sorted(named | known.keys())
        }

    @cached_property
    def workloads(self) -> tuple[Workload, ...]:
        """Every root owner of pods, sorted by its name."""
        return workloads_of(self.objects)

    @cached_property
    def roles(self) -> Mapping[tuple[str, str, str], Role]:
        """Roles and ClusterRoles by kind, namespace (empty for ClusterRoles) and name."""
        found: dict[tuple[str, str, str], Role] = {}
        for kind in ("Role", "ClusterRole"):
            for o in self.of("rbac.authorization.k8s.io", kind):
                body = o.decode(RoleBody)
                selectors = (body.aggregation_rule.cluster_role_selectors or ()) if body.aggregation_rule else ()
                found[kind, o.meta.namespace, o.meta.name] = Role(o.ref, o.meta, body.rules or (), selectors)
        return found

    @cached_property
    def bindings(self) -> tuple[Binding, ...]:
        """ClusterRoleBindings, then RoleBindings, each sorted by namespace and name."""
        return tuple(
            Binding(o.ref, o.meta, body.role_ref, body.subjects or ())
            for kind in ("ClusterRoleBinding", "RoleBinding")
            for o in self.of("rbac.authorization.k8s.io", kind)
            for body in (o.decode(BindingBody),)
        )

    @cached_property
    def _derived(self) -> dict[Callable[["Snapshot"], Any], Any]:
        return {}

    def derive(self, make: Callable[["Snapshot"], T]) -> T:
        """Return what a pure function makes of this snapshot; it is made once, however many policies ask."""
        if make not in self._derived:
            self._derived[make] = make(self)
        made: T = self._derived[make]
        return made

    @cached_property
    def _reads(self) -> Mapping[str, tuple[Read, ...]]:
        """The coverage by resource: there may be thousands of namespaces, and every outcome asks."""
        by_resource: dict[str, list[Read]] = {}
        for read in self.coverage:
            by_resource.setdefault(read.resource, []).append(read)
        return {resource: tuple(reads) for resource, reads in by_resource.items()}

    def inconclusive(self, kinds: Iterable[GroupKind], namespace: str = "") -> tuple[Read, ...]:
        """Return the reads of these kinds that prove nothing about what they did not show.

        With a namespace, only those that concern it: a read of that namespace or of the whole cluster. Where the whole
        may not be read, but the namespace could be, nothing is missing there. A kind that no read is about was never
        asked for, which is inconclusive too.
        """
        missing: list[Read] = []
        for kind in kinds:
            resource = BY_KIND[kind].name if kind in BY_KIND else str(kind)
            reads = self._reads.get(resource, ())
            concerned = [r for r in reads if not namespace or r.namespace in {"", namespace}]
            own = [r for r in concerned if r.namespace]
            if namespace and own and all(r.is_conclusive for r in own):
                concerned = [r for r in concerned if r.state is not ReadState.FORBIDDEN]
            missing += [r for r in concerned if not r.is_conclusive]
            if not reads:
                missing.append(Read(resource=resource, state=ReadState.SKIPPED, reason="not asked for"))
        return tuple(sorted(set(missing)))


def object_ref_of_cluster(cluster: ClusterName) -> ObjectRef:
    """Return the name of the cluster itself, for findings that are about no single object."""
    return ObjectRef("plimsoll.dev/v1", "Cluster", "", cluster)
