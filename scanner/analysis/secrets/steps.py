"""The steps by which a certificate that runs out gets worse: each is told once."""

import datetime as dt

from scanner.model.policy import Severity

_STEPS = (
    (dt.timedelta(0), Severity.CRITICAL, "has run out"),
    (dt.timedelta(days=3), Severity.HIGH, "runs out within 3 days"),
    (dt.timedelta(days=14), Severity.MEDIUM, "runs out within 14 days"),
    (dt.timedelta(days=30), Severity.LOW, "runs out within 30 days"),
)
#: Certificates that live shorter than the first step are renewed by machines; of them a third is the first step.
_SHORT = dt.timedelta(days=30)
_FIRST_SHARE = 3


def step_at(left: dt.timedelta, whole: dt.timedelta = _SHORT) -> tuple[Severity, str] | None:
    """Return how bad it is that a certificate has so much time left, and in words; None if its end is far.

    One that lives less than 30 days in all (`whole`) has its steps in proportion: the first is a third of its life.
    """
    scale = 1.0 if whole >= _SHORT else whole / _FIRST_SHARE / _SHORT
    for limit, severity, words in _STEPS:
        if left <= limit * scale:
            return severity, words if scale == 1.0 or not limit else "runs out soon, for one that lives so short"
    return None
