"""How a cluster stands: open findings counted by severity, namespace, area, policy and framework."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from scanner.model.finding import Outcome
from scanner.model.policy import PolicyId, Severity


class Tally(NamedTuple):
    """How many open findings share these; what the store counts."""

    namespace: str
    policy: PolicyId
    severity: Severity
    outcome: Outcome
    number: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Open findings of one part of the cluster."""

    #: Failing ones by severity, every severity named, worst first.
    failed: Mapping[Severity, int] = field(default_factory=lambda: dict.fromkeys(reversed(Severity), 0))
    #: What could not be judged, whatever its severity.
    unknown: int = 0

    @property
    def total_failed(self) -> int:
        """All failing ones."""
        return sum(self.failed.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Open findings of one cluster, as a whole and by its parts; parts without any are left out, keys are sorted."""

    whole: Standing
    #: The empty name is what belongs to no namespace.
    by_namespace: Mapping[str, Standing]
    by_area: Mapping[str, Standing]
    by_policy: Mapping[str, Standing]
    #: A finding counts in each framework that its policy names.
    by_framework: Mapping[str, Standing]


def summarise(tallies: Iterable[Tally], frameworks: Mapping[PolicyId, Iterable[str]]) -> Summary:
    """Add up what the store counted.

    Args:
        tallies: The store's counts of open findings.
        frameworks: Ids of the frameworks that a policy belongs to.
    """
    counted = tuple(tallies)
    return Summary(
        whole=_standing(counted),
        by_namespace=_grouped(counted, lambda t: (t.namespace,)),
        by_area=_grouped(counted, lambda t: (t.policy.partition("/")[0],)),
        by_policy=_grouped(counted, lambda t: (t.policy,)),
        by_framework=_grouped(counted, lambda t: frameworks.get(t.policy, ())),
    )


def _grouped(tallies: Iterable[Tally], groups_of: Callable[[Tally], Iterable[str]]) -> dict[str, Standing]:
    members: dict[str, list[Tally]] = defaultdict(list)
    for tally in tallies:
        for group in groups_of(tally):
            members[group].append(tally)
    return {group: _standing(members[group]) for group in sorted(members)}


def _standing(tallies: Iterable[Tally]) -> Standing:
    failed = dict.fromkeys(reversed(Severity), 0)
    unknown = 0
    for tally in tallies:
        if tally.outcome is Outcome.FAIL:
            failed[tally.severity] += tally.number
        else:
            unknown += tally.number
    return Standing(failed, unknown)
