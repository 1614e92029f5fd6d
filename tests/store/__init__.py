"""Claims about the store, each on SQLite and on PostgreSQL."""
