"""Which standards there are: two levels that forbid something, each as every minor version of Kubernetes has it."""

import enum
import re
from typing import NewType

#: The minor version of Kubernetes 1 whose standards are meant.
Minor = NewType("Minor", int)

#: The newest version whose standards are known here.
NEWEST = Minor(37)

_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,5})", re.ASCII)


class Level(enum.StrEnum):
    """How strict a standard is; the third level, privileged, forbids nothing. Restricted includes baseline."""

    BASELINE = "baseline"
    RESTRICTED = "restricted"


def minor_of(version: str) -> Minor | None:
    """Return the minor version that a version means, written as in the label `enforce-version` of a namespace.

    None for what the API server does not take for one either. A version that is newer than `NEWEST` is returned as it
    is: whether the newest known standards stand for it is the caller's to say.
    """
    if version == "latest":
        return NEWEST
    match = _VERSION.fullmatch(version)
    return Minor(int(match[1])) if match else None
