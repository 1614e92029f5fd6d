"""Connections as rows of JSON, CSV or a table, and the reasons of one of them."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from scanner.analysis.network.connections import Row
from scanner.analysis.network.explain import Explanation
from scanner.analysis.network.explanations import Say, Side
from scanner.analysis.network.ports import Span, by_protocol
from scanner.export.report import ReportedResource, reported
from scanner.export.safe import printable
from scanner.export.table import Line


class ReportedConnection(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row; `unknown` only where the connection cannot be decided."""

    src: str
    dst: str
    protocol: str
    ports: str
    unknown: str = ""


class ReportedSay(msgspec.Struct, frozen=True):
    """What one rule says; `rule` is empty where a policy isolates and has no rule for the peer."""

    policy: ReportedResource
    rule: str
    name: str
    action: str
    ports: dict[str, str]
    certain: bool


class ReportedSide(msgspec.Struct, frozen=True):
    """One direction; without a policy everything is allowed."""

    allowed: dict[str, str]
    unknown: dict[str, str]
    rules: tuple[ReportedSay, ...]


class ReportedPair(msgspec.Struct, frozen=True):
    """What the policies on both ends say."""

    egress: ReportedSide
    ingress: ReportedSide


class ReportedExplanation(msgspec.Struct, frozen=True):
    """Whether all of the ports in question are allowed (null if that cannot be decided), and why."""

    src: str
    dst: str
    allowed: bool | None
    ports: dict[str, str]
    unknown: dict[str, str]
    reasons: tuple[str, ...]
    explanations: tuple[ReportedPair, ...]


def json_rows(rows: Iterable[Row]) -> Iterator[str]:
    """Write a JSON array, one line a row."""
    start = "["
    for row in rows:
        yield f"{start}\n{msgspec.json.encode(ReportedConnection(*row)).decode()}"
        start = ","
    yield "[]\n" if start == "[" else "\n]\n"


def csv_rows(rows: Iterable[Row]) -> Iterator[str]:
    """Write CSV with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in chain((Row._fields,), rows):
        writer.writerow(row)
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def table_lines(rows: Iterable[Row]) -> Iterator[Line]:
    """Lay out rows for a person, in columns."""
    found = list(rows)
    if not found:
        yield Line("pass", "No connections.")
        return
    source, destination = (max(len(row[column]) for row in found) for column in (0, 1))
    for row in found:
        text = f"{row.src:<{source}}  {row.dst:<{destination}}  {row.protocol:<4}  {row.ports}"
        yield Line(
            "unknown" if row.unknown else "resource",
            printable(f"{text}  unknown: {row.unknown}" if row.unknown else text),
        )


def reported_explanation(found: Explanation) -> ReportedExplanation:
    """Spell out an explanation."""
    return ReportedExplanation(
        src=found.source.text,
        dst=found.destination.text,
        allowed=_verdict(found),
        ports=by_protocol(found.allowed),
        unknown=by_protocol(found.unknown),
        reasons=found.reasons,
        explanations=tuple(ReportedPair(_side(e.egress), _side(e.ingress)) for e in found.explained),
    )


def explanation_lines(found: Explanation) -> Iterator[Line]:
    """Say it to a person: the answer, then each side with the rules that have a say, in the order of asking."""
    verdict = _verdict(found)
    answer = {True: "allowed", False: "not allowed", None: "unknown"}[verdict]
    style = {True: "high", False: "pass", None: "unknown"}[verdict]
    yield Line(style, printable(f"{found.source.text} to {found.destination.text}: {answer}"))
    if verdict is not True and found.allowed:
        yield Line("detail", f"  allowed are {_ports(found.allowed)}")
    for reason in found.reasons:
        yield Line("unknown", printable(f"  {reason}"))
    for explained in found.explained:
        for side in (explained.egress, explained.ingress):
            yield from _side_lines(side)


def _side_lines(side: Side) -> Iterator[Line]:
    yield Line("heading", f"  {side.direction}: {_ports(side.allowed) or 'nothing'} allowed")
    if not side.says:
        yield Line("detail", "    no policy: everything is allowed")
    for say in side.says:
        yield Line("detail", printable(f"    {_say_text(say)}"))


def _say_text(say: Say) -> str:
    if not say.path:
        doubt = "" if say.is_sure else " if it selects the pods"
        return f"{say.policy} isolates{doubt}, and none of its rules means this peer"
    name = f" ({say.name})" if say.name else ""
    doubt = "" if say.is_sure else ", maybe"
    return f"{say.policy} {say.path}{name}: {say.action} {_ports(say.spans)}{doubt}"


def _verdict(found: Explanation) -> bool | None:
    """Return whether every port in question is allowed, None if that depends on what is not known."""
    first, last = found.asked
    if found.allowed == ((first, last),):
        return True
    size = sum(b - a + 1 for a, b in (*found.allowed, *found.unknown))
    return None if found.unknown and size == last - first + 1 else False


def _ports(spans: tuple[Span, ...]) -> str:
    return ", ".join(f"{protocol} {ports}" for protocol, ports in by_protocol(spans).items())


def _side(side: Side) -> ReportedSide:
    return ReportedSide(by_protocol(side.allowed), by_protocol(side.unknown), tuple(_say(say) for say in side.says))


def _say(say: Say) -> ReportedSay:
    return ReportedSay(
        reported(say.policy), say.path, say.name, str(say.action), by_protocol(say.spans), certain=say.is_sure
    )
