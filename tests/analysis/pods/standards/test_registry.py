"""Which checks belong to which level and version."""

from scanner.analysis.pods.standards.registry import CHECKS, checks_of
from scanner.analysis.pods.standards.versions import NEWEST, Level, Minor


def _ids(level: Level, minor: int) -> set[str]:
    return {check for check, _ in checks_of(level, Minor(minor))}


def test_there_are_twelve_baseline_and_seven_restricted_checks() -> None:
    """Those of the admission plugin of 1.37."""
    assert [sum(check.level is level for check in CHECKS) for level in Level] == [12, 7]


def test_restricted_has_every_baseline_check_or_its_stricter_form() -> None:
    """Of the newest version."""
    replaced = {check.replaces for check in CHECKS if check.replaces}
    assert _ids(Level.BASELINE, NEWEST) - _ids(Level.RESTRICTED, NEWEST) == replaced


def test_a_check_is_replaced_only_once_its_stricter_form_exists() -> None:
    """Capabilities are restricted from 1.22 on; before, the baseline check stands."""
    found = [{i for i in _ids(Level.RESTRICTED, minor) if i.startswith("capabilities")} for minor in (21, 22)]
    assert found == [{"capabilities_baseline"}, {"capabilities_restricted"}]


def test_the_oldest_version_has_the_checks_that_need_no_newer_field() -> None:
    """Restricted 1.0: no seccomp field, no runAsUser, no privilege escalation."""
    assert _ids(Level.RESTRICTED, 0) - _ids(Level.BASELINE, 0) == {"restrictedVolumes", "runAsNonRoot"}
