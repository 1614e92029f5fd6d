"""The outbox: what is to be told, written in the transaction that made the news: neither is without the other."""

import datetime as dt
from collections.abc import Iterable

from sqlalchemy import Connection

from scanner.model.news import Announcement
from scanner.store.bulk import insert_rows, json_text, moment
from scanner.store.ids import uuid7
from scanner.store.tables import DELIVERIES


def enqueue(connection: Connection, messages: Iterable[tuple[str, Announcement]], now: dt.datetime) -> int:
    """Put announcements into the outbox, each for the destination that it names, and return how many there were.

    They are due at once and, as their ids sort in the order given, in that order.
    """
    at = moment(connection, now)
    rows = [
        (uuid7(now, min(sequence, 4095)), destination, json_text(announcement), "pending", 0, at, at, "", "")
        for sequence, (destination, announcement) in enumerate(messages)
    ]
    insert_rows(
        connection,
        DELIVERIES,
        ("id", "destination", "announcement", "state", "attempts", "created_at", "next_attempt_at", "claim", "error"),
        rows,
    )
    return len(rows)
