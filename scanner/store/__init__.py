"""What is remembered: SQLModel on SQLite and PostgreSQL, one schema by Alembic."""
