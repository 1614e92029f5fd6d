"""Resources: root owners, and whatever else a finding is about, as last seen."""

import datetime as dt
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, exists, select, tuple_, update
from sqlmodel import Session

from scanner.model.refs import ClusterName, ObjectRef
from scanner.store.bulk import insert_rows, is_among, moment, plain_text, starts_with, update_rows
from scanner.store.tables import FINDINGS, RESOURCES, ResourceRow

#: As for fingerprints: 128 bits, short enough for a URL.
_ID_BYTES = 16


def resource_id(cluster: str, resource: ObjectRef) -> str:
    """Return the id that a resource keeps over versions of its API and re-creations under the same name."""
    parts = (cluster, resource.group, resource.kind, resource.namespace, resource.name)
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=_ID_BYTES).hexdigest()


class KnownResource(NamedTuple):
    """What is remembered of one resource."""

    ref: ObjectRef
    pods: int
    is_gone: bool


def known_resources(connection: Connection, cluster: ClusterName) -> dict[str, KnownResource]:
    """Return every resource of a cluster by its id, those that are gone as well."""
    columns = RESOURCES.c
    rows = connection.execute(
        select(
            *(columns.id, columns.api_version, columns.kind, columns.namespace, columns.name, columns.uid),
            *(columns.pods, columns.gone_at.is_not(None)),
        ).where(columns.cluster == cluster)
    )
    return {
        id_: KnownResource(ObjectRef(api_version, kind, namespace, name, uid), pods, bool(gone))
        for id_, api_version, kind, namespace, name, uid, pods, gone in rows
    }


def write_resources(  # noqa: PLR0913 - what was, what is, what went, and when
    connection: Connection,
    cluster: ClusterName,
    *,
    known: Mapping[str, KnownResource],
    seen: Mapping[str, tuple[ObjectRef, int]],
    gone: Collection[str],
    now: dt.datetime,
) -> None:
    """Write what changed: new resources, and those that moved on, came back or are gone; the rest is not touched.

    Args:
        connection: A transaction that writes.
        cluster: The cluster that they belong to.
        known: What `known_resources` returned.
        seen: Resources of this scan and how many pods ran from each, by id.
        gone: Ids that a complete read no longer showed. One that an open finding is about is kept.
        now: The time of the scan.
    """
    at = moment(connection, now)
    insert_rows(
        connection,
        RESOURCES,
        ("id", "cluster", "api_version", "api_group", "kind", "namespace", "name", "uid", "pods", "first_seen_at"),
        (
            (
                id_,
                cluster,
                *(plain_text(t) for t in (ref.api_version, ref.group, ref.kind, ref.namespace, ref.name, ref.uid)),
                pods,
                at,
            )
            for id_, (ref, pods) in seen.items()
            if id_ not in known
        ),
    )
    update_rows(
        connection,
        RESOURCES,
        ("api_version", "uid", "pods", "gone_at"),
        (
            (plain_text(ref.api_version), plain_text(ref.uid), pods, None, id_)
            for id_, (ref, pods) in seen.items()
            if id_ in known and known[id_] != KnownResource(ref, pods, is_gone=False)
        ),
    )
    if gone:
        about = exists().where((FINDINGS.c.resource_id == RESOURCES.c.id) & FINDINGS.c.is_open)
        connection.execute(
            update(RESOURCES).where(is_among(connection, RESOURCES.c.id, gone), ~about).values(gone_at=now)
        )


class ResourcePosition(NamedTuple):
    """Where a page of resources ended: the key that lists are sorted by."""

    cluster: str
    namespace: str
    kind: str
    name: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFilter:
    """Which resources to list; what is None or empty filters nothing."""

    cluster: str | None = None
    namespace: str | None = None
    kind: str | None = None
    name_prefix: str = ""
    #: Whether to list those that are gone as well.
    with_gone: bool = False


def list_resources(
    session: Session, wanted: ResourceFilter, *, after: ResourcePosition | None = None, limit: int
) -> list[ResourceRow]:
    """Return resources sorted by cluster, namespace, kind and name, those that sort after a position."""
    columns = RESOURCES.c
    key = (columns.cluster, columns.namespace, columns.kind, columns.name, columns.id)
    query = select(ResourceRow).order_by(*key).limit(limit)
    equal = {columns.cluster: wanted.cluster, columns.namespace: wanted.namespace, columns.kind: wanted.kind}
    query = query.where(*(column == value for column, value in equal.items() if value is not None))
    if wanted.name_prefix:
        query = query.where(*starts_with(columns.name, wanted.name_prefix))
    if not wanted.with_gone:
        query = query.where(columns.gone_at.is_(None))
    if after is not None:
        query = query.where(tuple_(*key) > after)
    return list(session.scalars(query))


def get_resource(session: Session, id_: str) -> ResourceRow | None:
    """Return one resource, or None."""
    return session.get(ResourceRow, id_)
