"""Sends one POST: no redirects, no proxy from the environment, no ambient credentials, bounded time and size."""

import datetime as dt
import email.utils
from types import TracebackType
from typing import Self

import httpcore

from scanner.notify.addresses import GuardedBackend, RefusedAddressError
from scanner.notify.attempt import Attempt, Delivered, GaveUp, Post, Retry
from scanner.notify.tls import client_context

#: Standard Webhooks asks for 15 to 30 s in all.
TOTAL_SECONDS = 20.0
CONNECT_SECONDS = 5.0
#: Nothing of the answer's body is used; no more than this is read of it.
MAX_ANSWER_BYTES = 64 * 1024
#: A receiver that asks for more is not waited for longer.
MAX_RETRY_AFTER = dt.timedelta(days=1)

#: Answers that say that this destination is wrong or gone, for a receiver that never recovers from them.
GONE = frozenset({410})
SLACK_PERMANENT = frozenset({400, 403, 404, 410})


class Sender:
    """Holds the connections to destinations; use it as a context manager."""

    def __init__(self, *, allow_private: bool = False) -> None:
        self._allow_private = allow_private
        self._pool = httpcore.ConnectionPool(
            ssl_context=client_context(),
            network_backend=GuardedBackend(allow_private=allow_private, total_seconds=TOTAL_SECONDS),
            max_keepalive_connections=0,
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._pool.close()

    def send(self, post: Post, now: dt.datetime, permanent: frozenset[int] = GONE) -> Attempt:
        """Send and say how it ended; `permanent` are the statuses after which no retry can help.

        Reasons name a status or a kind of failure, never the address (it may hold a credential) nor what the receiver
        said.
        """
        schemes = ("https://", "http://") if self._allow_private else ("https://",)
        if not post.url.startswith(schemes):
            return GaveUp("the address is not https; set allow_private_destinations to allow plain http")
        try:
            return self._send(post, now, permanent)
        except RefusedAddressError as error:
            return GaveUp(str(error))
        except httpcore.TimeoutException:
            return Retry("no answer in time")
        except httpcore.ConnectError as error:
            return Retry(f"cannot connect: {_cause(error)}")
        except (httpcore.NetworkError, httpcore.ProtocolError):
            return Retry("the connection broke before the answer was complete")

    def _send(self, post: Post, now: dt.datetime, permanent: frozenset[int]) -> Attempt:
        timeout = {"connect": CONNECT_SECONDS, "read": TOTAL_SECONDS, "write": TOTAL_SECONDS, "pool": TOTAL_SECONDS}
        headers = {"User-Agent": "plimsoll", "Accept": "*/*"} | dict(post.headers)
        with self._pool.stream(
            "POST", post.url, headers=list(headers.items()), content=post.body, extensions={"timeout": timeout}
        ) as answer:
            received = 0
            for chunk in answer.iter_stream():
                received += len(chunk)
                if received > MAX_ANSWER_BYTES:
                    break
            retry_after = next((v for k, v in answer.headers if k.lower() == b"retry-after"), b"")
            return judge(answer.status, retry_after.decode("latin-1"), now, permanent)


def judge(status: int, retry_after: str, now: dt.datetime, permanent: frozenset[int]) -> Attempt:
    """Tell what an answer means: 2xx is success, everything else (redirects too) is failure."""
    if status // 100 == 2:  # noqa: PLR2004 - the class of success
        return Delivered()
    if status in permanent:
        return GaveUp(f"the receiver answered {status}")
    return Retry(f"the receiver answered {status}", parse_retry_after(retry_after, now))


def parse_retry_after(value: str, now: dt.datetime) -> dt.timedelta | None:
    """Read Retry-After, as seconds or as a date; None if there is none that makes sense.

    Source: RFC 9110, section 10.2.3.
    """
    if value.isascii() and value.isdigit():
        return min(dt.timedelta(seconds=int(value[:9])), MAX_RETRY_AFTER)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    return min(max(at - now, dt.timedelta(0)), MAX_RETRY_AFTER)


def _cause(error: BaseException) -> str:
    """Name the kind of a connection's failure without the library's text, which may hold the address."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "its certificate does not verify"
    if "resolve" in str(error):
        return "its name does not resolve"
    return "refused or unreachable"
