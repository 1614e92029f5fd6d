"""Ids that sort by time."""

import datetime as dt
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.store.ids import uuid7

NOW = dt.datetime(2026, 11, 23, 12, 0, 0, 123_000, tzinfo=dt.UTC)
_TIMES = st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001 - hypothesis adds the zone


def test_it_is_a_uuid_of_version_7() -> None:
    """Version and variant are where RFC 9562 puts them."""
    made = uuid.UUID(uuid7(NOW))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_its_first_48_bits_are_milliseconds() -> None:
    """The time of the id can be read back."""
    assert uuid.UUID(uuid7(NOW)).int >> 80 == int(NOW.timestamp() * 1000)


def test_two_of_one_moment_differ() -> None:
    """The rest is random."""
    assert uuid7(NOW) != uuid7(NOW)


@given(_TIMES, _TIMES)
def test_ids_sort_as_their_times(one: dt.datetime, other: dt.datetime) -> None:
    """A later millisecond gives a greater id."""
    earlier, later = sorted((one, other))
    if later - earlier >= dt.timedelta(milliseconds=1):
        assert uuid7(earlier) < uuid7(later)


@given(st.integers(0, 4094))
def test_ids_of_one_moment_sort_by_their_sequence(sequence: int) -> None:
    """Rows made together keep their order."""
    assert uuid7(NOW, sequence) < uuid7(NOW, sequence + 1)


def test_a_sequence_that_does_not_fit_is_refused() -> None:
    """It would spill into the version."""
    with pytest.raises(ValueError, match="4096"):
        uuid7(NOW, 4096)
