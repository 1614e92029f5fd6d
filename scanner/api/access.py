"""What callers see of who may do what: decisions, subjects and grants, each with binding, role and rule."""

import datetime as dt
from collections.abc import Iterable

from pydantic import Field

from scanner.analysis.rbac.authorizer import Decision, Holder, Verdict
from scanner.analysis.rbac.index import Chain
from scanner.api.schemas import EXAMPLE_SCAN, ObjectRefOut, Page, Shape
from scanner.export.access import LISTED_CHAINS
from scanner.model.rbac import Rule, Subject
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import SourceKind
from scanner.service.grants import Grants

_MISSING = ["list rolebindings.rbac.authorization.k8s.io in shop"]


class AsOf(Shape):
    """What an answer is from."""

    cluster: str = Field(description="Name of the cluster.", examples=["prod-eu"])
    scan: str = Field(description="The scan that read its roles and bindings.", examples=[EXAMPLE_SCAN])
    taken_at: dt.datetime = Field(description="When it read them.")
    source: SourceKind = Field(description="A live cluster, or manifests.")
    is_complete: bool = Field(description="Whether all roles and bindings could be read.")


class RuleOut(Shape):
    """A PolicyRule."""

    verbs: list[str] = Field(description="Verbs.", examples=[["get", "list"]])
    api_groups: list[str] = Field(description="API groups; the core group is empty.", examples=[[""]])
    resources: list[str] = Field(description="Resources and subresources.", examples=[["pods", "pods/log"]])
    resource_names: list[str] = Field(description="Only objects of these names; all if empty.", examples=[["web"]])
    non_resource_urls: list[str] = Field(
        alias="nonResourceURLs", description="Paths that are no resources.", examples=[["/metrics"]]
    )


class ChainOut(Shape):
    """Why someone may do something: a binding names them and a role, and one of the role's rules allows it."""

    namespace: str = Field(description="Where it holds; empty: in the whole cluster.", examples=["shop"])
    binding: ObjectRefOut = Field(description="The RoleBinding or ClusterRoleBinding.")
    subject_index: int = Field(description="Which of its subjects it is.")
    role: ObjectRefOut = Field(description="The Role or ClusterRole.")
    rule_index: int = Field(description="Which of its rules allows it.")
    rule: RuleOut = Field(description="That rule.")


class DecisionOut(Shape):
    """Whether someone may do something."""

    allowed: bool = Field(description="Whether it is known to be allowed.")
    verdict: Verdict = Field(description="Unknown is no denial: see `missing` and `reason`.")
    reason: str = Field(
        description="Why, in one line.", examples=["RBAC: RoleBinding shop/deployers -> ClusterRole edit -> rules[3]"]
    )
    groups: list[str] = Field(
        description="The user's groups, with those that come by themselves.", examples=[["system:authenticated"]]
    )
    chains: list[ChainOut] = Field(description=f"What allows it; the first {LISTED_CHAINS} of all.")
    chain_count: int = Field(description="How many there are; none for members of `system:masters`.")
    missing: list[str] = Field(description="What was not read and could allow it.", examples=[_MISSING])
    as_of: AsOf = Field(description="What the answer is from.")


class SubjectOut(Shape):
    """A user, a group or a service account."""

    kind: str = Field(description="`User`, `Group` or `ServiceAccount`.", examples=["ServiceAccount"])
    namespace: str = Field(description="Of a service account.", examples=["shop"])
    name: str = Field(description="Name.", examples=["checkout"])


class HolderOut(Shape):
    """A subject that may do something."""

    subject: SubjectOut = Field(description="Who; a group stands for its members.")
    chains: list[ChainOut] = Field(description=f"What allows it; the first {LISTED_CHAINS} of all.")
    chain_count: int = Field(description="How many there are; none if `system:masters` needs none.")


class HolderPage(Page[HolderOut]):
    """Who may do something."""

    missing: list[str] = Field(description="What was not read: there may be others.", examples=[_MISSING])
    as_of: AsOf = Field(description="What the answer is from.")


class GrantPage(Page[ChainOut]):
    """What an identity may do, rule by rule."""

    groups: list[str] = Field(
        description="The user's groups, with those that come by themselves.", examples=[["system:authenticated"]]
    )
    is_everything: bool = Field(description="Whether it may do everything, as a member of `system:masters`.")
    missing: list[str] = Field(description="What was not read: there may be more.", examples=[_MISSING])
    as_of: AsOf = Field(description="What the answer is from.")


def as_of(grants: Grants) -> AsOf:
    """Say what answers from these grants are from."""
    snapshot = grants.snapshot
    return AsOf(
        cluster=snapshot.cluster,
        scan=grants.scan_id,
        taken_at=snapshot.taken_at,
        source=snapshot.source,
        is_complete=all(read.is_conclusive for read in snapshot.coverage),
    )


def decision_out(decision: Decision, groups: Iterable[str], grants: Grants) -> DecisionOut:
    """Show a decision."""
    return DecisionOut(
        allowed=decision.is_allowed,
        verdict=decision.verdict,
        reason=decision.reason,
        groups=sorted(groups),
        chains=[chain_out(chain) for chain in decision.chains[:LISTED_CHAINS]],
        chain_count=len(decision.chains),
        missing=list(decision.missing),
        as_of=as_of(grants),
    )


def holder_out(holder: Holder) -> HolderOut:
    """Show a subject that may do something."""
    return HolderOut(
        subject=subject_out(holder.subject),
        chains=[chain_out(chain) for chain in holder.chains[:LISTED_CHAINS]],
        chain_count=len(holder.chains),
    )


def chain_out(chain: Chain) -> ChainOut:
    """Show a chain."""
    return ChainOut(
        namespace=chain.namespace,
        binding=ref_out(chain.binding.ref),
        subject_index=chain.subject_index,
        role=ref_out(chain.role.ref),
        rule_index=chain.rule_index,
        rule=_rule(chain.rule),
    )


def subject_out(subject: Subject) -> SubjectOut:
    """Show a subject."""
    return SubjectOut(kind=subject.kind, namespace=subject.namespace, name=subject.name)


def ref_out(ref: ObjectRef) -> ObjectRefOut:
    """Show the name of an object."""
    return ObjectRefOut(api_version=ref.api_version, kind=ref.kind, namespace=ref.namespace, name=ref.name, uid=ref.uid)


def _rule(rule: Rule) -> RuleOut:
    return RuleOut(
        verbs=list(rule.verbs),
        api_groups=list(rule.api_groups or ()),
        resources=list(rule.resources or ()),
        resource_names=list(rule.resource_names or ()),
        non_resource_urls=list(rule.non_resource_urls or ()),
    )
