"""What is exposed, as JSON or a table: doors of each workload, from where it is reached, and what it reaches."""

from collections.abc import Iterable, Iterator

import msgspec

from scanner.analysis.network.connections import workload_text
from scanner.analysis.network.exposure import Entry, Exposure, Outward, Scope, Verdict
from scanner.analysis.network.ports import by_protocol
from scanner.export.safe import printable
from scanner.export.table import Line


class ReportedDoor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One way from outside the cluster; `reasons` only where it cannot be decided."""

    door: str
    through: str
    path: str
    protocol: str
    target_ports: str
    verdict: Verdict
    #: The address that the policies see: the client's, maybe a node's, or a proxy's.
    seen: str
    #: 0 where only the controller knows it.
    port: int = 0
    internal: bool = False
    addresses: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


class ReportedOutward(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether a target is reached, and on which ports for certain."""

    verdict: Verdict
    ports: dict[str, str] = {}
    note: str = ""


class ReportedExposure(msgspec.Struct, frozen=True, rename="camel"):
    """One workload."""

    workload: str
    doors: tuple[ReportedDoor, ...]
    reached_from: Scope
    may_be_reached_from: Scope
    reaches: dict[str, ReportedOutward]


def reported_exposure(found: Exposure) -> ReportedExposure:
    """Spell out what was found of one workload."""
    return ReportedExposure(
        workload=workload_text(found.workload),
        doors=tuple(_door(entry) for entry in found.entries),
        reached_from=found.reached_from,
        may_be_reached_from=found.may_be_reached_from,
        reaches={name: ReportedOutward(o.verdict, dict(o.ports), o.note) for name, o in found.reaches.items()},
    )


def _door(entry: Entry) -> ReportedDoor:
    door = entry.door
    return ReportedDoor(
        door=door.kind,
        through=str(door.through),
        path=door.path,
        protocol=door.protocol,
        target_ports=by_protocol([door.target])[door.protocol],
        verdict=entry.verdict,
        seen=door.seen,
        port=door.port,
        internal=door.is_internal,
        addresses=entry.addresses,
        reasons=entry.reasons,
    )


def exposure_lines(exposures: Iterable[Exposure]) -> Iterator[Line]:
    """Lay it out for a person, one block a workload."""
    is_empty = True
    for found in exposures:
        is_empty = False
        yield Line("heading", printable(workload_text(found.workload)))
        for entry in found.entries:
            yield _door_line(entry)
        maybe = found.may_be_reached_from
        doubt = "" if maybe is found.reached_from else f", maybe {maybe}"
        yield Line("detail", f"  inside: from {found.reached_from}{doubt}")
        yield Line("detail", printable("  reaches: " + ", ".join(_outward(n, o) for n, o in found.reaches.items())))
    if is_empty:
        yield Line("pass", "No workloads.")


_STYLES = {Verdict.OPEN: "high", Verdict.CLOSED: "pass", Verdict.UNKNOWN: "unknown"}


def _door_line(entry: Entry) -> Line:
    door = entry.door
    outside = f" {door.port}" if door.port else ""
    private = " (private network)" if door.is_internal else ""
    why = "; ".join(entry.reasons) or ", ".join(entry.addresses)
    ports = by_protocol([door.target])[door.protocol]
    text = f"  {door.kind}{outside}{private} of {door.through} to {door.protocol} {ports}: {entry.verdict}"
    return Line(_STYLES[entry.verdict], printable(f"{text}: {why}" if why else text))


def _outward(name: str, found: Outward) -> str:
    words = {Verdict.OPEN: "yes", Verdict.CLOSED: "no", Verdict.UNKNOWN: "unknown"}[found.verdict]
    return f"{name} {words} ({found.note})" if found.note else f"{name} {words}"
