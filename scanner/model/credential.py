"""A credential that stands in the open, as a snapshot keeps it: masked, by its kind and a keyed fingerprint."""

import re
from collections.abc import Iterator
from typing import NamedTuple

#: Survives in URLs and shells, and reads as a mask to people. A tenant who writes one accuses but themselves.
_MASK = re.compile(r"\*\*\*([a-z0-9][a-z0-9-]{0,59})~([0-9a-f]{16})\*\*\*")
#: What every masked text holds.
MARK = "***"


class Masked(NamedTuple):
    """One credential that was taken out of a text; equal ones of one scan have equal fingerprints."""

    kind: str
    fingerprint: str


def mask(credential: Masked) -> str:
    """Return what stands in a snapshot in place of a credential."""
    return f"{MARK}{credential.kind}~{credential.fingerprint}{MARK}"


def masked_in(text: str) -> Iterator[Masked]:
    """Yield the credentials that were taken out of a text, in its order."""
    if MARK in text:
        for kind, fingerprint in _MASK.findall(text):
            yield Masked(kind, fingerprint)
