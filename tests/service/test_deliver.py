"""Delivery from the outbox: at least once, under one key, and nothing is lost."""

import base64
import datetime as dt
import multiprocessing
import os
import signal
from collections.abc import Callable
from random import Random

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select
from sqlmodel import col
from standardwebhooks.webhooks import Webhook

from scanner.model.news import Announcement
from scanner.model.policy import Severity
from scanner.model.refs import ClusterName
from scanner.notify.http import Sender
from scanner.service.deliver import LEASE, WAITS, Deliverer, next_wait
from scanner.settings import Destination, SlackDestination, WebhookDestination
from scanner.store.database import open_database, reading, writing
from scanner.store.outbox import enqueue
from scanner.store.tables import DeliveryRow
from tests.receiver import Answer, Receiver, receiving

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        """Return the time."""
        return self.now


def _announcement(scan: str = "1") -> Announcement:
    counts = dict.fromkeys(Severity, 1)
    return Announcement(cluster=ClusterName("prod"), scan=scan, at=NOW, open_by_severity=counts, is_summary=True)


def _webhook(url: str) -> WebhookDestination:
    return WebhookDestination(type="webhook", name="hook", url=SecretStr(url), secret=SecretStr(SECRET))


def _deliverer(engine: Engine, sender: Sender, clock: Callable[[], dt.datetime], url: str) -> Deliverer:
    slack = SlackDestination(type="slack", name="slack", url=SecretStr(url))
    destinations: dict[str, Destination] = {"hook": _webhook(url), "slack": slack}
    return Deliverer(engine=engine, destinations=destinations, sender=sender, clock=clock, random=Random(1))


def _put(engine: Engine, *destinations: str) -> None:
    with writing(engine) as connection:
        enqueue(connection, [(name, _announcement(str(i))) for i, name in enumerate(destinations)], NOW)


def _rows(engine: Engine) -> list[DeliveryRow]:
    with reading(engine) as session:
        return list(session.scalars(select(DeliveryRow).order_by(col(DeliveryRow.id))))


def _ids(receiver: Receiver) -> list[str]:
    return [request.headers["webhook-id"] for request in receiver.requests]


def test_what_is_due_is_sent_once_and_in_order(engine: Engine) -> None:
    """Each destination gets its announcement, and a second round has nothing left to do."""
    _put(engine, "hook", "hook", "slack")
    with receiving() as receiver, Sender(allow_private=True) as sender:
        deliverer = _deliverer(engine, sender, Clock(), receiver.url)
        assert deliverer.deliver_due() == {"delivered": 3}
        assert deliverer.deliver_due() == {}
        assert _ids_or_none(receiver) == [row.id if row.destination == "hook" else None for row in _rows(engine)]
    assert {(row.state, row.attempts, row.delivered_at) for row in _rows(engine)} == {("delivered", 1, NOW)}


def _ids_or_none(receiver: Receiver) -> list[str | None]:
    return [request.headers.get("webhook-id") for request in receiver.requests]


@pytest.mark.parametrize("failure", [Answer(status=500), Answer(reset=True), Answer(status=302)])
def test_a_failure_is_tried_again_under_the_same_id(engine: Engine, failure: Answer) -> None:
    """Not before its time, and then until the receiver accepts."""
    _put(engine, "hook")
    clock = Clock()
    with receiving(failure) as receiver, Sender(allow_private=True) as sender:
        deliverer = _deliverer(engine, sender, clock, receiver.url)
        assert deliverer.deliver_due() == {"retry": 1}
        assert deliverer.deliver_due() == {}
        clock.now += WAITS[0] * 2
        assert deliverer.deliver_due() == {"delivered": 1}
        assert len(receiver.requests) == 2
        assert len(set(_ids(receiver))) == 1


def test_retry_after_is_honoured(engine: Engine) -> None:
    """A receiver that asks for ten minutes gets them."""
    _put(engine, "hook")
    answer = Answer(status=429, headers={"Retry-After": "600"})
    with receiving(answer) as receiver, Sender(allow_private=True) as sender:
        _deliverer(engine, sender, Clock(), receiver.url).deliver_due()
    assert _rows(engine)[0].next_attempt_at == NOW + dt.timedelta(minutes=10)


