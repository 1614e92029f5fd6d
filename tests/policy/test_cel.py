"""Expressions are compiled once and evaluated to a value, or to a reason why not."""

import re
from typing import Any

import pytest

from scanner.errors import PolicyError
from scanner.policy.cel import CelFailure, activation, compile_expression, evaluate_expression


def value_of(text: str, **variables: Any) -> Any:
    """Evaluate an expression over these variables."""
    names = tuple(sorted(variables))
    return evaluate_expression(compile_expression(text, names), activation(names, variables))


def test_an_expression_has_a_value() -> None:
    """Plain JSON values go in and come out."""
    assert value_of("object.spec.map(x, x * 2)", object={"spec": [1, 2]}) == [2, 4]


def test_a_missing_field_is_a_reason() -> None:
    """What breaks is a value too, with the engine's words."""
    assert value_of("object.nope == 1", object={}) == CelFailure('Key not found in map : "nope"')


def test_what_breaks_is_absorbed_by_what_decides() -> None:
    """`||` is true if one side is, whatever the other."""
    assert value_of("object.nope == 1 || true", object={}) is True


def test_an_optional_is_no_value() -> None:
    """An expression that ends in an optional says how to end it otherwise."""
    assert "orValue" in value_of("object.?nope", object={}).reason


def test_a_variable_without_a_value_is_a_reason() -> None:
    """What is not known is left out, and reading it fails."""
    names = ("namespaceObject", "object")
    expression = compile_expression("namespaceObject.metadata.name == 'x'", names)
    assert isinstance(evaluate_expression(expression, activation(names, {"object": {}})), CelFailure)


def test_an_endless_expression_ends() -> None:
    """Nested macros over long lists run out of the engine's budget instead of time."""
    text = "o.all(a, o.all(b, o.all(c, o.all(d, o.all(e, a + b + c + d + e >= 0)))))"
    assert "budget" in value_of(text, o=list(range(100))).reason


def test_a_hostile_pattern_ends() -> None:
    """Regular expressions take linear time."""
    assert value_of("o.matches('^(a+)+$') || o.find('^(a+)+$') != ''", o="a" * 5000 + "!") is False


def test_a_number_beyond_int64_is_a_reason() -> None:
    """JSON can hold what CEL cannot."""
    assert isinstance(value_of("o.n == 1", o={"n": 2**70}), CelFailure)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("object.a +", "line 1, column 11"),
        ("nope", "undeclared reference to 'nope'"),
        ("authorizer.group('').resource('pods').check('get').allowed()", "undeclared reference to 'authorizer'"),
        ("quantity('1') < quantity('2')", "found no matching overload"),
        ("'a' == 1", "found no matching overload"),
    ],
)
def test_what_is_not_supported_does_not_compile(text: str, complaint: str) -> None:
    """It never evaluates to something else."""
    with pytest.raises(PolicyError, match=re.escape(complaint)):
        compile_expression(text, ("object",))


def test_numbers_of_two_types_compare() -> None:
    """Kubernetes allows `int < double`, though the engine's type checker does not."""
    assert value_of("int(o) < 20.5", o="20") is True


def test_an_expression_knows_what_it_reads() -> None:
    """One variable too many is possible, one too few is not."""
    assert compile_expression("object.a == 'params'", ("object", "params", "request")).reads == {"object", "params"}
