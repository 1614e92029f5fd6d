"""What callers see: one shape for each noun, made from the store's rows and the policies.

Names are written as Kubernetes writes them (`apiVersion`, `firstSeenAt`); times are RFC 3339 in UTC.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from scanner.model.change import Operation
from scanner.model.coverage import ReadState
from scanner.model.finding import Outcome
from scanner.model.news import Transition
from scanner.model.policy import Confidence, Policy, Severity
from scanner.posture.diff import State
from scanner.posture.summary import Standing
from scanner.store.tables import CoverageRow, FindingEventRow, FindingRow, ResourceRow, ScanRow

Item = TypeVar("Item")

ScanState = Literal["running", "complete", "partial", "failed"]

EXAMPLE_ID = "b1946ac92492d2347c6235b4d2611184"
EXAMPLE_SCAN = "019aab3e-52c0-7000-8000-3f1e0c9d2a71"


#: A person, as history names them.
Actor = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Shape(BaseModel):
    """The base of every answer."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Page(Shape, Generic[Item]):
    """One page of a list."""

    items: list[Item] = Field(description="The items, in the order of the list.")
    next: str | None = Field(
        description="Cursor of the next page; null if this is the last.", examples=["WyJiNGI4YmY3OGU5YWQiLCAzXQ"]
    )


class ReadOut(Shape):
    """One read of a scan: what could be seen of a kind of object, or why it could not."""

    resource: str = Field(description="Plural resource as RBAC writes it.", examples=["deployments.apps"])
    namespace: str = Field(description="Empty for the whole cluster.", examples=["shop"])
    state: ReadState = Field(description="How reading it ended; only `complete` and `absent` prove anything.")
    reason: str = Field(
        description="What to do, or what the API server said; empty if complete.", examples=["grant list on pods"]
    )
    count: int = Field(description="Objects read.")


def read_out(row: CoverageRow) -> ReadOut:
    """Show one read."""
    return ReadOut(
        resource=row.resource, namespace=row.namespace, state=ReadState(row.state), reason=row.reason, count=row.count
    )


class ScanOut(Shape):
    """One scan of one cluster."""

    id: str = Field(description="UUID, ordered by time.", examples=[EXAMPLE_SCAN])
    cluster: str = Field(description="Name of the cluster.", examples=["prod-eu"])
    source: str = Field(description="`live` or `manifests`.", examples=["live"])
    trigger: str = Field(description="Why it ran: `schedule`, `api`, `start` or `catch-up`.", examples=["schedule"])
    state: ScanState = Field(description="`partial` if something could not be read.")
    phase: str = Field(description="While it runs: `reading`, `judging` or `storing`.", examples=["judging"])
    progress: int = Field(description="How far the phase is, 0 to 100.", ge=0, le=100)
    started_at: dt.datetime = Field(description="When it started.")
    finished_at: dt.datetime | None = Field(description="When it ended; null while it runs.")
    server_version: str = Field(description="Version of the API server; empty for manifests.", examples=["v1.37.2"])
    error: str = Field(description="Why it failed; empty otherwise.", examples=["the API server does not answer"])
    summary: dict[str, int] = Field(
        description="Counts: resources, outcomes and what changed.",
        examples=[{"resources": 29, "passed": 499, "failed": 117, "unknown": 3, "opened": 2, "resolved": 1}],
    )


def scan_out(row: ScanRow) -> ScanOut:
    """Show one scan."""
    return ScanOut.model_validate(row, from_attributes=True)


class ScanDetail(ScanOut):
    """One scan with its coverage."""

    coverage: list[ReadOut] = Field(description="Every read, by resource and namespace.")


def scan_detail(row: ScanRow, coverage: Iterable[CoverageRow]) -> ScanDetail:
    """Show one scan with what it could and could not read."""
    return ScanDetail(**scan_out(row).model_dump(), coverage=[read_out(read) for read in coverage])


class ResourceRefOut(Shape):
    """What a finding is about."""

    id: str = Field(description="Id of the resource.", examples=[EXAMPLE_ID])
    api_version: str = Field(description="Group and version.", examples=["apps/v1"])
    kind: str = Field(description="Kind.", examples=["Deployment"])
    namespace: str = Field(description="Empty for what belongs to no namespace.", examples=["shop"])
    name: str = Field(description="Name.", examples=["checkout"])


