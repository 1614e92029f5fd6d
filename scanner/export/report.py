"""The report of one scan as JSON: `plimsoll.dev/v1 ScanReport`, a contract that scripts depend on."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from scanner.model.change import Operation
from scanner.model.coverage import Read, ReadState
from scanner.model.exception import PolicyException
from scanner.model.finding import Evaluation, Fact, Finding, Outcome
from scanner.model.policy import Severity
from scanner.model.refs import ClusterName, ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.posture.exempt import Marked, digests_of

#: Reads that ended this way leave a scan incomplete. Kinds that nobody asked for, or that do not exist, do not.
GAPS = frozenset({ReadState.PARTIAL, ReadState.FORBIDDEN, ReadState.FAILED})


class ReportedResource(msgspec.Struct, frozen=True, rename="camel"):
    """The name of an object with every field present, empty for what it lacks."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


class ReportedException(msgspec.Struct, frozen=True, rename="camel"):
    """Who accepts a finding, why and until when."""

    id: str
    owner: str
    reason: str
    ticket: str
    expires_at: dt.datetime
    #: Digests of the finding's facts; as `evidence` of the exception they hold it to these.
    evidence: tuple[str, ...]


class ReportedUse(msgspec.Struct, frozen=True, rename="camel"):
    """An exception that somebody should look at, and why."""

    id: str
    policy: str
    owner: str
    expires_at: dt.datetime
    why: str


class ReportedResult(msgspec.Struct, frozen=True, rename="camel"):
    """One outcome. `container` and `path` point at the first place; `evidence` lists all."""

    id: str
    policy: str
    outcome: Outcome
    severity: Severity
    confidence: str
    resource: ReportedResource
    message: str
    evidence: tuple[Fact, ...]
    frameworks: Mapping[str, tuple[str, ...]]
    container: str | msgspec.UnsetType = msgspec.UNSET
    path: str | msgspec.UnsetType = msgspec.UNSET
    fix: str | msgspec.UnsetType = msgspec.UNSET
    #: What to do to roles and bindings so that the finding ends, where such a change is known.
    patch: tuple[Operation, ...] | msgspec.UnsetType = msgspec.UNSET
    #: For unknown outcomes: the reads that were missing.
    missing: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    #: For failures that are as they should be: why.
    expected: str | msgspec.UnsetType = msgspec.UNSET
    #: For failures that somebody accepts.
    excepted: ReportedException | msgspec.UnsetType = msgspec.UNSET


class ReportSummary(msgspec.Struct, frozen=True, rename="camel"):
    """Counts. `passed` counts resources by policy, summed; findings of `fail` are counted by severity.

    Failures that are expected or excepted count there and nowhere else.
    """

    resources: int
    passed: int
    failed: int
    unknown: int
    expected: int
    excepted: int
    failed_by_severity: dict[str, int]
    failed_by_area: dict[str, int]
    failed_by_namespace: dict[str, int]
    is_complete: bool


class ScanReport(msgspec.Struct, frozen=True, rename="camel"):
    """Everything that one scan says."""

    api_version: str
    kind: str
    cluster: ClusterName
    source: str
    server_version: str
    started_at: dt.datetime
    coverage: tuple[Read, ...]
    summary: ReportSummary
    results: tuple[ReportedResult, ...]
    #: Exceptions that somebody should look at, where any were given.
    exceptions: tuple[ReportedUse, ...] | msgspec.UnsetType = msgspec.UNSET


def scan_report(
    snapshot: Snapshot,
    evaluation: Evaluation,
    patch_of: Callable[[Finding], tuple[Operation, ...]] = lambda _: (),
    exceptions: Marked | None = None,
) -> ScanReport:
    """Put a scan together for the reader; results keep the evaluation's order.

    `patch_of` makes a finding's patch, empty if there is none. `exceptions` is what exceptions made of the findings,
    where any were given.
    """
    return ScanReport(
        api_version="plimsoll.dev/v1",
        kind="ScanReport",
        cluster=snapshot.cluster,
        source=snapshot.source,
        server_version=snapshot.server_version,
        started_at=snapshot.taken_at,
        coverage=snapshot.coverage,
        summary=summarise(snapshot, evaluation),
        results=tuple(_result(finding, snapshot.cluster, patch_of(finding)) for finding in evaluation.findings),
        exceptions=to_look_at(exceptions) if exceptions else msgspec.UNSET,
    )


def to_look_at(marked: Marked) -> tuple[ReportedUse, ...]:
    """List exceptions that were outgrown, are over, mean nothing that was found, or are too broad, with why."""
    said = [
        (grown.exception, f"{grown.finding.resource} is more than it accepts: {grown.why}") for grown in marked.grown
    ]
    said += [(exception, "it has expired") for exception in marked.expired]
    said += [(exception, "it accepts nothing that was found") for exception in marked.unused]
    said += [(exception, exception.breadth) for exception in marked.broad]
    return tuple(ReportedUse(e.id, e.policy, e.owner, e.expires_at, why) for e, why in said)


def summarise(snapshot: Snapshot, evaluation: Evaluation) -> ReportSummary:
    """Count outcomes."""
    failed = [f for f in evaluation.findings if f.stands_out]
    by_severity = Counter(f.severity for f in failed)
    return ReportSummary(
        resources=sum(len(objects) for objects in snapshot.objects.values()),
        passed=sum(evaluation.passed.values()),
        failed=len(failed),
        unknown=sum(f.outcome is Outcome.UNKNOWN for f in evaluation.findings),
        expected=sum(bool(f.expected) for f in evaluation.findings),
        excepted=sum(f.excepted is not None for f in evaluation.findings),
        failed_by_severity={s.value: by_severity[s] for s in reversed(Severity)},
        failed_by_area=dict(sorted(Counter(f.policy.partition("/")[0] for f in failed).items())),
        failed_by_namespace=dict(sorted(Counter(f.resource.namespace for f in failed).items())),
        is_complete=not gaps(snapshot.coverage),
    )


def gaps(coverage: tuple[Read, ...]) -> tuple[Read, ...]:
    """Return the reads that leave a scan incomplete."""
    return tuple(read for read in coverage if read.state in GAPS)


def to_json(value: Any) -> str:
    """Write a value as JSON that a person can read too."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def reported(ref: ObjectRef) -> ReportedResource:
    """Spell out every field of a name."""
    return ReportedResource(ref.api_version, ref.kind, ref.namespace, ref.name, ref.uid)


def _result(finding: Finding, cluster: ClusterName, patch: tuple[Operation, ...]) -> ReportedResult:
    first = finding.evidence[0] if finding.evidence else Fact()
    return ReportedResult(
        id=finding.fingerprint(cluster),
        policy=finding.policy,
        outcome=finding.outcome,
        severity=finding.severity,
        confidence=finding.confidence,
        resource=reported(finding.resource),
        message=finding.message,
        evidence=finding.evidence,
        frameworks=finding.frameworks,
        container=first.container or msgspec.UNSET,
        path=first.path or msgspec.UNSET,
        fix=finding.fix or msgspec.UNSET,
        patch=patch or msgspec.UNSET,
        missing=finding.missing or msgspec.UNSET,
        expected=finding.expected or msgspec.UNSET,
        excepted=_exception(finding, finding.excepted) if finding.excepted else msgspec.UNSET,
    )


def _exception(finding: Finding, by: PolicyException) -> ReportedException:
    return ReportedException(by.id, by.owner, by.reason, by.ticket, by.expires_at, tuple(sorted(digests_of(finding))))
