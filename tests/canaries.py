"""Canaries: made-up credentials, one for each place, and the search for them in whatever a scan leaves behind.

They are made of the name of their place, so that a run finds what the run before found, and no scanner of sources finds
one here.
"""

import base64
import gzip
import hashlib
import itertools
import re
import string
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

_BASE62 = string.ascii_letters + string.digits
#: How short a part of a canary still tells it from chance: base64 shifts it by up to two bytes at each end.
_LEAST_LENGTH = 12
#: What a canary, its base64 and its hex are made of.
_WORD = re.compile(rb"[A-Za-z0-9+/_.-]{%d,}" % _LEAST_LENGTH)
#: What is packed in what is packed.
_DEPTH = 3


def _made(place: str, length: int, alphabet: str = _BASE62) -> str:
    """Return random letters that belong to a place, digits among them as in what machines make."""
    stream = itertools.chain.from_iterable(hashlib.sha256(f"{place}/{n}".encode()).digest() for n in itertools.count())
    return "".join(alphabet[byte % len(alphabet)] for byte in itertools.islice(stream, length))


#: The forms that credentials have, by name; what is put into the place is the text, what is looked for its secret.
FORMS: dict[str, Callable[[str], str]] = {
    "password": lambda secret: secret,
    "github": lambda secret: f"gh{'p'}_{secret}",
    "url": lambda secret: f"https://robot:{secret}@hooks.example.com/push",
    "hook": lambda secret: f"https://hooks.slack.com/services/T0{secret[:9].upper()}/B0{secret[9:18].upper()}/{secret}",
    "header": lambda secret: f"Bearer {secret}",
    "pem": lambda secret: f"-----BEGIN {'PRIVATE'} KEY-----\n{secret}\n{secret[::-1]}\n-----END {'PRIVATE'} KEY-----\n",
    "parameter": lambda secret: f"Server=db.example.com;User Id=app;Password={secret};",
}


@dataclass
class Canaries:
    """What was planted, and where."""

    #: The place of each secret.
    places: dict[str, str] = field(default_factory=dict)

    def plant(self, place: str, form: str = "password", *, alphabet: str = _BASE62) -> str:
        """Return a text for a place that holds a secret which is nowhere else."""
        secret = _made(place, 24 if form in {"password", "hook"} else 36, alphabet)
        self.add(place, secret)
        return FORMS[form](secret)

    def add(self, place: str, secret: str) -> str:
        """Look for a secret that came from elsewhere too."""
        assert len(secret) >= _LEAST_LENGTH
        self.places[secret] = place
        return secret

    def found(self, *sinks: bytes) -> list[str]:
        """Return the places of all canaries that stand in these bytes, as they are, in base64 or in hex; sorted."""
        texts = [text for sink in sinks for text in unpacked(sink)]
        # Most of what a scan leaves is said many times over: each word is looked at once.
        words = b"\n".join({word for text in texts for word in _WORD.findall(text)})
        return sorted(
            place
            for secret, place in self.places.items()
            if any(form in words for form in _forms(secret)) or (" " in secret and _is_in(secret, texts))
        )


def _is_in(secret: str, texts: Iterable[bytes]) -> bool:
    """Tell whether a secret of several words stands somewhere as it is."""
    return any(secret.encode() in text for text in texts)


def unpacked(raw: bytes, depth: int = _DEPTH) -> Iterator[bytes]:
    """Yield bytes and, where they are packed by gzip or zlib, what is in them."""
    yield raw
    for unpack in (gzip.decompress, zlib.decompress):
        try:
            inner = unpack(raw)
        except (OSError, EOFError, zlib.error):
            continue
        if depth:
            yield from unpacked(inner, depth - 1)
        return


def _forms(secret: str) -> Iterable[bytes]:
    """Return in which forms a secret may stand in a longer text."""
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for shift in range(3):
        # Letters at both ends depend on the neighbours too.
        coded = base64.b64encode(b"\0" * shift + raw)
        whole = coded[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))
