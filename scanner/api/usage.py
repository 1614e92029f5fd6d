"""What callers see of used rights and of the roles that would have sufficed."""

import datetime as dt
from typing import Any

from pydantic import Field

from scanner.analysis.rbac.least_privilege import Proposal
from scanner.analysis.rbac.proof import Proof, manifests_of
from scanner.analysis.rbac.requests import Request
from scanner.analysis.rbac.usage import Use
from scanner.api.access import AsOf, ChainOut, SubjectOut, chain_out, ref_out, subject_out
from scanner.api.schemas import ObjectRefOut, Page, Shape

_AT = "2026-11-23T12:00:00Z"
_CART = "system:serviceaccount:shop:cart"


class RequestOut(Shape):
    """What was done: a verb on a resource, or on a path."""

    verb: str = Field(description="As RBAC knows it.", examples=["get"])
    api_group: str = Field(description="Empty for the core group.", examples=["apps"])
    resource: str = Field(description="Empty for a path.", examples=["deployments"])
    subresource: str = Field(description="Empty for the object itself.", examples=["scale"])
    namespace: str = Field(description="Empty for the whole cluster.", examples=["shop"])
    path: str | None = Field(description="Of what is no resource; else null.", examples=["/metrics"])


class UseOut(Shape):
    """One kind of thing that an identity did."""

    request: RequestOut = Field(description="What was done.")
    names: list[str] = Field(description="Objects that it was done to.", examples=[["prices"]])
    has_more_names: bool = Field(description="There were more than are kept.")
    count: int = Field(description="Requests that were answered.")
    first_seen_at: dt.datetime = Field(description="When it was first done.", examples=[_AT])
    last_seen_at: dt.datetime = Field(description="When it was last done.", examples=[_AT])


class StoredUseOut(UseOut):
    """One kind of thing that an identity did, and whose it is."""

    user: str = Field(description="Its user name, as authentication gives it.", examples=[_CART])


class UsagePage(Page[StoredUseOut]):
    """What identities of a cluster did."""

    cluster: str = Field(description="Name of the cluster.", examples=["prod-eu"])


class GrantUseOut(Shape):
    """One rule that a binding gives."""

    chain: ChainOut = Field(description="The rule, its role and its binding.")
    is_used: bool = Field(description="Whether anything of it was used.")
    wider: list[str] = Field(
        description="In what it is wider than its use.",
        examples=[["any verb, used: get", "cluster-wide, used in shop"]],
    )


class ProofOut(Shape):
    """What the authorizer was asked about the proposals of a page, all applied; every answer was right."""

    requests: int = Field(description="Recorded requests that stay allowed.")
    rights: int = Field(description="Proposed rights, each granted before.")


class ProposalOut(Shape):
    """What one subject is granted by name and used, and the roles that would have sufficed."""

    subject: SubjectOut = Field(description="The service account, user or group.")
    users: list[str] = Field(description="Users that were seen: itself, or members.", examples=[[_CART]])
    first_seen_at: dt.datetime | None = Field(description="Of its first request; null if none was seen.")
    last_seen_at: dt.datetime | None = Field(description="Of its last request; null if none was seen.")
    denied: int = Field(description="Requests that were denied; they are not proposed.")
    is_partial: bool = Field(description="It did more than is kept, so that no roles can be proposed.")
    grants: list[GrantUseOut] = Field(description="Every rule that bindings give it, without Kubernetes' own.")
    needed: list[UseOut] = Field(description="What it used of them.")
    given_to_all: list[UseOut] = Field(description="What it used and Kubernetes' own bindings allow: left out.")
    unexplained: list[UseOut] = Field(description="What it used and no role of the last scan allows: not proposed.")
    kept_wide: list[str] = Field(
        description="What stays cluster-wide, being used in very many namespaces.", examples=[["list pods"]]
    )
    replaces: list[ObjectRefOut] = Field(description="Bindings to take it out of, once the manifests are applied.")
    manifests: list[dict[str, Any]] = Field(description="Roles with their bindings; none if nothing was used.")


class ProposalPage(Page[ProposalOut]):
    """Proposals by subject."""

    proof: ProofOut = Field(description="What was checked of this page's proposals.")
    as_of: AsOf = Field(description="What the grants are from.")


def use_out(use: Use) -> UseOut:
    """Show a use."""
    return UseOut(
        request=_request_out(use.request),
        names=sorted(use.names - {""}),
        has_more_names=use.has_more_names,
        count=use.count,
        first_seen_at=use.first_seen,
        last_seen_at=use.last_seen,
    )


def stored_use_out(user: str, use: Use) -> StoredUseOut:
    """Show a use with its user."""
    return StoredUseOut(user=user, **use_out(use).model_dump())


def _request_out(request: Request) -> RequestOut:
    return RequestOut(
        verb=request.verb,
        api_group=request.group,
        resource=request.resource,
        subresource=request.subresource,
        namespace=request.namespace,
        path=request.path,
    )


def proposal_out(proposal: Proposal) -> ProposalOut:
    """Show a proposal."""
    return ProposalOut(
        subject=subject_out(proposal.subject),
        users=list(proposal.users),
        first_seen_at=proposal.first_seen,
        last_seen_at=proposal.last_seen,
        denied=proposal.denied,
        is_partial=proposal.is_partial,
        grants=[
            GrantUseOut(chain=chain_out(grant.chain), is_used=grant.is_used, wider=list(grant.wider))
            for grant in proposal.grants
        ],
        needed=[use_out(use) for use in proposal.needed],
        given_to_all=[use_out(use) for use in proposal.given_to_all],
        unexplained=[use_out(use) for use in proposal.unexplained],
        kept_wide=list(proposal.kept_wide),
        replaces=[ref_out(binding.ref) for binding in proposal.replaces],
        manifests=list(manifests_of(proposal)),
    )


def proof_out(proof: Proof) -> ProofOut:
    """Show how much was checked."""
    return ProofOut(requests=proof.requests, rights=proof.rights)
