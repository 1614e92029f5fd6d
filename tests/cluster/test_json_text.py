"""JSON is held to what YAML is held to."""

import pytest

from scanner.cluster.json_text import JsonError, compact, values


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (b'{"a": 1,\n"b": 2,\n"a": 3}', 3, "the key 'a' stands twice"),
        (b'{"a": 1,\n"b": }', 2, "invalid character"),
        (b'{"a": 1,\n', 1, "truncated"),
        (b'{"a": "\xff"}', 1, "not UTF-8"),
        (b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}", 1, "nested deeper than 100"),
        (b'{"a": ' + b"[" * 100_000, 1, "nested deeper than 100"),
    ],
)
def test_what_is_refused_names_its_line(text: bytes, line: int, problem: str) -> None:
    """Counted from 1."""
    with pytest.raises(JsonError, match=problem) as raised:
        compact(text)
    assert raised.value.line == line


def test_commas_written_as_escapes_are_no_keys() -> None:
    """Nothing stands twice here."""
    assert compact(b'{"a": "\\u002c", "b": 1}') == b'{"a":",","b":1}'


def test_one_value_a_line_may_be_broken_each_on_its_own() -> None:
    """The others go on."""
    assert list(values(b'{"a": 1}\n\n{"b": }\n{"c": 1}\n')) == [(1, b'{"a": 1}'), (3, b'{"b": }'), (4, b'{"c": 1}')]


def test_values_one_behind_the_other_are_told_apart() -> None:
    """Over several lines each."""
    assert list(values(b'{"a":\n1}\n {"b":\n2}')) == [(1, b'{"a":\n1}'), (3, b'{"b":\n2}')]
