"""Asks an API server for bytes: credentials, deadlines, retries, a rate limit; what the bytes mean is not its matter.

The typed models of the `kubernetes` package are left out on purpose: they take fourteen times as long to decode, and an
unknown field of a newer server loses them a whole page. Only its credentials and its connection pool are used.

A token goes to the API server that it belongs to and nowhere else: redirects are not followed.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from scanner.cluster.access import Access, load_access
from scanner.cluster.pace import RetryBudget, TokenBucket, wait_before
from scanner.errors import ClusterError
from scanner.version import VERSION

JSON = "application/json"
USER_AGENT = f"plimsoll/{VERSION}"
#: At most this many requests are under way at once.
CONCURRENT = 4
ATTEMPTS = 5
#: Statuses that may pass: too many requests, and what a server or a proxy before it says in bad moments.
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_CHUNK_BYTES = 1 << 20
_REASON_LENGTH = 300
_OK = range(200, 300)
_REDIRECT = range(300, 400)
UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
GONE = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how much one request may take."""

    connect_seconds: float = 5.0
    #: Silence in the middle of an answer.
    silence_seconds: float = 30.0
    #: The whole answer; the API server itself gives up on a list after 60 s.
    total_seconds: float = 75.0
    #: 500 objects of the largest size that etcd takes would be 750 MB; a page this large is asked for in smaller ones.
    body_bytes: int = 256 << 20


@dataclass(eq=False)
class RequestError(ClusterError):
    """The API server did not give what it was asked for."""

    #: One line.
    reason: str
    #: The HTTP status; None if there was no answer, or one that is of no use.
    status: int | None = None
    #: Whether asking again may help, and in how many seconds the server wants that.
    is_transient: bool = False
    retry_after: float | None = None

    def __str__(self) -> str:
        """Give the reason."""
        return self.reason


class TooLargeError(RequestError):
    """The answer is larger than `Limits.body_bytes`."""


class _Status(msgspec.Struct):
    """What the API server says of an error."""

    message: str | None = None


