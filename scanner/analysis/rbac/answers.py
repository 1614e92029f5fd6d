"""Answers to people and programs who ask what a snapshot's identities may do, honest about what was not read.

The authorizer decides by the roles and bindings that it is given. Where some of them could not be read, its "no" is
none: here it becomes unknown, with the reads that are missing. Its "yes" stands, whatever else there may be.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from scanner.analysis.rbac.authorizer import Decision, Holder, Verdict, authorizer_of
from scanner.analysis.rbac.index import Chain
from scanner.analysis.rbac.requests import MASTERS, Identity, Request, subjects_of
from scanner.analysis.rbac.subjects import unresolved_roles
from scanner.model.rbac import RBAC_GROUP, Subject
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot

#: What decides a request of the whole cluster, and what besides a request in a namespace.
_CLUSTER_KINDS = (GroupKind(RBAC_GROUP, "ClusterRole"), GroupKind(RBAC_GROUP, "ClusterRoleBinding"))
_NAMESPACED_KINDS = (GroupKind(RBAC_GROUP, "Role"), GroupKind(RBAC_GROUP, "RoleBinding"))


@dataclass(frozen=True, slots=True)
class Holders:
    """Who may do something."""

    holders: tuple[Holder, ...]
    #: What was not read: there may be others. Empty if these are all.
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rights:
    """What an identity may do."""

    #: Everything, whatever bindings say: for members of `system:masters`.
    is_master: bool
    #: Every rule that a binding gives it, cluster-wide ones first.
    chains: tuple[Chain, ...]
    #: What was not read: there may be more. Empty if this is all.
    missing: tuple[str, ...]


def can(snapshot: Snapshot, identity: Identity, request: Request) -> Decision:
    """Decide one request of an identity with just the groups that it names."""
    decision = authorizer_of(snapshot).can(identity, request)
    if decision.verdict is not Verdict.DENIED:
        return decision
    missing = _missing(snapshot, _scopes(request), subjects_of(identity))
    if not missing:
        return decision
    return replace(
        decision, verdict=Verdict.UNKNOWN, reason="no rule that was read allows it; not all were", missing=missing
    )


def who_can(snapshot: Snapshot, request: Request) -> Holders:
    """Name every subject that may do something, and say whether there may be others."""
    holders = authorizer_of(snapshot).who_can(request)
    return Holders(holders, _missing(snapshot, _scopes(request), unresolved_roles(snapshot)))


def what_can(snapshot: Snapshot, identity: Identity) -> Rights:
    """Return all that an identity may do anywhere, and say whether there may be more."""
    return Rights(
        is_master=MASTERS in identity.groups,
        chains=authorizer_of(snapshot).what_can(identity),
        missing=_missing(snapshot, None, subjects_of(identity)),
    )


def missing_in(snapshot: Snapshot, namespace: str) -> tuple[str, ...]:
    """Name what was not read and may grant somebody something in a namespace; empty if all was read."""
    return _missing(snapshot, frozenset({"", namespace}), unresolved_roles(snapshot))


def _scopes(request: Request) -> frozenset[str]:
    """Return where bindings count for a request: the whole cluster (empty), and its namespace if it has one."""
    return frozenset({"", request.namespace})


def _missing(snapshot: Snapshot, scopes: frozenset[str] | None, subjects: Iterable[Subject]) -> tuple[str, ...]:
    """Name what was not read and may grant one of these subjects something in these scopes; None for all scopes."""
    doubts = {
        str(doubt)
        for subject in subjects
        for doubt in unresolved_roles(snapshot).get(subject, ())
        if scopes is None or doubt.scope in scopes
    }
    return tuple(sorted(doubts.union(*(_unread(snapshot, scope) for scope in scopes or ("", None)))))


def _unread(snapshot: Snapshot, scope: str | None) -> frozenset[str]:
    """Name the reads that are missing for a scope: the cluster (empty), a namespace, or any namespace (None)."""
    return snapshot.derive(_unread_by_scope)(scope)


def _unread_by_scope(snapshot: Snapshot) -> "_Unread":
    return _Unread(snapshot)


class _Unread:
    """Remembers what is missing in each scope: ten thousand questions are about few namespaces."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._known: dict[str | None, frozenset[str]] = {}

    def __call__(self, scope: str | None) -> frozenset[str]:
        if scope not in self._known:
            kinds = _CLUSTER_KINDS if scope == "" else _NAMESPACED_KINDS
            reads = self._snapshot.inconclusive(kinds, scope or "")
            self._known[scope] = frozenset(read.missing for read in reads)
        return self._known[scope]
