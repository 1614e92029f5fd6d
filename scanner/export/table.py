"""The report of one scan as a table that a person can read: worst first, one block a policy."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from scanner.export.report import ReportedUse, ReportSummary, gaps
from scanner.export.safe import printable
from scanner.model.coverage import Read
from scanner.model.finding import Finding, Outcome
from scanner.model.policy import Policy, PolicyId, Severity

#: More resources than this are counted instead of listed: a person reads a screen, a program reads `-o json`.
LISTED_RESOURCES = 8


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: what it is decides its colour, `text` is already safe to print."""

    style: str
    text: str


#: The label of failures that are as they should be.
_EXPECTED = "expected"
#: The label of failures that somebody accepts.
_EXCEPTED = "excepted"


def table(  # noqa: PLR0913 - what a report is made of
    findings: Iterable[Finding],
    policies: Mapping[PolicyId, Policy],
    coverage: tuple[Read, ...],
    summary: ReportSummary,
    *,
    show_expected: bool = False,
    exceptions: Iterable[ReportedUse] = (),
) -> list[Line]:
    """Lay out failing outcomes by policy, then what is unknown, what could not be read, and the totals.

    Failures that are expected make one line, unless they are to be listed too. Those that somebody accepts are listed
    with why and until when; `exceptions` are those that somebody should look at.
    """
    by_label: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_label[_label(finding)].append(finding)
    expected = [_EXPECTED] if show_expected else []
    lines: list[Line] = []
    for label in (Outcome.FAIL, Outcome.UNKNOWN, _EXCEPTED, *expected, Outcome.PASS):
        for policy, block in _blocks(by_label[label]):
            lines += _block(label, policies[policy], block)
    if summary.expected and not show_expected:
        lines += [Line("detail", _expected(summary.expected)), Line("", "")]
    missing = gaps(coverage)
    if missing:
        lines.append(Line("heading", "Not read: what depends on it is unknown, not fine"))
        lines += [Line("unknown", f"    {printable(text)}") for text in _gaps(missing)]
        lines.append(Line("", ""))
    if told := [f"{use.id} ({use.policy}, {use.owner}): {use.why}" for use in exceptions]:
        lines.append(Line("heading", "Exceptions to look at"))
        lines += [Line("detail", f"    {printable(text)}") for text in told]
        lines.append(Line("", ""))
    lines.append(Line("heading", _totals(summary)))
    return lines


def _label(finding: Finding) -> str:
    if finding.excepted:
        return _EXCEPTED
    return _EXPECTED if finding.expected else finding.outcome


def _blocks(findings: list[Finding]) -> Iterable[tuple[PolicyId, list[Finding]]]:
    """Group by policy, the worst and then the most frequent policy first."""
    ordered = sorted(findings, key=lambda f: f.policy)
    blocks = [(policy, list(block)) for policy, block in groupby(ordered, key=lambda f: f.policy)]
    return sorted(blocks, key=lambda b: (-max(f.severity.rank for f in b[1]), -len(b[1]), b[0]))


def _expected(number: int) -> str:
    return (
        f"{number:,} expected: grants of Kubernetes itself and of known add-ons, unchanged (--show-expected lists them)"
    )


def _block(kind: str, policy: Policy, findings: list[Finding]) -> list[Line]:
    worst = max((f.severity for f in findings), key=lambda s: s.rank)
    label = worst.value if kind == Outcome.FAIL else kind
    count = f"{len(findings):,} resource{'s' if len(findings) > 1 else ''}"
    lines = [Line(label, f"{label.upper():<9}{policy.title}  ({count})  {policy.id}")]
    ordered = sorted(findings, key=lambda f: (-f.severity.rank, f.resource, f.key))
    for finding in ordered[:LISTED_RESOURCES]:
        lines.append(Line("resource", f"    {printable(str(finding.resource))}{_where(finding)}"))
        if not finding.message.startswith(policy.title):
            lines.append(Line("detail", f"        {printable(finding.message)}"))
        if finding.expected:
            lines.append(Line("detail", f"        expected: {printable(finding.expected)}"))
        if by := finding.excepted:
            why = (
                f"{by.reason} ({by.owner}{', ' + by.ticket if by.ticket else ''}), until {by.expires_at:%Y-%m-%d %H:%M}"
            )
            lines.append(Line("detail", f"        excepted: {printable(why)} UTC"))
        if finding.missing:
            lines.append(Line("detail", f"        missing: {printable(', '.join(finding.missing))}"))
    if len(ordered) > LISTED_RESOURCES:
        lines.append(Line("detail", f"    … and {len(ordered) - LISTED_RESOURCES:,} more; -o json lists all"))
    return [*lines, Line("", "")]


def _where(finding: Finding) -> str:
    """Point at the containers, or at the first path where no container is concerned."""
    if finding.containers:
        return f"  [{printable(', '.join(finding.containers))}]"
    path = next((fact.path for fact in finding.evidence if fact.path), "")
    return f"  {printable(path)}" if path else ""


def _gaps(reads: tuple[Read, ...]) -> list[str]:
    """Name what was not read, and why; kinds that one reason keeps from us share a line."""
    by_reason: dict[str, list[Read]] = defaultdict(list)
    for read in reads:
        by_reason[f"{read.state.value}: {read.reason}"].append(read)
    return [
        f"{_name(group[0]) if len(group) == 1 else f'{len(group)} kinds'}: {reason}"
        for reason, group in sorted(by_reason.items(), key=lambda item: len(item[1]))
    ]


def _name(read: Read) -> str:
    return f"{read.resource} in {read.namespace}" if read.namespace else read.resource


def _totals(summary: ReportSummary) -> str:
    severities = ", ".join(f"{summary.failed_by_severity[s.value]:,} {s.value}" for s in reversed(Severity))
    completeness = "" if summary.is_complete else "; the scan is incomplete"
    excepted = f"{summary.excepted:,} excepted, " if summary.excepted else ""
    return (
        f"{summary.failed:,} failed ({severities}), {summary.passed:,} passed, {summary.unknown:,} unknown, "
        f"{summary.expected:,} expected, {excepted}"
        f"of {summary.resources:,} objects{completeness}"
    )
