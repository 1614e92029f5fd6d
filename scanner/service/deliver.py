"""Sends what is due in the outbox and records how it ended."""

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import assert_never

import msgspec
from sqlalchemy import Engine

from scanner.model.news import Announcement
from scanner.notify.attempt import Attempt, Delivered, GaveUp, Retry
from scanner.notify.http import SLACK_PERMANENT, Sender
from scanner.notify.slack import slack_post
from scanner.notify.webhook import SigningKey, webhook_body, webhook_post
from scanner.settings import Destination, SlackDestination, WebhookDestination
from scanner.store.database import writing
from scanner.store.deliveries import Claim, ClaimedDelivery, claim_due, record_dead, record_delivered, record_retry

#: Waits after each failed attempt; when they are used up, the delivery is dead. The schedule is the one that Standard
#: Webhooks 1.0.0 gives as an example: 10 attempts over 75 hours.
WAITS = (
    dt.timedelta(seconds=5),
    dt.timedelta(minutes=5),
    dt.timedelta(minutes=30),
    dt.timedelta(hours=2),
    dt.timedelta(hours=5),
    dt.timedelta(hours=10),
    dt.timedelta(hours=14),
    dt.timedelta(hours=20),
    dt.timedelta(hours=24),
)
#: A wait is lengthened by up to this share, so that deliveries that failed together don't come back together.
JITTER = 0.2
#: Longer than one sender needs for a whole claim: BATCH requests of `http.TOTAL_SECONDS` each.
LEASE = dt.timedelta(minutes=5)
BATCH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverer:
    """Who sends: the destinations by name, the way out, and where people find the service."""

    engine: Engine
    destinations: Mapping[str, Destination]
    sender: Sender
    clock: Callable[[], dt.datetime]
    random: Random
    public_url: str = ""

    def deliver_due(self) -> Mapping[str, int]:
        """Send one batch of what is due; return how many ended as `delivered`, `retry` and `dead`.

        Call it again at once while it returns anything. Sending happens outside of transactions.
        """
        now = self.clock()
        claim = Claim(uuid.uuid4().hex, now + LEASE)
        with writing(self.engine) as connection:
            claimed = claim_due(connection, claim, self.destinations.keys(), now, BATCH)
        ended: dict[str, int] = {}
        for delivery in claimed:
            attempt = self._send(delivery)
            kind = self._record(delivery, claim, attempt)
            ended[kind] = ended.get(kind, 0) + 1
        return ended

    def _send(self, delivery: ClaimedDelivery) -> Attempt:
        destination = self.destinations[delivery.destination]
        announcement = msgspec.convert(delivery.announcement, Announcement)
        url, now = destination.url.get_secret_value(), self.clock()
        match destination:
            case SlackDestination():
                return self.sender.send(
                    slack_post(announcement, url=url, public_url=self.public_url), now, SLACK_PERMANENT
                )
            case WebhookDestination():
                post = webhook_post(
                    webhook_body(announcement, self.public_url),
                    url=url,
                    key=SigningKey(secret=destination.secret.get_secret_value()),
                    delivery_id=delivery.id,
                    now=now,
                )
                return self.sender.send(post, now)
            case _:
                assert_never(destination)

    def _record(self, delivery: ClaimedDelivery, claim: Claim, attempt: Attempt) -> str:
        now = self.clock()
        with writing(self.engine) as connection:
            match attempt:
                case Delivered():
                    record_delivered(connection, delivery, claim, now)
                    return "delivered"
                case GaveUp(reason):
                    record_dead(connection, delivery, claim, reason)
                    return "dead"
                case Retry(reason, after):
                    wait = next_wait(delivery.attempts, after, self.random)
                    if wait is None:
                        record_dead(connection, delivery, claim, f"gave up after {delivery.attempts + 1}: {reason}")
                        return "dead"
                    record_retry(connection, delivery, claim, now + wait, reason)
                    return "retry"
                case _:
                    assert_never(attempt)


def next_wait(attempts: int, asked: dt.timedelta | None, random: Random) -> dt.timedelta | None:
    """Return how long to wait after the failed attempt that follows `attempts` others; None if that was the last.

    A receiver that asks for more time than the schedule gives gets it.
    """
    if attempts >= len(WAITS):
        return None
    wait = WAITS[attempts] * (1 + JITTER * random.random())
    return max(wait, asked or dt.timedelta(0))
