"""What surrounds every request: headers, tags, hosts, origins, and what is counted and logged."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from sqlalchemy import Engine
from starlette.datastructures import Headers
from starlette.types import Message

from scanner.api.middleware import Limits, _limited, allowed_hosts, host_name, is_cross_site, is_known
from scanner.api.problems import ProblemError
from scanner.telemetry import configure_logging
from tests.api.conftest import Api, api_over, deployment, scan


@pytest.mark.parametrize("path", ["/api/v1/findings", "/nothing", "/livez", "/metrics"])
def test_every_answer_has_security_headers(sqlite_api: Api, path: str) -> None:
    """No browser runs, frames or guesses what this API says."""
    headers = sqlite_api.get(path).headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"


def test_unchanged_answer_is_not_sent_twice(sqlite_api: Api) -> None:
    """Who has the answer gets 304 without a body."""
    scan(sqlite_api.engine, deployment("cart"))
    tag = sqlite_api.get("/api/v1/findings").headers["etag"]
    answer = sqlite_api.get("/api/v1/findings", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)


def test_changed_answer_has_another_tag(sqlite_api: Api) -> None:
    """A tag is that of the content."""
    tag = sqlite_api.get("/api/v1/findings").headers["etag"]
    scan(sqlite_api.engine, deployment("cart"))
    assert sqlite_api.get("/api/v1/findings", headers={"If-None-Match": tag}).status_code == 200


def test_errors_have_no_tag(sqlite_api: Api) -> None:
    """No cache keeps an error."""
    headers = sqlite_api.get("/api/v1/findings/0").headers
    assert ("etag" in headers, headers["cache-control"]) == (False, "no-store")


def test_body_of_unknown_length_is_limited() -> None:
    """Whoever reads a body that goes on and on is stopped at the limit."""

    async def endless() -> Message:
        return {"type": "http.request", "body": b"x" * 300, "more_body": True}

    receive = _limited(endless, 1000)

    async def read() -> None:
        while True:
            await receive()

    with pytest.raises(ProblemError, match="1000 bytes"):
        asyncio.run(read())


@pytest.mark.parametrize(
    ("header", "known"), [('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"b"', False), ("", False)]
)
def test_if_none_match_is_a_list(header: str, known: bool) -> None:
    """RFC 9110 lets a client name several tags, or any."""
    assert is_known('"a"', header) is known


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example", "[::1"])
def test_other_host_names_are_refused(engine: Engine, host: str) -> None:
    """A web page that points its own name at this address reads nothing."""
    api = api_over(engine, Limits(hosts=allowed_hosts("127.0.0.1", "", ())))
    answer = api.get("/api/v1/findings", headers={"Host": host})
    assert (answer.status_code, answer.json()["type"]) == (421, "/problems/misdirected")


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST", "scan.example.com"])
def test_own_host_names_are_answered(engine: Engine, host: str) -> None:
    """The loopback names and the public one are ours."""
    api = api_over(engine, Limits(hosts=allowed_hosts("127.0.0.1", "https://scan.example.com/x", ())))
    assert api.get("/livez", headers={"Host": host}).status_code == 200


def test_any_host_is_answered_behind_a_service() -> None:
    """Names in a cluster are many, and probes name addresses."""
    assert allowed_hosts("0.0.0.0", "", ()) == frozenset()  # noqa: S104 - that is the claim


def test_chosen_hosts_are_the_only_ones() -> None:
    """An operator can name them."""
    assert allowed_hosts("0.0.0.0", "", ("Scan.example.com",)) == {"scan.example.com"}  # noqa: S104 - as above


@pytest.mark.parametrize("header", ["a.example:99999999", "[", "a\\b", "http://x"])
def test_host_that_is_none_does_no_harm(header: str) -> None:
    """Whatever stands in the header, the answer is a name or nothing."""
    assert "/" not in host_name(header)


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"origin": "http://localhost:8080", "host": "localhost:8080"}, False),
        ({"origin": "http://localhost:9090", "host": "localhost:8080"}, True),
        ({"origin": "null", "host": "localhost:8080"}, True),
    ],
)
def test_cross_site_requests_are_told(headers: dict[str, str], refused: bool) -> None:
    """What a browser sends for another site's page is known by its headers."""
    assert is_cross_site(Headers(headers)) is refused


def test_other_sites_cannot_start_scans(sqlite_api: Api) -> None:
    """A form on another site changes nothing here."""
    answer = sqlite_api.call("POST", "/api/v1/scans", headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/cross-site")


def test_requests_are_counted_by_route(sqlite_api: Api) -> None:
    """Ids, and addresses that nobody has, make no series of their own."""
    for path in ("/api/v1/findings/a", "/api/v1/findings/b", "/made/up", "/x"):
        sqlite_api.get(path)
    sqlite_api.call("BREW", "/x")
    series = sqlite_api.get("/metrics").text
    counted = {line for line in series.splitlines() if line.startswith("plimsoll_api_requests_total")}
    assert counted == {
        'plimsoll_api_requests_total{method="GET",route="/api/v1/findings/{finding_id}",status="4xx"} 2.0',
        'plimsoll_api_requests_total{method="GET",route="unmatched",status="4xx"} 2.0',
        'plimsoll_api_requests_total{method="other",route="unmatched",status="4xx"} 1.0',
    }


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Catch the log as text, and put logging back."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logging("info", stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_requests_are_logged_without_their_query(sqlite_api: Api, lines: io.StringIO) -> None:
    """A query may hold anything; the line has the request's id instead."""
    answer = sqlite_api.get("/api/v1/findings?name=s3cret%0A")
    (line,) = [json.loads(text) for text in lines.getvalue().splitlines() if '"request"' in text]
    assert (line["path"], line["status"], line["request"]) == ("/api/v1/findings", 422, answer.headers["x-request-id"])
    assert "s3cret" not in lines.getvalue()
