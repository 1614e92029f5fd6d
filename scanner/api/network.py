"""What callers see of who can connect to whom: peers, explanations, exposure and differences."""

import datetime as dt
from collections.abc import Mapping

from pydantic import Field

from scanner.analysis.network.addresses import range_text
from scanner.analysis.network.changes import Change, Difference, Ends, PolicyChange, State
from scanner.analysis.network.connections import workload_text
from scanner.analysis.network.doors import DoorKind, Seen
from scanner.analysis.network.explain import Explanation
from scanner.analysis.network.explanations import Say, Side
from scanner.analysis.network.exposure import Entry, Exposure, Outward, Scope, Verdict
from scanner.analysis.network.peers import Peer
from scanner.analysis.network.ports import Span, by_protocol
from scanner.analysis.network.rules import Direction
from scanner.api.access import ref_out
from scanner.api.schemas import EXAMPLE_SCAN, ObjectRefOut, Page, Shape
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import SourceKind
from scanner.service.networks import Network
from scanner.store.networks import NetworkScan

_PORTS = {"TCP": "80,443-445"}
_WORKLOAD = "shop/checkout[Deployment]"
_RANGE = "10.0.0.0-10.255.255.255"
_REASON = "the addresses of pods that do not run are not known"


class NetworkAsOf(Shape):
    """What an answer is from."""

    cluster: str = Field(description="Name of the cluster.", examples=["prod-eu"])
    scan: str = Field(description="The scan that read its pods and policies.", examples=[EXAMPLE_SCAN])
    taken_at: dt.datetime = Field(description="When it read them.")
    source: SourceKind = Field(description="A live cluster, or manifests.")
    missing: list[str] = Field(
        description="What could not be read; answers that rest on a policy among it are unknown.",
        examples=[["list networkpolicies.networking.k8s.io in shop"]],
    )


class PeerOut(Shape):
    """One workload, or addresses that are treated alike, and the ports."""

    peer: str = Field(description="`namespace/name[Kind]`, or a range of addresses.", examples=[_WORKLOAD, _RANGE])
    workload: ObjectRefOut | None = Field(description="The workload; null for addresses.")
    ports: dict[str, str] = Field(description="Ports by protocol that are certainly open.", examples=[_PORTS])
    unknown: dict[str, str] = Field(description="Ports that cannot be decided.", examples=[{"UDP": "53"}])
    reasons: list[str] = Field(description="Why those cannot be decided.", examples=[[_REASON]])


class PeerPage(Page[PeerOut]):
    """Workloads by name, then addresses; who is not listed cannot connect."""

    workload: ObjectRefOut = Field(description="The workload in question; it is no peer of itself.")
    direction: Direction = Field(description="`ingress`: who reaches it; `egress`: whom it reaches.")
    as_of: NetworkAsOf = Field(description="What the answer is from.")


class SayOut(Shape):
    """What one rule of a policy says, or that a policy isolates and has no rule for the peer."""

    policy: ObjectRefOut = Field(description="The policy.")
    path: str = Field(
        description="Where the rule stands; empty if no rule means the peer.", examples=["spec.ingress[0]"]
    )
    name: str = Field(description="The name that the policy gives the rule.", examples=["from-ingress"])
    action: str = Field(description="`Allow`, `Deny`, `Pass`, `Undecided`, or `Isolate`.", examples=["Allow"])
    ports: dict[str, str] = Field(description="On which ports.", examples=[_PORTS])
    is_certain: bool = Field(description="Whether the rule certainly means this connection.")


class SideOut(Shape):
    """One end's view of a connection; without a rule everything is allowed."""

    ports: dict[str, str] = Field(description="Ports that it certainly lets through.", examples=[_PORTS])
    unknown: dict[str, str] = Field(description="Ports that cannot be decided.", examples=[{"UDP": "53"}])
    rules: list[SayOut] = Field(description="The rules that have a say, in the order of asking.")


class ExplainedOut(Shape):
    """What the policies on both ends say."""

    egress: SideOut = Field(description="Of the source.")
    ingress: SideOut = Field(description="Of the destination.")


