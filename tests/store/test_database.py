"""The database: how it is opened, migrated, and what its errors become."""

import socket
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlmodel import SQLModel

from scanner.errors import SchemaError, StoreError, StoreUnreachableError
from scanner.store.database import downgrade, migrations_folder, open_database, reading, require_head, upgrade, writing


def test_migrations_end_at_the_tables(engine: Engine) -> None:
    """The schema that the migrations make is the one that the code expects."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_an_upgrade_of_a_current_database_changes_nothing(engine: Engine) -> None:
    """Every start may upgrade."""
    upgrade(engine)
    require_head(engine)


def test_a_downgrade_takes_everything_away_again(engine: Engine) -> None:
    """Each migration can be undone."""
    downgrade(engine, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]


def test_a_downgraded_database_can_be_upgraded(engine: Engine) -> None:
    """Down and up again ends at the current schema."""
    downgrade(engine, "base")
    upgrade(engine)
    require_head(engine)


def test_an_empty_database_is_not_at_the_schema(empty_engine: Engine) -> None:
    """The message says what to run."""
    with pytest.raises(SchemaError, match="plimsoll db upgrade"):
        require_head(empty_engine)


def test_a_newer_schema_is_told_apart(engine: Engine) -> None:
    """An older release must not be pointed at `db upgrade`."""
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaError, match="newer release"):
        require_head(engine)


def test_replicas_that_start_together_migrate_once(empty_engine: Engine) -> None:
    """The second waits for the first and finds the work done."""
    failures: list[BaseException] = []

    def start() -> None:
        try:
            upgrade(empty_engine)
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_migrations_of_a_wheel_are_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once installed, they lie inside of the package."""
    inside = tmp_path / "scanner" / "_data" / "migrations"
    inside.mkdir(parents=True)
    monkeypatch.setattr("scanner.__file__", str(tmp_path / "scanner" / "__init__.py"))
    assert migrations_folder() == inside


def test_a_block_that_fails_writes_nothing(engine: Engine) -> None:
    """A transaction is whole or not at all, DDL included."""
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:  # noqa: PT012 - the block is what fails
        connection.execute(text("CREATE TABLE half (id INTEGER)"))
        raise ZeroDivisionError
    assert not inspect(engine).has_table("half")


def test_a_statement_that_is_refused_is_a_store_error(engine: Engine) -> None:
    """The driver's error goes no further."""
    with pytest.raises(StoreError, match="no_such_table"), writing(engine) as connection:
        connection.execute(text("SELECT * FROM no_such_table"))


def test_an_error_is_one_line(engine: Engine) -> None:
    """SQLAlchemy's statement and its link to a web page are left out."""
    with pytest.raises(StoreError) as caught, writing(engine) as connection:
        connection.execute(text("SELECT * FROM no_such_table"))
    assert "\n" not in str(caught.value)


def test_a_database_that_does_not_answer_is_told_apart_without_its_password() -> None:
    """Nothing listens there; the message must not show how to log in."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        engine = open_database(f"postgresql://plimsoll:hunter2@127.0.0.1:{closed.getsockname()[1]}/plimsoll")
        with pytest.raises(StoreUnreachableError) as caught, reading(engine):
            pass
    assert "hunter2" not in str(caught.value)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """SQLite alone only says that it could not."""
    engine = open_database(f"sqlite:///{tmp_path}/missing/test.sqlite")
    with pytest.raises(StoreUnreachableError, match=r"missing/test\.sqlite"), reading(engine):
        pass


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://root@localhost/x", "sqlite://", "sqlite:///:memory:"])
def test_another_database_is_refused(url: str) -> None:
    """The message says which are possible."""
    with pytest.raises(StoreError, match="sqlite:///file"):
        open_database(url)


def test_a_reader_sees_one_moment(engine: Engine) -> None:
    """What is committed while a reader is at work does not appear half-way."""
    with reading(engine) as session:
        before = session.execute(text("SELECT count(*) FROM scans")).scalar()
        with writing(engine) as connection:
            connection.execute(
                text(
                    "INSERT INTO scans (id, cluster, source, trigger, state, started_at, alive_at, phase, progress,"
                    " server_version, error, summary) VALUES ('1', 'c', 'live', 'api', 'failed', '2026-11-23 12:00:00',"
                    " '2026-11-23 12:00:00', '', 0, '', '', '{}')"
                )
            )
        assert session.execute(text("SELECT count(*) FROM scans")).scalar() == before


def test_sqlite_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    """WAL with full synchronisation, foreign keys enforced."""
    engine = open_database(f"sqlite:///{tmp_path}/test.sqlite")
    with engine.connect() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()
            for pragma in ("journal_mode", "synchronous", "foreign_keys")
        ]
    engine.dispose()
    assert found == ["wal", 2, 1]


@pytest.mark.postgres
def test_postgresql_connections_say_who_they_are(postgres_url: str) -> None:
    """An administrator finds them by name, and neither a reader's statement nor an idle transaction lasts for ever."""
    engine = open_database(postgres_url)
    with reading(engine) as session:
        found = session.execute(
            text(
                "SELECT current_setting('application_name'), current_setting('statement_timeout'),"
                " current_setting('idle_in_transaction_session_timeout')"
            )
        ).one()
    engine.dispose()
    assert tuple(found) == ("plimsoll", "10s", "5min")
