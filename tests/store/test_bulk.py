"""Many rows at once, and values that a database might not keep."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from scanner.store.bulk import insert_rows, is_among, json_text, plain_text, update_rows
from scanner.store.database import writing
from scanner.store.tables import DELIVERIES, FINDING_EVENTS
from tests.builders import NOW

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=10,
)
_TIME = "2026-11-23 12:00:00.000000"
_COLUMNS = ("id", "destination", "announcement", "state", "attempts", "created_at", "next_attempt_at", "claim", "error")


def row(id_: str, announcement: Any = None, error: str = "") -> tuple[Any, ...]:
    """Make a row of the outbox, which has every kind of column."""
    return (id_, "slack", json_text(announcement or {}), "pending", 0, _TIME, _TIME, "", error)


@pytest.mark.parametrize(
    "value", ["a\tb\nc\\d", "\\N", "ünïcödé \N{PILE OF POO}", "quote \" and '", "\\.", "{}", "null"]
)
def test_text_comes_back_as_it_went_in(engine: Engine, value: str) -> None:
    """Nothing that COPY or SQL gives a meaning changes on the way."""
    with writing(engine) as connection:
        insert_rows(connection, DELIVERIES, _COLUMNS, [row("1", {"key": value}, value)])
        found = connection.execute(select(DELIVERIES.c.announcement, DELIVERIES.c.error)).one()
    assert tuple(found) == ({"key": value}, value)


def test_a_nul_is_replaced(engine: Engine) -> None:
    """PostgreSQL cannot keep one; a scanned object may hold it, and must not end the scan."""
    with writing(engine) as connection:
        insert_rows(connection, DELIVERIES, _COLUMNS, [row("1", {"a\0": ["\0b"]}, plain_text("c\0"))])
        found = connection.execute(select(DELIVERIES.c.announcement, DELIVERIES.c.error)).one()
    assert tuple(found) == ({"a\ufffd": ["\ufffdb"]}, "c\ufffd")


def test_a_backslash_before_u0000_is_no_nul() -> None:
    """Only the character is replaced, not text that looks like its escape."""
    assert msgspec.json.decode(json_text("\\u0000")) == "\\u0000"


@given(_JSON)
def test_json_without_nul_is_kept(value: Any) -> None:
    """Whatever came off the wire can be written as text and read again."""
    decoded = msgspec.json.decode(json_text(value))
    assert decoded == value or "\\u0000" in msgspec.json.encode(value).decode()


def test_times_are_those_that_the_tables_read(engine: Engine) -> None:
    """Rows written in bulk have the same times as rows written one by one."""
    with writing(engine) as connection:
        insert_rows(connection, DELIVERIES, _COLUMNS, [row("1")])
        found = connection.execute(select(DELIVERIES.c.created_at)).scalar()
    assert found == NOW


def test_updates_reach_the_rows_that_they_name(engine: Engine) -> None:
    """Each row gets its own values, others stay."""
    with writing(engine) as connection:
        insert_rows(connection, DELIVERIES, _COLUMNS, [row(id_) for id_ in "abc"])
        update_rows(connection, DELIVERIES, ("attempts", "error"), [(1, "x", "a"), (2, "y", "c")])
        columns = (DELIVERIES.c.id, DELIVERIES.c.attempts, DELIVERIES.c.error)
        found = {tuple(r) for r in connection.execute(select(*columns))}
    assert found == {("a", 1, "x"), ("b", 0, ""), ("c", 2, "y")}


def test_nothing_may_be_written(engine: Engine) -> None:
    """No rows are no statement that could fail."""
    with writing(engine) as connection:
        insert_rows(connection, FINDING_EVENTS, ("finding_id",), [])
        update_rows(connection, DELIVERIES, ("attempts",), [])


def test_many_ids_are_one_value(engine: Engine) -> None:
    """More ids than a statement may have parameters find their rows."""
    with writing(engine) as connection:
        insert_rows(connection, DELIVERIES, _COLUMNS, [row(id_) for id_ in "abc"])
        ids = ["a", "c", *(f"missing {n}" for n in range(70_000))]
        found = connection.scalars(select(DELIVERIES.c.id).where(is_among(connection, DELIVERIES.c.id, ids)))
        assert sorted(found) == ["a", "c"]