class Client:
    """An API server, as one identity; many threads may ask at once."""

    def __init__(
        self,
        load: Callable[[], Access] = load_access,
        *,
        limits: Limits | None = None,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        """Load the credentials with `load`, and again whenever the server refuses them; ask nothing yet."""
        self._load = load
        self._limits = limits or Limits()
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._slots = threading.BoundedSemaphore(CONCURRENT)
        self._bucket = TokenBucket(time.monotonic)
        self._budget = RetryBudget()
        self._login_lock = threading.Lock()
        #: What the API server showed first, as DER; empty before the first answer, and without TLS.
        self.peer_certificate = b""
        self._login()

    def _login(self) -> None:
        from kubernetes.client.rest import RESTClientObject  # noqa: PLC0415 - slow to import

        self.access = self._load()
        self._pool: Any = RESTClientObject(self.access.configuration).pool_manager

    def pause(self, seconds: float) -> None:
        """Wait before asking again."""
        if seconds > 0:
            self._wait(seconds)

    def stop(self) -> None:
        """End every wait and refuse every further request; for a scan that is given up."""
        self._stopped.set()

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def get(self, path: str, query: Mapping[str, str | int] | None = None, *, accept: str = JSON) -> bytes:
        """Return the body of a successful answer; raises `RequestError` when there is none after all retries."""
        return self._request("GET", f"{path}?{urlencode(query)}" if query else path, None, accept)

    def post(self, path: str, body: bytes) -> bytes:
        """Create an object that is only a question, such as a SelfSubjectReview, and return the answer."""
        return self._request("POST", path, body, JSON)

    def _request(self, method: str, path: str, body: bytes | None, accept: str) -> bytes:
        with self._slots:
            for attempt in range(ATTEMPTS):
                self.pause(self._bucket.take())
                if self._stopped.is_set():
                    raise RequestError("the scan was stopped")
                access = self.access
                try:
                    answer = self._once(method, access, path, body, accept)
                except RequestError as error:
                    is_last = attempt == ATTEMPTS - 1
                    if error.status == UNAUTHORIZED and attempt == 0:
                        # Tokens and certificates rotate; what lies in the files now may be good.
                        self._login_again(access)
                    elif not error.is_transient or is_last or not self._budget.spend():
                        raise
                    else:
                        self.pause(wait_before(attempt, error.retry_after, random.random()))  # noqa: S311
                else:
                    self._budget.refund()
                    return answer
        raise AssertionError  # the last attempt returns or raises

    def _login_again(self, refused: Access) -> None:
        with self._login_lock:
            if self.access is refused:  # else another thread has just done it
                self._pool.clear()
                self._login()

    def _once(self, method: str, access: Access, path: str, body: bytes | None, accept: str) -> bytes:
        import urllib3  # noqa: PLC0415 - comes with `kubernetes`

        started = time.monotonic()
        timeout = urllib3.Timeout(connect=self._limits.connect_seconds, read=self._limits.silence_seconds)
        try:
            response = self._pool.request(
                method,
                access.origin + path,
                body=body,
                headers=_headers(access, accept, has_body=body is not None),
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                self.peer_certificate = self.peer_certificate or _certificate_of(response)
                content = self._read(response, started)
            except BaseException:
                response.close()  # what is left of the answer must not be taken for the next one
                raise
            response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise RequestError(_broken(error, self._limits), is_transient=not _is_final(error)) from error
        return _checked(response, content)

    def _read(self, response: Any, started: float) -> bytes:
        chunks = bytearray()
        while chunk := response.read1(_CHUNK_BYTES):
            chunks += chunk
            if len(chunks) > self._limits.body_bytes:
                raise TooLargeError(f"the answer is larger than {self._limits.body_bytes >> 20} MiB")
            if time.monotonic() - started > self._limits.total_seconds:
                raise RequestError(f"the answer took longer than {self._limits.total_seconds:g} s", is_transient=True)
        expected = response.headers.get("Content-Length", "")
        if expected.isdecimal() and int(expected) > len(chunks):
            raise RequestError("the answer broke off", is_transient=True)
        return bytes(chunks)


def _certificate_of(response: Any) -> bytes:
    """Return the certificate that the other end of a connection showed, as DER; empty without TLS."""
    show = getattr(getattr(response.connection, "sock", None), "getpeercert", None)
    return bytes(show(binary_form=True) or b"") if show else b""


def _headers(access: Access, accept: str, *, has_body: bool) -> Any:
    from urllib3 import HTTPHeaderDict  # noqa: PLC0415 - comes with `kubernetes`

    headers = HTTPHeaderDict({"Accept": accept, "User-Agent": USER_AGENT})
    if has_body:
        headers["Content-Type"] = JSON
    if authorization := access.authorization():
        headers["Authorization"] = authorization
    for name, value in access.impersonation:
        headers.add(name, value)
    return headers


def _checked(response: Any, content: bytes) -> bytes:
    """Return the content of a good answer; raise what is wrong with any other."""
    status = int(response.status)
    content_type = str(response.headers.get("Content-Type", ""))
    if status in _OK:
        if not content_type.startswith(JSON):
            raise RequestError(f"the server answered with {content_type[:80] or 'no content type'}, not with JSON")
        return content
    if status in _REDIRECT:
        target = urlsplit(str(response.headers.get("Location", ""))).netloc or "another path"
        raise RequestError(f"the server redirects to {target[:200]}; redirects are not followed", status)
    raise RequestError(
        _message(status, content),
        status,
        is_transient=status in _TRANSIENT,
        retry_after=_retry_after(response.headers.get("Retry-After")),
    )


def _message(status: int, content: bytes) -> str:
    """Word an error as the API server does, in one line."""
    try:
        said = msgspec.json.decode(content, type=_Status).message or ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = ""
    return " ".join(f"HTTP {status}: {said}".split())[:_REASON_LENGTH].rstrip(": ")


def _retry_after(value: str | None) -> float | None:
    """Read Retry-After in seconds, the only form that the API server sends."""
    return float(value) if value and value.isdecimal() else None


def _is_final(error: Exception) -> bool:
    """Tell whether asking again cannot help: the certificate does not fit."""
    from urllib3.exceptions import LocationParseError, SSLError  # noqa: PLC0415 - comes with `kubernetes`

    return isinstance(error, SSLError | LocationParseError)


def _broken(error: Exception, limits: Limits) -> str:
    """Name what broke a connection, in one line."""
    from urllib3 import exceptions  # noqa: PLC0415 - comes with `kubernetes`

    match error:
        case exceptions.ReadTimeoutError():
            return f"no answer for {limits.silence_seconds:g} s"
        case exceptions.ConnectTimeoutError() | exceptions.NewConnectionError():
            return "cannot connect"
        case exceptions.SSLError():
            return f"TLS: {' '.join(str(error).split())}"[:_REASON_LENGTH]
        case _:
            return "the connection broke off"
