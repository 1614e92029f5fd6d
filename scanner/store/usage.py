"""What identities used, as the API server's audit webhook told: one row for each kind of thing, within bounds.

Every post is joined with what is there in one transaction. Posts wait for each other: two API servers of one cluster
tell of the same identities.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select, text, tuple_
from sqlmodel import Session

from scanner.analysis.rbac.requests import Identity, Request
from scanner.analysis.rbac.usage import Usage, Use, joined, request_key
from scanner.model.refs import ClusterName
from scanner.store.bulk import insert_rows, is_among, json_text, moment, plain_text, update_rows
from scanner.store.tables import AUDIT_IDENTITIES, AUDIT_USES

#: Identities of a cluster that are kept; the largest have some thousands of service accounts.
MAX_IDENTITIES = 10_000
#: Kinds of things that one identity did and that are kept.
MAX_USES = 5_000
#: Of all identities of a cluster: about 100 MB of database.
MAX_ALL_USES = 200_000
#: What is longer is no name of Kubernetes, but what someone put into a path or a header.
_MAX_TEXT = 2048
#: One number for all replicas; taken from the first bytes of "plimaudt".
_TURN = 0x706C6175


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a post."""

    #: Kinds of things that were joined with what was known, or are new.
    uses: int
    #: Kinds of things that were left out, as there are too many; their identities are marked.
    left_out: int


@dataclass(frozen=True, slots=True)
class _Known:
    """An identity as its row has it."""

    groups: frozenset[str]
    denied: int
    uses: int
    is_partial: bool


