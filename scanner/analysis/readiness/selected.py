"""What selects pods by labels, found by one of the labels that it requires, so that not every selector is tried."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Selected(Generic[T]):
    """Things with the labels that they require of a pod, in an order that stays."""

    def __init__(self, things: Iterable[tuple[Mapping[str, str], T]]) -> None:
        """Put each under one label that it requires, or under none if it requires none."""
        self._by_label: dict[tuple[str, str] | None, list[tuple[int, T]]] = defaultdict(list)
        for number, (required, thing) in enumerate(things):
            self._by_label[min(required.items(), default=None)].append((number, thing))

    def candidates(self, labels: Mapping[str, str]) -> list[T]:
        """Return whatever may select a pod with these labels, in its order; the caller tries the rest of a selector."""
        found = [entry for label in (None, *labels.items()) for entry in self._by_label.get(label, ())]
        return [thing for _, thing in sorted(found, key=lambda entry: entry[0])]
