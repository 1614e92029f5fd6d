"""RBAC: who may do what, as of the last stored scan."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from scanner.analysis.rbac.answers import can, what_can, who_can
from scanner.analysis.rbac.authorizer import subject_key
from scanner.analysis.rbac.requests import Identity, identity_of, request_of
from scanner.analysis.rbac.requests import Request as Wanted
from scanner.api import problems
from scanner.api.access import DecisionOut, GrantPage, HolderPage, as_of, chain_out, decision_out, holder_out
from scanner.api.dependencies import Deps, Services
from scanner.api.pagination import PageQuery, Text, decode_cursor, encode_cursor, next_link
from scanner.api.problems import ProblemDetail, ProblemError, documented
from scanner.errors import UsageError
from scanner.service.grants import Grants

router = APIRouter(prefix="/api/v1/rbac", tags=["rbac"])

#: A user's or a group's name, which an identity provider makes: longer than names in Kubernetes.
Who = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]*$")]
Verb = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[^\x00-\x1f\x7f]*$")]

_PROBLEMS = documented(problems.NOT_FOUND, problems.NOT_SCANNED, problems.INVALID, problems.DATABASE_DOWN)
_CLUSTER = "In this cluster; may be left out where there is but one."
_USER = "The whole name: `jane`, or `system:serviceaccount:NAMESPACE:NAME`."
_GROUPS = "The user is in these groups as well as in those that come by themselves."
_VERB = "Of RBAC: `get`, `create`, `impersonate`."
_RESOURCE = "As kubectl writes it: `pods`, `pods/exec`, `deployments.apps`; or a path: `/metrics`."
_API_GROUP = "The resource's API group, if its name does not say it."
_NAME = "Of one object; without it, of all of them."
_NAMESPACE = "In this namespace; without it, in the whole cluster."


class CanQuery(BaseModel):
    """One question."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Text | None = Field(default=None, description=_CLUSTER)
    user: Who = Field(description=_USER)
    group: list[Who] = Field(default=[], max_length=64, description=_GROUPS)
    verb: Verb = Field(description=_VERB)
    resource: Verb = Field(description=_RESOURCE)
    api_group: Text | None = Field(default=None, description=_API_GROUP)
    name: Text = Field(default="", description=_NAME)
    namespace: Text = Field(default="", description=_NAMESPACE)


class WhoCanQuery(PageQuery):
    """Who may do something."""

    cluster: Text | None = Field(default=None, description=_CLUSTER)
    verb: Verb = Field(description=_VERB)
    resource: Verb = Field(description=_RESOURCE)
    api_group: Text | None = Field(default=None, description=_API_GROUP)
    name: Text = Field(default="", description=_NAME)
    namespace: Text = Field(default="", description=_NAMESPACE)


class WhatCanQuery(PageQuery):
    """What someone may do."""

    cluster: Text | None = Field(default=None, description=_CLUSTER)
    user: Who = Field(description=_USER)
    group: list[Who] = Field(default=[], max_length=64, description=_GROUPS)


@router.get("/can", operation_id="canIdentity", summary="May this user do that?", responses=_PROBLEMS)
def can_identity(deps: Deps, query: Annotated[CanQuery, Query()]) -> DecisionOut:
    """Decide as the API server's RBAC authorizer would; a no that rests on something that was not read is unknown."""
    wanted, identity = _wanted(query), _identity(query)
    grants = grants_of(deps, query.cluster)
    return decision_out(can(grants.snapshot, identity, wanted), identity.groups, grants)


@router.get("/who-can", operation_id="whoCan", summary="Who may do that?", responses=_PROBLEMS)
def who_can_do(request: Request, response: Response, deps: Deps, query: Annotated[WhoCanQuery, Query()]) -> HolderPage:
    """List users, groups and service accounts that bindings let do it; `system:masters` is always among them."""
    after = decode_cursor(query, (str, str, str))
    wanted = _wanted(query)
    grants = grants_of(deps, query.cluster)
    found = who_can(grants.snapshot, wanted)
    holders = [h for h in found.holders if after is None or subject_key(h.subject) > after]
    items, following = holders[: query.limit], None
    if len(holders) > query.limit:
        following = encode_cursor(query, subject_key(items[-1].subject))
        response.headers.update(next_link(request.url.path, query, following))
    return HolderPage(
        items=[holder_out(holder) for holder in items],
        next=following,
        missing=list(found.missing),
        as_of=as_of(grants),
    )


@router.get("/what-can", operation_id="whatCan", summary="What may this user do?", responses=_PROBLEMS)
def what_can_do(request: Request, response: Response, deps: Deps, query: Annotated[WhatCanQuery, Query()]) -> GrantPage:
    """List every rule that a binding gives a user or one of its groups, cluster-wide ones first."""
    after = decode_cursor(query, (str, str, str, int, int))
    identity = _identity(query)
    grants = grants_of(deps, query.cluster)
    rights = what_can(grants.snapshot, identity)
    chains = [chain for chain in rights.chains if after is None or chain.sort_key > after]
    items, following = chains[: query.limit], None
    if len(chains) > query.limit:
        following = encode_cursor(query, items[-1].sort_key)
        response.headers.update(next_link(request.url.path, query, following))
    return GrantPage(
        items=[chain_out(chain) for chain in items],
        next=following,
        groups=sorted(identity.groups),
        is_everything=rights.is_master,
        missing=list(rights.missing),
        as_of=as_of(grants),
    )


def _identity(query: CanQuery | WhatCanQuery) -> Identity:
    return identity_of(query.user, frozenset(query.group))


def _wanted(query: CanQuery | WhoCanQuery) -> Wanted:
    try:
        return request_of(
            query.verb, query.resource, api_group=query.api_group, name=query.name, namespace=query.namespace
        )
    except UsageError as error:
        raise ProblemError(
            problems.INVALID, str(error), errors=[ProblemDetail(location="query.resource", message=str(error))]
        ) from error


def grants_of(deps: Services, cluster: str | None) -> Grants:
    """Return the grants of the cluster that is meant."""
    known = deps.grants.clusters(deps.engine)
    if not known:
        raise ProblemError(problems.NOT_SCANNED, "no scan was stored yet")
    if cluster is None and len(known) > 1:
        detail = "there are several clusters: name one"
        raise ProblemError(
            problems.INVALID, detail, errors=[ProblemDetail(location="query.cluster", message=", ".join(known)[:1000])]
        )
    found = deps.grants.of(deps.engine, cluster if cluster is not None else next(iter(known)))
    if found is None:
        raise ProblemError(problems.NOT_FOUND, "no scan of a cluster of this name was stored yet")
    return found
