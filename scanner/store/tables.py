"""The tables, for SQLite and PostgreSQL alike; `migrations/` makes them, a test holds the two together."""

import datetime as dt
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    TypeDecorator,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

#: Binary JSON on PostgreSQL, text on SQLite.
JSON_TYPE = JSON().with_variant(JSONB(), "postgresql")
#: SQLite only counts up an `INTEGER` key.
SERIAL = BigInteger().with_variant(Integer(), "sqlite")
#: What is compared and sorted: by bytes on both databases, whatever locale PostgreSQL was made with. So pages come in
#: the same order everywhere, an index serves prefixes, and an upgrade of the system's locales breaks no index.
KEY = String().with_variant(String(collation="C"), "postgresql")


class UTCDateTime(TypeDecorator[dt.datetime]):
    """An aware time in UTC on both databases; SQLite keeps it without a zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """Refuse naive times, convert the rest to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"a time without zone: {value!r}"
            raise ValueError(msg)
        return value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """Give the zone back."""
        if value is None:
            return None
        return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)


class ScanRow(SQLModel, table=True):
    """One scan of one cluster."""

    __tablename__ = "scans"
    __table_args__ = (
        Index("ix_scans_cluster", "cluster", "id"),
        # The guard against two scans of one cluster at once: the database itself refuses the second row.
        Index(
            "ix_scans_running",
            "cluster",
            unique=True,
            postgresql_where=text("state = 'running'"),
            sqlite_where=text("state = 'running'"),
        ),
    )

    #: UUID; time-ordered (version 7).
    id: str = Field(primary_key=True, sa_type=KEY)
    cluster: str = Field(sa_type=KEY)
    #: `live` or `manifests`.
    source: str
    #: `schedule`, `api`, `start` or `catch-up`.
    trigger: str
    #: `running`, `complete`, `partial` (coverage has gaps) or `failed`.
    state: str
    started_at: dt.datetime = Field(sa_type=UTCDateTime)
    finished_at: dt.datetime | None = Field(default=None, sa_type=UTCDateTime)
    #: Last sign of life while it runs; when that is too old, its process has died and the scan is marked failed.
    alive_at: dt.datetime = Field(sa_type=UTCDateTime)
    #: `reading`, `judging`, `storing`, and how far that is, 0 to 100.
    phase: str = ""
    progress: int = 0
    server_version: str = ""
    #: One line, if it failed.
    error: str = ""
    #: Counts: resources, passed, failed, unknown, expected, opened, resolved, regressed.
    summary: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON_TYPE, nullable=False))


class CoverageRow(SQLModel, table=True):
    """One read of one scan."""

    __tablename__ = "coverage"

    scan_id: str = Field(sa_column=Column(KEY, ForeignKey("scans.id", ondelete="CASCADE"), primary_key=True))
    resource: str = Field(primary_key=True, sa_type=KEY)
    namespace: str = Field(default="", primary_key=True, sa_type=KEY)
    state: str
    reason: str = ""
    count: int = 0


class ResourceRow(SQLModel, table=True):
    """A root owner, or any other object that a finding is about, as last seen."""

    __tablename__ = "resources"
    __table_args__ = (
        Index("ix_resources_cluster_namespace", "cluster", "namespace", "kind", "name", "id"),
        Index("ix_resources_cluster_kind", "cluster", "kind", "namespace", "name", "id"),
        Index("ix_resources_cluster_name", "cluster", "name"),
    )

    #: Hash of cluster, group, kind, namespace and name.
    id: str = Field(primary_key=True, sa_type=KEY)
    cluster: str = Field(sa_type=KEY)
    api_version: str
    api_group: str
    kind: str = Field(sa_type=KEY)
    namespace: str = Field(default="", sa_type=KEY)
    name: str = Field(sa_type=KEY)
    uid: str = ""
    #: Pods that ran from it.
    pods: int = 0
    first_seen_at: dt.datetime = Field(sa_type=UTCDateTime)
    #: Set when a complete read no longer showed it.
    gone_at: dt.datetime | None = Field(default=None, sa_type=UTCDateTime)


