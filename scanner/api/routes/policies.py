"""Policies: what scans judge by."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from scanner.api import problems
from scanner.api.dependencies import Deps
from scanner.api.pagination import PageQuery, Text, decode_cursor, encode_cursor, next_link
from scanner.api.problems import ProblemError, documented
from scanner.api.schemas import Page, PolicyDetail, PolicyOut, policy_detail, policy_out
from scanner.model.policy import Severity

router = APIRouter(prefix="/api/v1/policies", tags=["policies"])


class PolicyQuery(PageQuery):
    """Which policies to list."""

    area: Text | None = Field(default=None, description="Of this area, the pillar.")
    framework: Text | None = Field(default=None, description="That answer this framework.")
    min_severity: Severity | None = Field(default=None, description="Of this severity or worse.")


@router.get("", operation_id="listPolicies", summary="List policies", responses=documented(problems.INVALID))
def policies(
    request: Request, response: Response, deps: Deps, query: Annotated[PolicyQuery, Query()]
) -> Page[PolicyOut]:
    """List the policies that are loaded, by id."""
    after = decode_cursor(query, (str,))
    wanted = [
        policy
        for id_, policy in sorted(deps.policies.items())
        if (after is None or id_ > after[0])
        and query.area in {None, policy.area}
        and (query.framework is None or query.framework in policy.frameworks)
        and (query.min_severity is None or policy.severity.rank >= query.min_severity.rank)
    ]
    items, following = wanted[: query.limit], None
    if len(wanted) > query.limit:
        following = encode_cursor(query, (items[-1].id,))
        response.headers.update(next_link(request.url.path, query, following))
    return Page[PolicyOut](items=[policy_out(policy) for policy in items], next=following)


@router.get(
    "/{area}/{name}",
    operation_id="getPolicy",
    summary="Get a policy",
    responses=documented(problems.NOT_FOUND, problems.INVALID),
)
def policy(deps: Deps, area: Text, name: Text) -> PolicyDetail:
    """Get one policy: why it matters, what to do, and what exactly it asks."""
    found = deps.policies.get(f"{area}/{name}")
    if found is None:
        raise ProblemError(problems.NOT_FOUND, "no policy with this id is loaded")
    return policy_detail(found)
