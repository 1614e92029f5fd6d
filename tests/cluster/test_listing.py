"""A list is read to its end or says how it ended; half of one is never taken for the whole."""

from collections.abc import Iterator

import msgspec
import pytest

from scanner.cluster.client import ATTEMPTS
from scanner.cluster.decode import Interner
from scanner.cluster.listing import RESTART_WAIT_SECONDS, Lister, Listing
from scanner.model.coverage import ReadState
from scanner.model.resources import RESOURCES
from tests.cluster.stand_in import Reply, Request, StandIn, pods, status

PODS = next(r for r in RESOURCES if r.plural == "pods")
PATH = "/api/v1/pods"
EXPIRED = status(410, "The provided continue parameter is too old")
EMPTY = Reply(body=b"")
HALF = Reply(body=pods("a", "b").body[:-20])


def read(server: StandIn, *replies: Reply, body_bytes: int = 1 << 20) -> Listing:
    """Read the list of pods that a server gives so."""
    server.scripts[PATH] = list(replies)
    client = server.client(body_bytes=body_bytes)
    try:
        return Lister(client=client, interner=Interner()).read(PATH, PODS, lambda *_: None)
    finally:
        client.close()


def names(listing: Listing) -> list[str]:
    """Return the names of what was read."""
    return [o.meta.name for o in listing.objects]


def test_pages_are_joined(server: StandIn) -> None:
    """In the order of the server."""
    got = read(server, pods("a", "b", token="t1", remaining=1), pods("c"))
    assert (names(got), got.state) == (["a", "b", "c"], ReadState.COMPLETE)


def test_a_page_is_asked_for_by_the_token_of_the_last(server: StandIn) -> None:
    """As the API server wants it."""
    read(server, pods("a", token="t1"), pods("b", token="t2"), pods("c"))
    assert [r.query.get("continue") for r in server.requests] == [None, "t1", "t2"]


def test_a_page_has_500_objects_at_most(server: StandIn) -> None:
    """What the API server has to hold at once is bounded."""
    read(server, pods("a", token="t1"), pods("b"))
    assert {r.query["limit"] for r in server.requests} == {"500"}


def test_a_list_that_expires_is_started_again(server: StandIn) -> None:
    """Once, from its beginning, after a pause; what was read before is not kept twice."""
    got = read(server, pods("a", token="t1"), EXPIRED, pods("a", token="t2"), pods("b"))
    assert (names(got), got.state, server.waits) == (["a", "b"], ReadState.COMPLETE, [RESTART_WAIT_SECONDS])


def test_a_list_that_expires_twice_is_partial(server: StandIn) -> None:
    """Half of it is kept, and called half."""
    got = read(server, pods("a", token="t1"), EXPIRED, pods("a", token="t2"), EXPIRED)
    assert (names(got), got.state) == (["a"], ReadState.PARTIAL)
    assert got.reason == "broke off after 1 objects: HTTP 410: The provided continue parameter is too old"


@pytest.mark.parametrize("reply", [status(403, "no"), status(500, "etcd"), Reply(is_reset=True), HALF, EMPTY])
def test_a_list_that_breaks_off_is_partial(server: StandIn, reply: Reply) -> None:
    """Whatever broke it off."""
    got = read(server, pods("a", token="t1"), reply)
    assert (names(got), got.state) == (["a"], ReadState.PARTIAL)


@pytest.mark.parametrize(
    ("reply", "state", "reason"),
    [
        (status(401, "Unauthorized"), ReadState.FORBIDDEN, "HTTP 401: Unauthorized"),
        (status(403, "pods is forbidden"), ReadState.FORBIDDEN, "HTTP 403: pods is forbidden"),
        (status(404), ReadState.ABSENT, ""),
        (status(405, "not allowed"), ReadState.FAILED, "HTTP 405: not allowed"),
        (status(410, "too old"), ReadState.FAILED, "HTTP 410: too old"),
        (status(429, "slow down"), ReadState.FAILED, "HTTP 429: slow down"),
        (status(500, "etcd"), ReadState.FAILED, "HTTP 500: etcd"),
        (Reply(is_reset=True), ReadState.FAILED, "the connection broke off"),
        (Reply(body=b"{}", missing_bytes=5), ReadState.FAILED, "the connection broke off"),
        (EMPTY, ReadState.FAILED, "pods: not a list: Input data was truncated"),
        (HALF, ReadState.FAILED, "pods: not a list: Input data was truncated"),
        (Reply(body=b"<html>"), ReadState.FAILED, "pods: not a list: JSON is malformed: invalid character (byte 0)"),
        (
            Reply(body=b"<html>", content_type="text/html"),
            ReadState.FAILED,
            "the server answered with text/html, not with JSON",
        ),
        (
            Reply(status=302, headers={"Location": "https://login.example.com/?next=x"}),
            ReadState.FAILED,
            "the server redirects to login.example.com; redirects are not followed",
        ),
    ],
)
def test_each_way_to_fail_has_its_name(server: StandIn, reply: Reply, state: ReadState, reason: str) -> None:
    """The coverage says what happened, in one line."""
    got = read(server, reply)
    assert (got.objects, got.state, got.reason) == ((), state, reason)


