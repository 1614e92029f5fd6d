"""Alembic's entry: runs migrations on the connection and in the transaction that `scanner.store.database` opened.

There is no other way in, so that every upgrade takes its turn by the same lock. A new revision lies in `versions/`
under a name like `2026-11-23-1600_what_it_does.py`; a test holds migrations and tables together on both databases.
First expand, contract one release later: the previous release must still run on the new schema.
"""

from alembic import context
from sqlmodel import SQLModel

import scanner.store.tables  # noqa: F401 - fills the metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    # SQLite alters no table in place; batches copy it.
    render_as_batch=True,
    # One transaction for all, on SQLite too: the engine begins it itself.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
