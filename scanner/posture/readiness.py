"""Is each workload, and each application, ready to live on Kubernetes: findings summed up in six chapters.

Nothing is judged here. A chapter is what the policies say that name it, so that everything in this report is a finding
in the service too.
"""

import enum
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from scanner.analysis.readiness.applications import Application, application_of, related_workloads
from scanner.model.finding import Evaluation, Finding, Outcome
from scanner.model.policy import Chapter, Policy, PolicyId
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot


class Verdict(enum.StrEnum):
    """What a chapter comes to."""

    READY = "ready"
    NOT_READY = "not-ready"
    #: Nothing fails, but something could not be judged.
    UNKNOWN = "unknown"

    @property
    def words(self) -> str:
        """As a person says it."""
        return self.value.replace("-", " ")


#: The worst first.
_ORDER = (Verdict.NOT_READY, Verdict.UNKNOWN, Verdict.READY)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst verdict; ready where there is none."""
    return min(verdicts, key=_ORDER.index, default=Verdict.READY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChapterResult:
    """One chapter of a workload, of the cluster, or of what is left."""

    chapter: Chapter
    verdict: Verdict
    #: Failing findings of its own, the worst first.
    failures: tuple[Finding, ...] = ()
    #: Findings of its own that could not be decided.
    unknowns: tuple[Finding, ...] = ()
    #: What the cluster (or the namespace) as a whole says in this chapter; part of the verdict.
    surroundings: Verdict = Verdict.READY


Chapters = tuple[ChapterResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadReadiness:
    """A workload with its six chapters, in their order."""

    ref: ObjectRef
    chapters: Chapters


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationReadiness:
    """An application: in each chapter the worst verdict of its workloads."""

    application: Application
    verdicts: Mapping[Chapter, Verdict]
    workloads: tuple[WorkloadReadiness, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What concerns every workload of the cluster (empty namespace) or of one namespace."""

    namespace: str
    chapters: Chapters


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The whole report. Sorted throughout: by namespace, name, and severity of findings."""

    applications: tuple[ApplicationReadiness, ...]
    #: The cluster first; only namespaces of which something is said.
    surroundings: tuple[Surroundings, ...]
    #: Findings on objects that belong to no workload: an autoscaler whose target is gone.
    others: tuple[Finding, ...]


def readiness(
    snapshot: Snapshot,
    evaluation: Evaluation,
    policies: Iterable[Policy],
    *,
    namespaces: AbstractSet[str] = frozenset(),
) -> Readiness:
    """Sum an evaluation up, for the workloads of these namespaces or (empty) of all.

    A chapter is not ready if any of its findings stands out, whatever its severity; unknown if none does but something
    could not be judged, or no policy was asked. What is said of the cluster or of a namespace counts for every workload
    in it.
    """
    chapters = {policy.id: policy.chapter for policy in policies}
    shelves = _shelved(snapshot, evaluation.findings, chapters)
    unasked = {chapter: Verdict.UNKNOWN for chapter in Chapter if chapter not in chapters.values()}
    everywhere = _chapters(shelves.around.get("", ()), chapters, unasked)
    local = {
        namespace: _chapters(found, chapters, {})
        for namespace, found in shelves.around.items()
        if namespace and (not namespaces or namespace in namespaces)
    }
    around = {namespace: _verdicts((everywhere, found)) for namespace, found in local.items()}
    elsewhere = _verdicts((everywhere,))
    by_application: dict[Application, list[WorkloadReadiness]] = defaultdict(list)
    for workload in snapshot.workloads:
        namespace = workload.ref.namespace
        if namespaces and namespace not in namespaces:
            continue
        found = _chapters(shelves.own.get(workload.ref, ()), chapters, around.get(namespace, elsewhere))
        by_application[application_of(workload)].append(WorkloadReadiness(ref=workload.ref, chapters=found))
    return Readiness(
        applications=tuple(
            ApplicationReadiness(
                application=application, verdicts=_verdicts(w.chapters for w in members), workloads=tuple(members)
            )
            for application, members in sorted(by_application.items())
        ),
        surroundings=(
            Surroundings(namespace="", chapters=everywhere),
            *(Surroundings(namespace=namespace, chapters=found) for namespace, found in sorted(local.items())),
        ),
        others=tuple(f for f in shelves.others if not namespaces or f.resource.namespace in namespaces),
    )


@dataclass(frozen=True, slots=True)
class _Shelves:
    """Findings by what they concern."""

    own: Mapping[ObjectRef, Sequence[Finding]]
    around: Mapping[str, Sequence[Finding]]
    others: Sequence[Finding]


def _shelved(snapshot: Snapshot, findings: Iterable[Finding], chapters: Mapping[PolicyId, Chapter | None]) -> _Shelves:
    own: dict[ObjectRef, list[Finding]] = defaultdict(list)
    around: dict[str, list[Finding]] = defaultdict(list)
    others: list[Finding] = []
    workloads = {workload.ref for workload in snapshot.workloads}
    related = snapshot.derive(related_workloads)
    for finding in findings:
        ref = finding.resource
        if chapters.get(finding.policy) is None or not (finding.stands_out or finding.outcome is Outcome.UNKNOWN):
            continue
        if ref in workloads:
            own[ref].append(finding)
        elif not ref.namespace:
            around[ref.name if ref.kind == "Namespace" and not ref.group else ""].append(finding)
        else:
            concerned = related.get((ref.group_kind, ref.namespace, ref.name), ())
            for workload in concerned:
                own[workload].append(finding)
            if not concerned:
                others.append(finding)
    return _Shelves(own, around, sorted(others, key=_order))


def _order(finding: Finding) -> tuple[int, str, ObjectRef, str]:
    return (-finding.severity.rank, finding.policy, finding.resource, finding.key)


def _chapters(
    findings: Iterable[Finding],
    chapters: Mapping[PolicyId, Chapter | None],
    around: Mapping[Chapter, Verdict],
) -> Chapters:
    by_chapter: dict[Chapter | None, list[Finding]] = defaultdict(list)
    for finding in sorted(findings, key=_order):
        by_chapter[chapters[finding.policy]].append(finding)
    return tuple(_chapter(chapter, by_chapter[chapter], around.get(chapter, Verdict.READY)) for chapter in Chapter)


def _chapter(chapter: Chapter, findings: Sequence[Finding], around: Verdict) -> ChapterResult:
    failures = tuple(f for f in findings if f.stands_out)
    unknowns = tuple(f for f in findings if f.outcome is Outcome.UNKNOWN)
    own = Verdict.NOT_READY if failures else Verdict.UNKNOWN if unknowns else Verdict.READY
    return ChapterResult(
        chapter=chapter,
        verdict=worst((own, around)),
        failures=failures,
        unknowns=unknowns,
        surroundings=around,
    )


def _verdicts(found: Iterable[Chapters]) -> Mapping[Chapter, Verdict]:
    """Return the worst verdict in each chapter."""
    rows = list(found)
    return {
        chapter: worst(result.verdict for row in rows for result in row if result.chapter is chapter)
        for chapter in Chapter
    }
