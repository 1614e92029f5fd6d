"""A credential that stands in the open, as a snapshot keeps it: masked, by its kind and a keyed fingerprint."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

#: Survives in URLs and shells, and reads as a mask to people. A tenant who writes one accuses but themselves.
_MASK = re.compile(r"\*\*\*([a-z0-9][a-z0-9-]{0,59})~([0-9a-f]{16})\*\*\*")
#: What every masked text holds.
MARK = "***"
#: Stands in place of a text that is not kept, whatever it was.
WITHHELD = f"{MARK}withheld{MARK}"


class Masked(NamedTuple):
    """One credential that was taken out of a text; equal ones of one scan have equal fingerprints."""

    kind: str
    fingerprint: str


def mask(credential: Masked) -> str:
    """Return what stands in a snapshot in place of a credential."""
    return f"{MARK}{credential.kind}~{credential.fingerprint}{MARK}"


def names_of_withheld(value: Any) -> Iterator[str]:
    """Yield the names by which the texts of plain JSON values are read that are not what they were.

    Those are the last two keys on the way to each text with a mask: `env` and `value`, `data` and `password`.
    """
    return _withheld(value, ())


def _withheld(value: Any, way: tuple[str, ...]) -> Iterator[str]:
    match value:
        case str() if MARK in value:
            yield from way
        case dict():
            for key, item in value.items():
                yield from _withheld(item, (*way[-1:], str(key)))
        case list():
            for item in value:
                yield from _withheld(item, way)


def masked_in(text: str) -> Iterator[Masked]:
    """Yield the credentials that were taken out of a text, in its order."""
    if MARK in text:
        for kind, fingerprint in _MASK.findall(text):
            yield Masked(kind, fingerprint)