class FindingRow(SQLModel, table=True):
    """A finding over its whole life; one row a fingerprint.

    Lists are sorted by `severity_rank` and `id`. A common value (all of a cluster, a large namespace) is read in that
    order from the first index, until the page is full; a rare one is found by its own index and sorted. That keeps the
    other indexes small: without the id, PostgreSQL stores a value once for all of its rows.
    """

    __tablename__ = "findings"
    __table_args__ = (
        Index("ix_findings_cluster", "cluster", "is_open", "severity_rank", "id"),
        Index("ix_findings_cluster_namespace", "cluster", "namespace", "is_open"),
        Index("ix_findings_cluster_policy", "cluster", "policy", "is_open"),
        Index("ix_findings_cluster_kind", "cluster", "kind", "is_open"),
        Index("ix_findings_cluster_name", "cluster", "name"),
        Index("ix_findings_resource", "resource_id", "is_open"),
    )

    #: The fingerprint.
    id: str = Field(primary_key=True, sa_type=KEY)
    cluster: str = Field(sa_type=KEY)
    policy: str = Field(sa_type=KEY)
    area: str = Field(sa_type=KEY)
    #: `fail` or `unknown`.
    outcome: str
    #: `open`, `acknowledged`, `resolved` or `regressed`.
    state: str
    #: Whether the state is one that concerns people now: any but resolved. One equality instead of a list of states
    #: keeps the indexes sorted.
    is_open: bool
    severity: str
    #: 0 is low, 3 is critical.
    severity_rank: int
    confidence: str
    resource_id: str = Field(sa_type=KEY)
    api_version: str
    kind: str = Field(sa_type=KEY)
    namespace: str = Field(default="", sa_type=KEY)
    name: str = Field(sa_type=KEY)
    message: str
    #: Facts as `model.finding.Fact` encodes them.
    evidence: list[Any] = Field(default_factory=list, sa_column=Column(JSON_TYPE, nullable=False))
    missing: list[str] = Field(default_factory=list, sa_column=Column(JSON_TYPE, nullable=False))
    fix: str = ""
    #: Why a failure is as it should be, as `model.finding.Finding.expected`; it then counts nowhere.
    expected: str = ""
    #: Hash of what may change while the id and the state stay; equal means that nothing is written.
    content: str
    first_seen_at: dt.datetime = Field(sa_type=UTCDateTime)
    #: When it was opened; None as long as its outcome was never anything but unknown.
    opened_at: dt.datetime | None = Field(default=None, sa_type=UTCDateTime)
    #: Time of its last event; as long as it has none, when it was first seen.
    changed_at: dt.datetime = Field(sa_type=UTCDateTime)
    #: The scan that wrote this row last.
    scan_id: str


class FindingEventRow(SQLModel, table=True):
    """One change of state of one finding; never updated."""

    __tablename__ = "finding_events"
    __table_args__ = (Index("ix_finding_events_finding", "finding_id", "id"),)

    id: int | None = Field(default=None, sa_column=Column(SERIAL, primary_key=True, autoincrement=True))
    finding_id: str = Field(sa_type=KEY)
    cluster: str
    #: As `model.news.Transition`.
    transition: str
    at: dt.datetime = Field(sa_type=UTCDateTime)
    scan_id: str = Field(sa_type=KEY)
    #: Who: `scan`, or the person that a request named.
    actor: str = "scan"


