"""Health checks and metrics, for machines: the status code is the answer."""

import anyio
import anyio.to_thread
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from scanner.api import problems
from scanner.api.dependencies import Deps
from scanner.api.gauges import exposition
from scanner.api.problems import PROBLEMS, ProblemError, documented
from scanner.api.schemas import Status
from scanner.errors import StoreError

router = APIRouter(tags=["operations"])

#: A database that takes longer to say that it is there is not.
_READY_SECONDS = 5


@router.get("/livez", operation_id="getLiveness", summary="Is the process alive?", responses=documented())
async def livez() -> Status:
    """Answer as long as the event loop turns; a database that is down does not restart the process."""
    return Status()


@router.get(
    "/readyz",
    operation_id="getReadiness",
    summary="Can requests be answered?",
    responses=documented(problems.NOT_READY),
)
async def readyz(deps: Deps) -> Status:
    """Answer if the database is reachable and at this release's schema, and the service is not about to end."""
    if deps.is_draining():
        raise ProblemError(problems.NOT_READY, "the service is about to end")
    try:
        with anyio.fail_after(_READY_SECONDS):
            await anyio.to_thread.run_sync(deps.check_ready, abandon_on_cancel=True)
    except StoreError as error:
        raise ProblemError(problems.NOT_READY, str(error)) from error
    except TimeoutError as error:
        raise ProblemError(problems.NOT_READY, "the database does not answer in time") from error
    return Status()


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"description": "Text exposition format.", "content": {"text/plain": {}}}, **documented()},
)
def metrics(deps: Deps) -> Response:
    """Count what the service does; what stands in the database is counted now, if it answers."""
    return Response(exposition(deps.engine, deps.metrics), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/problems/{name}",
    operation_id="getProblemType",
    summary="What a problem means",
    response_class=Response,
    responses={
        200: {"description": "Markdown.", "content": {"text/markdown": {}}},
        **documented(problems.NOT_FOUND, problems.INVALID),
    },
)
async def problem_type(name: str) -> Response:
    """Describe a kind of problem; errors name this address as their `type`."""
    found = PROBLEMS.get(name)
    if found is None:
        raise ProblemError(problems.NOT_FOUND, "there is no kind of problem with this name")
    text = f"# {found.title}\n\nStatus {found.status}.\n\n{found.meaning}\n"
    return Response(text, media_type="text/markdown; charset=utf-8")
