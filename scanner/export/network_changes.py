"""What changed between two snapshots in who can connect to whom, as JSON and for a person."""

from collections.abc import Iterator

import msgspec

from scanner.analysis.network.addresses import range_text
from scanner.analysis.network.changes import Change, Changes, Difference, Ends, State
from scanner.analysis.network.connections import workload_text
from scanner.analysis.network.ports import by_protocol
from scanner.export.report import ReportedResource, reported
from scanner.export.safe import printable
from scanner.export.table import Line

#: Names of one end on a line for a person: taste. JSON has all.
_SHOWN = 5


class ReportedEnds(msgspec.Struct, frozen=True):
    """Ends that are treated alike: workloads as `namespace/name[Kind]`, addresses as ranges."""

    workloads: tuple[str, ...]
    addresses: tuple[str, ...]


class ReportedChange(msgspec.Struct, frozen=True):
    """What became of ports: `closed`, `open` or `unknown`, before and after."""

    before: str
    after: str
    ports: dict[str, str]


class ReportedDifference(msgspec.Struct, frozen=True):
    """The same changes from every source to every destination but itself."""

    src: ReportedEnds
    dst: ReportedEnds
    changes: tuple[ReportedChange, ...]
    reasons: tuple[str, ...]


class ReportedPolicyChange(msgspec.Struct, frozen=True):
    """A policy that was `added`, `removed` or `changed`."""

    policy: ReportedResource
    change: str


class ReportedChanges(msgspec.Struct, frozen=True):
    """The whole answer."""

    policies: tuple[ReportedPolicyChange, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    differences: tuple[ReportedDifference, ...]


def reported_changes(found: Changes) -> ReportedChanges:
    """Spell everything out."""
    return ReportedChanges(
        policies=tuple(ReportedPolicyChange(reported(ref), str(change)) for ref, change in found.policies),
        added=tuple(map(workload_text, found.added)),
        removed=tuple(map(workload_text, found.removed)),
        differences=tuple(map(reported_difference, found.differences)),
    )


def reported_difference(found: Difference) -> ReportedDifference:
    """Spell out one difference."""
    return ReportedDifference(
        src=_ends(found.sources),
        dst=_ends(found.destinations),
        changes=tuple(ReportedChange(str(c.before), str(c.after), by_protocol(c.spans)) for c in found.changes),
        reasons=found.reasons,
    )


def _ends(ends: Ends) -> ReportedEnds:
    return ReportedEnds(tuple(map(workload_text, ends.workloads)), tuple(map(range_text, ends.addresses)))


def changes_lines(found: Changes) -> Iterator[Line]:
    """Say it to a person: first what was written, then what it did."""
    for ref, became in found.policies:
        yield Line("resource", printable(f"{became}: {ref}"))
    for word, refs in (("new workload", found.added), ("gone workload", found.removed)):
        for ref in refs:
            yield Line("resource", printable(f"{word}: {workload_text(ref)}"))
    if not found.differences:
        yield Line(
            "pass", "Nobody can connect to anybody that they could not connect to before, nor the other way round."
        )
    for difference in found.differences:
        ends = (_shown(reported) for reported in map(_ends, (difference.sources, difference.destinations)))
        yield Line("heading", printable(" -> ".join(ends)))
        for change in difference.changes:
            yield _change_line(change)
        for reason in difference.reasons:
            yield Line("detail", printable(f"    {reason}"))


def _shown(ends: ReportedEnds) -> str:
    names = (*ends.workloads, *ends.addresses)
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _change_line(change: Change) -> Line:
    style = {State.OPEN: "high", State.CLOSED: "pass", State.UNKNOWN: "unknown"}[change.after]
    ports = ", ".join(f"{protocol} {ports}" for protocol, ports in by_protocol(change.spans).items())
    return Line(style, f"  {_said(change)}: {ports}")


def _said(change: Change) -> str:
    match change:
        case Change(after=State.UNKNOWN):
            return f"became unknown, was {change.before}"
        case Change(before=State.UNKNOWN):
            return f"became known: {change.after}"
        case Change(after=State.OPEN):
            return "opened"
        case _:
            return "closed"
