"""What uses Secrets in each cluster's last stored scan, to answer who reaches them.

Revision: 0005
After: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# As it was on that day, whatever became of scanner.store.tables since.
KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "secret_worlds",
        sa.Column("cluster", KEY, nullable=False),
        sa.Column("scan_id", KEY, nullable=False),
        sa.Column("world", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("cluster"),
    )


def downgrade() -> None:
    op.drop_table("secret_worlds")
