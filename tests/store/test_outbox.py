"""The outbox: nothing is told that was not stored, nothing stored that is not told."""

import msgspec
import pytest
from sqlalchemy import Engine, select

from scanner.model.news import Announcement
from scanner.model.policy import Severity
from scanner.model.refs import ClusterName
from scanner.store.database import writing
from scanner.store.outbox import enqueue
from scanner.store.tables import DELIVERIES
from tests.builders import NOW

NEWS = Announcement(cluster=ClusterName("test"), scan="1", at=NOW, open_by_severity={Severity.HIGH: 3}, is_summary=True)


def test_an_announcement_is_due_at_once(engine: Engine) -> None:
    """It waits for its first attempt, and reads back as it was."""
    with writing(engine) as connection:
        enqueue(connection, [("slack", NEWS)], NOW)
        row = connection.execute(select(DELIVERIES)).mappings().one()
    assert (row["destination"], row["state"], row["attempts"], row["next_attempt_at"]) == ("slack", "pending", 0, NOW)
    assert msgspec.convert(row["announcement"], Announcement) == NEWS


def test_ids_sort_in_the_order_given(engine: Engine) -> None:
    """The worst is sent first."""
    destinations = [f"d{number:02}" for number in range(60)]
    with writing(engine) as connection:
        assert enqueue(connection, [(destination, NEWS) for destination in destinations], NOW) == 60
        found = connection.scalars(select(DELIVERIES.c.destination).order_by(DELIVERIES.c.id))
        assert list(found) == destinations


def test_news_of_a_transaction_that_fails_is_not_told(engine: Engine) -> None:
    """The row lives and dies with what it tells of."""
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:  # noqa: PT012 - the block is what fails
        enqueue(connection, [("slack", NEWS)], NOW)
        raise ZeroDivisionError
    with engine.connect() as connection:
        assert connection.execute(select(DELIVERIES)).all() == []