def record_usage(connection: Connection, cluster: ClusterName, usages: Iterable[Usage]) -> Recorded:
    """Join what was told with what is known of a cluster's identities."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _TURN})
    told = {_identity_id(cluster, usage.identity.user): usage for usage in usages if _fits(usage.identity.user)}
    known = _known_identities(connection, told)
    welcome = _welcome(connection, cluster, told, known)
    room = MAX_ALL_USES - _stored_uses(connection, cluster)
    stored = _stored(connection, told, welcome)
    inserted: list[tuple[str, str, Use]] = []
    updated: list[tuple[str, Use]] = []
    identities: dict[str, _Known] = {}
    left_out = sum(len(usage.uses) for id_, usage in told.items() if id_ not in welcome)
    for id_ in sorted(welcome):
        usage, before = told[id_], known.get(id_, _Known(frozenset(), 0, 0, is_partial=False))
        uses, partial = before.uses, before.is_partial or usage.is_partial
        for use in usage.uses:
            use_id = _use_id(id_, use.request)
            if use_id in stored:
                updated.append((use_id, joined(stored[use_id], use)))
            elif uses < MAX_USES and len(inserted) < room and _request_fits(use.request):
                inserted.append((use_id, id_, use))
                uses += 1
            else:
                left_out, partial = left_out + 1, True
        identities[id_] = _Known(before.groups | usage.identity.groups, before.denied + usage.denied, uses, partial)
    _write_identities(connection, cluster, told, identities, known)
    _write_uses(connection, inserted, updated)
    return Recorded(len(inserted) + len(updated), left_out)


def _identity_id(cluster: ClusterName, user: str) -> str:
    return _hash(cluster, user)


def _use_id(identity_id: str, request: Request) -> str:
    return _hash(identity_id, *request_key(request), "path" if request.path is not None else "")


def _hash(*parts: str) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "replace")
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()


def _fits(value: str) -> bool:
    return len(value) <= _MAX_TEXT


def _request_fits(request: Request) -> bool:
    return all(map(_fits, (*request_key(request), request.resource)))


def _known_identities(connection: Connection, ids: Mapping[str, Usage]) -> dict[str, _Known]:
    columns = AUDIT_IDENTITIES.c
    rows = connection.execute(
        select(columns.id, columns.groups, columns.denied, columns.uses, columns.is_partial).where(
            is_among(connection, columns.id, ids)
        )
    )
    return {id_: _Known(frozenset(groups), denied, uses, partial) for id_, groups, denied, uses, partial in rows}


def _welcome(
    connection: Connection, cluster: ClusterName, told: Mapping[str, Usage], known: Mapping[str, _Known]
) -> set[str]:
    """Return the identities that are kept: those that are known, and others as long as there is room."""
    new = sorted(told.keys() - known.keys())
    if not new:
        return set(told)
    columns = AUDIT_IDENTITIES.c
    number = connection.execute(select(func.count()).where(columns.cluster == cluster)).scalar_one()
    return set(known) | set(new[: max(0, MAX_IDENTITIES - number)])


def _stored_uses(connection: Connection, cluster: ClusterName) -> int:
    columns = AUDIT_IDENTITIES.c
    total = connection.execute(select(func.sum(columns.uses)).where(columns.cluster == cluster)).scalar_one()
    return int(total or 0)


def _stored(connection: Connection, told: Mapping[str, Usage], welcome: Iterable[str]) -> dict[str, Use]:
    ids = [_use_id(id_, use.request) for id_ in welcome for use in told[id_].uses]
    rows = connection.execute(select(AUDIT_USES).where(is_among(connection, AUDIT_USES.c.id, ids)))
    return {row.id: _use(row) for row in rows}


def _use(row: Any) -> Use:
    return Use(
        request=Request(
            verb=row.verb,
            group=row.api_group,
            resource=row.resource,
            subresource=row.subresource,
            namespace=row.namespace,
            path=row.path or None,
        ),
        names=frozenset(row.names),
        has_more_names=row.has_more_names,
        first_seen=row.first_seen_at,
        last_seen=row.last_seen_at,
        count=row.count,
    )


def _write_identities(
    connection: Connection,
    cluster: ClusterName,
    told: Mapping[str, Usage],
    identities: Mapping[str, _Known],
    known: Mapping[str, _Known],
) -> None:
    insert_rows(
        connection,
        AUDIT_IDENTITIES,
        ("id", "cluster", "username", "groups", "denied", "uses", "is_partial"),
        [
            (id_, cluster, plain_text(told[id_].identity.user), *_content(identity))
            for id_, identity in identities.items()
            if id_ not in known
        ],
    )
    update_rows(
        connection,
        AUDIT_IDENTITIES,
        ("groups", "denied", "uses", "is_partial"),
        [(*_content(now), id_) for id_, now in identities.items() if id_ in known and now != known[id_]],
    )


def _content(identity: _Known) -> tuple[str, int, int, bool]:
    return (json_text(sorted(filter(_fits, identity.groups))), identity.denied, identity.uses, identity.is_partial)


def _write_uses(
    connection: Connection, inserted: Sequence[tuple[str, str, Use]], updated: Sequence[tuple[str, Use]]
) -> None:
    request_columns = ("verb", "api_group", "resource", "subresource", "namespace", "path")
    changing = ("names", "has_more_names", "first_seen_at", "last_seen_at", "count")
    insert_rows(
        connection,
        AUDIT_USES,
        ("id", "identity_id", *request_columns, *changing),
        [
            (use_id, identity_id, *map(plain_text, _request_values(use.request)), *_changing(connection, use))
            for use_id, identity_id, use in inserted
        ],
    )
    update_rows(connection, AUDIT_USES, changing, [(*_changing(connection, use), use_id) for use_id, use in updated])


def _request_values(request: Request) -> tuple[str, ...]:
    return (
        request.verb,
        request.group,
        request.resource,
        request.subresource,
        request.namespace,
        request.path or "",
    )


def _changing(connection: Connection, use: Use) -> tuple[str, bool, str, str, int]:
    kept = frozenset(filter(_fits, use.names))
    return (
        json_text(sorted(kept)),
        use.has_more_names or kept != use.names,
        moment(connection, use.first_seen),
        moment(connection, use.last_seen),
        use.count,
    )


class UsePosition(NamedTuple):
    """Where a page of uses ended."""

    username: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UseFilter:
    """Which uses to list; what is None filters nothing."""

    cluster: str
    username: str | None = None
    namespace: str | None = None
    resource: str | None = None


class StoredUse(NamedTuple):
    """One row of use, and whose it is."""

    id: str
    username: str
    use: Use


def list_uses(
    session: Session, wanted: UseFilter, *, after: UsePosition | None = None, limit: int
) -> tuple[StoredUse, ...]:
    """Return uses by user, those that sort after a position."""
    identities, uses = AUDIT_IDENTITIES.c, AUDIT_USES.c
    key = (identities.username, uses.id)
    query = (
        select(identities.username, AUDIT_USES)
        .join(AUDIT_USES, uses.identity_id == identities.id)
        .where(*_conditions(wanted))
        .order_by(*key)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*after))
    return tuple(StoredUse(row.id, row.username, _use(row)) for row in session.execute(query))


def _conditions(wanted: UseFilter) -> Iterator[ColumnElement[bool]]:
    equal = {
        AUDIT_IDENTITIES.c.cluster: wanted.cluster,
        AUDIT_IDENTITIES.c.username: wanted.username,
        AUDIT_USES.c.namespace: wanted.namespace,
        AUDIT_USES.c.resource: wanted.resource,
    }
    yield from (column == value for column, value in equal.items() if value is not None)


def usages_of_cluster(session: Session, cluster: str) -> tuple[Usage, ...]:
    """Return all that is kept of a cluster's identities, sorted by user."""
    identities, uses = AUDIT_IDENTITIES.c, AUDIT_USES.c
    people = session.execute(
        select(AUDIT_IDENTITIES).where(identities.cluster == cluster).order_by(identities.username)
    ).all()
    by_identity: dict[str, list[Use]] = {row.id: [] for row in people}
    for row in session.execute(
        select(AUDIT_USES)
        .join(AUDIT_IDENTITIES, uses.identity_id == identities.id)
        .where(identities.cluster == cluster)
    ):
        by_identity[row.identity_id].append(_use(row))
    return tuple(
        Usage(
            identity=Identity(row.username, frozenset(row.groups)),
            uses=tuple(sorted(by_identity[row.id], key=lambda use: request_key(use.request))),
            denied=row.denied,
            is_partial=row.is_partial,
        )
        for row in people
    )


def clusters_with_usage(session: Session) -> tuple[str, ...]:
    """Name every cluster that something is kept of, sorted."""
    return tuple(session.scalars(select(AUDIT_IDENTITIES.c.cluster).distinct().order_by(AUDIT_IDENTITIES.c.cluster)))