class ExplanationOut(Shape):
    """Whether one end may connect to another, and why."""

    src: str = Field(description="The source, as it was understood.", examples=[_WORKLOAD])
    dst: str = Field(description="The destination, as it was understood.", examples=["shop/cart[Deployment]"])
    verdict: State = Field(description="`open` if all ports in question are, `closed` if none is and none may be.")
    ports: dict[str, str] = Field(description="Of these ports, those that are certainly open.", examples=[_PORTS])
    unknown: dict[str, str] = Field(
        description="Of these ports, those that cannot be decided.", examples=[{"UDP": "53"}]
    )
    reasons: list[str] = Field(description="Why those cannot be decided.", examples=[[_REASON]])
    explanations: list[ExplainedOut] = Field(
        description="One for each two kinds of pods that the two workloads have; mostly one."
    )
    as_of: NetworkAsOf = Field(description="What the answer is from.")


class DoorOut(Shape):
    """One way from outside the cluster to a workload."""

    door: DoorKind = Field(description="What it is made of.")
    through: ObjectRefOut = Field(description="The Service, Ingress or route; the workload for ports of its nodes.")
    path: str = Field(description="Where it stands in that object.", examples=["spec.ports[0]"])
    protocol: str = Field(description="Protocol.", examples=["TCP"])
    port: int = Field(description="The port outside; 0 where only the controller knows it.", examples=[443])
    target_ports: str = Field(description="Ports of the pods.", examples=["8443"])
    verdict: Verdict = Field(description="Whether the policies let somebody through.")
    seen: Seen = Field(description="Whose address the policies see.")
    is_internal: bool = Field(description="Whether the load balancer is on a private network of the provider.")
    addresses: list[str] = Field(description="Who gets through, if it is open.", examples=[["everywhere"]])
    reasons: list[str] = Field(description="Why it cannot be decided.", examples=[[_REASON]])


class OutwardOut(Shape):
    """Whether a target outside the pods is reached."""

    verdict: Verdict = Field(description="Whether it is.")
    ports: dict[str, str] = Field(description="Ports that certainly are open.", examples=[_PORTS])
    note: str = Field(description="What to know about it.", examples=["but that of its own node always"])


class ExposureOut(Shape):
    """Who reaches a workload, and what it reaches."""

    workload: ObjectRefOut = Field(description="The workload.")
    doors: list[DoorOut] = Field(description="The ways from outside the cluster.")
    reached_from: Scope = Field(description="From where in the cluster it is certainly reached.")
    may_be_reached_from: Scope = Field(description="From where at most.")
    reaches: dict[str, OutwardOut] = Field(description="`api-server`, `internet`, `kubelets` and `metadata`.")


class ExposurePage(Page[ExposureOut]):
    """Workloads by namespace and name."""

    as_of: NetworkAsOf = Field(description="What the answer is from.")


class EndsOut(Shape):
    """Ends that are treated alike."""

    workloads: list[str] = Field(description="As `namespace/name[Kind]`.", examples=[[_WORKLOAD]])
    addresses: list[str] = Field(description="Ranges of addresses.", examples=[[_RANGE]])


class ChangeOut(Shape):
    """What became of ports."""

    before: State = Field(description="What they were.")
    after: State = Field(description="What they are.")
    ports: dict[str, str] = Field(description="Which.", examples=[_PORTS])


class DifferenceOut(Shape):
    """The same changes from every source to every destination but itself."""

    src: EndsOut = Field(description="The sources.")
    dst: EndsOut = Field(description="The destinations.")
    changes: list[ChangeOut] = Field(description="All that changed between any two of them.")
    reasons: list[str] = Field(description="Why ports were or are unknown, of the first pair.", examples=[[_REASON]])


class PolicyChangeOut(Shape):
    """A policy that says something else than before."""

    policy: ObjectRefOut = Field(description="The policy.")
    change: PolicyChange = Field(description="Whether it is new, gone, or written anew.")


