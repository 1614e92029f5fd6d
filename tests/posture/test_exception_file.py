"""Exceptions as a file: what is read, and one clear line for whatever is wrong."""

import contextlib
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import InputError
from scanner.model.exception import PolicyException, Scope
from scanner.model.policy import Severity
from scanner.posture.exception_file import read_exceptions

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
BASE = "policy: pods/a\n  owner: team\n  reason: soon\n  expires: 2027-01-31\n"


def read(text: str | bytes) -> tuple[PolicyException, ...]:
    """Read a file as of one day."""
    content = text.encode() if isinstance(text, str) else text
    return read_exceptions(content, "e.yaml", now=NOW, longest=dt.timedelta(days=365))


def test_every_field_is_read() -> None:
    """With its type."""
    (one,) = read(
        "- id: agent\n  policy: pods/a\n  owner: team\n  reason: soon\n  ticket: T-1\n  createdBy: ann\n"
        "  expires: 2027-01-31T12:00:00+02:00\n  severity: high\n  evidence: ['00ff']\n"
        "  scope: {finding: f, namespace: n, kind: K, name: x, labels: {a: b}, container: c}\n"
    )

    assert one == PolicyException(
        id="agent",
        policy="pods/a",
        owner="team",
        reason="soon",
        ticket="T-1",
        created_by="ann",
        expires_at=dt.datetime(2027, 1, 31, 10, tzinfo=dt.UTC),
        severity=Severity.HIGH,
        evidence=frozenset({"00ff"}),
        scope=Scope(finding="f", namespace="n", kind="K", name="x", labels={"a": "b"}, container="c"),
    )


def test_an_exception_without_an_id_is_named_by_its_place() -> None:
    """And one that has expired is still read: the report names it."""
    (one,) = read("- " + BASE.replace("2027", "2020"))

    assert (one.id, one.expires_at) == ("entry 1", dt.datetime(2020, 1, 31, tzinfo=dt.UTC))


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "[]\n"])
def test_an_empty_file_has_no_exceptions(text: str) -> None:
    """A repository may start with one."""
    assert read(text) == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("policy: a\n", "e.yaml: a list of exceptions is expected"),
        ("- a\n", "e.yaml: entry 1: it must be a mapping of fields"),
        ("- " + BASE.replace("  owner: team\n", ""), "e.yaml: entry 1: owner: missing"),
        ("- " + BASE.replace("  expires: 2027-01-31\n", ""), "e.yaml: entry 1: expires: missing"),
        ("- " + BASE + "- " + BASE.replace("reason: soon", "reason: ''"), "e.yaml: entry 2: reason: must be text"),
        ("- " + BASE + "  namespace: shop\n", "e.yaml: entry 1: 'namespace': unknown; known are"),
        ("- " + BASE + "  scope: {namespaces: shop}\n", "e.yaml: entry 1: scope.'namespaces': unknown"),
        ("- " + BASE + "  scope: {namespace: }\n", "e.yaml: entry 1: scope.namespace: must be text"),
        ("- " + BASE + "  scope: {labels: {a: 1}}\n", "e.yaml: entry 1: scope.labels: must be a mapping of text"),
        ("- " + BASE + "  scope: {labels: {}}\n", "e.yaml: entry 1: scope.labels: must not be empty"),
        ("- " + BASE + "  scope: shop\n", "e.yaml: entry 1: scope must be a mapping of fields"),
        ("- " + BASE + "  severity: huge\n", "e.yaml: entry 1: severity: must be one of low"),
        ("- " + BASE + "  evidence: []\n", "e.yaml: entry 1: evidence: must be a list"),
        ("- " + BASE.replace("2027-01-31", "soon"), "e.yaml: entry 1: expires: must be a day"),
        ("- " + BASE.replace("2027-01-31", "2027-01-31T12:00:00"), "e.yaml: entry 1: expires: a time needs its zone"),
        ("- " + BASE.replace("2027-01-31", "0001-01-01T00:00:00+14:00"), "e.yaml: entry 1: expires: no time"),
        ("- " + BASE.replace("2027", "2028"), "e.yaml: entry 1: expires: too late: 2027-11-23 is the latest"),
        ("- id: a\n  " + BASE + "- id: a\n  " + BASE, "e.yaml: entry 2: id: 'a' is taken by an entry before it"),
        ("- " + BASE + "  owner: other\n", "e.yaml:5: 'owner' stands twice in one mapping"),
        ("- {", "e.yaml:1: is no YAML"),
        ("[" * 100_000, "e.yaml"),
        (b"\xff\xfe\x00", "e.yaml"),
        ("- !!python/object:os.system x\n", "e.yaml:1: is no YAML"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(text: str | bytes, complaint: str) -> None:
    """With file, entry and field."""
    with pytest.raises(InputError) as raised:
        read(text)

    assert str(raised.value).startswith(complaint)
    assert "\n" not in str(raised.value)


@given(st.one_of(st.binary(max_size=200), st.text(alphabet="-:{}[]&*!|>'\" \nab0", max_size=80)))
def test_no_file_crashes_the_reader(text: str | bytes) -> None:
    """It is read or refused."""
    with contextlib.suppress(InputError):
        read(text)
