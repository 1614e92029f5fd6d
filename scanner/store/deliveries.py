"""The outbox seen by who sends: claim what is due, record how it ended.

A claim is a lease on a row, not a transaction held open during an HTTP request. A sender that dies keeps nothing: when
its claim runs out, another sends again under the same id, which lets the receiver accept once.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, func, or_, select, update
from sqlmodel import col

from scanner.store.tables import DeliveryRow

PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"


@dataclass(frozen=True, slots=True)
class Claim:
    """Who is sending, and until when nobody else may."""

    token: str
    until: dt.datetime


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that is ours to send until the claim runs out."""

    id: str
    destination: str
    #: `model.news.Announcement` as plain JSON values.
    announcement: dict[str, Any]
    #: Attempts so far, this one not counted.
    attempts: int


def claim_due(
    connection: Connection, claim: Claim, destinations: Collection[str], now: dt.datetime, limit: int
) -> list[ClaimedDelivery]:
    """Claim up to `limit` due deliveries to these destinations, oldest first; two senders never claim the same.

    On PostgreSQL rows that another sender is about to claim are skipped; on SQLite the writer's lock keeps others out.
    """
    due = (
        select(col(DeliveryRow.id))
        .where(
            col(DeliveryRow.state) == PENDING,
            col(DeliveryRow.next_attempt_at) <= now,
            col(DeliveryRow.destination).in_(destinations),
            or_(col(DeliveryRow.claimed_until).is_(None), col(DeliveryRow.claimed_until) <= now),
        )
        .order_by(col(DeliveryRow.next_attempt_at), col(DeliveryRow.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = connection.execute(due).scalars().all()
    claimed = connection.execute(
        update(DeliveryRow)
        .where(col(DeliveryRow.id).in_(ids))
        .values(claim=claim.token, claimed_until=claim.until)
        .returning(
            col(DeliveryRow.id),
            col(DeliveryRow.destination),
            col(DeliveryRow.announcement),
            col(DeliveryRow.attempts),
        )
    ).mappings()
    # UUIDs of version 7: their order is that in which the deliveries were made.
    return sorted((_claimed(row) for row in claimed), key=lambda delivery: delivery.id)


def record_delivered(connection: Connection, delivery: ClaimedDelivery, claim: Claim, now: dt.datetime) -> None:
    """Note that the receiver accepted it; without effect if the claim has passed to another sender."""
    _finish(connection, delivery, claim, state=DELIVERED, delivered_at=now, error="")


def record_retry(
    connection: Connection, delivery: ClaimedDelivery, claim: Claim, next_attempt_at: dt.datetime, error: str
) -> None:
    """Note when it is to be sent again, and why the attempt failed."""
    _finish(connection, delivery, claim, next_attempt_at=next_attempt_at, error=error)


def record_dead(connection: Connection, delivery: ClaimedDelivery, claim: Claim, error: str) -> None:
    """Note that it will not be sent again, and why."""
    _finish(connection, delivery, claim, state=DEAD, error=error)


def _finish(connection: Connection, delivery: ClaimedDelivery, claim: Claim, **values: Any) -> None:
    connection.execute(
        update(DeliveryRow)
        .where(col(DeliveryRow.id) == delivery.id, col(DeliveryRow.claim) == claim.token)
        .values(claim="", claimed_until=None, attempts=delivery.attempts + 1, **values)
    )


def _claimed(row: RowMapping) -> ClaimedDelivery:
    return ClaimedDelivery(row["id"], row["destination"], row["announcement"], row["attempts"])


def count_by_state(connection: Connection) -> dict[str, int]:
    """Count the outbox by state; every state is named."""
    query = select(col(DeliveryRow.state), func.count()).group_by(col(DeliveryRow.state))
    counted = {state: number for state, number in connection.execute(query)}  # noqa: C416 - rows are no tuples to mypy
    return {state: counted.get(state, 0) for state in (PENDING, DELIVERED, DEAD)}
