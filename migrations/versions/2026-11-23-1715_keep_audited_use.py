"""What identities used, as the API server's audit webhook tells.

Revision: 0003
After: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# As they were on that day, whatever became of scanner.store.tables since.
KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "audit_identities",
        sa.Column("id", KEY, nullable=False),
        sa.Column("cluster", KEY, nullable=False),
        sa.Column("username", KEY, nullable=False),
        sa.Column("groups", JSON, nullable=False),
        sa.Column("denied", sa.BigInteger(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("is_partial", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_identities_cluster", "audit_identities", ["cluster", "username"], unique=True)
    op.create_table(
        "audit_uses",
        sa.Column("id", KEY, nullable=False),
        sa.Column("identity_id", KEY, nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("api_group", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("subresource", sa.String(), nullable=False),
        sa.Column("namespace", KEY, nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("names", JSON, nullable=False),
        sa.Column("has_more_names", sa.Boolean(), nullable=False),
        sa.Column("first_seen_at", TIME, nullable=False),
        sa.Column("last_seen_at", TIME, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["identity_id"], ["audit_identities.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_uses_identity", "audit_uses", ["identity_id", "id"])


def downgrade() -> None:
    op.drop_table("audit_uses")
    op.drop_table("audit_identities")
