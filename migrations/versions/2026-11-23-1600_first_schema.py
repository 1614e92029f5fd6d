"""The first schema: scans with coverage, resources, findings with their events, and the outbox.

Revision: 0001
After: nothing
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# As they were on that day, whatever became of scanner.store.tables since.
KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", KEY, nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("announcement", JSON, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("next_attempt_at", TIME, nullable=False),
        sa.Column("claim", sa.String(), nullable=False),
        sa.Column("claimed_until", TIME, nullable=True),
        sa.Column("delivered_at", TIME, nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_deliveries_due", "deliveries", ["state", "next_attempt_at", "id"])
    op.create_table(
        "finding_events",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("finding_id", KEY, nullable=False),
        sa.Column("cluster", sa.String(), nullable=False),
        sa.Column("transition", sa.String(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("scan_id", KEY, nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_finding_events_finding", "finding_events", ["finding_id", "id"])
    op.create_table(
        "findings",
        sa.Column("id", KEY, nullable=False),
        sa.Column("cluster", KEY, nullable=False),
        sa.Column("policy", KEY, nullable=False),
        sa.Column("area", KEY, nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("severity_rank", sa.Integer(), nullable=False),
        sa.Column("confidence", sa.String(), nullable=False),
        sa.Column("resource_id", KEY, nullable=False),
        sa.Column("api_version", sa.String(), nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("namespace", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("evidence", JSON, nullable=False),
        sa.Column("missing", JSON, nullable=False),
        sa.Column("fix", sa.String(), nullable=False),
        sa.Column("expected", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("first_seen_at", TIME, nullable=False),
        sa.Column("opened_at", TIME, nullable=True),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("scan_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_findings_cluster", "findings", ["cluster", "is_open", "severity_rank", "id"])
    op.create_index("ix_findings_cluster_kind", "findings", ["cluster", "kind", "is_open"])
    op.create_index("ix_findings_cluster_name", "findings", ["cluster", "name"])
    op.create_index("ix_findings_cluster_namespace", "findings", ["cluster", "namespace", "is_open"])
    op.create_index("ix_findings_cluster_policy", "findings", ["cluster", "policy", "is_open"])
    op.create_index("ix_findings_resource", "findings", ["resource_id", "is_open"])
    op.create_table(
        "resources",
        sa.Column("id", KEY, nullable=False),
        sa.Column("cluster", KEY, nullable=False),
        sa.Column("api_version", sa.String(), nullable=False),
        sa.Column("api_group", sa.String(), nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("namespace", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("pods", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", TIME, nullable=False),
        sa.Column("gone_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_resources_cluster_kind", "resources", ["cluster", "kind", "namespace", "name", "id"])
    op.create_index("ix_resources_cluster_name", "resources", ["cluster", "name"])
    op.create_index("ix_resources_cluster_namespace", "resources", ["cluster", "namespace", "kind", "name", "id"])
    op.create_table(
        "scans",
        sa.Column("id", KEY, nullable=False),
        sa.Column("cluster", KEY, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("alive_at", TIME, nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("server_version", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("summary", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_scans_cluster", "scans", ["cluster", "id"])
    op.create_index(
        "ix_scans_running",
        "scans",
        ["cluster"],
        unique=True,
        postgresql_where=sa.text("state = 'running'"),
        sqlite_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "coverage",
        sa.Column("scan_id", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("namespace", KEY, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["scan_id"], ["scans.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("scan_id", "resource", "namespace"),
    )


def downgrade() -> None:
    op.drop_table("coverage")
    op.drop_table("scans")
    op.drop_table("resources")
    op.drop_table("findings")
    op.drop_table("finding_events")
    op.drop_table("deliveries")
