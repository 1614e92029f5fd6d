"""The exact reader reads any YAML as kubectl does, within bounds."""

import itertools
from typing import Any

import msgspec
import pytest

from scanner.cluster.yaml_exact import MAX_DEPTH, YamlError, parse
from tests.cluster import yaml_oracles
from tests.conftest import IN_CI

#: Where we differ from kubectl on the YAML test suite, and why.
REFUSED_BY_US_ALONE = {
    "3HFZ/0": "behind the end of a document kubectl reads nothing, libyaml reads on",
    "4ABK/0": "newer libyaml takes no `:` in a plain scalar of a flow map that ends there",
    "4H7K/0": "behind the end of a document kubectl reads nothing",
    "7Z25/0": "behind the end of a document kubectl reads nothing",
    "BS4K/0": "behind the end of a document kubectl reads nothing",
    "DK3J/0": "kubectl reads an empty scalar there, and nothing behind it",
    "FP8R/0": "kubectl reads an empty scalar there, and nothing behind it",
    "HRE5/0": "YAML has no such escape",
    "KS4U/0": "behind the end of a document kubectl reads nothing",
    "M7A3/0": "behind the end of a document kubectl reads nothing",
    "QLJ7/0": "the second document is broken, which kubectl does not read",
    "U99R/0": "newer libyaml takes no comma behind a tag",
}
TAKEN_BY_US_ALONE = {
    "27NA/0": "YAML 1.2 is taken",
    "3UYS/0": "JSON's escape of a slash is taken",
    "DK95/7": "YAML 1.2 is taken",
    "JR7V/0": "newer libyaml takes question marks in flow style",
    "MUS6/1": "YAML 1.2 is taken",
    "RTP8/0": "YAML 1.2 is taken",
    "WZ62/0": "newer libyaml takes an empty scalar behind a tag",
}
WORDS = (
    "y", "Y", "yes", "Yes", "yEs", "n", "N", "no", "oN", "on", "off", "OFF", "true", "tRUE", "null", "Null", "~",
    "nUll", ".nan", ".inf", "-.inf", "+.Inf", ".Nan", "-", "+", ".", "..", "0", "00", "08", "010", "0o10", "0O17",
    "0o8", "0x1F", "0X1f", "0xG", "0b11", "-0b11", "-0x1F", "+5", "-010", "1_000", "_1", "1__0", "0x_1F", "0_7",
    "1e3", "1E3", "1e+3", "1.e3", "1.", ".5", ".5_0", ".5__0", ".5_", "._5", "5_.5", "1e400", "1:30", "2001-12-14",
    "2001-12-14T21:59:43Z", "1.2.3", "10m", "1.50", "9223372036854775807", "9223372036854775808",
    "18446744073709551616", "-9223372036854775809", "+9223372036854775808", "0xFFFFFFFFFFFFFFFF",
    "0x1FFFFFFFFFFFFFFFF", "1e20", "1e21", "<<x", "=", "nan", "Infinity", "1e-7", "-0", "-0.0", "0888", "1e", ".e5",
    "0x", "0b2", "+.5", "-.5", "+0x10", "12e03", "0x1p4", ".0x1", "1000000.5", "16777217.0",
)  # fmt: skip
TAGS = ("", "!!str ", "!!int ", "!!float ", "!!bool ", "!!null ", "!!binary ", "!mine ", "! ")
STRUCTURES = (
    "a: &x 1\nb: *x\n",
    "a: &x yes\n*x : 1\n",
    "a: &x [1]\n*x : 1\n",
    "a: &x [*x]\n",
    "a: *missing\n",
    "base: &b {a: 1, b: 2}\nc:\n  a: 5\n  <<: *b\n",
    "base: &b {a: 1, b: 2}\nc:\n  <<: *b\n  d: 5\n",
    "c:\n  <<: [{a: 1}, {a: 2, b: 3}]\n",
    "c:\n  '<<': {a: 1}\n",
    "c:\n  <<: 5\n",
    "? a\n: b\n",
    "? [a]\n: b\n",
    "a:\tb\n",
    "a:\n\tb: 1\n",
    "\ufeffa: 1\n",
    "a: 1\r\nb: |\r\n  x\r\n  y\r\n",
    "a: |\n  x\n y\n",
    "a: >\n  x\n  y\n\n  z\n",
    "a: |+\n  x\n\n\nb: 1\n",
    "a: |2-\n    x\n",
    "a: 'it''s\n  long'\n",
    'a: "\\x41\\u00e9\\n\\t"\n',
    "a: x\n  y\n",
    "a: b: c\n",
    "a: [1\n",
    "%TAG ! tag:x,2000:\n---\na: !b c\n",
    "a: http://x:80/ # c\nb: '#'\nc: a#b\n",
    "a: @x\n",
    "a: {b:1, c: d:e}\n",
    "a: [b: c]\n",
    "a: \x85 b\n",
    "a: \u2028b\n",
    "a: !!set {a, b}\n",
    "a: ''\n'': 1\n",
    "~: 1\n",
)


