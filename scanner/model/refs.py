"""How anything in a cluster is named."""

from typing import NamedTuple, NewType

import msgspec

#: The name under which a cluster's findings are kept; part of every finding's identity.
ClusterName = NewType("ClusterName", str)


class GroupKind(NamedTuple):
    """A kind of object without its version, as ownerReferences and policies need it. The core group is `""`."""

    group: str
    kind: str

    def __str__(self) -> str:
        """Write it as `kubectl` does: `Deployment.apps`, `Pod`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind


def group_of(api_version: str) -> str:
    """Return the API group of an apiVersion: `apps` of `apps/v1`, the empty core group of `v1`."""
    return api_version.rpartition("/")[0]


class ObjectRef(msgspec.Struct, frozen=True, order=True, rename="camel", omit_defaults=True):
    """The name of one object: enough to find it, and what a finding is about. Cluster-scoped: `namespace` is empty."""

    api_version: str
    kind: str
    namespace: str = ""
    name: str = ""
    uid: str = ""

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return group_of(self.api_version)

    @property
    def group_kind(self) -> GroupKind:
        """The kind without its version."""
        return GroupKind(self.group, self.kind)

    def __str__(self) -> str:
        """Write it as people say it: `Deployment shop/checkout`, `ClusterRole admin`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"
