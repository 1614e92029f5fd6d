"""Makes the FastAPI application: routes, errors, what surrounds them, and its description."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from scanner.api import problems
from scanner.api.dependencies import Services
from scanner.api.middleware import Conditional, Limits, Shell
from scanner.api.problems import Problem, ProblemDetail, ProblemError, problem_of_status, problem_response
from scanner.api.routes import (
    audit,
    findings,
    health,
    home,
    network,
    policies,
    rbac,
    rbac_usage,
    readiness,
    resources,
    scans,
    secrets,
    summary,
)
from scanner.errors import ClusterError, ScannerError, ScanRunningError, ScanStoppedError, StoreError
from scanner.telemetry import log

_log = log(__name__)

DESCRIPTION = """\
What Plimsoll knows of a cluster: findings, the resources that they are about, the policies, and the scans that found
them. An outcome is `fail`, `pass` or `unknown`; what could not be read is unknown, never passed: see `gaps` in the
summary before you take an empty list for good news.

Every error is a problem document (RFC 9457). Lists are read page by page: follow `next`, or the `Link` header.

This release has no authentication. It listens on the loopback address unless it is told otherwise.
"""

_Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


def create_app(services: Services, limits: Limits, *, version: str) -> FastAPI:
    """Return the application; it holds no state but what it is given."""
    app = FastAPI(
        title="Plimsoll",
        version=version,
        description=DESCRIPTION,
        docs_url=None,  # their pages load scripts from elsewhere; the description itself is served
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        redirect_slashes=False,  # an address that does not exist is a 404, not a redirect
        exception_handlers=dict(_handlers()),
    )
    app.state.services = services
    for module in (
        scans,
        findings,
        resources,
        policies,
        summary,
        readiness,
        rbac,
        rbac_usage,
        secrets,
        network,
        audit,
        health,
        home,
    ):
        app.include_router(module.router)
    app.add_middleware(Conditional)
    app.add_middleware(Shell, limits=limits, metrics=services.metrics)
    app.openapi = _described(app)  # type: ignore[method-assign]  # as FastAPI documents it
    return app


def _described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what describes the application, with the shape of problems, and no shape of FastAPI's own errors."""
    generate = app.openapi

    def describe() -> dict[str, Any]:
        description = generate()
        schemas = description["components"]["schemas"]
        for ours in (Problem, ProblemDetail):
            schema = ours.model_json_schema(ref_template="#/components/schemas/{model}")
            schema.pop("$defs", None)
            schemas[ours.__name__] = schema
        for theirs in ("HTTPValidationError", "ValidationError"):
            schemas.pop(theirs, None)
        description["components"]["schemas"] = dict(sorted(schemas.items()))
        description["components"]["securitySchemes"] = audit.SECURITY_SCHEMES
        return description

    return describe


def _handlers() -> Mapping[int | type[Exception], _Handler]:
    """Return what becomes of each error."""
    return {
        ProblemError: _on_problem,
        HTTPException: _on_http_error,
        RequestValidationError: _on_invalid,
        ScannerError: _on_scanner_error,
    }


async def _on_problem(request: Request, error: ProblemError) -> Response:
    return problem_response(
        error.problem, error.detail, request.state.request_id, headers=error.headers, errors=error.errors
    )


async def _on_http_error(request: Request, error: HTTPException) -> Response:
    """Answer what the framework refuses: no such address, method or size."""
    problem = problem_of_status(error.status_code)
    detail = "nothing has this address" if problem is problems.NOT_FOUND else problem.title.lower()
    headers = {"Allow": _allowed_methods(request)} if problem is problems.METHOD_NOT_ALLOWED else {}
    return problem_response(problem, detail, request.state.request_id, headers=headers)


def _allowed_methods(request: Request) -> str:
    """Return every method of an address; the framework itself names those of its first route alone."""
    path = getattr(request.scope.get("route"), "path", "")
    return ", ".join(sorted(method.upper() for method in request.app.openapi()["paths"].get(path, {"get": {}})))


async def _on_invalid(request: Request, error: RequestValidationError) -> Response:
    """Name each parameter that does not fit, without repeating what it held."""
    details = [
        ProblemDetail(location=".".join(str(part) for part in found["loc"]), message=str(found["msg"]))
        for found in error.errors()
    ]
    names = ", ".join(dict.fromkeys(detail.location for detail in details))
    return problem_response(
        problems.INVALID, f"does not fit: {names}"[:1000], request.state.request_id, errors=details[:100]
    )


async def _on_scanner_error(request: Request, error: ScannerError) -> Response:
    """Answer what the parts below could not do; the log has their words, which may name addresses."""
    match error:
        case ScanRunningError():
            problem, detail = problems.SCAN_RUNNING, "a scan of this cluster is running"
        case ScanStoppedError():
            problem, detail = problems.NOT_READY, "the service is about to end"
        case StoreError():
            problem, detail = problems.DATABASE_DOWN, "the database did not answer this request"
        case ClusterError():
            problem, detail = problems.CLUSTER_DOWN, "the cluster cannot be used"
        case _:
            problem, detail = problems.INTERNAL, "an unexpected error; the log has the cause"
    if problem is not problems.SCAN_RUNNING:
        _log.error("request_refused", problem=problem.name, error=str(error))
    headers = {"Retry-After": "5"} if problem.status in {409, 503} else {}
    return problem_response(problem, detail, request.state.request_id, headers=headers)
