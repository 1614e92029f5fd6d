"""Resources: what findings are about."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from scanner.api import problems
from scanner.api.dependencies import Deps
from scanner.api.pagination import MAX_LIMIT, PageQuery, Text, decode_cursor, encode_cursor, next_link
from scanner.api.problems import ProblemError, documented
from scanner.api.schemas import Page, ResourceDetail, ResourceOut, resource_detail, resource_out
from scanner.store.database import reading
from scanner.store.findings import FindingFilter, list_findings
from scanner.store.resources import ResourceFilter, ResourcePosition, get_resource, list_resources

router = APIRouter(prefix="/api/v1/resources", tags=["resources"])


class ResourceQuery(PageQuery):
    """Which resources to list."""

    cluster: Text | None = Field(default=None, description="Of this cluster.")
    namespace: Text | None = Field(default=None, description="In this namespace; empty: in none.")
    kind: Text | None = Field(default=None, description="Of this kind.")
    name: Text | None = Field(default=None, description="Whose name starts with this.")
    gone: bool = Field(default=False, description="Also those that are no longer there.")


@router.get(
    "",
    operation_id="listResources",
    summary="List resources",
    responses=documented(problems.INVALID, problems.DATABASE_DOWN),
)
def resources(
    request: Request, response: Response, deps: Deps, query: Annotated[ResourceQuery, Query()]
) -> Page[ResourceOut]:
    """List resources by cluster, namespace, kind and name."""
    after = decode_cursor(query, (str, str, str, str, str))
    wanted = ResourceFilter(
        cluster=query.cluster,
        namespace=query.namespace,
        kind=query.kind,
        name_prefix=query.name or "",
        with_gone=query.gone,
    )
    with reading(deps.engine) as session:
        rows = list_resources(session, wanted, after=ResourcePosition(*after) if after else None, limit=query.limit + 1)
    items, following = rows[: query.limit], None
    if len(rows) > query.limit:
        last = items[-1]
        following = encode_cursor(query, (last.cluster, last.namespace, last.kind, last.name, last.id))
        response.headers.update(next_link(request.url.path, query, following))
    return Page[ResourceOut](items=[resource_out(row) for row in items], next=following)


@router.get(
    "/{resource_id}",
    operation_id="getResource",
    summary="Get a resource",
    responses=documented(problems.NOT_FOUND, problems.DATABASE_DOWN, problems.INVALID),
)
def resource(deps: Deps, resource_id: Text) -> ResourceDetail:
    """Get one resource with its open findings; all of its findings are in `GET /findings?resource=…`."""
    with reading(deps.engine) as session:
        row = get_resource(session, resource_id)
        found = list_findings(session, FindingFilter(resource_id=resource_id), limit=MAX_LIMIT) if row else []
    if row is None:
        raise ProblemError(problems.NOT_FOUND, "there is no resource with this id")
    return resource_detail(row, found, deps.policies)
