"""Streams are cut into documents where kubectl cuts them, and held to their bounds."""

import gzip
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.cluster.documents import BLOCK_BYTES, StreamError, documents


def cut(text: bytes, block_bytes: int = BLOCK_BYTES) -> list[tuple[int, int, bytes]]:
    """Return number, line and text of each document."""
    blocks = [text[at : at + block_bytes] for at in range(0, len(text), block_bytes)]
    return [(d.number, d.line, d.text) for d in documents("f", blocks)]


def test_documents_end_at_a_line_of_three_dashes() -> None:
    """And know their first line."""
    assert cut(b"a: 1\n---\nb: 2\n") == [(1, 1, b"a: 1\n"), (2, 3, b"b: 2\n")]


def test_what_helm_renders_has_documents_without_content() -> None:
    """They are passed over, comments and all."""
    rendered = b"---\n# Source: shop/templates/a.yaml\n---\n# Source: b\na: 1\n---\n\n---\n"
    assert cut(rendered) == [(1, 5, b"a: 1\n")]


def test_three_dashes_inside_a_line_end_nothing() -> None:
    """Nor do four."""
    assert len(cut(b"a: ---\n----\n---x\n")) == 1


def test_content_may_follow_the_dashes() -> None:
    """On their line, where it keeps them."""
    assert cut(b"--- {a: 1}\n") == [(1, 1, b"--- {a: 1}\n")]


def test_a_directive_belongs_to_the_document_behind_its_dashes() -> None:
    """`%YAML` stands before the mark."""
    assert cut(b"%YAML 1.1\n---\na: 1\n") == [(1, 1, b"%YAML 1.1\n---\na: 1\n")]


def test_a_byte_order_mark_is_no_content() -> None:
    """Windows writes it."""
    assert cut(b"\xef\xbb\xbfa: 1\r\n---\r\nb: 1\r\n") == [(1, 1, b"a: 1\r\n"), (2, 3, b"b: 1\r\n")]


def test_gzip_is_unpacked_by_its_first_bytes() -> None:
    """All members of the file."""
    assert cut(gzip.compress(b"a: 1\n", mtime=0) + gzip.compress(b"---\nb: 1\n", mtime=0)) == cut(b"a: 1\n---\nb: 1\n")


@given(
    st.lists(st.sampled_from([b"---\n", b"---", b"\n", b"a: 1\n", b"# c\n", b"--- x\n", b"-", b" "])), st.integers(4, 9)
)
def test_how_a_stream_arrives_changes_nothing(parts: list[bytes], block_bytes: int) -> None:
    """Marks may be cut by blocks."""
    text = b"a: 0\n" + b"".join(parts)
    assert cut(text, block_bytes) == cut(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"\x7fELF\0\0\0", "NUL bytes"),
        ("a: 1\n".encode("utf-16"), "NUL bytes"),
        (gzip.compress(b"a: 1\n" * 1000, mtime=0)[:-9], "breaks off"),
        (gzip.compress(b"a: 1\n", mtime=0)[:12] + b"rubbish rubbish", "broken gzip"),
    ],
)
def test_what_is_no_text_is_refused_as_a_whole(text: bytes, problem: str) -> None:
    """Programs, UTF-16, broken archives."""
    with pytest.raises(StreamError, match=problem):
        cut(text)


def test_a_document_that_is_too_large_is_refused_before_it_was_read() -> None:
    """A stream without end is read up to the bound."""
    endless = repeat(b"  a: x\n" * (BLOCK_BYTES // 7))
    with pytest.raises(StreamError, match="more than 64 MiB"):
        list(documents("f", endless))


def test_marks_without_end_are_refused() -> None:
    """They would keep a scanner busy with nothing."""
    with pytest.raises(StreamError, match="more than 1,000,000 documents"):
        list(documents("f", repeat(b"---\n" * (BLOCK_BYTES // 4))))