class ChangePage(Page[DifferenceOut]):
    """What changed between two scans; a pair that is in no difference is as it was."""

    before: NetworkAsOf = Field(description="The earlier scan.")
    after: NetworkAsOf = Field(description="The later scan.")
    policies: list[PolicyChangeOut] = Field(description="The policies that changed.")
    added: list[ObjectRefOut] = Field(description="Workloads that only the later scan saw.")
    removed: list[ObjectRefOut] = Field(description="Workloads that only the earlier scan saw.")


def network_as_of(scan: NetworkScan, network: Network) -> NetworkAsOf:
    """Say what answers from a scan are from."""
    return NetworkAsOf(
        cluster=scan.cluster,
        scan=scan.scan_id,
        taken_at=scan.taken_at,
        source=network.snapshot.source,
        missing=sorted({read.missing for read in network.snapshot.coverage if not read.is_conclusive}),
    )


def peer_out(peer: Peer) -> PeerOut:
    """Show a peer."""
    return PeerOut(
        peer=_end_text(peer.end),
        workload=ref_out(peer.end) if isinstance(peer.end, ObjectRef) else None,
        ports=by_protocol(peer.allowed),
        unknown=by_protocol(peer.unknown),
        reasons=list(peer.reasons),
    )


def _end_text(end: ObjectRef | Span) -> str:
    return workload_text(end) if isinstance(end, ObjectRef) else range_text(end)


def explanation_out(found: Explanation, as_of: NetworkAsOf) -> ExplanationOut:
    """Show an explanation."""
    return ExplanationOut(
        src=found.source.text,
        dst=found.destination.text,
        verdict=_verdict(found),
        ports=by_protocol(found.allowed),
        unknown=by_protocol(found.unknown),
        reasons=list(found.reasons),
        explanations=[ExplainedOut(egress=_side(e.egress), ingress=_side(e.ingress)) for e in found.explained],
        as_of=as_of,
    )


def _verdict(found: Explanation) -> State:
    if found.allowed == (found.asked,):
        return State.OPEN
    return State.UNKNOWN if found.unknown else State.CLOSED


def _side(side: Side) -> SideOut:
    return SideOut(
        ports=by_protocol(side.allowed), unknown=by_protocol(side.unknown), rules=[_say(say) for say in side.says]
    )


def _say(say: Say) -> SayOut:
    return SayOut(
        policy=ref_out(say.policy),
        path=say.path,
        name=say.name,
        action=str(say.action),
        ports=by_protocol(say.spans),
        is_certain=say.is_sure,
    )


def exposure_out(found: Exposure) -> ExposureOut:
    """Show the exposure of a workload."""
    return ExposureOut(
        workload=ref_out(found.workload),
        doors=[_door(entry) for entry in found.entries],
        reached_from=found.reached_from,
        may_be_reached_from=found.may_be_reached_from,
        reaches=_reaches(found.reaches),
    )


def _reaches(found: Mapping[str, Outward]) -> dict[str, OutwardOut]:
    return {
        name: OutwardOut(verdict=outward.verdict, ports=dict(outward.ports), note=outward.note)
        for name, outward in found.items()
    }


def _door(entry: Entry) -> DoorOut:
    door = entry.door
    return DoorOut(
        door=door.kind,
        through=ref_out(door.through),
        path=door.path,
        protocol=door.protocol,
        port=door.port,
        target_ports=by_protocol([door.target])[door.protocol],
        verdict=entry.verdict,
        seen=door.seen,
        is_internal=door.is_internal,
        addresses=list(entry.addresses),
        reasons=list(entry.reasons),
    )


def difference_out(found: Difference) -> DifferenceOut:
    """Show a difference."""
    return DifferenceOut(
        src=_ends(found.sources),
        dst=_ends(found.destinations),
        changes=[_change(change) for change in found.changes],
        reasons=list(found.reasons),
    )


def _ends(ends: Ends) -> EndsOut:
    return EndsOut(workloads=list(map(workload_text, ends.workloads)), addresses=list(map(range_text, ends.addresses)))


def _change(change: Change) -> ChangeOut:
    return ChangeOut(before=change.before, after=change.after, ports=by_protocol(change.spans))
