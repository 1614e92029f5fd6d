"""How a cluster stands."""

from scanner.model.finding import Outcome
from scanner.model.policy import PolicyId, Severity
from scanner.posture.summary import Standing, Summary, Tally, summarise

PRIVILEGED, WILDCARD = PolicyId("pods/privileged-container"), PolicyId("rbac/wildcard")


def standing(unknown: int = 0, **failed: int) -> Standing:
    """Write a standing by the severities that are not 0."""
    return Standing({severity: failed.get(severity.value, 0) for severity in reversed(Severity)}, unknown)


def summary() -> Summary:
    """Summarise a small cluster."""
    return summarise(
        [
            Tally("shop", PRIVILEGED, Severity.HIGH, Outcome.FAIL, 3),
            Tally("bank", PRIVILEGED, Severity.HIGH, Outcome.FAIL, 1),
            Tally("", WILDCARD, Severity.CRITICAL, Outcome.FAIL, 2),
            Tally("shop", WILDCARD, Severity.CRITICAL, Outcome.UNKNOWN, 5),
        ],
        {PRIVILEGED: ("cis-kubernetes", "pod-security"), WILDCARD: ("cis-kubernetes",)},
    )


def test_the_whole_counts_failures_by_severity() -> None:
    """Each severity has its count, and what is unknown is counted apart."""
    assert summary().whole == standing(critical=2, high=4, unknown=5)


def test_namespaces_are_counted_apart() -> None:
    """What belongs to no namespace stands under the empty name."""
    assert summary().by_namespace == {
        "": standing(critical=2),
        "bank": standing(high=1),
        "shop": standing(high=3, unknown=5),
    }


def test_areas_are_the_first_part_of_policy_ids() -> None:
    """Findings count in the area of their policy."""
    assert summary().by_area == {"pods": standing(high=4), "rbac": standing(critical=2, unknown=5)}


def test_a_finding_counts_in_each_of_its_frameworks() -> None:
    """A policy of two frameworks counts in both."""
    assert summary().by_framework == {
        "cis-kubernetes": standing(critical=2, high=4, unknown=5),
        "pod-security": standing(high=4),
    }


def test_severities_come_worst_first() -> None:
    """A caller may show them in the order that they come in."""
    assert list(summary().whole.failed) == [Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW]


def test_an_empty_cluster_has_every_severity_at_zero() -> None:
    """Nothing found is a count, not a gap."""
    assert summarise([], {}).whole == standing()
