"""The receiving end of the API server's audit webhook."""

import hmac
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from scanner.api import problems
from scanner.api.dependencies import AuditWebhook, Deps
from scanner.api.problems import ProblemError, documented
from scanner.errors import InputError
from scanner.service.audit import Posted, record_post
from scanner.telemetry import log

PATH = "/api/v1/audit"

router = APIRouter(tags=["rbac"])

_log = log(__name__)

SECURITY_SCHEMES: dict[str, Any] = {
    "auditToken": {"type": "http", "scheme": "bearer", "description": "The setting `audit_token`."}
}
#: The route reads the body by itself, after the token; so it has to be described here.
_DESCRIBED: dict[str, Any] = {
    "security": [{"auditToken": []}],
    "requestBody": {
        "required": True,
        "description": "An `audit.k8s.io/v1` EventList, as the API server's audit webhook posts it.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["kind", "apiVersion"],
                    "properties": {
                        "kind": {"const": "EventList"},
                        "apiVersion": {"const": "audit.k8s.io/v1"},
                        "items": {"type": "array", "items": {"type": "object"}, "description": "Audit events."},
                    },
                }
            }
        },
    },
}


@router.post(
    PATH,
    status_code=204,
    operation_id="postAuditEvents",
    summary="Take audit events",
    responses=documented(
        problems.FORBIDDEN,
        problems.WRONG_TOKEN,
        problems.NOT_FOUND,
        problems.TOO_LARGE,
        problems.INVALID,
        problems.DATABASE_DOWN,
        problems.CLUSTER_DOWN,
    ),
    openapi_extra=_DESCRIBED,
)
async def post_audit_events(request: Request, deps: Deps) -> Response:
    """Keep who used which right, and of which object names; bodies of requests and answers are not looked at.

    For the API server alone, which sends the setting `audit_token` as its bearer token.
    """
    webhook = _admitted(request, deps.audit)
    body = await request.body()
    try:
        posted = await run_in_threadpool(lambda: record_post(deps.engine, webhook.cluster(), body))
    except InputError as error:
        raise ProblemError(problems.INVALID, f"the body is {error}") from error
    _note(posted)
    return Response(status_code=204)


def _admitted(request: Request, webhook: AuditWebhook | None) -> AuditWebhook:
    """Let in who knows the token, before anything of the body is read."""
    if webhook is None:
        raise ProblemError(problems.NOT_FOUND, "the setting audit_token is not set, so audit events are not taken")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    # Both as bytes: text would have to be ASCII. How long it takes tells nothing of how much of the token is right.
    right = hmac.compare_digest(token.strip().encode(), webhook.token.get_secret_value().encode())
    if scheme.lower() != "bearer" or not right:
        raise ProblemError(problems.WRONG_TOKEN, "the bearer token is not the one of the setting audit_token")
    return webhook


def _note(posted: Posted) -> None:
    write = _log.warning if posted.malformed or posted.left_out else _log.debug
    write("audit_recorded", events=posted.events, malformed=posted.malformed, left_out=posted.left_out)
