"""Many rows at once: COPY and joins on PostgreSQL, prepared statements on SQLite; never a statement a row on the wire.

Rows are tuples of what the drivers take as it is: text for keys, times (`moment`) and JSON (`json_text`).
"""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from psycopg import sql
from sqlalchemy import ARRAY, ColumnElement, Connection, String, Table, any_, bindparam, func, select

#: As `json.dumps` and msgspec write the one character that PostgreSQL can't keep.
_NUL_ESCAPE = b"\\u0000"
#: What stands in its place: Unicode's own replacement character.
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_encode = msgspec.json.Encoder(order="deterministic").encode


def moment(connection: Connection, at: dt.datetime) -> str:
    """Write a time as the database's time columns take it."""
    utc = at.astimezone(dt.UTC)
    # SQLite compares text, so it must be exactly as SQLAlchemy writes it.
    return utc.isoformat(" ") if _is_postgresql(connection) else f"{utc:%Y-%m-%d %H:%M:%S.%f}"


def json_text(value: Any) -> str:
    """Write a value as JSON that both databases keep."""
    encoded = _encode(value)
    if _NUL_ESCAPE in encoded:
        encoded = _encode(_without_nul(msgspec.json.decode(encoded)))
    return encoded.decode()


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return plain_text(value)
        case list():
            return [_without_nul(v) for v in value]
        case dict():
            return {plain_text(k): _without_nul(v) for k, v in value.items()}
        case _:
            return value


def plain_text(value: str) -> str:
    """Return text that both databases keep: PostgreSQL has no NUL."""
    return value.replace("\0", _REPLACEMENT) if "\0" in value else value


def insert_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows; each has the values of the columns in order."""
    if _is_postgresql(connection):
        _copy(connection, sql.Identifier(table.name), columns, rows)
        return
    listed = list(rows)
    if listed:
        marks = ", ".join("?" * len(columns))
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608 - names of our own
            listed,
        )


def update_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Update rows by their `id`, which each row has as its last value, after the values of the columns."""
    listed = list(rows)
    if not listed:
        return
    if not _is_postgresql(connection):
        assignments = ", ".join(f"{c} = ?" for c in columns)
        connection.exec_driver_sql(f"UPDATE {table.name} SET {assignments} WHERE id = ?", listed)  # noqa: S608 - as above
        return
    target, staged = sql.Identifier(table.name), sql.Identifier(f"staged_{table.name}")
    names = [*columns, "id"]
    with _cursor(connection) as cursor:
        cursor.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                staged, _list(names), target
            )
        )
        _copy(connection, staged, names, listed)
        assignments_sql = sql.SQL(", ").join(
            sql.SQL("{0} = staged.{0}").format(sql.Identifier(column)) for column in columns
        )
        cursor.execute(
            sql.SQL("UPDATE {} AS kept SET {} FROM {} AS staged WHERE kept.id = staged.id").format(
                target, assignments_sql, staged
            )
        )
        cursor.execute(sql.SQL("DROP TABLE {}").format(staged))


def _copy(
    connection: Connection, table: sql.Identifier, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(table, _list(columns))
    with _cursor(connection) as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _cursor(connection: Connection) -> Any:
    """Return a cursor of psycopg itself: SQLAlchemy knows no COPY."""
    return connection.connection.cursor()


def _list(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column) for column in columns)


def is_among(connection: Connection, column: ColumnElement[Any], ids: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a column is one of any number of ids, sent as one value."""
    if _is_postgresql(connection):
        return column == any_(bindparam(None, list(ids), type_=ARRAY(String)))
    listed = func.json_each(json_text(list(ids))).table_valued("value")
    return column.in_(select(listed.c.value))


def starts_with(column: ColumnElement[Any], prefix: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions that a key begins with a prefix, as a range that every index of the key serves.

    Keys are compared by bytes, and none has the last character of Unicode in it.
    """
    return column >= prefix, column < prefix + "\U0010ffff"


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"