class FindingOut(Shape):
    """One policy's outcome for one resource, over its whole life."""

    id: str = Field(description="Stays over rollouts, restarts, rescans and upgrades.", examples=[EXAMPLE_ID])
    cluster: str = Field(description="Name of the cluster.", examples=["prod-eu"])
    policy: str = Field(description="Id of the policy.", examples=["pods/privileged-container"])
    title: str = Field(
        description="The policy's title; its id if it is not loaded any more.", examples=["Container runs privileged"]
    )
    area: str = Field(description="The policy's area, its pillar.", examples=["pods"])
    outcome: Outcome = Field(description="`fail`, or `unknown` where something could not be read.")
    state: State = Field(
        description="`regressed` is open again after it was resolved; of an `acknowledged` one somebody takes care."
    )
    severity: Severity = Field(description="How bad it is if true.")
    confidence: Confidence = Field(description="How sure a failure is.")
    resource: ResourceRefOut = Field(description="What it is about.")
    message: str = Field(description="What is wrong, in one line.", examples=["Container app runs privileged"])
    expected: str = Field(
        description="Why a failure is as it should be, in one line; it then counts in no summary. Else empty.",
        examples=[""],
    )
    first_seen_at: dt.datetime = Field(description="When it was first seen.")
    opened_at: dt.datetime | None = Field(description="When it was opened; null if it was only ever unknown.")
    changed_at: dt.datetime = Field(description="When its state last changed.")
    scan: str = Field(description="The scan that last changed it.", examples=[EXAMPLE_SCAN])


def _finding_fields(row: FindingRow, policies: Mapping[str, Policy]) -> dict[str, Any]:
    policy = policies.get(row.policy)
    return {
        "id": row.id,
        "cluster": row.cluster,
        "policy": row.policy,
        "title": policy.title if policy else row.policy,
        "area": row.area,
        "outcome": row.outcome,
        "state": row.state,
        "severity": row.severity,
        "confidence": row.confidence,
        "resource": ResourceRefOut(
            id=row.resource_id, api_version=row.api_version, kind=row.kind, namespace=row.namespace, name=row.name
        ),
        "message": row.message,
        "expected": row.expected,
        "first_seen_at": row.first_seen_at,
        "opened_at": row.opened_at,
        "changed_at": row.changed_at,
        "scan": row.scan_id,
    }


def finding_out(row: FindingRow, policies: Mapping[str, Policy]) -> FindingOut:
    """Show one finding."""
    return FindingOut(**_finding_fields(row, policies))


class ObjectRefOut(Shape):
    """The name of an object in a cluster."""

    api_version: str = Field(description="Group and version.", examples=["apps/v1"])
    kind: str = Field(description="Kind.", examples=["Deployment"])
    namespace: str = Field(default="", description="Empty for what belongs to no namespace.", examples=["shop"])
    name: str = Field(default="", description="Name.", examples=["checkout"])
    uid: str = Field(default="", description="Its uid, where known.", examples=["6f1f0a52-3a44-4c5e-9f57-6a5f8f5d8f10"])


class SetByOut(Shape):
    """Who last set a field, as the API server wrote it down in the object's metadata.managedFields."""

    manager: str = Field(description="As the client called itself.", examples=["helm"])
    operation: str = Field(default="", description="`Apply` or `Update`.", examples=["Update"])
    time: str = Field(
        default="", description="When it last changed what it manages, RFC 3339.", examples=["2026-11-20T09:30:00Z"]
    )
    path: str = Field(
        default="",
        description="The field that it set, where nobody set the one in question: the closest around it.",
        examples=["spec.template.spec.containers[0]"],
    )


class FactOut(Shape):
    """One fact that can be checked by hand."""

    path: str = Field(
        default="",
        description="Field of the object; empty for the object itself.",
        examples=["spec.template.spec.containers[0].securityContext.privileged"],
    )
    value: Any = Field(default=None, description="What is there; null if the field is missing.")
    container: str = Field(default="", description="The container, where it is about one.", examples=["app"])
    object: ObjectRefOut | None = Field(default=None, description="The object, where it is another than the resource.")
    note: str = Field(
        default="", description="What it means, where path and value don't tell.", examples=["set by the template"]
    )
    set_by: SetByOut | None = Field(default=None, description="Who last set it, where that is known.")


