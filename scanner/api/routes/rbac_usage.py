"""RBAC: what was used of what is granted, and the roles that would have sufficed."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from scanner.analysis.rbac.authorizer import subject_key
from scanner.analysis.rbac.least_privilege import proposals, subjects_with_grants
from scanner.analysis.rbac.proof import prove
from scanner.analysis.rbac.requests import canonical_subject, subjects_of
from scanner.api import problems
from scanner.api.access import as_of
from scanner.api.dependencies import Deps, Services
from scanner.api.pagination import PageQuery, Text, decode_cursor, encode_cursor, next_link
from scanner.api.problems import ProblemDetail, ProblemError, documented
from scanner.api.routes.rbac import Who, grants_of
from scanner.api.usage import ProposalPage, UsagePage, proof_out, proposal_out, stored_use_out
from scanner.model.rbac import Subject
from scanner.store.database import reading
from scanner.store.usage import UseFilter, UsePosition, clusters_with_usage, list_uses, usages_of_cluster

router = APIRouter(prefix="/api/v1/rbac", tags=["rbac"])

_CLUSTER = "Of this cluster; may be left out where there is but one."


class UsageQuery(PageQuery):
    """Which uses to list; all that are given must fit."""

    cluster: Text | None = Field(default=None, description=_CLUSTER)
    user: Who | None = Field(default=None, description="Of this user, by its whole name.")
    namespace: Text | None = Field(default=None, description="In this namespace; empty: in none.")
    resource: Text | None = Field(default=None, description="Of this resource: `secrets`.")


class ProposalQuery(PageQuery):
    """Whose proposals to list."""

    cluster: Text | None = Field(default=None, description=_CLUSTER)
    user: list[Who] = Field(default=[], max_length=64, description="Only for these users, by their whole names.")
    group: list[Who] = Field(default=[], max_length=64, description="Only for these groups.")
    resource_names: bool = Field(
        default=False, description="Limit roles to names of objects, where they are few and don't come and go."
    )


@router.get(
    "/usage",
    operation_id="listUsage",
    summary="What was used?",
    responses=documented(problems.NOT_FOUND, problems.INVALID, problems.DATABASE_DOWN),
)
def usage(request: Request, response: Response, deps: Deps, query: Annotated[UsageQuery, Query()]) -> UsagePage:
    """List what identities did, by user, as the API server's audit webhook told."""
    after = decode_cursor(query, (str, str))
    cluster = _cluster(deps, query.cluster)
    wanted = UseFilter(cluster=cluster, username=query.user, namespace=query.namespace, resource=query.resource)
    with reading(deps.engine) as session:
        rows = list_uses(session, wanted, after=UsePosition(*after) if after else None, limit=query.limit + 1)
    items, following = rows[: query.limit], None
    if len(rows) > query.limit:
        following = encode_cursor(query, (items[-1].username, items[-1].id))
        response.headers.update(next_link(request.url.path, query, following))
    return UsagePage(items=[stored_use_out(row.username, row.use) for row in items], next=following, cluster=cluster)


def _cluster(deps: Services, named: str | None) -> str:
    """Return the cluster that is meant, by what is kept of their use."""
    with reading(deps.engine) as session:
        known = clusters_with_usage(session)
    if named is None and len(known) > 1:
        raise ProblemError(
            problems.INVALID,
            "there are several clusters: name one",
            errors=[ProblemDetail(location="query.cluster", message=", ".join(known)[:1000])],
        )
    if not known or named not in {None, *known}:
        raise ProblemError(problems.NOT_FOUND, "no audit events of such a cluster were taken yet")
    return named if named is not None else known[0]


@router.get(
    "/proposals",
    operation_id="listProposals",
    summary="Which roles would have sufficed?",
    responses=documented(problems.NOT_FOUND, problems.NOT_SCANNED, problems.INVALID, problems.DATABASE_DOWN),
)
def list_proposals(
    request: Request, response: Response, deps: Deps, query: Annotated[ProposalQuery, Query()]
) -> ProposalPage:
    """Compare what subjects are granted by name with what they used, and propose roles, each proven by the authorizer.

    Subjects that no request was seen of have no roles proposed: their grants are all unused.
    """
    after = decode_cursor(query, (str, str, str))
    grants = grants_of(deps, query.cluster)
    known = _subjects(query)
    chosen = [
        subject
        for subject in subjects_with_grants(grants.snapshot)
        if (not known or subject in known) and (after is None or subject_key(subject) > after)
    ]
    subjects, following = frozenset(chosen[: query.limit]), None
    if len(chosen) > query.limit:
        following = encode_cursor(query, subject_key(chosen[query.limit - 1]))
        response.headers.update(next_link(request.url.path, query, following))
    with reading(deps.engine) as session:
        everyone = usages_of_cluster(session, grants.snapshot.cluster)
    usages = [each for each in everyone if not subjects.isdisjoint(subjects_of(each.identity))]
    found = proposals(grants.snapshot, usages, subjects=subjects, with_names=query.resource_names)
    proof = prove(grants.snapshot, usages, found)
    if proof.failures:
        raise ProblemError(problems.INTERNAL, f"the proposals do not hold: {proof.failures[0]}")
    return ProposalPage(
        items=[proposal_out(proposal) for proposal in found],
        next=following,
        proof=proof_out(proof),
        as_of=as_of(grants),
    )


def _subjects(query: ProposalQuery) -> frozenset[Subject]:
    named = [Subject("User", name) for name in query.user] + [Subject("Group", name) for name in query.group]
    return frozenset(subject for one in named for subject in (canonical_subject(one, ""),) if subject)
