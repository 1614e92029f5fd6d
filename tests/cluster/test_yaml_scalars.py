"""Scalars mean what they mean to kubectl."""

import pytest

from scanner.cluster.yaml_scalars import ScalarError, key_of, value_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("y", True),
        ("yEs", "yEs"),
        ("~", None),
        ("", None),
        ("Null", None),
        ("010", 8),
        ("0o10", 8),
        ("08", 8),
        ("0x1F", 31),
        ("-0b11", -3),
        ("1_000", 1000),
        ("_1", "_1"),
        ("1e3", 1000),
        ("1.0", 1),
        (".5", 0.5),
        ("1:30", "1:30"),
        ("2001-12-14", "2001-12-14"),
        ("1e400", "1e400"),
        ("18446744073709551615", 2**64 - 1),
        ("9" * 5000, "9" * 5000),
        ("100m", "100m"),
        ("=", "="),
    ],
)
def test_a_plain_scalar_is_read_as_kubectl_reads_it(text: str, value: object) -> None:
    """YAML 1.1 as go-yaml v2 has it."""
    assert (value_of(text, "", is_plain=True), type(value_of(text, "", is_plain=True))) == (value, type(value))


def test_a_quoted_scalar_is_text() -> None:
    """Quotes end all guessing."""
    assert value_of("yes", "", is_plain=False) == "yes"


@pytest.mark.parametrize("text", [".inf", "-.INF", ".NaN"])
def test_numbers_that_json_lacks_are_refused(text: str) -> None:
    """As kubectl refuses them."""
    with pytest.raises(ScalarError, match="JSON has no infinite"):
        value_of(text, "", is_plain=True)


def test_a_tag_that_does_not_fit_is_refused() -> None:
    """`!!int x` is an error, not the text x."""
    with pytest.raises(ScalarError, match="!!int"):
        value_of("x", "tag:yaml.org,2002:int", is_plain=False)


@pytest.mark.parametrize(
    ("text", "key"), [("yes", "true"), ("010", "8"), ("1.50", "1.5"), ("1e10", "1e+10"), ("1000000.5", "1.0000005e+06")]
)
def test_a_key_that_is_no_string_becomes_one_as_kubectl_writes_it(text: str, key: str) -> None:
    """Also floats, in the shortest text of single precision."""
    assert key_of(text, "", is_plain=True) == key


def test_a_null_key_is_refused() -> None:
    """JSON has none, and kubectl takes none."""
    with pytest.raises(ScalarError, match="a key cannot be null"):
        key_of("~", "", is_plain=True)
