"""What a standard says of each workload: of every template that it runs, and of what only its pods have."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from scanner.analysis.pods.standards.judged import JudgedPod, Violation, judged_pod
from scanner.analysis.pods.standards.profiles import ANNOTATIONS
from scanner.analysis.pods.standards.registry import checks_of
from scanner.analysis.pods.standards.versions import NEWEST, Level, Minor
from scanner.model.finding import Fact
from scanner.model.refs import ObjectRef
from scanner.model.templates import POD
from scanner.model.workload import PodTemplate, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """One check that a workload does not pass."""

    check: str
    #: What is forbidden, in the words of the admission plugin: `hostPort`.
    reason: str
    #: Who does it, in its words too: `container "web" uses hostPort 80`.
    detail: str
    #: Every field that makes it so, as paths in the object that holds the template.
    evidence: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a standard allows the pods of a workload, and if not, why."""

    resource: ObjectRef
    #: In the order of the admission plugin.
    forbidden: tuple[Forbidden, ...]

    @property
    def is_allowed(self) -> bool:
        """Tell whether a namespace that enforced the standard would take its pods."""
        return not self.forbidden


_Violations = Sequence[tuple[str, Violation]]


def violations_of(pod: JudgedPod, level: Level, minor: Minor = NEWEST) -> _Violations:
    """Return what a standard forbids in a pod, by the ids of its checks."""
    judged = [(check, judge(pod)) for check, judge in checks_of(level, minor)]
    return tuple((check, violation) for check, violation in judged if violation)


def verdicts(workloads: Iterable[Workload], level: Level, minor: Minor = NEWEST) -> Iterator[Verdict]:
    """Judge workloads, in their order; a template that several share is judged once.

    Containers that only running pods have are judged with each template of their workload, since they inherit what it
    says of the whole pod.
    """
    order = [check for check, _ in checks_of(level, minor)]
    known: dict[object, _Violations] = {}
    for workload in workloads:
        judged = [(template, _judged(template, workload, level, minor, known)) for template in workload.templates]
        forbidden = _joined(workload.ref, judged) if any(violations for _, violations in judged) else {}
        yield Verdict(resource=workload.ref, forbidden=tuple(forbidden[check] for check in order if check in forbidden))


def _judged(
    template: PodTemplate, workload: Workload, level: Level, minor: Minor, known: dict[object, _Violations]
) -> _Violations:
    annotations = {k: v for k, v in template.annotations.items() if k.startswith(ANNOTATIONS)}
    is_pod = template.owner.group_kind == POD
    # Equal specs of one snapshot are one value, which lives as long as the workloads do.
    key = (id(template.spec), tuple(annotations.items()), is_pod)
    if workload.extra_containers or key not in known:
        pod = judged_pod(template.spec, annotations, workload.extra_containers, is_pod=is_pod)
        found = violations_of(pod, level, minor)
        if workload.extra_containers:
            return found
        known[key] = found
    return known[key]


def _joined(resource: ObjectRef, judged: Sequence[tuple[PodTemplate, _Violations]]) -> Mapping[str, Forbidden]:
    """Put the templates of one workload together: each check once, with what each template adds."""
    by_check: dict[str, list[tuple[Violation, tuple[Fact, ...]]]] = {}
    for template, violations in judged:
        for check, violation in violations:
            by_check.setdefault(check, []).append((violation, _placed(resource, template, violation.facts)))
    return {
        check: Forbidden(
            check=check,
            reason=found[0][0].reason,
            detail="; ".join(dict.fromkeys(violation.detail for violation, _ in found)),
            evidence=found[0][1] if len(found) == 1 else _distinct(fact for _, facts in found for fact in facts),
        )
        for check, found in by_check.items()
    }


def _placed(resource: ObjectRef, template: PodTemplate, facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """Move facts from a Pod to the object that holds its template; those that name another object stay."""
    prefix = template.path.removesuffix("spec")
    holder = template.owner if template.owner != resource else None
    return tuple(
        fact if fact.object else msgspec.structs.replace(fact, path=prefix + fact.path, object=holder) for fact in facts
    )


def _distinct(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """Return each fact once; their values cannot all be hashed."""
    return tuple({msgspec.json.encode(fact): fact for fact in facts}.values())
