"""Who is told what of a scan."""

import datetime as dt

from scanner.model.finding import Fingerprint
from scanner.model.news import Announcement, Change, Transition
from scanner.model.policy import PolicyId, Severity
from scanner.model.refs import ClusterName, ObjectRef
from scanner.posture.news import MAX_CHANGES, Subscription, announcements_for

EVERYTHING = Subscription("slack", Severity.LOW)
NEWS = Announcement(
    cluster=ClusterName("test"),
    scan="1",
    at=dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
    open_by_severity={Severity.HIGH: 3},
)


def change(severity: Severity = Severity.HIGH, transition: Transition = Transition.OPENED, number: int = 0) -> Change:
    """Make a change of one finding."""
    return Change(
        transition=transition,
        finding=Fingerprint(f"{number:032x}"),
        policy=PolicyId("pods/privileged-container"),
        title="Container runs privileged",
        severity=severity,
        resource=ObjectRef("apps/v1", "Deployment", "shop", "cart"),
        message="it is so",
    )


def test_changes_below_the_minimum_are_not_told() -> None:
    """A destination for high severities does not hear of medium ones."""
    (told,) = announcements_for(
        Subscription("slack", Severity.HIGH), NEWS, [change(Severity.MEDIUM), change(Severity.HIGH)]
    )
    assert [c.severity for c in told.changes] == [Severity.HIGH]


def test_nothing_is_told_if_nothing_changed() -> None:
    """No news is no message."""
    assert announcements_for(EVERYTHING, NEWS, []) == ()


def test_the_worst_comes_first() -> None:
    """Severity decides, then what came back before what is new before what is gone."""
    told = announcements_for(
        EVERYTHING,
        NEWS,
        [
            change(Severity.LOW),
            change(Severity.CRITICAL, Transition.RESOLVED),
            change(Severity.CRITICAL, Transition.REGRESSED),
        ],
    )
    assert [(c.severity, c.transition) for a in told for c in a.changes] == [
        (Severity.CRITICAL, Transition.REGRESSED),
        (Severity.CRITICAL, Transition.RESOLVED),
        (Severity.LOW, Transition.OPENED),
    ]


def test_many_changes_come_in_pieces() -> None:
    """One announcement is never longer than people read; none is left out."""
    told = announcements_for(EVERYTHING, NEWS, [change(number=n) for n in range(MAX_CHANGES * 2 + 1)])
    assert [len(a.changes) for a in told] == [MAX_CHANGES, MAX_CHANGES, 1]


def test_a_summary_is_told_whatever_the_minimum() -> None:
    """The first scan is told once, with counts alone."""
    summary = Announcement(
        cluster=NEWS.cluster, scan="1", at=NEWS.at, open_by_severity={Severity.LOW: 1}, is_summary=True
    )
    assert announcements_for(Subscription("slack", Severity.CRITICAL), summary, [change()]) == (summary,)