def test_the_last_failure_leaves_a_dead_letter(engine: Engine) -> None:
    """Ten attempts over three days, then it is kept, with the reason."""
    _put(engine, "hook")
    clock = Clock()
    failures = [Answer(status=503)] * (len(WAITS) + 1)
    with receiving(*failures) as receiver, Sender(allow_private=True) as sender:
        deliverer = _deliverer(engine, sender, clock, receiver.url)
        for _ in WAITS:
            assert deliverer.deliver_due() == {"retry": 1}
            clock.now += dt.timedelta(days=2)
        assert deliverer.deliver_due() == {"dead": 1}
    (row,) = _rows(engine)
    assert (row.state, row.attempts) == ("dead", len(WAITS) + 1)
    assert row.error == "gave up after 10: the receiver answered 503"


def test_a_private_destination_is_a_dead_letter_at_once(engine: Engine) -> None:
    """It can never be delivered as the settings are; nothing was sent."""
    _put(engine, "hook")
    with receiving() as receiver, Sender() as sender:
        ended = _deliverer(engine, sender, Clock(), receiver.url.replace("http:", "https:")).deliver_due()
        assert ended == {"dead": 1}
        assert receiver.requests == []


def test_a_removed_destination_waits(engine: Engine) -> None:
    """What was meant for it stays in the outbox until the settings name it again."""
    _put(engine, "gone")
    with receiving() as receiver, Sender(allow_private=True) as sender:
        assert _deliverer(engine, sender, Clock(), receiver.url).deliver_due() == {}
    assert _rows(engine)[0].state == "pending"


def _send_and_hang(url: str, receiver_url: str) -> None:
    with Sender(allow_private=True) as sender:
        _deliverer(open_database(url), sender, Clock(), receiver_url).deliver_due()


def test_a_killed_sender_loses_nothing(engine: Engine) -> None:
    """Killed between sending and recording, its claim runs out and another sends under the same id."""
    _put(engine, "hook")
    clock = Clock()
    with receiving(Answer(hang=True)) as receiver, Sender(allow_private=True) as sender:
        url = engine.url.render_as_string(hide_password=False)
        killed = multiprocessing.get_context("spawn").Process(target=_send_and_hang, args=(url, receiver.url))
        killed.start()
        assert receiver.wait_for(1)
        assert killed.pid is not None
        os.kill(killed.pid, signal.SIGKILL)
        killed.join()
        deliverer = _deliverer(engine, sender, clock, receiver.url)
        assert deliverer.deliver_due() == {}
        clock.now += LEASE
        assert deliverer.deliver_due() == {"delivered": 1}
        assert len(set(_ids(receiver))) == 1


def test_signatures_of_every_attempt_verify(engine: Engine) -> None:
    """The time is that of the attempt, the id that of the delivery."""
    _put(engine, "hook")
    with receiving() as receiver, Sender(allow_private=True) as sender:
        clock = lambda: dt.datetime.now(dt.UTC)  # noqa: E731, TID251 - the library checks against the real clock
        assert _deliverer(engine, sender, clock, receiver.url).deliver_due() == {"delivered": 1}
        request = receiver.requests[0]
        assert Webhook(SECRET).verify(request.body.decode(), dict(request.headers))["type"] == "posture.summary"


def test_waits_grow_with_jitter_and_end() -> None:
    """Ten attempts; a receiver's wish counts only if it is longer."""
    random = Random(7)
    waits = [next_wait(n, None, random) for n in range(len(WAITS) + 1)]
    assert waits[-1] is None
    assert all(wait is not None and base <= wait <= base * 1.2 for base, wait in zip(WAITS, waits[:-1], strict=True))
    assert next_wait(0, dt.timedelta(hours=1), random) == dt.timedelta(hours=1)
