"""Regular expressions, in RE2's syntax and linear time, as Go's regexp finds matches.

Source: k8s.io/apiserver/pkg/cel/library/regex.go.
"""

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    import re2  # noqa: PLC0415 - few policies need it, and a scan of one file should start at once

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(f"Illegal regex: {error}") from error


def find(text: str, pattern: str) -> str:
    """Return the first match, empty if there is none."""
    found = _compiled(pattern).search(text)
    return found.group() if found else ""


def find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    """Return the matches that don't overlap, at most `limit` unless that is negative.

    An empty match right behind another match does not count.
    """
    found: list[str] = []
    end = -1
    for match in _compiled(pattern).finditer(text):
        if limit >= 0 and len(found) >= limit:
            break
        if match.end() > match.start() or match.start() != end:
            found.append(match.group())
        end = match.end()
    return found
