"""Scans: start one, follow it, see what it could read."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from scanner.api import problems
from scanner.api.dependencies import Deps
from scanner.api.pagination import PageQuery, Text, decode_cursor, encode_cursor, next_link
from scanner.api.problems import ProblemError, documented
from scanner.api.schemas import Page, ScanDetail, ScanOut, ScanState, scan_detail, scan_out
from scanner.store.database import reading
from scanner.store.scans import get_scan, list_scans

router = APIRouter(prefix="/api/v1/scans", tags=["scans"])


class ScanQuery(PageQuery):
    """Which scans to list."""

    cluster: Text | None = Field(default=None, description="Of this cluster.")
    state: ScanState | None = Field(default=None, description="In this state.")


@router.post(
    "",
    status_code=202,
    operation_id="startScan",
    summary="Start a scan now",
    responses={
        202: {"headers": {"Location": {"description": "Address of the scan.", "schema": {"type": "string"}}}},
        **documented(
            problems.FORBIDDEN, problems.SCAN_RUNNING, problems.TOO_LARGE, problems.DATABASE_DOWN, problems.CLUSTER_DOWN
        ),
    },
)
def start_scan(request: Request, response: Response, deps: Deps) -> ScanDetail:
    """Start a scan in the background; follow it at the address in `Location`."""
    started = deps.start_scan()
    with reading(deps.engine) as session:
        found = get_scan(session, started.id)
    if found is None:
        raise ProblemError(problems.INTERNAL, "the scan was started and is gone")
    response.headers["Location"] = f"{request.url.path}/{started.id}"
    return scan_detail(*found)


@router.get(
    "",
    operation_id="listScans",
    summary="List scans",
    responses=documented(problems.INVALID, problems.DATABASE_DOWN),
)
def scans(request: Request, response: Response, deps: Deps, query: Annotated[ScanQuery, Query()]) -> Page[ScanOut]:
    """List scans, the youngest first."""
    after = decode_cursor(query, (str,))
    with reading(deps.engine) as session:
        rows = list_scans(
            session,
            cluster=query.cluster,
            state=query.state,
            before=after[0] if after else None,
            limit=query.limit + 1,
        )
    items, following = rows[: query.limit], None
    if len(rows) > query.limit:
        following = encode_cursor(query, (items[-1].id,))
        response.headers.update(next_link(request.url.path, query, following))
    return Page[ScanOut](items=[scan_out(row) for row in items], next=following)


@router.get(
    "/{scan_id}",
    operation_id="getScan",
    summary="Get a scan",
    responses=documented(problems.NOT_FOUND, problems.DATABASE_DOWN, problems.INVALID),
)
def scan(deps: Deps, scan_id: Text) -> ScanDetail:
    """Get one scan: how far it is, what it counted, what it could and could not read."""
    with reading(deps.engine) as session:
        found = get_scan(session, scan_id)
    if found is None:
        raise ProblemError(problems.NOT_FOUND, "there is no scan with this id")
    return scan_detail(*found)
