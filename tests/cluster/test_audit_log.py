"""Audit logs are read line by line, in bounded memory."""

import io
import tracemalloc
from collections.abc import Iterator

import pytest

from scanner.cluster import audit_log
from scanner.cluster.audit_log import read_audit_log
from tests.cli.test_rbac_least_privilege import event


def found(log: bytes) -> list[tuple[int, bool]]:
    """Return the numbers of lines, and whether they are events."""
    return [(number, one is not None) for number, one in read_audit_log("-", io.BufferedReader(io.BytesIO(log)))]


def test_lines_are_numbered_as_in_the_file() -> None:
    """Empty lines count, though they say nothing."""
    assert found(f"\n{event()}\n\noops\n".encode()) == [(2, True), (4, False)]


def test_last_line_needs_no_end() -> None:
    """A log that is being written is read as far as it goes."""
    assert found(event().encode()) == [(1, True)]


def test_line_that_is_too_long_is_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is passed over, and the next is read."""
    monkeypatch.setattr(audit_log, "MAX_LINE_BYTES", 1000)
    assert found(b"x" * 3500 + b"\n" + event().encode()) == [(1, False), (2, True)]


class _Endless(io.RawIOBase):
    """A log of many lines that is made as it is read."""

    def __init__(self, lines: int) -> None:
        self._parts: Iterator[bytes] = iter([(event() + "\n").encode()] * lines)
        self._left = b""

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: object) -> int:
        """Give the next line."""
        self._left = self._left or next(self._parts, b"")
        view = memoryview(buffer)  # type: ignore[arg-type]  # the protocol's own type has no name in 3.11
        part, self._left = self._left[: len(view)], self._left[len(view) :]
        view[: len(part)] = part
        return len(part)


def test_memory_does_not_grow_with_the_log() -> None:
    """A log of any length takes the memory of a line."""
    tracemalloc.start()
    count = sum(1 for _ in read_audit_log("-", io.BufferedReader(_Endless(20_000))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 2 * 2**20
