"""Functions of lists.

Source: k8s.io/apiserver/pkg/cel/library/lists.go.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

#: The reason of a failure that is no error of the expression: the engine cannot take such a value back.
OF_TIMES = "sums, minima and maxima of durations and timestamps are not computed here"

_TIMES = {dt.datetime, dt.timedelta}
_COMPARABLE = (bool, int, float, str, bytearray, dt.datetime, dt.timedelta)


def _comparable(items: Sequence[Any]) -> Sequence[Any]:
    """Return a list whose elements have one order among them."""
    kinds = {type(item) for item in items}
    if not kinds <= set(_COMPARABLE) or (len(kinds) > 1 and not kinds <= {int, float}):
        raise ValueError("no such overload")
    return items


def _refuse_times(items: Sequence[Any]) -> None:
    if not _TIMES.isdisjoint(type(item) for item in items):
        raise ValueError(OF_TIMES)


def is_sorted(items: Sequence[Any]) -> bool:
    """Tell whether no element is greater than the next."""
    return all(first <= second for first, second in pairwise(_comparable(items)))


def total(items: Sequence[Any]) -> Any:
    """Return the sum of numbers; 0 of nothing."""
    _refuse_times(items)
    if not {type(item) for item in items} <= {int, float}:
        raise ValueError("no such overload")
    return sum(items)


def smallest(items: Sequence[Any]) -> Any:
    """Return the least element; raises for an empty list."""
    if not items:
        raise ValueError("min called on empty list")
    _refuse_times(items)
    return min(_comparable(items))


def greatest(items: Sequence[Any]) -> Any:
    """Return the greatest element; raises for an empty list."""
    if not items:
        raise ValueError("max called on empty list")
    _refuse_times(items)
    return max(_comparable(items))


def index_of(items: Sequence[Any], wanted: Any) -> int:
    """Return the first position of an element, -1 if it is not there."""
    return next((i for i, item in enumerate(items) if _equal(item, wanted)), -1)


def last_index_of(items: Sequence[Any], wanted: Any) -> int:
    """Return the last position of an element, -1 if it is not there."""
    return next((i for i in range(len(items) - 1, -1, -1) if _equal(items[i], wanted)), -1)


def map_of_pairs(items: Sequence[Sequence[Any]]) -> dict[Any, Any]:
    """Return a map of lists of a key and its value; what `transformMap` gives, whose keys differ by nature."""
    return {key: value for key, value in items}  # noqa: C416 - the pairs are lists of the engine, not tuples


def map_of_maps(items: Sequence[Mapping[Any, Any]]) -> dict[Any, Any]:
    """Return the union of maps, as `transformMapEntry` makes it; raises where a key comes twice."""
    found: dict[Any, Any] = {}
    for key, value in (entry for item in items for entry in item.items()):
        if key in found:
            raise ValueError(f"insert failed: key {key} already exists")
        found[key] = value
    return found


def _equal(one: Any, other: Any) -> bool:
    """Compare as CEL does: true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
