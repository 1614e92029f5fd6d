"""Findings: what is wrong, or could not be judged."""

from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from scanner.api import problems
from scanner.api.dependencies import Deps, Services
from scanner.api.pagination import PageQuery, Text, decode_cursor, encode_cursor, next_link
from scanner.api.problems import ProblemError, documented
from scanner.api.schemas import AcknowledgeIn, Actor, FindingDetail, FindingOut, Page, finding_detail, finding_out
from scanner.model.change import Operation
from scanner.model.finding import Outcome
from scanner.model.policy import Policy, Severity
from scanner.posture.diff import State
from scanner.store.database import reading, writing
from scanner.store.findings import FindingFilter, Position, acknowledge, get_finding, list_findings, unacknowledge
from scanner.store.tables import FindingRow

router = APIRouter(prefix="/api/v1/findings", tags=["findings"])

_CHANGED = documented(
    problems.BAD_REQUEST,
    problems.FORBIDDEN,
    problems.NOT_FOUND,
    problems.NOT_OPEN,
    problems.TOO_LARGE,
    problems.INVALID,
    problems.DATABASE_DOWN,
)

#: What is asked for unless a state is named: what concerns people now.
_OPEN = tuple(state for state in State if state.is_open)


class FindingQuery(PageQuery):
    """Which findings to list; all that are given must fit."""

    cluster: Text | None = Field(default=None, description="Of this cluster.")
    namespace: Text | None = Field(default=None, description="In this namespace; empty: in none.")
    severity: list[Severity] = Field(default=[], max_length=4, description="Of these severities.")
    min_severity: Severity | None = Field(default=None, description="Of this severity or worse.")
    area: Text | None = Field(default=None, description="Of policies of this area, the pillar.")
    policy: Text | None = Field(default=None, description="Of this policy.")
    framework: Text | None = Field(default=None, description="Of policies that answer this framework.")
    control: Text | None = Field(default=None, description="Of policies that answer this control, of any framework.")
    state: list[State] = Field(
        default=[], max_length=4, description="In these states; all but resolved if none is named."
    )
    outcome: Outcome | None = Field(default=None, description="With this outcome; passes are not listed.")
    expected: bool = Field(
        default=False,
        description="Instead of what concerns people, failures that are as they should be: Kubernetes' own grants, "
        "unchanged.",
    )
    kind: Text | None = Field(default=None, description="About a resource of this kind.")
    name: Text | None = Field(default=None, description="About a resource whose name starts with this.")
    resource: Text | None = Field(default=None, description="About the resource with this id.")


@router.get(
    "",
    operation_id="listFindings",
    summary="List findings",
    responses=documented(problems.INVALID, problems.DATABASE_DOWN),
)
def findings(
    request: Request, response: Response, deps: Deps, query: Annotated[FindingQuery, Query()]
) -> Page[FindingOut]:
    """List findings, the worst first; a page is not moved by findings that come or go meanwhile."""
    after = decode_cursor(query, (int, str))
    with reading(deps.engine) as session:
        rows = list_findings(
            session,
            filter_of(query, deps.policies),
            after=Position(*after) if after else None,
            limit=query.limit + 1,
        )
    items, following = rows[: query.limit], None
    if len(rows) > query.limit:
        following = encode_cursor(query, Position(items[-1].severity_rank, items[-1].id))
        response.headers.update(next_link(request.url.path, query, following))
    return Page[FindingOut](items=[finding_out(row, deps.policies) for row in items], next=following)


def filter_of(query: FindingQuery, policies: Mapping[str, Policy]) -> FindingFilter:
    """Say what to ask the store for."""
    return FindingFilter(
        cluster=query.cluster,
        namespace=query.namespace,
        minimum_severity=query.min_severity,
        severities=frozenset(query.severity),
        area=query.area,
        policy=query.policy,
        policies=policies_of(query.framework, query.control, policies),
        states=frozenset(query.state or _OPEN),
        outcome=query.outcome,
        expected=query.expected,
        kind=query.kind,
        resource_id=query.resource,
        name_prefix=query.name or "",
    )


def policies_of(framework: str | None, control: str | None, policies: Mapping[str, Policy]) -> frozenset[str] | None:
    """Return the policies that answer a framework, a control, or that control of that framework; None for any."""
    if framework is None and control is None:
        return None
    return frozenset(
        id_
        for id_, policy in policies.items()
        for name, controls in policy.frameworks.items()
        if framework in {None, name} and (control is None or control in controls)
    )


@router.get(
    "/{finding_id}",
    operation_id="getFinding",
    summary="Get a finding",
    responses=documented(problems.NOT_FOUND, problems.DATABASE_DOWN, problems.INVALID),
)
def finding(deps: Deps, finding_id: Text) -> FindingDetail:
    """Get one finding: what shows it, what to do about it, and its history."""
    with reading(deps.engine) as session:
        found = get_finding(session, finding_id)
    if found is None:
        raise ProblemError(problems.NOT_FOUND, "there is no finding with this id")
    row, events = found
    return finding_detail(row, events, deps.policies, _patch(deps, row))


@router.post(
    "/{finding_id}/acknowledge",
    operation_id="acknowledgeFinding",
    summary="Acknowledge a finding",
    responses=_CHANGED,
)
def acknowledge_finding(deps: Deps, finding_id: Text, body: AcknowledgeIn) -> FindingDetail:
    """Say that somebody deals with an open failure.

    It counts and is listed as before, and is open again if it becomes more severe. Once acknowledged, it stays so.
    """
    return _changed(deps, finding_id, acknowledge, body.actor)


@router.delete(
    "/{finding_id}/acknowledge",
    operation_id="unacknowledgeFinding",
    summary="Take an acknowledgement back",
    responses=_CHANGED,
)
def unacknowledge_finding(
    deps: Deps,
    finding_id: Text,
    actor: Annotated[Actor, Query(description="Who takes it back.")],
) -> FindingDetail:
    """Say that nobody deals with a finding; it is again open or regressed, as it was."""
    return _changed(deps, finding_id, unacknowledge, actor)


def _changed(deps: Services, finding_id: str, change: Callable[..., bool], actor: str) -> FindingDetail:
    """Change a finding's state in one transaction, and show it."""
    with writing(deps.engine) as connection:
        is_open = change(connection, finding_id, actor=actor, now=deps.clock())
    shown = finding(deps, finding_id)
    if not is_open:
        raise ProblemError(problems.NOT_OPEN, "the finding is no open failure")
    return shown


def _patch(deps: Services, row: FindingRow) -> tuple[Operation, ...]:
    """Say what ends a finding about RBAC that is open."""
    policy = deps.policies.get(row.policy)
    if policy is None or row.area != "rbac" or not row.is_open or row.expected:
        return ()
    grants = deps.grants.of(deps.engine, row.cluster)
    return deps.fixes.of(grants, policy, row.id) if grants else ()
