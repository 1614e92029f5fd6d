"""What surrounds every request: its id, its limits, its headers, its log line, and the last resort for its errors.

Plain ASGI, so that it also holds for answers that no route gives.
"""

import hashlib
import ipaddress
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scanner.api import problems
from scanner.telemetry import Metrics, log, status_class

#: On every answer. Nothing that this API says is meant to be run, framed or kept by a browser.
SECURITY_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: Asked often, by machines: logged only when debugging, and answered even when overloaded.
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Methods that may be a metric's label; a client can make up any other.
_METHODS = _SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may be."""

    #: Host names that requests may name; empty for any.
    hosts: frozenset[str] = frozenset()
    #: Requests that are answered at a time.
    concurrency: int = 64
    #: Largest body.
    body_bytes: int = 65536
    #: Paths that may have larger ones; `{path: bytes}`.
    larger_bodies: Mapping[str, int] = field(default_factory=dict)

    def body_bytes_of(self, path: str) -> int:
        """Return how large a body may be that is sent to a path."""
        return self.larger_bodies.get(path, self.body_bytes)


@dataclass(slots=True)
class _Exchange:
    """What is known of one request and its answer."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.monotonic)
    status: int = 0


class Shell:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics) -> None:
        """Surround an application."""
        self.app = app
        self.limits = limits
        self.metrics = metrics
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange()
        scope["state"] = {**scope.get("state", {}), "request_id": exchange.id}

        async def send_shelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = exchange.id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request=exchange.id):
            self.running += 1
            try:
                await self._answer(scope, receive, send_shelled, exchange)
            finally:
                self.running -= 1
                self._note(scope, exchange)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, exchange: _Exchange) -> None:
        refused = self._refusal(scope)
        if refused:
            problem, detail = refused
            headers = {"Retry-After": "1"} if problem is problems.OVERLOADED else {}
            response = problems.problem_response(problem, detail, exchange.id, headers=headers)
            await response(scope, receive, send)
            return
        try:
            await self.app(scope, _limited(receive, self.limits.body_bytes_of(scope["path"])), send)
        except Exception:  # the last resort: whatever a route did wrong ends as a problem and a log line
            _log.exception("request_failed", method=scope["method"], path=scope["path"])
            if exchange.status:
                raise  # the answer has begun; only breaking it off tells that it is not whole
            response = problems.problem_response(
                problems.INTERNAL, "an unexpected error; the log has the cause", exchange.id
            )
            await response(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[problems.ProblemType, str] | None:
        """Tell why a request is not even looked at, if it is not."""
        headers = Headers(scope=scope)
        if self.running > self.limits.concurrency and scope["path"] not in _PROBES:
            return problems.OVERLOADED, "too many requests are being answered"
        if self.limits.hosts and host_name(headers.get("host", "")) not in self.limits.hosts:
            return problems.MISDIRECTED, "this service has no such host name"
        most = self.limits.body_bytes_of(scope["path"])
        if _content_length(headers) > most:
            return problems.TOO_LARGE, f"a body may have {most} bytes"
        if scope["method"] not in _SAFE_METHODS and is_cross_site(headers):
            return problems.FORBIDDEN, "another site's page may not change anything here"
        return None

    def _note(self, scope: Scope, exchange: _Exchange) -> None:
        """Count and log an answer; the path without its query, which may hold anything."""
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        seconds = time.monotonic() - exchange.started
        self.metrics.api_requests.labels(route, method, status_class(exchange.status)).inc()
        self.metrics.api_seconds.labels(route).observe(seconds)
        write = _log.debug if scope["path"] in _PROBES else _log.info
        write(
            "request",
            method=scope["method"],
            path=scope["path"],
            route=route,
            status=exchange.status,
            milliseconds=round(seconds * 1000, 1),
        )


_log = log(__name__)


def _limited(receive: Receive, most: int) -> Receive:
    """Return what ends the request once its body, which need not say its length, is too large."""
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise problems.ProblemError(problems.TOO_LARGE, f"a body may have {most} bytes")
        return message

    return receive_limited


def _content_length(headers: Headers) -> int:
    """Return how long a body says to be; the server has checked that it is a number."""
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() else 0


def host_name(header: str) -> str:
    """Return the host of a Host header, without its port, in small letters."""
    try:
        return (urlsplit(f"//{header}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_cross_site(headers: Headers) -> bool:
    """Tell whether a browser sends this for a page of another site; without a browser there is none.

    Browsers that are too old for Sec-Fetch-Site send Origin with what can change something.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def allowed_hosts(listen_host: str, public_url: str, chosen: tuple[str, ...]) -> frozenset[str]:
    """Return the host names to answer to, empty for any.

    Only a service that listens locally can know its names; behind a Service or an ingress there are many.
    """
    if chosen:
        return frozenset(name.lower() for name in chosen)
    if not _is_loopback(listen_host):
        return frozenset()
    public = urlsplit(public_url).hostname
    return frozenset(
        {"localhost", "127.0.0.1", "::1", listen_host.strip("[]").lower()} | ({public} if public else set())
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Conditional:
    """Gives JSON answers an ETag, and answers 304 to who has them already.

    The tag is a hash of the body: it saves the way to the client, not that to the database.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Surround an application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/api/"):
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = bytearray()

        async def hold(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                await self._send(start, bytes(body), Headers(scope=scope).get("if-none-match", ""), send)

        await self.app(scope, receive, hold)

    @staticmethod
    async def _send(start: Message, body: bytes, known: str, send: Send) -> None:
        if start["status"] == 200:  # noqa: PLR2004 - OK
            headers = MutableHeaders(scope=start)
            tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
            headers["ETag"] = tag
            headers["Cache-Control"] = "private, no-cache"
            if is_known(tag, known):
                del headers["Content-Length"]
                del headers["Content-Type"]
                start, body = {**start, "status": 304}, b""
        await send(start)
        await send({"type": "http.response.body", "body": body})


def is_known(tag: str, if_none_match: str) -> bool:
    """Tell whether an If-None-Match header names a tag, by weak comparison (RFC 9110, 13.1.2)."""
    named = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return tag in named or "*" in named