def read(text: str) -> list[Any]:
    """Return the values of the documents of a text."""
    return [msgspec.json.decode(found.json) for found in parse(text)]


def agrees(text: bytes, answer: yaml_oracles.Answer) -> bool:
    """Tell whether we say of a text what kubectl says; a key that stands twice is refused by us alone."""
    try:
        values = read(text.decode())
    except YamlError as error:
        return bool(answer.error) or (answer.has_key_twice and "twice" in str(error))
    first = values[0] if values else None
    return not answer.error and _as_go(first) == _as_go(answer.value)


def _as_go(value: Any) -> Any:
    """Return a value as Go has it behind JSON: every number beyond exact floats is a float."""
    match value:
        case dict():
            return {k: _as_go(v) for k, v in value.items()}
        case list():
            return [_as_go(v) for v in value]
        case int() if abs(value) > 2**53:
            return float(value)
        case _:
            return value


def ask_kubectl(texts: list[bytes]) -> list[yaml_oracles.Answer]:
    """Ask kubectl's library, or skip."""
    try:
        return yaml_oracles.kubectl_reads(texts)
    except FileNotFoundError as error:
        _missing(f"SKIPPED LOUDLY: kubectl's YAML library cannot be built: {error}")
        raise


def _missing(what: str) -> None:
    if IN_CI:
        pytest.fail(what)
    pytest.skip(what)


def test_every_word_and_tag_is_read_as_kubectl_reads_it() -> None:
    """As value and as key, plain and quoted."""
    texts = [
        shape.format(tag=tag, word=word).encode()
        for word, tag in itertools.product(WORDS, TAGS)
        for shape in ("a: {tag}{word}\n", "a: {tag}'{word}'\n", "{tag}{word}: v\n")
        if "binary" not in tag or len(word) % 4 == 0
    ]
    differing = [t for t, a in zip(texts, ask_kubectl(texts), strict=True) if not agrees(t, a)]
    assert differing == []


def test_every_structure_is_read_as_kubectl_reads_it() -> None:
    """Anchors, merges, keys, line ends, scalars of all styles."""
    texts = [text.encode() for text in STRUCTURES]
    differing = [t for t, a in zip(texts, ask_kubectl(texts), strict=True) if not agrees(t, a)]
    assert differing == []


def test_the_yaml_test_suite_is_read_as_kubectl_reads_it() -> None:
    """All 402 cases, but for the ones listed above, where one of the two refuses."""
    try:
        cases = yaml_oracles.suite_cases()
    except FileNotFoundError as error:
        _missing(f"SKIPPED LOUDLY: no YAML test suite: {error}")
        raise
    answers = ask_kubectl(list(cases.values()))
    differing = {n for (n, text), a in zip(cases.items(), answers, strict=True) if not agrees(text, a)}
    assert (len(cases), differing) == (402, REFUSED_BY_US_ALONE.keys() | TAKEN_BY_US_ALONE.keys())


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: c: d\n", 2, "mapping values are not allowed"),
        ("a:\n  b: 1\n  b: 2\n", 3, "the key 'b' stands twice in one map"),
        ("a: 1\n---\nb: *x\n", 3, "an alias to an anchor that was not set before"),
        ("a: 1\nb: .inf\n", 2, "JSON has no infinite"),
        ("a: 1\nb: \x07\n", 2, "a control character"),
        ("a: &x\n  - *x\n", 2, "an alias to what it is part of"),
        ("a: 1\n? {b: c}\n: d\n", 2, "a key is a list, a map or null"),
        ("1: a\n'1': b\n", 2, "the key '1' stands twice in one map"),
    ],
)
def test_what_is_refused_names_its_line(text: str, line: int, problem: str) -> None:
    """Counted from 1."""
    with pytest.raises(YamlError, match=problem) as raised:
        list(parse(text))
    assert raised.value.line == line


def test_a_merged_key_may_be_written_too() -> None:
    """Only keys that are written twice are refused."""
    assert read("<<: {a: 1}\na: 2\n") == [{"a": 2}]


def test_aliases_that_expand_without_end_are_refused() -> None:
    """The billion laughs: nine levels of ten aliases each."""
    levels = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in itertools.pairwise("abcdefghij"))
    with pytest.raises(YamlError, match="aliases expand"):
        list(parse(f"a: &a [x, x]\n{levels}"))


def test_a_long_string_counts_each_time_that_it_is_repeated() -> None:
    """A megabyte, ten thousand times, is refused before it is written out."""
    with pytest.raises(YamlError, match="aliases expand"):
        list(parse(f"a: &a {'x' * 10**6}\nb: [{', '.join(['*a'] * 10_000)}]\n"))


@pytest.mark.parametrize("opened", ["[", "{a: ", "- ", "? "])
def test_nesting_without_end_is_refused(opened: str) -> None:
    """A hundred thousand levels cost no stack."""
    with pytest.raises(YamlError):
        list(parse(opened * 100_000))


def test_the_deepest_nesting_that_is_allowed_is_read() -> None:
    """The bound is exact."""
    assert len(read("[" * MAX_DEPTH + "]" * MAX_DEPTH)) == 1
