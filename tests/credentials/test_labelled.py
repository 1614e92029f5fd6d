"""How sure the detector is, on labelled texts of which half were kept away from its tuning."""

import pytest

from tests.credentials import cases, is_found


@pytest.mark.parametrize("part", ["tuned", "held"])
def test_few_false_alarms_and_few_misses(part: str) -> None:
    """At least 95 of 100 that are found are credentials, and at least 90 of 100 credentials are found."""
    labelled = [case for case in cases() if case.part == part]
    found = [case for case in labelled if is_found(case)]
    right = sum(case.credential for case in found)
    assert len(labelled) >= 150
    assert right / len(found) >= 0.95
    assert right / sum(case.credential for case in labelled) >= 0.9