def test_half_an_answer_is_asked_for_again(server: StandIn) -> None:
    """Under a good status it is some proxy's doing, and mostly gone the second time."""
    got = read(server, HALF, pods("a", "b"))
    assert (names(got), got.state) == (["a", "b"], ReadState.COMPLETE)


def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(server: StandIn) -> None:
    """So that one kind of huge objects does not fail, and memory stays bounded."""

    def answer(request: Request) -> Reply:
        limit, start = int(request.query["limit"]), int(request.query.get("continue", 0))
        end = min(start + limit, 30)
        return pods(*(f"{i:03}-{'x' * 500}" for i in range(start, end)), token=str(end) if end < 30 else "")

    server.scripts[PATH] = answer
    client = server.client(body_bytes=10_000)
    got = Lister(client=client, interner=Interner()).read(PATH, PODS, lambda *_: None)
    client.close()
    assert (len(got.objects), got.state) == (30, ReadState.COMPLETE)
    assert [r.query["limit"] for r in server.requests] == ["500", "50", *["5"] * 6]


def test_an_object_that_is_too_large_alone_ends_the_list(server: StandIn) -> None:
    """With its reason."""
    got = read(server, pods("a" * 2_000_000), body_bytes=1 << 20)
    assert (got.state, got.reason) == (ReadState.FAILED, "the answer is larger than 1 MiB")


def test_a_malformed_object_makes_a_list_partial(server: StandIn) -> None:
    """It is named; the rest is kept."""
    page = msgspec.json.decode(pods("a", "b").body)
    page["items"][0]["spec"] = []
    got = read(server, Reply(body=msgspec.json.encode(page)))
    assert (names(got), got.state) == (["b"], ReadState.PARTIAL)
    assert got.reason == "set aside, since it is malformed: Pod shop/a: Expected `object`, got `array` at spec"


def test_a_server_that_repeats_a_page_is_found_out(server: StandIn) -> None:
    """The same token twice would never end."""
    got = read(server, pods("a", token="t1"))
    assert (got.state, len(server.requests)) == (ReadState.PARTIAL, 2)


def test_a_busy_server_is_asked_a_few_times_for_a_page(server: StandIn) -> None:
    """The pages before are not asked for again."""
    read(server, pods("a", token="t1"), status(429))
    assert len(server.requests) == 1 + ATTEMPTS


def test_progress_tells_what_is_to_come(server: StandIn) -> None:
    """As far as the server says."""
    server.scripts[PATH] = [pods("a", token="t1", remaining=2), pods("b", token="t2"), pods("c")]
    told: list[tuple[int, int | None]] = []
    client = server.client()
    Lister(client=client, interner=Interner()).read(PATH, PODS, lambda *at: told.append(at))
    client.close()
    assert told == [(1, 2), (2, None), (3, 0)]


@pytest.fixture
def one(server: StandIn) -> Iterator[tuple[StandIn, Lister]]:
    """A reader of single objects."""
    client = server.client()
    yield server, Lister(client=client, interner=Interner())
    client.close()


def test_one_object_is_a_list_of_one(one: tuple[StandIn, Lister]) -> None:
    """For who may get it and not list it."""
    server, lister = one
    server.scripts["/x"] = [Reply(body=b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}')]
    assert names(lister.read_one("/x", PODS)) == ["a"]


def test_one_object_that_is_not_there_is_a_complete_answer(one: tuple[StandIn, Lister]) -> None:
    """It says nothing of its kind."""
    _, lister = one
    assert lister.read_one("/x", PODS) == Listing((), ReadState.COMPLETE)