class AcknowledgeIn(BaseModel):
    """Who deals with a finding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    actor: Actor = Field(
        description="Who says so; this release has no authentication, so it is taken as it is.", examples=["ann"]
    )


class EventOut(Shape):
    """One change of a finding's state."""

    transition: Transition = Field(description="How it changed.")
    at: dt.datetime = Field(description="When.")
    scan: str = Field(description="In which scan.", examples=[EXAMPLE_SCAN])
    actor: str = Field(description="Who: `scan`, or a person.", examples=["scan"])


class PolicyOut(Shape):
    """One policy, without its text."""

    id: str = Field(description="Area and name.", examples=["pods/privileged-container"])
    title: str = Field(description="What is wrong where it fails.", examples=["Container runs privileged"])
    area: str = Field(description="Its pillar.", examples=["pods"])
    severity: Severity = Field(description="How bad it is if true.")
    confidence: Confidence = Field(description="How sure a failure is.")
    frameworks: dict[str, list[str]] = Field(
        description="Controls that it answers, by framework.", examples=[{"cis-kubernetes": ["5.2.2"]}]
    )


class PolicyDetail(PolicyOut):
    """One policy, whole."""

    rationale: str = Field(
        description="Why it matters.", examples=["Code that runs in a privileged container owns the node."]
    )
    remediation: str = Field(description="What to do.", examples=["Remove `privileged: true`."])
    sources: list[str] = Field(description="Where it comes from.")
    subject: str = Field(
        description="What it judges; empty if it asks a question of the whole cluster.", examples=["container"]
    )
    forbid: str = Field(
        description="CEL that is true where it fails; empty if it asks a question.",
        examples=["container.?securityContext.?privileged.orValue(false)"],
    )
    ask: str = Field(description="The question that it asks; empty if it is CEL.", examples=["rbac.subjects_who_can"])
    arguments: dict[str, Any] = Field(description="Arguments of the question.")
    formerly: list[str] = Field(description="Ids that it had before.")


def _policy_fields(policy: Policy) -> dict[str, Any]:
    return {
        "id": policy.id,
        "title": policy.title,
        "area": policy.area,
        "severity": policy.severity,
        "confidence": policy.confidence,
        "frameworks": {framework: list(controls) for framework, controls in sorted(policy.frameworks.items())},
    }


def policy_out(policy: Policy) -> PolicyOut:
    """Show one policy in a list."""
    return PolicyOut(**_policy_fields(policy))


def policy_detail(policy: Policy) -> PolicyDetail:
    """Show one policy with its text."""
    return PolicyDetail(
        **_policy_fields(policy),
        rationale=policy.rationale,
        remediation=policy.remediation,
        sources=list(policy.sources),
        subject=policy.subject,
        forbid=policy.forbid,
        ask=policy.ask,
        arguments=dict(policy.arguments),
        formerly=list(policy.formerly),
    )


class FindingDetail(FindingOut):
    """One finding with what shows it, what to do and its history."""

    evidence: list[FactOut] = Field(description="The smallest set of facts that makes it checkable.")
    missing: list[str] = Field(description="For `unknown`: the reads that were missing.")
    fix: str = Field(
        description="Text of a fix for this resource, where one is known.",
        examples=["Set securityContext.privileged to false."],
    )
    patch: list[dict[str, Any]] = Field(
        description="For an open finding about RBAC: the changes of roles and bindings that end it, in order; empty if "
        "none is known. Each has an `action`: `create` with the whole `object`, `patch` with a JSON Patch of the "
        "`resource`, or `delete`.",
    )
    policy_text: PolicyDetail | None = Field(description="The policy; null if it is not loaded any more.")
    events: list[EventOut] = Field(description="Changes of its state, the oldest first.")


def finding_detail(
    row: FindingRow, events: Iterable[FindingEventRow], policies: Mapping[str, Policy], patch: Iterable[Operation]
) -> FindingDetail:
    """Show one finding whole."""
    policy = policies.get(row.policy)
    return FindingDetail(
        **_finding_fields(row, policies),
        evidence=[FactOut.model_validate(fact) for fact in row.evidence],
        missing=row.missing,
        fix=row.fix,
        patch=[msgspec.to_builtins(operation) for operation in patch],
        policy_text=policy_detail(policy) if policy else None,
        events=[
            EventOut(transition=Transition(event.transition), at=event.at, scan=event.scan_id, actor=event.actor)
            for event in events
        ],
    )


