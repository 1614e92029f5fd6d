"""Ids of rows that come one after another: UUID version 7, sorted by the time at which they were made."""

import datetime as dt
import secrets
import uuid

#: RFC 9562, section 5.7: 48 bits of milliseconds, version, 12 bits, variant, 62 bits.
_SEQUENCES = 1 << 12


def uuid7(at: dt.datetime, sequence: int = 0) -> str:
    """Return a UUID of version 7; ids of one moment sort by their sequence, from 0 to 4095.

    Python has this from 3.14 on. The 12 bits after the version hold the sequence (RFC 9562, section 6.2, method 1), the
    last 62 are random.
    """
    if not 0 <= sequence < _SEQUENCES:
        raise ValueError(f"sequence {sequence} does not fit in 12 bits")
    milliseconds = int(at.timestamp() * 1000)
    value = milliseconds << 80 | 0x7 << 76 | sequence << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