class DeliveryRow(SQLModel, table=True):
    """The outbox: one announcement to one destination, written in the transaction that made the news."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_due", "state", "next_attempt_at", "id"),)

    #: UUID, version 7; the receiver's idempotency key (`webhook-id`).
    id: str = Field(primary_key=True, sa_type=KEY)
    #: Name of a destination in the settings.
    destination: str
    #: `model.news.Announcement` as JSON.
    announcement: dict[str, Any] = Field(sa_column=Column(JSON_TYPE, nullable=False))
    #: `pending`, `delivered` or `dead`.
    state: str = "pending"
    attempts: int = 0
    created_at: dt.datetime = Field(sa_type=UTCDateTime)
    next_attempt_at: dt.datetime = Field(sa_type=UTCDateTime)
    #: Who is sending it now, and until when that claim holds.
    claim: str = ""
    claimed_until: dt.datetime | None = Field(default=None, sa_type=UTCDateTime)
    delivered_at: dt.datetime | None = Field(default=None, sa_type=UTCDateTime)
    #: Why the last attempt failed; one line, nothing of the receiver's body.
    error: str = ""


class GrantsRow(SQLModel, table=True):
    """The roles and bindings of a cluster's last stored scan: one row a cluster, replaced by the next scan."""

    __tablename__ = "grants"

    cluster: str = Field(primary_key=True, sa_type=KEY)
    #: The scan that read them.
    scan_id: str = Field(sa_type=KEY)
    #: A snapshot of these kinds alone, with their coverage, as `scanner.cluster.saved` packs it.
    snapshot: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class SecretWorldRow(SQLModel, table=True):
    """What uses Secrets, as of a cluster's last stored scan: one row a cluster, replaced by the next scan."""

    __tablename__ = "secret_worlds"

    cluster: str = Field(primary_key=True, sa_type=KEY)
    #: The scan that saw it.
    scan_id: str = Field(sa_type=KEY)
    #: A `scanner.analysis.paths.secret_world.SecretWorld` as gzip of JSON: names and uses, never a value.
    world: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class NetworkStateRow(SQLModel, table=True):
    """What decided who could connect to whom in some scans of a cluster: one row for all scans that saw the same."""

    __tablename__ = "network_states"

    cluster: str = Field(primary_key=True, sa_type=KEY)
    #: Of `snapshot`.
    digest: str = Field(primary_key=True, sa_type=KEY)
    #: `scanner.analysis.network.kept` of the snapshot, as `scanner.cluster.saved` packs it.
    snapshot: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class NetworkScanRow(SQLModel, table=True):
    """Which of these states a scan saw."""

    __tablename__ = "network_scans"
    __table_args__ = (Index("ix_network_scans_cluster", "cluster", "scan_id"),)

    scan_id: str = Field(primary_key=True, sa_type=KEY)
    cluster: str = Field(sa_type=KEY)
    digest: str = Field(sa_type=KEY)
    #: When its snapshot was taken.
    taken_at: dt.datetime = Field(sa_type=UTCDateTime)


class AuditIdentityRow(SQLModel, table=True):
    """One identity that the API server's audit webhook told of."""

    __tablename__ = "audit_identities"
    __table_args__ = (Index("ix_audit_identities_cluster", "cluster", "username", unique=True),)

    #: Hash of cluster and user.
    id: str = Field(primary_key=True, sa_type=KEY)
    cluster: str = Field(sa_type=KEY)
    username: str = Field(sa_type=KEY)
    #: Every group that it ever had.
    groups: list[str] = Field(default_factory=list, sa_column=Column(JSON_TYPE, nullable=False))
    #: Requests that were denied.
    denied: int = Field(default=0, sa_type=BigInteger)
    #: Rows of `audit_uses`.
    uses: int = 0
    #: It did more than is kept.
    is_partial: bool = False


class AuditUseRow(SQLModel, table=True):
    """One kind of thing that an identity did; nothing of any object but its name."""

    __tablename__ = "audit_uses"
    __table_args__ = (Index("ix_audit_uses_identity", "identity_id", "id"),)

    #: Hash of the identity and the request.
    id: str = Field(primary_key=True, sa_type=KEY)
    identity_id: str = Field(
        sa_column=Column(KEY, ForeignKey("audit_identities.id", ondelete="CASCADE"), nullable=False)
    )
    verb: str
    api_group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = Field(default="", sa_type=KEY)
    #: Of a request for no resource; empty for any other.
    path: str = ""
    #: Names that it was done to, up to a limit; empty among them for requests that named no object.
    names: list[str] = Field(default_factory=list, sa_column=Column(JSON_TYPE, nullable=False))
    has_more_names: bool = False
    first_seen_at: dt.datetime = Field(sa_type=UTCDateTime)
    last_seen_at: dt.datetime = Field(sa_type=UTCDateTime)
    #: Requests that were answered.
    count: int = Field(default=0, sa_type=BigInteger)


def _table(row: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(row.__tablename__)]


#: The same tables for statements in bulk, which go past the row classes.
SCANS = _table(ScanRow)
COVERAGE = _table(CoverageRow)
RESOURCES = _table(ResourceRow)
FINDINGS = _table(FindingRow)
FINDING_EVENTS = _table(FindingEventRow)
DELIVERIES = _table(DeliveryRow)
GRANTS = _table(GrantsRow)
SECRET_WORLDS = _table(SecretWorldRow)
NETWORK_STATES = _table(NetworkStateRow)
NETWORK_SCANS = _table(NetworkScanRow)
AUDIT_IDENTITIES = _table(AuditIdentityRow)
AUDIT_USES = _table(AuditUseRow)
