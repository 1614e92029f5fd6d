"""The search for canaries finds one in whatever form something may leave it."""

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.canaries import FORMS, Canaries

PLACE = "somewhere"

#: What a sink may make of a text.
SINKS: dict[str, Callable[[str], bytes]] = {
    "text": lambda text: f"before {text} behind".encode(),
    "log line": lambda text: json.dumps({"event": "x", "error": f"said {text!r}"}).encode(),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"value": text})).encode(),
    "address": lambda text: f"/path?q={quote(text, safe='')}".encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64, behind one byte": lambda text: base64.b64encode(f"x{text} and more".encode()),
    "base64, behind two bytes": lambda text: base64.urlsafe_b64encode(f"xy{text} and more".encode()),
    "hex": lambda text: text.encode().hex().encode(),
    "upper hex": lambda text: text.encode().hex().upper().encode(),
    "saved snapshot": lambda text: gzip.compress(f"a line\n{text}\n".encode()),
    "cell of a database": lambda text: zlib.compress(text.encode()),
    "packed twice": lambda text: gzip.compress(zlib.compress(text.encode())),
    "packed base64": lambda text: gzip.compress(base64.b64encode(f"x{text}".encode())),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sink", SINKS)
def test_a_canary_is_found(sink: str, form: str) -> None:
    """Each form of credential in each form of sink."""
    canaries = Canaries()
    text = canaries.plant(PLACE, form)
    assert canaries.found(b"nothing", SINKS[sink](text)) == [PLACE]


def test_what_is_not_there_is_not_found() -> None:
    """Of two places the other."""
    canaries = Canaries()
    canaries.plant("here")
    other = canaries.plant("there")
    assert canaries.found(other.encode()) == ["there"]


@pytest.mark.parametrize("sink", sorted(SINKS.keys() - {"address"}))
def test_plain_words_are_found(sink: str) -> None:
    """What a Secret holds need not look like a credential."""
    canaries = Canaries()
    text = canaries.add(PLACE, "the owl of the east tower")
    assert canaries.found(SINKS[sink](text)) == [PLACE]
