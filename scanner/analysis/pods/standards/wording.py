"""How the admission plugin words a violation, so that its messages and ours can be compared."""

import json
from collections.abc import Iterable, Sequence

from scanner.analysis.pods.standards.judged import JudgedContainer


def quoted(items: Iterable[str]) -> str:
    """List in quotes: `"a", "b"`."""
    return ", ".join(f'"{item}"' for item in items)


def escaped(text: str) -> str:
    """Quote one text in which anything may stand."""
    return json.dumps(text, ensure_ascii=False)


def plural(one: str, many: str, count: int) -> str:
    """Choose the word for so many."""
    return one if count == 1 else many


def names(containers: Iterable[JudgedContainer]) -> list[str]:
    """Return the names of containers, in their order."""
    return [container.name for container in containers]


def named(what: str, items: Sequence[str]) -> str:
    """Name things with what they are: `container "a"`, `volumes "a", "b"`."""
    return f"{plural(what, f'{what}s', len(items))} {quoted(items)}"


def setters(containers: Sequence[JudgedContainer], *, pod: bool) -> str:
    """Say who sets something: `pod and containers "a", "b"`; empty if nobody does."""
    who = ["pod"] * pod + ([named("container", names(containers))] if containers else [])
    return " and ".join(who)
