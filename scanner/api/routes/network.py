"""Networks: who can connect to whom, as of stored scans."""

from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from scanner.analysis.network.changes import changes, connectivity_of
from scanner.analysis.network.doors import DoorKind
from scanner.analysis.network.explain import End, end_of, explain
from scanner.analysis.network.exposure import exposures
from scanner.analysis.network.peers import peers
from scanner.analysis.network.ports import EVERY_PORT, Span, port_span
from scanner.analysis.network.rules import Direction
from scanner.api import problems
from scanner.api.access import ref_out
from scanner.api.dependencies import Deps, Services
from scanner.api.network import (
    ChangePage,
    ExplanationOut,
    ExposurePage,
    PeerPage,
    PolicyChangeOut,
    difference_out,
    explanation_out,
    exposure_out,
    network_as_of,
    peer_out,
)
from scanner.api.pagination import PageQuery, Text, decode_cursor, encode_cursor, next_link
from scanner.api.problems import ProblemDetail, ProblemError, documented
from scanner.errors import InputError
from scanner.model.refs import ObjectRef
from scanner.service.networks import Network
from scanner.store.networks import NetworkScan

Item = TypeVar("Item")

router = APIRouter(prefix="/api/v1/network", tags=["network"])

_PROBLEMS = documented(problems.NOT_FOUND, problems.NOT_SCANNED, problems.INVALID, problems.DATABASE_DOWN)
_CLUSTER = "In this cluster, as of its last scan; may be left out where there is but one."
_SCAN = "As of this scan, if what it saw is still kept, instead of the last."
_POLICY_ONLY = (
    "By the policies that were read, alone: what the API leaves to network plugins is taken one way. Without it, what "
    "depends on the plugin is unknown."
)
_END = "A workload as `namespace/name`, with `[Kind]` where several have that name, or an address."


