"""The fast reader says what the exact one says, or leaves the document to it."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.cluster.yaml_exact import YamlError, parse
from scanner.cluster.yaml_fast import FastReader

KEYS = ("a", "b", "kind", "metadata", "no_x", '"k:{\\"n\\"}"', "'q'", "a.b/c", ".x", "managedFields", "yes", "1")
VALUES = (
    "x", "foo bar", "10m", "5", "0.5", "1.29.0", '"q"', "'it''s'", '""', "{}", "[]", "|", "|-", "|+", "true", "null",
    "http://a:80", "a:b", "-x", "no", "2001-12-14", "a#b", '"a\\nb"', "(x)", "0", "yes y", "x  y", "a: b", "a #c", "a:",
    "1e3", "~", ".5", "=", "null x", "true-", "5 x", "x\n      y",
)  # fmt: skip
POD = b"apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - image: web:1\n    name: web\n"

values = st.sampled_from(VALUES)
keys = st.sampled_from(KEYS)
contents = st.one_of(
    st.just(""),
    st.just("-"),
    st.just("# c: d"),
    st.builds("- {}".format, values),
    st.builds("- - {}".format, values),
    st.builds("- {}: {}".format, keys, values),
    st.builds("- {}:".format, keys),
    st.builds("{}: {}".format, keys, values),
    st.builds("{}:".format, keys),
    values,
)
texts = st.lists(st.builds("{}{}\n".format, st.integers(0, 7).map(" ".__mul__), contents), min_size=1, max_size=9)

reader = FastReader()


def exactly(text: bytes) -> object:
    """Return what the exact reader makes of a text: its only value, or None if it is refused or has no content."""
    try:
        read = [msgspec.json.decode(found.json) for found in parse(text.decode())]
    except YamlError:
        return None
    return read[0] if read else None


@given(texts)
@settings(max_examples=1500, deadline=None)
def test_what_the_fast_reader_reads_the_exact_reader_reads_too(lines: list[str]) -> None:
    """On texts near to plain YAML, with all the words that the two could differ on."""
    text = "".join(lines).encode()
    read = reader.to_json(text)
    assert read is None or msgspec.json.decode(read) == exactly(text)


def test_a_plain_object_is_read() -> None:
    """Or the fast reader would be of no use."""
    assert msgspec.json.decode(reader.to_json(POD) or b"null") == exactly(POD)


@pytest.mark.parametrize(
    "line",
    [
        "a: yes",
        "a: 010",
        "a: 1_000",
        "a: 1e3",
        "a: .inf",
        "a: ~",
        "a: &x 1",
        "a: *x",
        "a: !!str 1",
        "a: x # y",
        "a:\tx",
        "a: é",
        "a: [1, 2]",
        "yes: 1",
        "? a",
        "<<: {}",
        'a: "x',
        "%YAML 1.2",
        "a: @x",
        "12: a",
        'a: "\\x41"',
        "a: 1.50",
        "a: 08",
        "a: x\r",
    ],
)
def test_a_line_that_could_mean_two_things_is_left_to_the_exact_reader(line: str) -> None:
    """YAML 1.1, YAML 1.2 and rapidyaml differ on some of these; the others are rare."""
    assert not reader.is_plain(f"b: 1\n{line}\n".encode())


def test_a_key_that_stands_twice_is_left_to_the_exact_reader() -> None:
    """It tells the line."""
    assert reader.to_json(POD + b"kind: Pod\n") is None


def test_a_key_that_stands_twice_deep_inside_is_noticed() -> None:
    """With commas in the strings around it."""
    assert reader.to_json(b'a:\n- b: "x,y"\n  c: ","\n  b: "x,y"\n') is None


def test_a_line_that_is_indented_too_far_is_left_to_the_exact_reader() -> None:
    """There rapidyaml 0.15 reads a key `"  resources"`."""
    assert reader.to_json(b'- apiGroups:\n  - ""\n    resources:\n  - pods\n') is None


def test_the_text_of_a_literal_scalar_may_look_like_anything() -> None:
    """A script in a ConfigMap does not make it slow."""
    text = b"data:\n  run.sh: |\n    yes: 010 # &x *y\n     [ {{\n\n    a: |\n  b: c\n"
    assert msgspec.json.decode(reader.to_json(text) or b"null") == exactly(text)


def test_what_stands_beside_a_literal_scalar_in_a_list_is_looked_at() -> None:
    """The next key of an item is indented by no more than the dash takes."""
    assert not reader.is_plain(b"- a: |\n    x\n  b: yes\n")


def test_managed_fields_of_what_a_controller_made_are_left_out() -> None:
    """Half of a live object, of which nothing is kept."""
    owned = POD.replace(
        b"  name: web\nspec", b"  name: web\n  ownerReferences:\n  - uid: x\n    controller: true\nspec"
    )
    text = owned.replace(b"  name: web\n", b"  managedFields:\n  - manager: x\n    time: x\n  name: web\n", 1)
    assert text != owned != POD
    assert msgspec.json.decode(reader.to_json(text) or b"null") == exactly(owned)


def test_managed_fields_of_what_people_made_are_read() -> None:
    """They tell who set a field."""
    text = POD.replace(b"  name: web\nspec", b"  managedFields:\n  - manager: x\n    time: x\n  name: web\nspec")
    assert msgspec.json.decode(reader.to_json(text) or b"null") == exactly(text)


@pytest.mark.parametrize(
    "text",
    [
        b"data:\n  managedFields:\n  - a\n",
        b"metadata:\n  name: a\ndata:\n  managedFields:\n  - a\n",
        b"metadata:\n a: |\n  managedFields:\n  - x\n",
        b"data:\n  metadata:\n  managedFields:\n  - a\n",
    ],
)
def test_managed_fields_elsewhere_than_in_the_metadata_are_data(text: bytes) -> None:
    """A ConfigMap may have a key of that name."""
    read = reader.to_json(b"kind: X\n" + text)
    assert read is None or msgspec.json.decode(read) == exactly(b"kind: X\n" + text)


def test_nesting_without_end_is_left_to_the_exact_reader() -> None:
    """The fast reader neither crashes nor waits."""
    deep = b"".join(b" " * depth + b"a:\n" for depth in range(4000))
    assert reader.to_json(deep) is None
