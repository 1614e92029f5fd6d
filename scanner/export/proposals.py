"""Proposed NetworkPolicies in texts: as manifests with what to know about them as comments, and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
import yaml

from scanner.analysis.network.proposals import Connection, Proposal
from scanner.export.safe import printable

#: Taste: a person reads a screen; a program reads `-o json`, which lists all.
_LISTED = 40


class ReportedPolicy(msgspec.Struct, frozen=True, rename="camel"):
    """One NetworkPolicy, and why."""

    manifest: Mapping[str, Any]
    reasons: tuple[str, ...]


class ProposalReport(msgspec.Struct, frozen=True, rename="camel"):
    """A whole proposal; connections are by policies alone."""

    api_version: str
    kind: str
    cluster: str
    assumptions: tuple[str, ...]
    policies: tuple[ReportedPolicy, ...]
    #: What is allowed still.
    kept: tuple[Connection, ...]
    #: What was allowed and is cut.
    cut: tuple[Connection, ...]


def proposal_report(cluster: str, proposal: Proposal) -> ProposalReport:
    """Put a proposal together for a program."""
    return ProposalReport(
        api_version="plimsoll.dev/v1",
        kind="NetworkProposal",
        cluster=cluster,
        assumptions=proposal.assumptions,
        policies=tuple(ReportedPolicy(p.manifest, p.reasons) for p in proposal.policies),
        kept=proposal.kept,
        cut=proposal.cut,
    )


def proposal_manifests(proposal: Proposal) -> str:
    """Write a proposal as one YAML stream that `kubectl apply -f -` takes."""
    return "".join(_parts(proposal))


def _parts(proposal: Proposal) -> Iterator[str]:
    yield "# Assumed, so read it before you apply this:\n"
    yield from (_comment(f"- {text}") for text in proposal.assumptions)
    for policy in proposal.policies:
        yield "---\n"
        yield from map(_comment, policy.reasons)
        # Peers are shared between rules in memory; YAML would write them as anchors.
        manifest = msgspec.json.decode(msgspec.json.encode(policy.manifest))
        yield yaml.safe_dump(manifest, sort_keys=False, width=120, allow_unicode=True)
    yield "---\n# Proven by the engine, by policies alone: every need above stays as open as it was.\n"
    yield from _listed("Cut", proposal.cut)
    yield from _listed("Still allowed", proposal.kept)


def _listed(title: str, connections: Sequence[Connection]) -> Iterator[str]:
    pairs = [
        f"  {source} -> {destination}  {', '.join(f'{c.protocol} {c.ports}' for c in of_pair)}"
        for (source, destination), of_pair in groupby(connections, key=lambda c: (c.src, c.dst))
    ]
    yield _comment(f"{title}: connections of {len(pairs):,} pairs")
    yield from map(_comment, pairs[:_LISTED])
    if len(pairs) > _LISTED:
        yield _comment(f"  … and {len(pairs) - _LISTED:,} more; -o json lists all")


def _comment(text: str) -> str:
    return f"# {printable(text)}\n"
