"""Least privilege in texts: proposals as manifests, as JSON, and as lines for people."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml

from scanner.analysis.rbac.least_privilege import GrantUse, Proposal
from scanner.analysis.rbac.proof import Proof, manifests_of
from scanner.analysis.rbac.usage import Use
from scanner.export.access import ReportedChain, ReportedQuestion, ReportedSubject, reported_chain, reported_question
from scanner.export.report import ReportedResource, reported
from scanner.export.safe import printable
from scanner.export.table import Line

#: Taste: a person reads a screen; a program reads `-o json`, which lists all.
_LISTED = 10


@dataclass(frozen=True, slots=True)
class LogRead:
    """What was read of audit logs."""

    #: Audit events, those of denied requests and of unfinished ones included.
    events: int
    #: Lines that are no audit event.
    malformed: int
    #: Requests of identities beyond the limit, of whom nothing is known.
    left_out: int


class ReportedUse(msgspec.Struct, frozen=True, rename="camel"):
    """One kind of thing that was done."""

    request: ReportedQuestion
    names: tuple[str, ...]
    has_more_names: bool
    count: int
    first_seen: dt.datetime
    last_seen: dt.datetime


class ReportedGrant(msgspec.Struct, frozen=True, rename="camel"):
    """One rule that a binding gives."""

    chain: ReportedChain
    is_used: bool
    #: In what it is wider than its use.
    wider: tuple[str, ...]


class ReportedProposal(msgspec.Struct, frozen=True, rename="camel"):
    """What one subject is granted and used, and the manifests that would have sufficed."""

    subject: ReportedSubject
    users: tuple[str, ...]
    first_seen: dt.datetime | None
    last_seen: dt.datetime | None
    denied: int
    is_partial: bool
    grants: tuple[ReportedGrant, ...]
    needed: tuple[ReportedUse, ...]
    given_to_all: tuple[ReportedUse, ...]
    unexplained: tuple[ReportedUse, ...]
    kept_wide: tuple[str, ...]
    #: Bindings to take the subject out of once the manifests are applied.
    replaces: tuple[ReportedResource, ...]
    manifests: tuple[dict[str, Any], ...]


class ReportedLog(msgspec.Struct, frozen=True, rename="camel"):
    """What was read of audit logs."""

    events: int
    malformed: int
    left_out: int


class ReportedProof(msgspec.Struct, frozen=True, rename="camel"):
    """What the authorizer was asked about the proposals, all applied together; every answer was right."""

    #: Recorded requests that stay allowed.
    requests: int
    #: Proposed rights, each granted before.
    rights: int


class LeastPrivilegeReport(msgspec.Struct, frozen=True, rename="camel"):
    """All proposals of a log."""

    api_version: str
    kind: str
    cluster: str
    log: ReportedLog
    proof: ReportedProof
    proposals: tuple[ReportedProposal, ...]


def least_privilege_report(
    cluster: str, proposals: Iterable[Proposal], log: LogRead, proof: Proof
) -> LeastPrivilegeReport:
    """Put proposals together for a program; they keep their order."""
    return LeastPrivilegeReport(
        api_version="plimsoll.dev/v1",
        kind="LeastPrivilegeReport",
        cluster=cluster,
        log=ReportedLog(log.events, log.malformed, log.left_out),
        proof=ReportedProof(proof.requests, proof.rights),
        proposals=tuple(map(reported_proposal, proposals)),
    )


def reported_proposal(proposal: Proposal) -> ReportedProposal:
    """Spell out a proposal."""
    subject = proposal.subject
    return ReportedProposal(
        subject=ReportedSubject(subject.kind, subject.namespace, subject.name),
        users=proposal.users,
        first_seen=proposal.first_seen,
        last_seen=proposal.last_seen,
        denied=proposal.denied,
        is_partial=proposal.is_partial,
        grants=tuple(ReportedGrant(reported_chain(g.chain), g.is_used, g.wider) for g in proposal.grants),
        needed=tuple(map(reported_use, proposal.needed)),
        given_to_all=tuple(map(reported_use, proposal.given_to_all)),
        unexplained=tuple(map(reported_use, proposal.unexplained)),
        kept_wide=proposal.kept_wide,
        replaces=tuple(reported(binding.ref) for binding in proposal.replaces),
        manifests=tuple(manifests_of(proposal)),
    )


def reported_use(use: Use) -> ReportedUse:
    """Spell out a use."""
    return ReportedUse(
        request=reported_question(use.request),
        names=tuple(sorted(use.names - {""})),
        has_more_names=use.has_more_names,
        count=use.count,
        first_seen=use.first_seen,
        last_seen=use.last_seen,
    )


def least_privilege_manifests(proposals: Sequence[Proposal], proof: Proof) -> str:
    """Write proposals as one YAML stream that `kubectl apply -f -` takes, with what to know about each as comments."""
    blocks = [_block(proposal) for proposal in proposals if proposal.roles]
    others = [
        _comment(line.text.strip()) for proposal in proposals if not proposal.roles for line in _heading(proposal)
    ]
    head = (
        f"# Proven by the authorizer: {proof.requests:,} recorded requests stay allowed, and each of {proof.rights:,} "
        "rights was granted before.\n"
    )
    return head + "".join(blocks) + ("# No roles are proposed for:\n" + "".join(others) if others else "")


def _block(proposal: Proposal) -> str:
    comments = "".join(_comment(line.text.strip()) for line in (*_heading(proposal), *_notes(proposal)))
    documents: str = yaml.safe_dump_all(
        manifests_of(proposal),
        sort_keys=False,
        width=120,
        allow_unicode=True,
        explicit_start=True,
        default_flow_style=None,
    )
    return f"---\n{comments}{documents.removeprefix('---').lstrip()}"


def _comment(text: str) -> str:
    return f"# {text}\n"


def least_privilege_lines(proposals: Sequence[Proposal], proof: Proof) -> list[Line]:
    """Lay proposals out for a person: what each subject never used, and what is wider than its use."""
    lines: list[Line] = []
    for proposal in proposals:
        lines += [*_heading(proposal), *_grant_lines(proposal), *_notes(proposal), Line("", "")]
    proven = f"Proven: {proof.requests:,} recorded requests stay allowed; {proof.rights:,} rights, all granted before"
    return [*lines, Line("heading", f"{len(proposals):,} subjects. {proven}. -o yaml prints the roles.")]


def _heading(proposal: Proposal) -> Iterator[Line]:
    unused, wider = len(proposal.unused), sum(bool(grant.wider) for grant in proposal.grants)
    counts = f"{len(proposal.grants):,} rules granted, {unused:,} never used, {wider:,} wider than used"
    style = "high" if wider else "medium" if unused else "pass"
    yield Line(style, f"{printable(str(proposal.subject))}: {counts}")
    if proposal.first_seen and proposal.last_seen:
        total = sum(use.count for use in (*proposal.needed, *proposal.given_to_all, *proposal.unexplained))
        yield Line(
            "detail", f"    {total:,} requests from {proposal.first_seen:%F %H:%M} to {proposal.last_seen:%F %H:%M} UTC"
        )
    else:
        yield Line("detail", "    not seen in the log at all")


def _grant_lines(proposal: Proposal) -> Iterator[Line]:
    yield from _listed(proposal.unused, "never used")
    yield from _listed([grant for grant in proposal.grants if grant.wider], "wider")


def _listed(grants: Sequence[GrantUse], label: str) -> Iterator[Line]:
    for grant in grants[:_LISTED]:
        why = f": {'; '.join(grant.wider)}" if grant.wider else ""
        yield Line("resource", f"    {label:<12}{printable(f'{grant.chain}{why}')}")
    if len(grants) > _LISTED:
        yield Line("detail", f"    … and {len(grants) - _LISTED:,} more; -o json lists all")


def _notes(proposal: Proposal) -> Iterator[Line]:
    """Say what to do besides applying the roles, and what to know before."""
    if proposal.is_partial:
        yield Line("unknown", "    it did more than is kept, so that no roles can be proposed")
    if proposal.roles and proposal.replaces:
        named = ", ".join(str(binding.ref) for binding in proposal.replaces)
        yield Line("detail", f"    once the proposed roles are bound, take it out of: {printable(named)}")
    if proposal.kept_wide:
        kept = ", ".join(proposal.kept_wide)
        yield Line("detail", f"    stays cluster-wide, being used in very many namespaces: {printable(kept)}")
    if proposal.given_to_all:
        number = len(proposal.given_to_all)
        yield Line(
            "detail", f"    left out: {number:,} kinds of requests that Kubernetes' own bindings allow it anyway"
        )
    if proposal.unexplained:
        shown = ", ".join(str(use.request) for use in proposal.unexplained[:_LISTED])
        more = len(proposal.unexplained) - _LISTED
        yield Line(
            "unknown",
            f"    allowed by no role that was read, and not proposed: {printable(shown)}"
            + (f" and {more:,} more" if more > 0 else ""),
        )
