"""What people are told of a scan: its changes, worst first and in bearable pieces, or one summary of the first scan."""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from scanner.model.news import Announcement, Change, Transition
from scanner.model.policy import Severity

#: Changes in one announcement; Slack takes 50 blocks a message, and nobody reads more.
MAX_CHANGES = 50

_ORDER = (Transition.REGRESSED, Transition.OPENED, Transition.WORSENED, Transition.RESOLVED)


class Subscription(NamedTuple):
    """Who wants to hear of what."""

    #: Name of a destination in the settings.
    destination: str
    #: Changes below it are not told.
    minimum: Severity


def announcements_for(
    subscription: Subscription, news: Announcement, changes: Iterable[Change]
) -> tuple[Announcement, ...]:
    """Return what one destination is sent of a scan: nothing if nothing that it wants to hear of has changed.

    Args:
        subscription: The destination and what it wants to hear of.
        news: The announcement without its changes; a summary is sent as it is.
        changes: Of failing findings, in any order.
    """
    if news.is_summary:
        return (news,)
    wanted = sorted((c for c in changes if c.severity.rank >= subscription.minimum.rank), key=_urgency)
    return tuple(
        replace(news, changes=tuple(wanted[start : start + MAX_CHANGES]))
        for start in range(0, len(wanted), MAX_CHANGES)
    )


def _urgency(change: Change) -> tuple[int, int, str, str, str]:
    return (
        -change.severity.rank,
        _ORDER.index(change.transition),
        change.policy,
        str(change.resource),
        change.finding,
    )
