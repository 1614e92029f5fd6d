"""Who may do what, as JSON and as lines for people: binding, role and rule of each grant."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec

from scanner.analysis.rbac.answers import Holders, Rights
from scanner.analysis.rbac.authorizer import Decision, Holder, Verdict
from scanner.analysis.rbac.index import Chain
from scanner.analysis.rbac.requests import MASTERS, Identity, Request
from scanner.export.report import ReportedResource, reported
from scanner.export.safe import printable
from scanner.export.table import Line
from scanner.model.rbac import RBAC_GROUP, Rule, Subject

#: Taste: one chain shows that someone may do something, a few more tell whether removing it is enough. A subject with
#: thousands of bindings has thousands.
LISTED_CHAINS = 10

_ANSWERS = {Verdict.ALLOWED: "yes", Verdict.DENIED: "no", Verdict.UNKNOWN: "unknown"}
_STYLES = {Verdict.ALLOWED: "high", Verdict.DENIED: "pass", Verdict.UNKNOWN: "unknown"}


class ReportedSubject(msgspec.Struct, frozen=True, rename="camel"):
    """A user, group or service account; the namespace is empty but for the last."""

    kind: str
    namespace: str
    name: str


class ReportedChain(msgspec.Struct, frozen=True, rename="camel"):
    """Why someone may do something."""

    binding: ReportedResource
    #: As the binding names it.
    subject: Subject
    subject_index: int
    role: ReportedResource
    rule_index: int
    rule: Rule
    #: Where it holds: one namespace, or everywhere if empty.
    namespace: str


class ReportedDecision(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to one question. What is unknown is not allowed as far as anyone knows, and says why."""

    allowed: bool
    chain: ReportedChain | None
    reason: str
    unknown: str | msgspec.UnsetType = msgspec.UNSET
    missing: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class ReportedQuestion(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What was asked: a verb on a resource, or on a path."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""
    path: str | None = None


class ReportedIdentity(msgspec.Struct, frozen=True, rename="camel"):
    """Who was asked about, with the groups that come by themselves."""

    user: str
    groups: tuple[str, ...]


class ReportedAnswer(ReportedDecision, frozen=True, rename="camel", kw_only=True):
    """The answer to one question with all that belongs to it; of many chains the first are listed."""

    identity: ReportedIdentity
    request: ReportedQuestion
    chains: tuple[ReportedChain, ...]
    chain_count: int


class ReportedHolder(msgspec.Struct, frozen=True, rename="camel"):
    """A subject that may do something; of many chains the first are listed."""

    subject: ReportedSubject
    chains: tuple[ReportedChain, ...]
    chain_count: int


class ReportedHolders(msgspec.Struct, frozen=True, rename="camel"):
    """Who may do something."""

    request: ReportedQuestion
    holders: tuple[ReportedHolder, ...]
    missing: tuple[str, ...]


class ReportedRights(msgspec.Struct, frozen=True, rename="camel"):
    """What an identity may do."""

    identity: ReportedIdentity
    everything: bool
    grants: tuple[ReportedChain, ...]
    missing: tuple[str, ...]


def reported_decision(decision: Decision) -> ReportedDecision:
    """Show a decision with the first of its chains."""
    return ReportedDecision(
        allowed=decision.is_allowed,
        chain=reported_chain(decision.chains[0]) if decision.chains else None,
        reason=decision.reason,
        unknown=decision.reason if decision.verdict is Verdict.UNKNOWN else msgspec.UNSET,
        missing=decision.missing or msgspec.UNSET,
    )


def reported_answer(identity: Identity, request: Request, decision: Decision) -> ReportedAnswer:
    """Show a decision with what was asked."""
    first = reported_decision(decision)
    return ReportedAnswer(
        allowed=first.allowed,
        chain=first.chain,
        reason=first.reason,
        unknown=first.unknown,
        missing=first.missing,
        identity=_identity(identity),
        request=reported_question(request),
        chains=tuple(map(reported_chain, decision.chains[:LISTED_CHAINS])),
        chain_count=len(decision.chains),
    )


def reported_holders(request: Request, found: Holders) -> ReportedHolders:
    """Show who may do something."""
    return ReportedHolders(reported_question(request), tuple(map(_holder, found.holders)), found.missing)


def reported_rights(identity: Identity, rights: Rights) -> ReportedRights:
    """Show what an identity may do."""
    return ReportedRights(
        _identity(identity), rights.is_master, tuple(map(reported_chain, rights.chains)), rights.missing
    )


def reported_chain(chain: Chain) -> ReportedChain:
    """Show a chain with everything that a person needs to check it by hand."""
    return ReportedChain(
        binding=reported(chain.binding.ref),
        subject=chain.binding.subjects[chain.subject_index],
        subject_index=chain.subject_index,
        role=reported(chain.role.ref),
        rule_index=chain.rule_index,
        rule=chain.rule,
        namespace=chain.namespace,
    )


def decision_lines(identity: Identity, request: Request, decision: Decision) -> list[Line]:
    """Answer as `kubectl auth can-i` does, with the reason below."""
    lines = [Line(_STYLES[decision.verdict], _ANSWERS[decision.verdict])]
    lines.append(Line("resource", printable(f"    {identity.user}: {request}")))
    if not decision.chains:
        lines.append(Line("detail", printable(f"    {decision.reason}")))
    lines += _chain_lines(decision.chains)
    return lines + _missing_lines(decision.missing)


def batch_lines(answers: Iterable[tuple[Identity, Request, Decision]]) -> Iterator[Line]:
    """Answer each question in one line."""
    for identity, request, decision in answers:
        text = f"{_ANSWERS[decision.verdict]:<8}{identity.user}: {request}  ({decision.reason})"
        yield Line(_STYLES[decision.verdict], printable(text))


def holder_lines(request: Request, found: Holders) -> list[Line]:
    """List who may do something, with the reason for each."""
    lines = [Line("heading", printable(f"Who can {request}: {len(found.holders):,}"))]
    for holder in found.holders:
        lines.append(Line("resource", printable(str(holder.subject))))
        if holder.subject == _MASTERS:
            lines.append(Line("detail", "    may do everything, whatever RBAC says"))
        lines += _chain_lines(holder.chains)
    return lines + _missing_lines(found.missing)


def rights_lines(identity: Identity, rights: Rights) -> list[Line]:
    """List what an identity may do: cluster-wide, then by namespace."""
    groups = ", ".join(sorted(identity.groups)) or "none"
    lines = [Line("heading", printable(f"What {identity.user} can do, with groups {groups}"))]
    if rights.is_master:
        lines.append(Line("critical", f"Everything: group {MASTERS} may do everything, whatever RBAC says"))
    for namespace, chains in groupby(rights.chains, key=lambda chain: chain.namespace):
        lines.append(Line("heading", printable(f"In namespace {namespace}" if namespace else "In the whole cluster")))
        for chain in chains:
            lines.append(Line("resource", printable(f"    {rule_text(chain.rule)}")))
            lines.append(Line("detail", printable(f"        {chain}")))
    if not rights.chains and not rights.is_master:
        lines.append(Line("detail", "    nothing that a binding gives"))
    return lines + _missing_lines(rights.missing)


def rule_text(rule: Rule) -> str:
    """Write a rule in one line: `get, list pods, deployments.apps named web`; `get /metrics`."""
    verbs = ", ".join(rule.verbs)
    if rule.non_resource_urls:
        return f"{verbs} {', '.join(rule.non_resource_urls)}"
    resources = ", ".join(_dotted(r, group) for group in rule.api_groups or () for r in rule.resources or ())
    return f"{verbs} {resources}" + (f" named {', '.join(rule.resource_names)}" if rule.resource_names else "")


def _dotted(resource: str, group: str) -> str:
    name, slash, subresource = resource.partition("/")
    return f"{name}.{group}{slash}{subresource}" if group else resource


_MASTERS = Subject("Group", MASTERS, "", RBAC_GROUP)


def _chain_lines(chains: Sequence[Chain]) -> list[Line]:
    lines = [Line("detail", printable(f"    {chain}")) for chain in chains[:LISTED_CHAINS]]
    if len(chains) > LISTED_CHAINS:
        lines.append(Line("detail", f"    … and {len(chains) - LISTED_CHAINS:,} more"))
    return lines


def _missing_lines(missing: Sequence[str]) -> list[Line]:
    return [Line("unknown", printable(f"    not read: {what}")) for what in missing]


def _holder(holder: Holder) -> ReportedHolder:
    subject = holder.subject
    return ReportedHolder(
        ReportedSubject(subject.kind, subject.namespace, subject.name),
        tuple(map(reported_chain, holder.chains[:LISTED_CHAINS])),
        len(holder.chains),
    )


def _identity(identity: Identity) -> ReportedIdentity:
    return ReportedIdentity(identity.user, tuple(sorted(identity.groups)))


def reported_question(request: Request) -> ReportedQuestion:
    """Spell out a request."""
    return ReportedQuestion(
        verb=request.verb,
        group=request.group,
        resource=request.resource,
        subresource=request.subresource,
        name=request.name,
        namespace=request.namespace,
        path=request.path,
    )