class _Asked(BaseModel):
    """Which scan is asked about."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Text | None = Field(default=None, description=_CLUSTER)
    scan: Text | None = Field(default=None, description=_SCAN)


class PeersQuery(PageQuery):
    """Who is connected with a workload."""

    cluster: Text | None = Field(default=None, description=_CLUSTER)
    scan: Text | None = Field(default=None, description=_SCAN)
    workload: Text = Field(description="As `namespace/name`, with `[Kind]` where several have that name.")
    direction: Direction = Field(description="`ingress`: who reaches it; `egress`: whom it reaches.")
    policy_only: bool = Field(default=False, description=_POLICY_ONLY)


class ExplainQuery(_Asked):
    """One connection."""

    src: Text = Field(description=_END)
    dst: Text = Field(description=_END)
    protocol: Literal["TCP", "UDP", "SCTP"] | None = Field(
        default=None, description="Of this protocol; without it, of all, or of TCP if there is a port."
    )
    port: int | None = Field(default=None, ge=1, le=65535, description="On this port; without it, on all.")
    policy_only: bool = Field(default=False, description=_POLICY_ONLY)


class ExposureQuery(PageQuery):
    """Workloads."""

    cluster: Text | None = Field(default=None, description=_CLUSTER)
    scan: Text | None = Field(default=None, description=_SCAN)
    namespace: Text | None = Field(default=None, description="In this namespace.")
    door: DoorKind | None = Field(default=None, description="With a door of this kind.")


class ChangesQuery(PageQuery):
    """Two scans."""

    from_: Text = Field(alias="from", description="Id of the earlier scan.")
    to: Text = Field(description="Id of the later scan, of the same cluster.")
    policy_only: bool = Field(default=False, description=_POLICY_ONLY)


@router.get("/peers", operation_id="listPeers", summary="Who is connected with this workload?", responses=_PROBLEMS)
def list_peers(request: Request, response: Response, deps: Deps, query: Annotated[PeersQuery, Query()]) -> PeerPage:
    """List workloads and addresses that a workload reaches, or that reach it, with the ports and what is unknown."""
    after = decode_cursor(query, (int,))
    scan, network = _asked(deps, query.cluster, query.scan)
    found = connectivity_of(network.snapshot, policy_only=query.policy_only)
    workload = _workload(network, query.workload, policy_only=query.policy_only)
    every = list(peers(found, workload, query.direction))
    items, following = _cut(request, response, query, every, after)
    return PeerPage(
        items=[peer_out(peer) for peer in items],
        next=following,
        workload=ref_out(workload),
        direction=query.direction,
        as_of=network_as_of(scan, network),
    )


@router.get(
    "/explain", operation_id="explainConnection", summary="May this connect to that, and why?", responses=_PROBLEMS
)
def explain_connection(deps: Deps, query: Annotated[ExplainQuery, Query()]) -> ExplanationOut:
    """Name the rules that allow or deny a connection, in the order of asking; without any, everything is allowed."""
    asked = _span(query)
    scan, network = _asked(deps, query.cluster, query.scan)
    found = connectivity_of(network.snapshot, policy_only=query.policy_only)
    source, destination = (_end(network, text, policy_only=query.policy_only) for text in (query.src, query.dst))
    try:
        explanation = explain(found, source, destination, asked)
    except InputError as error:
        raise _refused("query.dst", str(error)) from error
    return explanation_out(explanation, network_as_of(scan, network))


@router.get("/exposure", operation_id="listExposure", summary="What is exposed to whom?", responses=_PROBLEMS)
def list_exposure(
    request: Request, response: Response, deps: Deps, query: Annotated[ExposureQuery, Query()]
) -> ExposurePage:
    """List workloads with their doors to the outside, from where they are reached, and what they reach."""
    after = decode_cursor(query, (int,))
    scan, network = _asked(deps, query.cluster, query.scan)
    every = [
        found
        for found in network.snapshot.derive(exposures)
        if query.namespace in {None, found.workload.namespace}
        if query.door is None or any(entry.door.kind is query.door for entry in found.entries)
    ]
    items, following = _cut(request, response, query, every, after)
    return ExposurePage(
        items=[exposure_out(found) for found in items], next=following, as_of=network_as_of(scan, network)
    )


@router.get(
    "/changes", operation_id="listConnectionChanges", summary="What changed between two scans?", responses=_PROBLEMS
)
def list_changes(
    request: Request, response: Response, deps: Deps, query: Annotated[ChangesQuery, Query()]
) -> ChangePage:
    """List what was opened, closed or changed in ports, or is undecided or decided since, in sets treated alike."""
    after = decode_cursor(query, (int,))
    (old, before), (new, now) = _kept_scan(deps, query.from_, "from"), _kept_scan(deps, query.to, "to")
    if old.cluster != new.cluster:
        raise _refused("query.to", "the two scans are of different clusters")
    found = changes(before.snapshot, now.snapshot, policy_only=query.policy_only)
    items, following = _cut(request, response, query, list(found.differences), after)
    return ChangePage(
        items=[difference_out(difference) for difference in items],
        next=following,
        before=network_as_of(old, before),
        after=network_as_of(new, now),
        policies=[PolicyChangeOut(policy=ref_out(ref), change=change) for ref, change in found.policies],
        added=[ref_out(ref) for ref in found.added],
        removed=[ref_out(ref) for ref in found.removed],
    )


def _cut(
    request: Request, response: Response, query: PageQuery, every: list[Item], after: tuple[int, ...] | None
) -> tuple[list[Item], str | None]:
    """Return one page of a list that never changes, as it is of one scan, and the cursor of the next."""
    start = after[0] if after else 0
    end = start + query.limit
    if start < 0 or end >= len(every):
        return every[max(start, 0) :], None
    following = encode_cursor(query, (end,))
    response.headers.update(next_link(request.url.path, query, following))
    return every[start:end], following


def _asked(deps: Services, cluster: str | None, scan_id: str | None) -> tuple[NetworkScan, Network]:
    """Return the scan that is meant, and what it saw."""
    if scan_id is not None:
        scan, network = _kept_scan(deps, scan_id, "scan")
        if cluster not in {None, scan.cluster}:
            raise _refused("query.scan", "the scan is of another cluster")
        return scan, network
    last = deps.networks.last(deps.engine)
    if not last:
        raise ProblemError(problems.NOT_SCANNED, "no scan was stored yet")
    if cluster is None and len(last) > 1:
        raise _refused("query.cluster", f"there are several clusters: name one of {', '.join(last)}"[:1000])
    chosen = last.get(cluster if cluster is not None else next(iter(last)))
    if chosen is None:
        raise ProblemError(problems.NOT_FOUND, "no scan of a cluster of this name was stored yet")
    return chosen, _network(deps, chosen)


def _kept_scan(deps: Services, scan_id: str, name: str) -> tuple[NetworkScan, Network]:
    scan = deps.networks.scan(deps.engine, scan_id)
    if scan is None:
        raise ProblemError(
            problems.NOT_FOUND,
            f"`{name}`: no scan with this id was stored, or what it saw is not kept any more "
            "(setting `network_states_kept`)",
        )
    return scan, _network(deps, scan)


def _network(deps: Services, scan: NetworkScan) -> Network:
    found = deps.networks.of(deps.engine, scan)
    if found is None:  # forgotten between two questions
        raise ProblemError(problems.NOT_FOUND, "what this scan saw is not kept any more")
    return found


def _end(network: Network, text: str, *, policy_only: bool) -> End:
    try:
        return end_of(connectivity_of(network.snapshot, policy_only=policy_only), network.snapshot, text)
    except InputError as error:
        raise ProblemError(problems.NOT_FOUND, str(error)) from error


def _workload(network: Network, text: str, *, policy_only: bool) -> ObjectRef:
    end = _end(network, text, policy_only=policy_only)
    if end.workload is None:
        raise ProblemError(problems.NOT_FOUND, f"{text}: an address is no workload")
    return end.workload


def _span(query: ExplainQuery) -> Span:
    """Return the ports in question; a port without a protocol is one of TCP."""
    if query.port is not None:
        return port_span(query.protocol or "TCP", query.port, query.port)
    return port_span(query.protocol) if query.protocol else EVERY_PORT


def _refused(location: str, message: str) -> ProblemError:
    return ProblemError(problems.INVALID, message, errors=[ProblemDetail(location=location, message=message)])
