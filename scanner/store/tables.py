"""The tables, for SQLite and PostgreSQL alike; `migrations/` makes them, a test holds the two together."""

import datetime as dt
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, Dialect, ForeignKey, Index, Integer, String, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

#: Binary JSON on PostgreSQL, text on SQLite.
JSON_TYPE = JSON().with_variant(JSONB(), "postgresql")
#: SQLite only counts up an `INTEGER` key.
SERIAL = BigInteger().with_variant(Integer(), "sqlite")


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
        return value if value is None or value.tzinfo else value.replace(tzinfo=dt.UTC)


class ScanRow(SQLModel, table=True):
    """One scan of one cluster."""

    __tablename__ = "scans"
    __table_args__ = (Index("ix_scans_cluster_started_at", "cluster", "started_at"),)

    #: UUID; time-ordered (version 7).
    id: str = Field(primary_key=True)
    cluster: str
    #: `live` or `manifests`.
    source: str
    #: `schedule`, `api`, `start` or `catch-up`.
    trigger: str
    #: `running`, `complete`, `partial` (coverage has gaps) or `failed`.
    state: str
    started_at: dt.datetime = Field(sa_type=UTCDateTime)
    finished_at: dt.datetime | None = Field(default=None, sa_type=UTCDateTime)
    #: `reading`, `judging`, `storing`, and how far that is, 0 to 100.
    phase: str = ""
    progress: int = 0
    server_version: str = ""
    #: One line, if it failed.
    error: str = ""
    #: Counts: resources, passed, failed, unknown, opened, resolved, regressed.
    summary: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON_TYPE, nullable=False))


class CoverageRow(SQLModel, table=True):
    """One read of one scan."""

    __tablename__ = "coverage"

    scan_id: str = Field(sa_column=Column(String, ForeignKey("scans.id", ondelete="CASCADE"), primary_key=True))
    resource: str = Field(primary_key=True)
    namespace: str = Field(default="", primary_key=True)
    state: str
    reason: str = ""
    count: int = 0


class ResourceRow(SQLModel, table=True):
    """A root owner, or any other object that a finding is about, as last seen."""

    __tablename__ = "resources"
    __table_args__ = (
        Index("ix_resources_identity", "cluster", "api_group", "kind", "namespace", "name", unique=True),
        Index("ix_resources_cluster_namespace", "cluster", "namespace", "kind", "name", "id"),
    )

    #: Hash of cluster, group, kind, namespace and name.
    id: str = Field(primary_key=True)
    cluster: str
    api_version: str
    api_group: str
    kind: str
    namespace: str = ""
    name: str
    uid: str = ""
    #: Pods that ran from it.
    pods: int = 0
    first_seen_at: dt.datetime = Field(sa_type=UTCDateTime)
    #: Set when a complete read no longer showed it.
    gone_at: dt.datetime | None = Field(default=None, sa_type=UTCDateTime)


class FindingRow(SQLModel, table=True):
    """A finding over its whole life; one row a fingerprint."""

    __tablename__ = "findings"
    __table_args__ = (
        Index("ix_findings_cluster_state", "cluster", "state", "severity_rank", "id"),
        Index("ix_findings_cluster_namespace", "cluster", "namespace", "state", "severity_rank", "id"),
        Index("ix_findings_cluster_policy", "cluster", "policy", "state", "severity_rank", "id"),
        Index("ix_findings_resource", "resource_id", "id"),
    )

    #: The fingerprint.
    id: str = Field(primary_key=True)
    cluster: str
    policy: str
    area: str
    #: `fail` or `unknown`.
    outcome: str
    #: `open`, `resolved` or `regressed`.
    state: str
    severity: str
    #: 0 is low, 3 is critical.
    severity_rank: int
    confidence: str
    resource_id: str
    api_version: str
    kind: str
    namespace: str = ""
    name: str
    message: str
    #: Facts as `model.finding.Fact` encodes them.
    evidence: list[Any] = Field(default_factory=list, sa_column=Column(JSON_TYPE, nullable=False))
    missing: list[str] = Field(default_factory=list, sa_column=Column(JSON_TYPE, nullable=False))
    fix: str = ""
    #: Hash of all of the above that may change while the id stays; equal means that nothing is written.
    content: str
    first_seen_at: dt.datetime = Field(sa_type=UTCDateTime)
    #: Last change of state.
    changed_at: dt.datetime = Field(sa_type=UTCDateTime)
    #: The scan that wrote this row last.
    scan_id: str


class FindingEventRow(SQLModel, table=True):
    """One change of state of one finding; never updated."""

    __tablename__ = "finding_events"
    __table_args__ = (
        Index("ix_finding_events_finding", "finding_id", "id"),
        Index("ix_finding_events_scan", "scan_id", "id"),
    )

    id: int | None = Field(default=None, sa_column=Column(SERIAL, primary_key=True, autoincrement=True))
    finding_id: str
    cluster: str
    #: `opened`, `resolved` or `regressed`.
    transition: str
    at: dt.datetime = Field(sa_type=UTCDateTime)
    scan_id: str
    #: Who: `scan`, later also people.
    actor: str = "scan"


class DeliveryRow(SQLModel, table=True):
    """The outbox: one announcement to one destination, written in the transaction that made the news."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_due", "state", "next_attempt_at", "id"),)

    #: UUID, version 7; the receiver's idempotency key (`webhook-id`).
    id: str = Field(primary_key=True)
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
