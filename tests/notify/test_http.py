"""One POST: what counts as success, what is tried again, what is refused."""

import datetime as dt
import ipaddress

import pytest

from scanner.notify import addresses
from scanner.notify.attempt import Delivered, GaveUp, Post, Retry
from scanner.notify.http import SLACK_PERMANENT, Sender, judge, parse_retry_after
from tests.receiver import Answer, receiving

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)


def _post(url: str) -> Post:
    return Post(url=url, headers={"Content-Type": "application/json"}, body=b"{}")


def test_a_2xx_answer_is_delivered() -> None:
    """The receiver has it, byte for byte."""
    with receiving(Answer(status=202)) as receiver, Sender(allow_private=True) as sender:
        assert sender.send(_post(receiver.url), NOW) == Delivered()
        assert [r.body for r in receiver.requests] == [b"{}"]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 429, 500, 503])
def test_any_other_answer_is_tried_again(status: int) -> None:
    """Redirects are failures too: nobody is sent elsewhere."""
    answer = Answer(status=status, headers={"Location": "http://127.0.0.1:1/elsewhere", "Retry-After": "7"})
    with receiving(answer) as receiver, Sender(allow_private=True) as sender:
        expected = Retry(f"the receiver answered {status}", dt.timedelta(seconds=7))
        assert sender.send(_post(receiver.url), NOW) == expected
        assert len(receiver.requests) == 1


def test_a_receiver_that_is_gone_is_given_up() -> None:
    """410 ends it, and for Slack the answers that say that the webhook is no more."""
    assert judge(410, "", NOW, frozenset({410})) == GaveUp("the receiver answered 410")
    assert judge(404, "", NOW, SLACK_PERMANENT) == GaveUp("the receiver answered 404")


def test_a_broken_connection_is_tried_again() -> None:
    """A reset in place of an answer proves nothing."""
    with receiving(Answer(reset=True)) as receiver, Sender(allow_private=True) as sender:
        assert sender.send(_post(receiver.url), NOW) == Retry("the connection broke before the answer was complete")


@pytest.mark.parametrize("answer", [Answer(hang=True), Answer(status=200, drip=True)])
def test_a_slow_receiver_is_left_after_the_total_time(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither silence nor one byte at a time holds the sender."""
    monkeypatch.setattr("scanner.notify.http.TOTAL_SECONDS", 0.3)
    with receiving(answer) as receiver, Sender(allow_private=True) as sender:
        assert sender.send(_post(receiver.url), NOW) == Retry("no answer in time")


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    """A large body counts for its status alone."""
    with receiving(Answer(status=200, body=b"x" * 10_000_000)) as receiver, Sender(allow_private=True) as sender:
        assert sender.send(_post(receiver.url), NOW) == Delivered()


def test_a_private_address_is_refused_before_anything_is_sent() -> None:
    """Not even a connection is made."""
    with receiving() as receiver, Sender() as sender:
        refused = sender.send(_post(receiver.url.replace("http:", "https:")), NOW)
        assert refused == GaveUp("the destination's name leads to an address that is not public")
        assert sender.send(_post("https://localhost/"), NOW) == refused
        assert receiver.requests == []


def test_plain_http_is_refused_unless_allowed() -> None:
    """A public destination gets TLS or nothing."""
    with Sender() as sender:
        assert isinstance(sender.send(_post("http://192.0.2.1/"), NOW), GaveUp)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address to refuse
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "fd00:ec2::254",
    ],
)
def test_an_address_inside_is_not_public(address: str) -> None:
    """Nor are the IPv6 forms of one."""
    assert not addresses.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_an_address_outside_is_public(address: str) -> None:
    """Ordinary destinations pass."""
    assert addresses.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("99999999999", 86400),
        ("Mon, 23 Nov 2026 12:01:00 GMT", 60),
        ("Mon, 23 Nov 2020 12:01:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: int | None) -> None:
    """What makes no sense is as if it were not there; a day is the most that is waited."""
    expected = None if seconds is None else dt.timedelta(seconds=seconds)
    assert parse_retry_after(value, NOW) == expected


def test_a_request_shows_neither_address_nor_body() -> None:
    """Slack's address is a credential."""
    assert "hooks" not in repr(_post("https://hooks.slack.com/services/T/B/x"))
