"""The database: engines for SQLite and PostgreSQL, transactions, and the way to the current schema.

SQLite is the embedded default: one file, one process that serves, WAL so that readers and the one writer don't wait for
each other. PostgreSQL is for many replicas. What a driver raises becomes a `StoreError` here and goes no further.
"""

import contextlib
import datetime as dt
import functools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlmodel import Session

import scanner
from scanner.errors import SchemaError, StoreError, StoreUnreachableError

#: A statement that a caller of the API waits for.
READ_TIMEOUT = dt.timedelta(seconds=10)
#: A statement of a scan or a migration: 150,000 findings go in within seconds, so minutes mean that something hangs.
WRITE_TIMEOUT = dt.timedelta(minutes=5)
#: How long a writer of SQLite waits for the one before it: as long as storing a large scan takes.
_SQLITE_WAIT = dt.timedelta(seconds=60)
#: Threads that serve (40 in Starlette's pool) share these; PostgreSQL's own default allows 100 for all replicas.
_POOL_SIZE = 5
_POOL_OVERFLOW = 10
_POOL_TIMEOUT_SECONDS = 10
#: One number for all releases, so that two of them never migrate at once; taken from the first bytes of "plimsoll".
_MIGRATION_LOCK = 0x706C696D
#: Marks a connection whose transactions write.
_WRITES = "plimsoll_writes"


def open_database(url: str) -> Engine:
    """Return an engine for `sqlite:///path` or `postgresql://…`; nothing is connected yet.

    Raises:
        StoreError: The URL is no URL, or of another database.
    """
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise StoreError(
            "the database URL cannot be read: use sqlite:///file or postgresql://user@host/name"
        ) from error
    match parsed.get_backend_name():
        case "sqlite" if parsed.database and parsed.database != ":memory:":
            return _sqlite(url)
        case "postgresql" | "postgres":
            return _postgresql(parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False))
        case _:
            raise StoreError("the database must be a SQLite file (sqlite:///file) or PostgreSQL (postgresql://…)")


def _sqlite(url: str) -> Engine:
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _record: Any) -> None:
        # The driver must not begin transactions by itself: it would leave DDL and reads outside of them (SQLAlchemy,
        # "Serializable isolation / Savepoints / Transactional DDL").
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {_SQLITE_WAIT // dt.timedelta(milliseconds=1)}",
            "journal_mode = WAL",
            # FULL: what was acknowledged survives a power cut. It costs one fsync a transaction, of which a scan needs
            # few.
            "synchronous = FULL",
            "foreign_keys = ON",
            # Give the space of a large scan's log back after it was merged.
            "journal_size_limit = 67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes its lock at once; one that began as a reader could not wait for it any more.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(url: str) -> Engine:
    limits = {
        "statement_timeout": READ_TIMEOUT,
        # A process that was paused in the middle of a transaction must not hold its locks for ever.
        "idle_in_transaction_session_timeout": WRITE_TIMEOUT,
    }
    options = " ".join(f"-c {name}={limit // dt.timedelta(milliseconds=1)}" for name, limit in limits.items())
    return create_engine(
        url,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        pool_timeout=_POOL_TIMEOUT_SECONDS,
        pool_pre_ping=True,
        connect_args={
            "application_name": "plimsoll",
            "connect_timeout": 5,
            # A server that vanished without a word is noticed within a minute.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "options": f"{options} -c timezone=UTC",
        },
    )


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """Open a transaction that reads: everything in it comes from one moment, and its rows stay usable after it."""
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if _is_postgresql(engine) else {}
    with (
        _translated(engine),
        engine.connect().execution_options(**options) as connection,
        connection.begin(),
        Session(bind=connection, expire_on_commit=False, autoflush=False) as session,
    ):
        yield session


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that writes: whole if the block ends, nothing of it otherwise."""
    with _translated(engine), engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        if _is_postgresql(engine):
            _set_local(connection, "statement_timeout", WRITE_TIMEOUT)
        yield connection


def _is_postgresql(engine: Engine | Connection) -> bool:
    return engine.dialect.name == "postgresql"


def _set_local(connection: Connection, name: str, value: dt.timedelta) -> None:
    connection.execute(
        text("SELECT set_config(:name, :value, true)"),
        {"name": name, "value": f"{value // dt.timedelta(milliseconds=1)}ms"},
    )


@contextlib.contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    """Turn the errors of SQLAlchemy and the drivers into ours: one line, without the URL and its password."""
    try:
        yield
    except (exc.DBAPIError, psycopg.Error, sqlite3.Error) as error:
        raise _store_error(error.orig if isinstance(error, exc.DBAPIError) else error, engine) from error
    except exc.TimeoutError as error:
        raise StoreError("the database is busy: every connection of the pool is in use") from error


def _store_error(error: BaseException | None, engine: Engine) -> StoreError:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN:
        return StoreUnreachableError(f"the database file {engine.url.database} cannot be opened")
    # PostgreSQL gives what it refuses a code; what has none did not come from it.
    unreachable = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and (
        not error.sqlstate or (error.sqlstate[:2] in {"08", "57"} and error.sqlstate != "57014")
    )
    if unreachable:
        return StoreUnreachableError(f"the database does not answer: {line}")
    return StoreError(f"the database refused: {line}")


def migrations_folder() -> Path:
    """Return where the migrations lie: beside the package in a checkout, inside it once installed."""
    package = Path(scanner.__file__).parent
    installed = package / "_data" / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to the schema of this release; nothing happens if it is there.

    All in one transaction: a migration that fails leaves the schema as it was. Replicas that start together wait for
    the first: on PostgreSQL for an advisory lock, on SQLite for the writer's lock.
    """
    with writing(engine) as connection:
        _take_turn(connection)
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema back to an older revision; `base` removes everything."""
    with writing(engine) as connection:
        _take_turn(connection)
        command.downgrade(_config(connection), revision)


def _take_turn(connection: Connection) -> None:
    if _is_postgresql(connection):
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        # Rather give up than make every query queue behind a lock that a long transaction holds up.
        _set_local(connection, "lock_timeout", dt.timedelta(seconds=10))


@functools.cache
def _revisions() -> tuple[str, frozenset[str]]:
    """Return the newest revision and all; read once, as probes ask for them every few seconds."""
    revisions = [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]
    return revisions[0], frozenset(revisions)


def require_head(engine: Engine) -> None:
    """Check that the database is at the schema of this release.

    Raises:
        SchemaError: It is older or newer; the message says what to do.
        StoreError: It cannot be asked.
    """
    head, known = _revisions()
    with _translated(engine), engine.connect() as connection:
        found = set(MigrationContext.configure(connection).get_current_heads())
    if not found:
        raise SchemaError("the database is empty: run `plimsoll db upgrade`")
    if found != {head}:
        if found <= known:
            raise SchemaError("the database is at an older schema: run `plimsoll db upgrade`")
        raise SchemaError("the database is at a schema that this release does not know: run a newer release")
