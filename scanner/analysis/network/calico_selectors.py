"""Calico's selectors as claims about pods: `app == 'web' && tier not in {'a', 'b'}`, and what else its grammar has.

`!=` and `not in` hold where the label is missing. `all()` is everyone, `global()` what is in no namespace. Selectors of
namespaces and service accounts ask for the same labels behind a prefix, as Calico stores them.

Source: https://docs.tigera.io/calico/latest/reference/resources/networkpolicy#selectors, and for what is between its
lines (blanks, precedence, what a key may hold) the tests of libcalico-go/lib/selector.
"""

import re
from dataclasses import dataclass

from scanner.analysis.network.rules import AllOf, AnyOf, LabelTest, Not, Peer, TestKind

#: Parentheses and negations within each other; far more than a person writes, far less than Python's stack.
_DEPTH = 60
_TOKEN = re.compile(
    r"""[ \t]*(?:
        (?P<call>all|global)\([ \t]*\)
      | has\([ \t]*(?P<has>[a-zA-Z0-9_./-]{1,512})[ \t]*\)
      | "(?P<double>[^"]*)" | '(?P<single>[^']*)'
      | (?P<sign>==|!=|&&|\|\||[!(){},])
      | (?P<label>[a-zA-Z0-9_./-]{1,512})
    )""",
    re.VERBOSE,
)
#: What stands after a label; blanks are not needed.
_OPERATOR = re.compile(r"[ \t]*(==|!=|contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in)")
_PARTIAL = {"contains": TestKind.CONTAINS, "startswith": TestKind.STARTS_WITH, "endswith": TestKind.ENDS_WITH}

EVERYONE = AllOf()


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose labels a selector asks for: a prefix of keys, and what `all()` and `global()` mean there."""

    prefix: str = ""
    everyone: Peer = EVERYONE


def has(key: str) -> LabelTest:
    """Return the claim that a label is there."""
    return LabelTest(key, TestKind.HAS)


def equals(key: str, value: str) -> LabelTest:
    """Return the claim that a label has a value."""
    return LabelTest(key, TestKind.EQUALS, value)


#: What Calico gives all that is in a namespace.
IN_NAMESPACE = has("projectcalico.org/namespace")
OF_PODS = Scope()
OF_NAMESPACES = Scope("pcns.", IN_NAMESPACE)
OF_ACCOUNTS = Scope("pcsa.")


def parsed(selector: str, scope: Scope = OF_PODS) -> Peer:
    """Return what a selector means; an empty one means everyone.

    Raises `ValueError` where it is none.
    """
    if not selector.strip(" \t"):
        return EVERYONE
    return _Parser(selector, scope).whole()


class _Parser:
    def __init__(self, text: str, scope: Scope) -> None:
        self._text = text
        self._scope = scope
        self._place = 0
        self._depth = 0

    def whole(self) -> Peer:
        found = self._any()
        if self._text[self._place :].strip(" \t"):
            raise self._fault("the end")
        return found

    def _any(self) -> Peer:
        parts = [self._all()]
        while self._take("||"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self) -> Peer:
        parts = [self._operation()]
        while self._take("&&"):
            parts.append(self._operation())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _operation(self) -> Peer:
        is_negated = False
        while self._take("!"):
            is_negated = not is_negated
        found = self._positive()
        return Not(found) if is_negated else found

    def _positive(self) -> Peer:
        token = self._token()
        if token["sign"] == "(":
            return self._nested()
        if token["call"]:
            return self._scope.everyone if token["call"] == "all" else Not(IN_NAMESPACE)
        if token["has"]:
            return has(self._scope.prefix + token["has"])
        if token["label"]:
            return self._comparison(self._scope.prefix + token["label"])
        raise self._fault("a label")

    def _nested(self) -> Peer:
        self._depth += 1
        if self._depth > _DEPTH:
            raise ValueError(f"a selector with more than {_DEPTH} parentheses within each other")
        found = self._any()
        if not self._take(")"):
            raise self._fault(")")
        self._depth -= 1
        return found

    def _comparison(self, key: str) -> Peer:
        found = _OPERATOR.match(self._text, self._place)
        if found is None:
            raise self._fault("an operator")
        self._place = found.end()
        operator = re.sub(r"[ \t]", "", found[1])
        if operator in _PARTIAL:
            return LabelTest(key, _PARTIAL[operator], self._string())
        if operator in {"==", "!="}:
            test = equals(key, self._string())
            return test if operator == "==" else Not(test)
        one_of = AnyOf(tuple(equals(key, value) for value in self._set()))
        return one_of if operator == "in" else Not(one_of)

    def _set(self) -> list[str]:
        """Read `{'a', 'b'}`; it may be empty, and a comma may stand at its end."""
        if not self._take("{"):
            raise self._fault("{")
        values: list[str] = []
        while not self._take("}"):
            values.append(self._string())
            if not self._take(","):
                if not self._take("}"):
                    raise self._fault("}")
                break
        return values

    def _string(self) -> str:
        token = self._token()
        if token["double"] is None and token["single"] is None:
            raise self._fault("a string")
        return token["single"] if token["double"] is None else token["double"]

    def _token(self) -> re.Match[str]:
        found = _TOKEN.match(self._text, self._place)
        if found is None:
            raise self._fault("more")
        self._place = found.end()
        return found

    def _take(self, sign: str) -> bool:
        """Go past a sign if it comes next."""
        found = _TOKEN.match(self._text, self._place)
        if found is None or found["sign"] != sign:
            return False
        self._place = found.end()
        return True

    def _fault(self, expected: str) -> ValueError:
        return ValueError(f"selector {self._text[:100]!r}: {expected} expected at character {self._place + 1}")
