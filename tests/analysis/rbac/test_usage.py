"""What identities used is kept in bounded memory, and nothing that counts is lost without a word."""

import datetime as dt

import pytest

from scanner.analysis.rbac import usage
from scanner.analysis.rbac.requests import Identity, Request
from scanner.analysis.rbac.usage import MAX_NAMES, Observed, Recorder, Use, joined, usages_of
from tests.builders import NOW

JANE = Identity("jane", frozenset({"ops"}))
GET = Request(verb="get", resource="pods", namespace="shop")


def seen(name: str = "cart-0", *, minutes: int = 0, allowed: bool = True, ended: bool = True) -> Observed:
    """Make one request of Jane's."""
    request = Request(verb="get", resource="pods", namespace="shop", name=name)
    at = NOW + dt.timedelta(minutes=minutes)
    return Observed(identity=JANE, request=request, is_allowed=allowed, at=at, has_ended=ended)


def only_use(*observed: Observed) -> Use:
    """Return the one use of these."""
    (found,) = usages_of(observed)
    (use,) = found.uses
    return use


def test_equal_requests_are_one_use() -> None:
    """A use counts its requests."""
    assert only_use(seen(), seen(), seen("cart-1")).count == 3


def test_use_keeps_names() -> None:
    """A use knows what it was done to."""
    assert only_use(seen("b"), seen("a")).names == {"a", "b"}


def test_use_knows_its_first_and_last_time() -> None:
    """Events may come in any order."""
    use = only_use(seen(minutes=5), seen(minutes=1), seen(minutes=9))
    assert (use.first_seen, use.last_seen) == (NOW + dt.timedelta(minutes=1), NOW + dt.timedelta(minutes=9))


def test_more_names_than_are_kept_are_told() -> None:
    """Beyond the limit it is known that there were more."""
    use = only_use(*(seen(f"cart-{number}") for number in range(MAX_NAMES + 1)))
    assert (len(use.names), use.has_more_names) == (MAX_NAMES, True)


def test_as_many_names_as_are_kept_are_all() -> None:
    """At the limit there are no more."""
    assert not only_use(*(seen(f"cart-{number}") for number in range(MAX_NAMES))).has_more_names


def test_denied_request_is_no_use() -> None:
    """What was denied is counted, and nothing else."""
    (found,) = usages_of([seen(allowed=False)])
    assert (found.uses, found.denied) == ((), 1)


def test_watch_counts_once() -> None:
    """An answer that has begun and ended is one request."""
    assert only_use(seen(ended=False), seen()).count == 1


def test_watch_that_goes_on_is_a_use() -> None:
    """An answer that never ends is known by its beginning."""
    assert only_use(seen(ended=False)).names == {"cart-0"}


def test_identity_has_every_group_that_it_ever_had() -> None:
    """A use counts for each group that it was made in."""
    other = Observed(identity=Identity("jane", frozenset({"dev"})), request=GET, is_allowed=True, at=NOW)
    (found,) = usages_of([seen(), other])
    assert found.identity.groups == {"ops", "dev"}


def test_recorder_that_is_full_says_whose_use_is_not_whole() -> None:
    """What does not fit makes its identity partial."""
    recorder = Recorder(max_all_uses=1)
    recorder.record(seen())
    recorder.record(Observed(identity=Identity("joe"), request=GET, is_allowed=True, at=NOW))
    assert [(found.identity.user, found.is_partial) for found in recorder.usages()] == [("jane", False), ("joe", True)]


def test_full_recorder_still_counts_what_it_knows() -> None:
    """A use that is known takes no room."""
    recorder = Recorder(max_all_uses=1)
    recorder.record(seen())
    recorder.record(seen("cart-1"))
    assert not recorder.usages()[0].is_partial


def test_identities_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can fill the memory with made-up users."""
    monkeypatch.setattr(usage, "MAX_IDENTITIES", 1)
    recorder = Recorder()
    recorder.record(seen())
    recorder.record(Observed(identity=Identity("joe"), request=GET, is_allowed=True, at=NOW))
    assert (len(recorder.usages()), recorder.left_out) == (1, 1)


def test_unwanted_identities_are_not_kept() -> None:
    """Who asks for one identity pays for one."""
    recorder = Recorder(is_wanted=lambda identity: identity.user == "joe")
    recorder.record(seen())
    assert recorder.usages() == ()


def test_joining_is_recording_both() -> None:
    """Two halves joined are the whole."""
    halves = only_use(seen("a"), seen("b")), only_use(seen("c", minutes=3))
    assert joined(*halves) == only_use(seen("a"), seen("b"), seen("c", minutes=3))


def test_joined_names_are_limited() -> None:
    """Joining keeps the limit."""
    one, other = only_use(seen("a")), only_use(seen("b"))
    use = joined(one, other, max_names=1)
    assert (use.names, use.has_more_names) == (frozenset({"a"}), True)
