"""The readiness report as texts: `plimsoll.dev/v1 ReadinessReport`, which scripts depend on, and lines for a person."""

import datetime as dt
from collections.abc import Iterator, Mapping

import msgspec

from scanner.export.report import ReportedResource, gaps, reported
from scanner.export.safe import printable
from scanner.export.table import LISTED_RESOURCES, Line
from scanner.model.coverage import Read
from scanner.model.finding import Fact, Finding
from scanner.model.policy import Chapter
from scanner.model.refs import ClusterName
from scanner.model.snapshot import Snapshot
from scanner.posture.readiness import (
    ApplicationReadiness,
    ChapterResult,
    Chapters,
    Readiness,
    Verdict,
    WorkloadReadiness,
    worst,
)


class ReportedReason(msgspec.Struct, frozen=True, rename="camel"):
    """One finding that keeps a chapter from being ready; `id` is that of the finding in the service."""

    id: str
    policy: str
    severity: str
    confidence: str
    resource: ReportedResource
    message: str
    evidence: tuple[Fact, ...]
    #: What to do; empty where the outcome is unknown.
    fix: str
    #: For what is unknown: the reads that were missing.
    missing: tuple[str, ...]


class ReportedChapter(msgspec.Struct, frozen=True, rename="camel"):
    """The verdict of one chapter, with its own reasons; `surroundings` is that of cluster and namespace, part of it."""

    chapter: str
    verdict: str
    failures: tuple[ReportedReason, ...]
    unknowns: tuple[ReportedReason, ...]
    surroundings: str


class ReportedWorkload(msgspec.Struct, frozen=True, rename="camel"):
    """A workload with its six chapters."""

    resource: ReportedResource
    chapters: tuple[ReportedChapter, ...]


class ReportedApplication(msgspec.Struct, frozen=True, rename="camel"):
    """An application; `toldBy` is the label or annotation that names it, empty for a workload that stands alone."""

    namespace: str
    name: str
    told_by: str
    #: Chapter → verdict, the worst of its workloads.
    verdicts: Mapping[str, str]
    workloads: tuple[ReportedWorkload, ...]


class ReportedSurroundings(msgspec.Struct, frozen=True, rename="camel"):
    """What concerns all workloads of a namespace, or of the cluster (empty namespace)."""

    namespace: str
    chapters: tuple[ReportedChapter, ...]


class ReadinessReport(msgspec.Struct, frozen=True, rename="camel"):
    """The whole report."""

    api_version: str
    kind: str
    cluster: ClusterName
    source: str
    server_version: str
    started_at: dt.datetime
    coverage: tuple[Read, ...]
    applications: tuple[ReportedApplication, ...]
    surroundings: tuple[ReportedSurroundings, ...]
    #: Reasons that belong to no workload.
    others: tuple[ReportedReason, ...]


def readiness_report(snapshot: Snapshot, found: Readiness) -> ReadinessReport:
    """Write the report for a program."""
    cluster = snapshot.cluster
    return ReadinessReport(
        api_version="plimsoll.dev/v1",
        kind="ReadinessReport",
        cluster=cluster,
        source=snapshot.source,
        server_version=snapshot.server_version,
        started_at=snapshot.taken_at,
        coverage=snapshot.coverage,
        applications=tuple(
            ReportedApplication(
                namespace=a.application.namespace,
                name=a.application.name,
                told_by=a.application.told_by,
                verdicts={c.value: v.value for c, v in a.verdicts.items()},
                workloads=tuple(
                    ReportedWorkload(resource=reported(w.ref), chapters=_chapters(w.chapters, cluster))
                    for w in a.workloads
                ),
            )
            for a in found.applications
        ),
        surroundings=tuple(
            ReportedSurroundings(namespace=s.namespace, chapters=_chapters(s.chapters, cluster))
            for s in found.surroundings
        ),
        others=tuple(_reason(finding, cluster) for finding in found.others),
    )


def _chapters(chapters: Chapters, cluster: ClusterName) -> tuple[ReportedChapter, ...]:
    return tuple(
        ReportedChapter(
            chapter=c.chapter,
            verdict=c.verdict,
            failures=tuple(_reason(f, cluster) for f in c.failures),
            unknowns=tuple(_reason(f, cluster) for f in c.unknowns),
            surroundings=c.surroundings,
        )
        for c in chapters
    )


