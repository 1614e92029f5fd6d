"""Every error of the API as a problem document (RFC 9457): one shape, one list of types, each type a page to read.

A problem's `type` is the address of its description, served by the API itself, so that it resolves wherever the service
runs; `instance` is the id of the request, which stands in the log beside the cause.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem."""

    name: str
    status: int
    title: str
    #: What it means and what to do, for the person who follows the `type`.
    meaning: str

    @property
    def uri(self) -> str:
        """The address of its description, relative to the service."""
        return f"/problems/{self.name}"


BAD_REQUEST = ProblemType("bad-request", 400, "Bad request", "The request is not HTTP as this service speaks it.")
FORBIDDEN = ProblemType(
    "cross-site",
    403,
    "Cross-site request refused",
    "A page of another site asked a browser to change something here. Send the request from the service's own address, "
    "or without a browser.",
)
WRONG_TOKEN = ProblemType(
    "wrong-token",
    403,
    "Wrong token",
    "The audit webhook has to send the setting `audit_token` as its bearer token.",
)
NOT_FOUND = ProblemType(
    "not-found", 404, "Not found", "Nothing has this address or id. Ids of findings and scans come from the lists."
)
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed", 405, "Method not allowed", "This address has other methods; the `Allow` header names them."
)
SCAN_RUNNING = ProblemType(
    "scan-running",
    409,
    "A scan is running",
    "Only one scan of a cluster runs at a time. Follow the running one in `GET /api/v1/scans`, or try again later.",
)
NOT_OPEN = ProblemType(
    "not-open",
    409,
    "Not an open failure",
    "Only a failure that is open can be acknowledged: not what is resolved, unknown or expected.",
)
NOT_SCANNED = ProblemType(
    "not-scanned",
    409,
    "Not scanned yet",
    "No scan of this release was stored yet, so there is nothing to answer from. Start one with `POST /api/v1/scans`, "
    "or wait for the next.",
)
TOO_LARGE = ProblemType(
    "content-too-large",
    413,
    "Content too large",
    "The request's body is larger than the setting `api_max_body_bytes`, for audit events `audit_max_body_bytes`, "
    "allows.",
)
MISDIRECTED = ProblemType(
    "misdirected",
    421,
    "Misdirected request",
    "The request names a host that this service is not. The setting `allowed_hosts` lists those that it answers to; "
    "this keeps web pages from reading findings through DNS rebinding.",
)
INVALID = ProblemType(
    "invalid-request",
    422,
    "Invalid request",
    "A parameter is unknown, missing or does not fit; `errors` names each. A cursor fits only the query it came from.",
)
INTERNAL = ProblemType(
    "internal-error",
    500,
    "Internal error",
    "The service failed. The log has the cause, under the request id of `instance`.",
)
DATABASE_DOWN = ProblemType(
    "database-unavailable",
    503,
    "Database unavailable",
    "The database does not answer, or not in time. Nothing is lost; try again later.",
)
CLUSTER_DOWN = ProblemType(
    "cluster-unavailable",
    503,
    "Cluster unavailable",
    "The API server of the cluster does not answer or does not accept our identity, so no scan could start.",
)
NOT_READY = ProblemType(
    "not-ready",
    503,
    "Not ready",
    "The service starts, stops, or its database is not at the schema of this release (`plimsoll db upgrade`).",
)
OVERLOADED = ProblemType(
    "overloaded",
    503,
    "Too many requests at a time",
    "More requests than the setting `api_max_concurrency` allows are being answered. Try again in a moment.",
)

PROBLEMS: Mapping[str, ProblemType] = {
    problem.name: problem
    for problem in (
        BAD_REQUEST,
        FORBIDDEN,
        WRONG_TOKEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        SCAN_RUNNING,
        NOT_OPEN,
        NOT_SCANNED,
        TOO_LARGE,
        MISDIRECTED,
        INVALID,
        INTERNAL,
        DATABASE_DOWN,
        CLUSTER_DOWN,
        NOT_READY,
        OVERLOADED,
    )
}

#: For errors that the framework raises by their status alone.
_BY_STATUS: Mapping[int, ProblemType] = {problem.status: problem for problem in reversed(list(PROBLEMS.values()))}


def problem_of_status(status: int) -> ProblemType:
    """Return the type for a status; a server error for any that has no type of its own."""
    return _BY_STATUS.get(status, BAD_REQUEST if status < INTERNAL.status else INTERNAL)


class ProblemDetail(BaseModel):
    """One parameter that does not fit."""

    location: str = Field(description="Where it stands: `query.limit`.")
    message: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """An error, as RFC 9457 describes it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": NOT_FOUND.uri,
                "title": NOT_FOUND.title,
                "status": 404,
                "detail": "no finding has the id 5f0c",
                "instance": "urn:uuid:2c1d0c52-7a4e-4a7e-9b57-0a6b2b1f9f3e",
            }
        }
    )

    type: str = Field(description="Address of the description of this kind of problem.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time.")
    instance: str = Field(description="The id of the request, for the log.")
    errors: list[ProblemDetail] = Field(default_factory=list, description="The parameters that do not fit.")


@dataclass
class ProblemError(Exception):
    """Ends a request with a problem."""

    problem: ProblemType
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    errors: Sequence[ProblemDetail] = ()


def problem_response(
    problem: ProblemType,
    detail: str,
    request_id: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[ProblemDetail] = (),
) -> Response:
    """Write a problem document."""
    document: dict[str, Any] = {
        "type": problem.uri,
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "instance": f"urn:uuid:{request_id}",
    }
    if errors:
        document["errors"] = [error.model_dump() for error in errors]
    return Response(
        json.dumps(document), status_code=problem.status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def documented(*problems: ProblemType) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI says of a route's errors: those given, and those that any route may end with."""
    own = (*problems, METHOD_NOT_ALLOWED, MISDIRECTED, INTERNAL, OVERLOADED)
    statuses: dict[int | str, dict[str, Any]] = {}
    for status in sorted({problem.status for problem in own}):
        titles = "; ".join(dict.fromkeys(problem.title for problem in own if problem.status == status))
        statuses[status] = {"description": titles, "content": {MEDIA_TYPE: {"schema": PROBLEM_REFERENCE}}}
    return statuses


PROBLEM_REFERENCE = {"$ref": "#/components/schemas/Problem"}
