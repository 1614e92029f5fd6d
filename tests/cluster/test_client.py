"""The client says by name what went wrong, tries again where that may help, and keeps its token to itself."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from scanner.cluster.client import ATTEMPTS, CONCURRENT, USER_AGENT, Client, RequestError, TooLargeError
from scanner.cluster.pace import RETRY_BUDGET
from tests.cluster import stand_in
from tests.cluster.stand_in import TOKEN, Reply, Request, StandIn, status

PATH = "/api/v1/pods"
GOOD = Reply(body=b"{}")


@contextlib.contextmanager
def client_of(server: StandIn, **limits: Any) -> Iterator[Client]:
    """Open a client and close it."""
    client = server.client(**limits)
    try:
        yield client
    finally:
        client.close()


def get(server: StandIn, *replies: Reply, **limits: Any) -> bytes:
    """Ask for a path that answers so."""
    server.scripts[PATH] = list(replies)
    with client_of(server, **limits) as client:
        return client.get(PATH)


def test_a_good_answer_is_returned(server: StandIn) -> None:
    """Its body, as it is."""
    assert get(server, GOOD) == b"{}"


def test_the_client_says_who_it_is(server: StandIn) -> None:
    """Operators see it in the audit log."""
    get(server, GOOD)
    assert server.requests[0].headers["User-Agent"] == USER_AGENT


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_bad_moment_is_waited_out(server: StandIn, code: int) -> None:
    """The next answer counts."""
    assert get(server, status(code), GOOD) == b"{}"


def test_retry_after_is_kept_to(server: StandIn) -> None:
    """Not sooner than the server asked for, and not twice as late."""
    get(server, status(429, Retry_After="7"), GOOD)
    assert 7 <= server.waits[0] <= 10.5


def test_a_server_that_stays_busy_is_left_alone(server: StandIn) -> None:
    """After some attempts, its own words are the reason."""
    with pytest.raises(RequestError, match=r"^HTTP 429: slow down$"):
        get(server, status(429, "slow down"))
    assert len(server.requests) == ATTEMPTS


def test_a_server_that_is_down_is_not_asked_for_ever(server: StandIn) -> None:
    """All requests together may only retry so often; after that, each failure is final."""
    server.scripts[PATH] = [status(503)]
    requests = 15
    with client_of(server) as client:
        for _ in range(requests):
            with pytest.raises(RequestError):
                client.get(PATH)
    assert len(server.requests) == requests + RETRY_BUDGET


@pytest.mark.parametrize("code", [400, 403, 404, 405, 410])
def test_a_refusal_is_final(server: StandIn, code: int) -> None:
    """Asking again would not change it."""
    with pytest.raises(RequestError) as caught:
        get(server, status(code, "no"))
    assert (caught.value.status, len(server.requests)) == (code, 1)


def test_a_reset_connection_is_tried_again(server: StandIn) -> None:
    """Load balancers drop idle connections."""
    assert get(server, Reply(is_reset=True), GOOD) == b"{}"


def test_a_connection_that_is_always_reset_is_named(server: StandIn) -> None:
    """One line."""
    with pytest.raises(RequestError, match=r"^the connection broke off$"):
        get(server, Reply(is_reset=True))


def test_half_an_answer_is_none(server: StandIn) -> None:
    """Fewer bytes than were promised, although what came is JSON."""
    with pytest.raises(RequestError, match=r"broke off$"):
        get(server, Reply(body=b"{}", missing_bytes=10))


def test_silence_ends(server: StandIn) -> None:
    """A server that accepts and says nothing is given up on."""
    with pytest.raises(RequestError, match=r"^no answer for 0\.05 s$"):
        get(server, Reply(is_silent=True), silence_seconds=0.05)


def test_an_answer_that_drips_ends(server: StandIn) -> None:
    """Each byte comes in time, the whole never."""
    with pytest.raises(RequestError, match=r"^the answer took longer than 0\.1 s$"):
        get(server, Reply(is_endless=True), total_seconds=0.1)


def test_an_answer_that_is_too_large_ends(server: StandIn) -> None:
    """Memory is bounded, whatever the server sends."""
    with pytest.raises(TooLargeError, match=r"larger than 1 MiB"):
        get(server, Reply(body=b" " * (2 << 20)), body_bytes=1 << 20)


def test_a_login_page_is_no_answer(server: StandIn) -> None:
    """A proxy that answers 200 with HTML is named by its content type."""
    with pytest.raises(RequestError, match=r"^the server answered with text/html, not with JSON$"):
        get(server, Reply(body=b"<html>", content_type="text/html"))


def test_a_redirect_is_not_followed(server: StandIn) -> None:
    """It is named, and the token stays here."""
    with stand_in.running() as elsewhere:
        target = elsewhere.url + PATH
        with pytest.raises(
            RequestError, match=r"^the server redirects to 127\.0\.0\.1:\d+; redirects are not followed$"
        ):
            get(server, Reply(status=307, headers={"Location": target}))
        assert elsewhere.requests == []


def test_the_token_goes_to_the_api_server(server: StandIn) -> None:
    """With every request."""
    get(server, GOOD)
    assert server.requests[0].headers["Authorization"] == TOKEN


def test_credentials_are_loaded_again_when_they_are_refused(server: StandIn) -> None:
    """Tokens rotate; what lies in the files now is tried before the scan gives up."""
    server.scripts[PATH] = [status(401), GOOD]
    with client_of(server) as client:
        before = client.access
        client.get(PATH)
        assert client.access is not before


def test_credentials_that_stay_refused_are_named(server: StandIn) -> None:
    """Once with the new ones, then no more."""
    with pytest.raises(RequestError, match=r"^HTTP 401: Unauthorized$"):
        get(server, status(401, "Unauthorized"))
    assert len(server.requests) == 2


def test_an_error_is_one_short_line(server: StandIn) -> None:
    """Whatever the server writes."""
    with pytest.raises(RequestError) as caught:
        get(server, status(403, "no\nno " * 1000))
    assert ("\n" not in str(caught.value), len(str(caught.value)) <= 300) == (True, True)


def test_a_server_that_is_not_there_is_named() -> None:
    """Nothing listens any more."""
    with stand_in.running() as gone:
        pass
    with client_of(gone) as client, pytest.raises(RequestError, match=r"^cannot connect$"):
        client.get(PATH)


def test_a_client_that_is_stopped_asks_no_more(server: StandIn) -> None:
    """A scan that is given up ends soon."""
    server.scripts[PATH] = [GOOD]
    with client_of(server) as client:
        client.stop()
        with pytest.raises(RequestError, match=r"^the scan was stopped$"):
            client.get(PATH)
    assert server.requests == []


def test_at_most_four_requests_are_under_way(server: StandIn) -> None:
    """And four are, where more are wanted: the barrier lets none go before four have come."""
    meeting = threading.Barrier(CONCURRENT)
    lock = threading.Lock()
    under_way: list[int] = [0]

    def answer(_request: Request) -> Reply:
        with lock:
            under_way.append(under_way[-1] + 1)
        meeting.wait(timeout=10)
        with lock:
            under_way.append(under_way[-1] - 1)
        return GOOD

    server.scripts[PATH] = answer
    with client_of(server) as client, ThreadPoolExecutor(3 * CONCURRENT) as threads:
        list(threads.map(lambda _: client.get(PATH), range(3 * CONCURRENT)))
    assert max(under_way) == CONCURRENT