def _reason(finding: Finding, cluster: ClusterName) -> ReportedReason:
    return ReportedReason(
        id=finding.fingerprint(cluster),
        policy=finding.policy,
        severity=finding.severity,
        confidence=finding.confidence,
        resource=reported(finding.resource),
        message=finding.message,
        evidence=finding.evidence,
        fix=finding.fix,
        missing=finding.missing,
    )


#: Verdict to the style of a line.
_STYLES = {Verdict.READY: "pass", Verdict.NOT_READY: "high", Verdict.UNKNOWN: "unknown"}
_WIDTH = max(len(chapter.heading) for chapter in Chapter) + 2


def readiness_lines(found: Readiness, coverage: tuple[Read, ...]) -> Iterator[Line]:
    """Lay the report out for a person: each application, its chapters, and what stands in the way."""
    for surroundings in found.surroundings:
        where = f"Namespace {printable(surroundings.namespace)}" if surroundings.namespace else "The cluster"
        if any(c.verdict is not Verdict.READY for c in surroundings.chapters):
            yield Line("heading", f"{where}: counts for every workload in it")
            yield from _chapter_lines(surroundings.chapters)
            yield Line("", "")
    for application in found.applications:
        yield from _application_lines(application)
    if found.others:
        yield Line("heading", "Belongs to no workload")
        yield from _reasons(found.others)
        yield Line("", "")
    missing = gaps(coverage)
    if missing:
        yield Line("unknown", f"{len(missing)} reads failed: what depends on them is unknown; -o json has the coverage")
    ready = sum(worst(a.verdicts.values()) is Verdict.READY for a in found.applications)
    undecided = sum(worst(a.verdicts.values()) is Verdict.UNKNOWN for a in found.applications)
    total = len(found.applications)
    yield Line(
        "heading", f"{total:,} applications: {ready:,} ready, {total - ready - undecided:,} not, {undecided:,} unknown"
    )


def _application_lines(application: ApplicationReadiness) -> Iterator[Line]:
    name = f"{application.application.namespace}/{application.application.name}"
    if not application.application.told_by:
        name = str(application.workloads[0].ref)
    told = f"  ({application.application.told_by})" if application.application.told_by else ""
    yield Line("heading", f"{printable(name)}{printable(told)}")
    for chapter, verdict in application.verdicts.items():
        yield Line(_STYLES[verdict], f"    {chapter.heading:<{_WIDTH}}{verdict.words}")
    for workload in application.workloads:
        yield from _workload_lines(workload)
    yield Line("", "")


def _workload_lines(workload: WorkloadReadiness) -> Iterator[Line]:
    if all(not c.failures and not c.unknowns for c in workload.chapters):
        return
    yield Line("resource", f"    {printable(str(workload.ref))}")
    for line in _chapter_lines(workload.chapters):
        yield Line(line.style, f"    {line.text}")


def _chapter_lines(chapters: Chapters) -> Iterator[Line]:
    for result in chapters:
        if result.surroundings is Verdict.UNKNOWN and not (result.failures or result.unknowns):
            yield Line("unknown", f"    {result.chapter.heading}: {result.surroundings.words}")
        if result.failures or result.unknowns:
            yield Line(_STYLES[_own(result)], f"    {result.chapter.heading}: {_own(result).words}")
            for line in _reasons((*result.failures, *result.unknowns)):
                yield Line(line.style, f"    {line.text}")


def _own(result: ChapterResult) -> Verdict:
    return Verdict.NOT_READY if result.failures else Verdict.UNKNOWN


def _reasons(findings: tuple[Finding, ...]) -> Iterator[Line]:
    for finding in findings[:LISTED_RESOURCES]:
        label = finding.severity.value if finding.stands_out else "unknown"
        yield Line(label, f"    {label:<9}{printable(finding.message)}  [{finding.policy}]")
        if finding.missing:
            yield Line("detail", f"             missing: {printable(', '.join(finding.missing))}")
    if len(findings) > LISTED_RESOURCES:
        yield Line("detail", f"    … and {len(findings) - LISTED_RESOURCES:,} more; -o json and -o html list all")
