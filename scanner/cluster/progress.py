"""How far a scan is, told while several lists are under way."""

import threading
from collections.abc import Callable

from scanner.cluster.listing import OnPage

#: Told the resource, its objects so far, and the done fraction of the whole scan, which never falls.
Progress = Callable[[str, int, float], None]


class StoppedError(Exception):
    """Another list has ended the scan."""


class Board:
    """Adds up how far each list is; safe to be used by many threads."""

    def __init__(self, tell: Progress | None, lists: int) -> None:
        """Expect this many lists."""
        self._tell = tell
        self._lists = lists
        self._parts: dict[str, float] = {}
        self._fraction = 0.0
        self._stopped = False
        self._lock = threading.Lock()

    def expect(self, more: int) -> None:
        """Expect more lists than was known at first."""
        with self._lock:
            self._lists += more

    def stop(self) -> None:
        """End every list at its next page."""
        self._stopped = True

    def watcher(self, resource: str) -> OnPage:
        """Return what a list is to call after each page."""
        return lambda count, remaining: self._note(resource, count, _part(count, remaining))

    def finish(self, resource: str, count: int) -> None:
        """Note that a kind is done, however it ended."""
        self._note(resource, count, 1.0)

    def _note(self, resource: str, count: int, part: float) -> None:
        with self._lock:
            if self._stopped:
                raise StoppedError
            self._parts[resource] = part
            self._fraction = max(self._fraction, min(1.0, sum(self._parts.values()) / self._lists))
            if self._tell:
                self._tell(resource, count, self._fraction)


def _part(count: int, remaining: int | None) -> float:
    """Estimate how far a list is; half, where the server does not say how much is to come."""
    if remaining is None:
        return 0.5
    return count / (count + remaining) if count + remaining else 1.0