class ResourceOut(ResourceRefOut):
    """A root owner, or any other object that a finding is about."""

    cluster: str = Field(description="Name of the cluster.", examples=["prod-eu"])
    uid: str = Field(description="Its uid when last seen.", examples=["6f1f0a52-3a44-4c5e-9f57-6a5f8f5d8f10"])
    pods: int = Field(description="Pods that ran from it.")
    first_seen_at: dt.datetime = Field(description="When a scan first saw it.")
    gone_at: dt.datetime | None = Field(description="When a complete read no longer showed it; null while it is there.")


def resource_out(row: ResourceRow) -> ResourceOut:
    """Show one resource."""
    return ResourceOut.model_validate(row, from_attributes=True)


class ResourceDetail(ResourceOut):
    """One resource with its open findings."""

    findings: list[FindingOut] = Field(description="Its open findings, the worst first; at most 500.")


def resource_detail(row: ResourceRow, findings: Iterable[FindingRow], policies: Mapping[str, Policy]) -> ResourceDetail:
    """Show one resource with its open findings."""
    return ResourceDetail(
        **resource_out(row).model_dump(), findings=[finding_out(finding, policies) for finding in findings]
    )


class StandingOut(Shape):
    """Open findings of one part of a cluster."""

    failed: dict[Severity, int] = Field(
        description="Failing ones by severity.", examples=[{"critical": 0, "high": 2, "medium": 5, "low": 1}]
    )
    unknown: int = Field(description="What could not be judged: never to be read as passed.")


def standing_out(standing: Standing) -> StandingOut:
    """Show how one part stands."""
    return StandingOut(failed=dict(standing.failed), unknown=standing.unknown)


class FreshnessOut(Shape):
    """How much a cluster's figures can be trusted."""

    cluster: str = Field(description="Name of the cluster.", examples=["prod-eu"])
    last_scan: ScanOut | None = Field(
        description="The last scan that was stored: the figures are from it; null if none."
    )
    last_attempt: ScanOut = Field(description="The last scan that was started, whatever came of it.")
    age_seconds: int | None = Field(
        description="Time since the figures were taken; null if there are none.", examples=[300]
    )
    gaps: list[ReadOut] = Field(description="What the last stored scan could not read; nothing is known of it.")
    is_conclusive: bool = Field(
        description="Whether an absence of findings means anything: the last scan was stored, nothing that it asked "
        "for was missing, and no outcome is unknown."
    )


class SummaryOut(Shape):
    """How a cluster stands, with what is not known of it."""

    cluster: str | None = Field(description="The cluster; null for all of them.", examples=["prod-eu"])
    clusters: list[FreshnessOut] = Field(description="How fresh and how complete the figures are, by cluster.")
    total: StandingOut = Field(description="Everything.")
    by_namespace: dict[str, StandingOut] = Field(description="By namespace; the empty name is what belongs to none.")
    by_pillar: dict[str, StandingOut] = Field(description="By the area of the policies.")
    by_policy: dict[str, StandingOut] = Field(description="By policy.")
    by_framework: dict[str, StandingOut] = Field(description="By framework; a finding counts in each of its policy's.")


def freshness_out(
    attempt: ScanRow, stored: tuple[ScanRow, Sequence[CoverageRow]] | None, now: dt.datetime
) -> FreshnessOut:
    """Show how fresh and complete what is known of a cluster is."""
    if stored is None:
        return FreshnessOut(
            cluster=attempt.cluster,
            last_scan=None,
            last_attempt=scan_out(attempt),
            age_seconds=None,
            gaps=[],
            is_conclusive=False,
        )
    scan, coverage = stored
    gaps = [read_out(read) for read in coverage if ReadState(read.state) not in _CONCLUSIVE]
    return FreshnessOut(
        cluster=attempt.cluster,
        last_scan=scan_out(scan),
        last_attempt=scan_out(attempt),
        age_seconds=max(0, int((now - scan.started_at).total_seconds())),
        gaps=gaps,
        is_conclusive=attempt.state != "failed"
        and not scan.summary.get("unknown")
        and all(gap.state is ReadState.SKIPPED for gap in gaps),  # what needs those is unknown, and counted there
    )


_CONCLUSIVE = frozenset({ReadState.COMPLETE, ReadState.ABSENT})


class Status(Shape):
    """A health check that passed."""

    status: Literal["ok"] = Field(default="ok", description="Always `ok`; anything else is a problem.")
