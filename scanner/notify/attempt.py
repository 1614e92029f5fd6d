"""One attempt to deliver: what is sent, and how it ended."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """An HTTP POST to a destination; the address may hold a credential and is not part of the `repr`."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        """Leave out address, signature and body."""
        return "Post(***)"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver accepted it with 2xx."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It may succeed later."""

    reason: str
    #: What the receiver asked for with Retry-After; None leaves it to the schedule.
    after: dt.timedelta | None = None


@dataclass(frozen=True, slots=True)
class GaveUp:
    """It can never succeed as it is."""

    reason: str


Attempt = Delivered | Retry | GaveUp
