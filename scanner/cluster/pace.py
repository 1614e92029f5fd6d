"""How fast to ask, and how long to wait before asking again: a guest that never wears out its host."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

#: Requests a second that we allow ourselves, and how many at once after a pause: what kubectl does.
RATE = 50.0
BURST = 300
#: Longest wait that we accept before one retry, whatever the server asks for.
LONGEST_WAIT_SECONDS = 60.0
#: First wait without a hint from the server; doubles with each attempt.
FIRST_WAIT_SECONDS = 0.5
#: Retries that all requests of one client may use up together before failures are final at once; every answer gives a
#: tenth of one back. Without it, a server that is down would be asked for each of forty kinds, five times each.
RETRY_BUDGET = 20.0
RETRY_REFUND = 0.1


def wait_before(attempt: int, retry_after: float | None, jitter: float) -> float:
    """Return the seconds to wait before the next attempt, `attempt` counting from 0.

    What the server asks for is kept to, up to a minute; else the wait doubles. `jitter`, from 0 to 1, adds up to half
    of it, so that many clients don't come back at once.
    """
    base = retry_after if retry_after is not None else FIRST_WAIT_SECONDS * 2.0**attempt
    return min(base, LONGEST_WAIT_SECONDS) * (1 + jitter / 2)


@dataclass
class TokenBucket:
    """Lets `rate` requests a second through, and `burst` at once after a pause."""

    clock: Callable[[], float]
    rate: float = RATE
    burst: float = BURST
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _tokens: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        """Start full."""
        self._tokens = self.burst
        self._at = self.clock()

    def take(self) -> float:
        """Take one token; returns the seconds to wait before it may be used."""
        with self._lock:
            now = self.clock()
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate) - 1
            self._at = now
            return max(0.0, -self._tokens / self.rate)


@dataclass
class RetryBudget:
    """Says whether one more retry is worth it."""

    left: float = RETRY_BUDGET
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self) -> bool:
        """Use up one retry; false if there is none left."""
        with self._lock:
            if self.left < 1:
                return False
            self.left -= 1
            return True

    def refund(self) -> None:
        """Note that the server answered."""
        with self._lock:
            self.left = min(RETRY_BUDGET, self.left + RETRY_REFUND)
