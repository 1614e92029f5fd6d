"""What decides who can connect to whom in the last scans of each cluster, to answer about them and to compare them.

Revision: 0004
After: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# As it was on that day, whatever became of scanner.store.tables since.
KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "network_states",
        sa.Column("cluster", KEY, nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("snapshot", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "digest"),
    )
    op.create_table(
        "network_scans",
        sa.Column("scan_id", KEY, nullable=False),
        sa.Column("cluster", KEY, nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scan_id"),
    )
    op.create_index("ix_network_scans_cluster", "network_scans", ["cluster", "scan_id"])


def downgrade() -> None:
    op.drop_index("ix_network_scans_cluster", table_name="network_scans")
    op.drop_table("network_scans")
    op.drop_table("network_states")
