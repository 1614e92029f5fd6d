"""The rules of a well-kept detector, gitleaks, run by RE2: which parts of a text are somebody's tokens by their look.

Its rules are data (`gitleaks/rules.json`), made of a release by `docs/credential_rules.py`, and they are written for
RE2, whose time grows with the text and with nothing else, whatever a tenant wrote. As gitleaks does, a rule is tried
only where one of its keywords stands, and what it finds must be as mixed as the rule says.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

#: Texts are judged up to here: an API server takes no object beyond 1.5 MiB.
MAX_TEXT_BYTES = 2**21
#: A text with this many hits of a rule is no configuration; and every hit is one more search.
MAX_HITS = 50


class Hit(NamedTuple):
    """A credential in a text: which kind, and where, in bytes of UTF-8."""

    kind: str
    start: int
    end: int


class _Rule(msgspec.Struct):
    id: str
    regex: str
    keywords: tuple[str, ...]
    entropy: float = 0
    group: int = 0
    allowed: tuple[str, ...] = ()


class _Rules(msgspec.Struct):
    source: str
    allowed: tuple[str, ...]
    rules: tuple[_Rule, ...]


def pattern(text: str) -> Any:
    """Compile an expression of RE2 that searches bytes."""
    import re2  # noqa: PLC0415 - takes 20 ms, and `plimsoll version` should not wait for it

    options = re2.Options()
    options.log_errors = False
    return re2.compile(text.encode(), options)


class Detector:
    """The rules of gitleaks; each is compiled when one of its keywords is first met."""

    def __init__(self, rules: _Rules) -> None:
        """Take rules as they were read."""
        self._rules = rules.rules
        self._allowed = rules.allowed
        self._compiled: dict[str, tuple[Any, Any]] = {}

    @cached_property
    def _by_keyword(self) -> dict[bytes, tuple[_Rule, ...]]:
        found: dict[bytes, list[_Rule]] = {}
        for rule in self._rules:
            for keyword in rule.keywords:
                found.setdefault(keyword.lower().encode(), []).append(rule)
        return {keyword: tuple(rules) for keyword, rules in found.items()}

    @cached_property
    def _any_keyword(self) -> Any:
        """Find in one pass whether a text has any keyword at all, which most texts have not."""
        return pattern("|".join(re.escape(keyword.decode()) for keyword in self._by_keyword))

    @cached_property
    def _never(self) -> Any:
        return pattern("|".join(f"(?:{p})" for p in self._allowed))

    def hits(self, text: bytes) -> Iterator[Hit]:
        """Yield what the rules find, rule by rule; parts may overlap."""
        text = text[:MAX_TEXT_BYTES]
        lower = text.lower()
        if not self._any_keyword.search(lower):
            return
        tried: set[str] = set()
        for keyword, rules in self._by_keyword.items():
            if keyword in lower:
                for rule in rules:
                    if rule.id not in tried:
                        tried.add(rule.id)
                        yield from self._hits_of(rule, text)

    def _hits_of(self, rule: _Rule, text: bytes) -> Iterator[Hit]:
        search, allowed = self._patterns(rule)
        for count, match in enumerate(search.finditer(text)):
            if count == MAX_HITS:
                return
            group = rule.group or next((g for g in range(1, len(match.groups()) + 1) if match.group(g)), 0)
            secret = match.group(group)
            if (
                secret
                and not (rule.entropy and entropy(secret) <= rule.entropy)
                and not self._never.search(secret)
                and not (allowed and allowed.search(secret))
            ):
                yield Hit(rule.id, match.start(group), match.end(group))

    def _patterns(self, rule: _Rule) -> tuple[Any, Any]:
        if rule.id not in self._compiled:
            allowed = pattern("|".join(f"(?:{p})" for p in rule.allowed)) if rule.allowed else None
            self._compiled[rule.id] = (pattern(rule.regex), allowed)
        return self._compiled[rule.id]


@cache
def detector() -> Detector:
    """Return the detector, read once."""
    raw = (files("scanner.analysis.secrets") / "gitleaks" / "rules.json").read_bytes()
    return Detector(msgspec.json.decode(raw, type=_Rules))


def entropy(text: bytes) -> float:
    """Return Shannon's entropy in bits per byte, by which gitleaks tells random text from words."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)
