"""The databases that store and service are tested on: a SQLite file and a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scanner.store.database import open_database, upgrade

#: Parameters for a fixture: one run on each database.
BOTH = [pytest.param("sqlite", id="sqlite"), pytest.param("postgresql", id="postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=BOTH)
def empty_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An engine of an empty database."""
    url = f"sqlite:///{tmp_path}/test.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    engine = open_database(url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(empty_engine: Engine) -> Engine:
    """An engine of a database at the current schema, without rows."""
    upgrade(empty_engine)
    return empty_engine
