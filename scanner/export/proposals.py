"""Proposed NetworkPolicies in texts: as manifests with what to know about them as comments, and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import yaml

from scanner.analysis.network.addresses import range_text
from scanner.analysis.network.changes import Ends
from scanner.analysis.network.connections import workload_text
from scanner.analysis.network.needs import Addresses, End, EveryAddress, EveryNamespace, OwnNode, PodSet
from scanner.analysis.network.ports import by_protocol
from scanner.analysis.network.proposals import Connections, Proposal, ProvenNeed
from scanner.export.safe import printable

#: Taste: a person reads a screen; a program reads `-o json`, which lists all.
_LISTED = 40
_NAMES = 4


class ReportedPolicy(msgspec.Struct, frozen=True, rename="camel"):
    """One NetworkPolicy, and why."""

    manifest: Mapping[str, Any]
    reasons: tuple[str, ...]


class ReportedPorts(msgspec.Struct, frozen=True, rename="camel"):
    """Ports of one protocol: `80,443-445`."""

    protocol: str
    ports: str


class ReportedConnections(msgspec.Struct, frozen=True, rename="camel"):
    """Every source may use these ports on every destination; a workload is no peer of itself.

    Workloads are `namespace/name[Kind]`, addresses `a.b.c.d-e.f.g.h`.
    """

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    ports: tuple[ReportedPorts, ...]


class ReportedEnd(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Pods by label, those of every namespace, addresses as CIDRs, or the node that each pod runs on."""

    namespace: str = ""
    #: Missing for every pod of the namespace.
    labels: Mapping[str, str] = {}
    every_namespace: bool = False
    addresses: tuple[str, ...] = ()
    own_node: bool = False


class ReportedNeed(msgspec.Struct, frozen=True, rename="camel"):
    """Who needs whom and why; `declared_by` is empty and `assumed` is not where nothing declares it."""

    source: ReportedEnd
    destination: ReportedEnd
    #: Names of ports stay where no container tells their number.
    ports: tuple[ReportedPorts, ...]
    why: str
    declared_by: str
    assumed: str
    #: What the engine says of it with the policies in place.
    proof: str


class ProposalReport(msgspec.Struct, frozen=True, rename="camel"):
    """A whole proposal; connections are by policies alone."""

    api_version: str
    kind: str
    cluster: str
    assumptions: tuple[str, ...]
    needs: tuple[ReportedNeed, ...]
    policies: tuple[ReportedPolicy, ...]
    #: What is allowed still.
    kept: tuple[ReportedConnections, ...]
    #: What was allowed and is cut.
    cut: tuple[ReportedConnections, ...]
    #: What policies that are there do not allow for certain, and the proposed ones do.
    opened: tuple[ReportedConnections, ...]


def proposal_report(cluster: str, proposal: Proposal) -> ProposalReport:
    """Put a proposal together for a program."""
    return ProposalReport(
        api_version="plimsoll.dev/v1",
        kind="NetworkProposal",
        cluster=cluster,
        assumptions=proposal.assumptions,
        needs=tuple(map(_need, proposal.needs)),
        policies=tuple(ReportedPolicy(p.manifest, p.reasons) for p in proposal.policies),
        kept=tuple(map(_reported, proposal.kept)),
        cut=tuple(map(_reported, proposal.cut)),
        opened=tuple(map(_reported, proposal.opened)),
    )


def _need(proven: ProvenNeed) -> ReportedNeed:
    need = proven.need
    ports: dict[str, list[str]] = {}
    for protocol, port in need.ports:
        ports.setdefault(protocol, []).append(str(port))
    return ReportedNeed(
        source=_end(need.source),
        destination=_end(need.destination),
        ports=tuple(ReportedPorts(protocol, ",".join(found)) for protocol, found in sorted(ports.items())),
        why=need.why,
        declared_by=str(need.declared_by or ""),
        assumed=need.assumed,
        proof=proven.proof.value,
    )


def _end(end: End) -> ReportedEnd:
    match end:
        case PodSet():
            return ReportedEnd(namespace=end.namespace, labels=dict(end.labels))
        case EveryNamespace():
            return ReportedEnd(every_namespace=True)
        case EveryAddress():
            return ReportedEnd(addresses=("0.0.0.0/0", "::/0"))
        case Addresses(cidrs=cidrs):
            return ReportedEnd(addresses=cidrs)
        case OwnNode():
            return ReportedEnd(own_node=True)


def _reported(found: Connections) -> ReportedConnections:
    ports = tuple(ReportedPorts(protocol, text) for protocol, text in by_protocol(found.spans).items())
    return ReportedConnections(tuple(_texts(found.sources)), tuple(_texts(found.destinations)), ports)


def _texts(ends: Ends) -> Iterator[str]:
    yield from map(workload_text, ends.workloads)
    yield from map(range_text, ends.addresses)


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
        yield yaml.dump(manifest, Dumper=yaml.CSafeDumper, sort_keys=False, width=120, allow_unicode=True)
    yield "---\n# Proven by the engine, by policies alone: every need above stays as open as it was.\n"
    yield from _listed("Cut", proposal.cut)
    if proposal.opened:
        yield from _listed("Opened, which policies of today do not allow for certain", proposal.opened)
    yield from _listed("Still allowed", proposal.kept)


def _listed(title: str, connections: Sequence[Connections]) -> Iterator[str]:
    yield _comment(f"{title}: connections of {sum(c.pairs for c in connections):,} pairs")
    for found in connections[:_LISTED]:
        ports = ", ".join(f"{protocol} {text}" for protocol, text in by_protocol(found.spans).items())
        yield _comment(f"  {_few(found.sources)} -> {_few(found.destinations)}  {ports}")
    if len(connections) > _LISTED:
        yield _comment(f"  … and {len(connections) - _LISTED:,} more such lines; -o json lists all")


def _few(ends: Ends) -> str:
    """Write the first of many."""
    more = len(ends.workloads) + len(ends.addresses) - _NAMES
    shown = ", ".join(islice(_texts(ends), _NAMES))
    return f"{shown} and {more:,} more" if more > 0 else shown


def _comment(text: str) -> str:
    return f"# {printable(text)}\n"
