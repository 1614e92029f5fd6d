"""Verdicts of the Pod Security Standards as texts: JSON that scripts depend on, and lines for a person."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec

from scanner.analysis.pods.admission import Enforced, Setting
from scanner.analysis.pods.standards.verdicts import Forbidden, Verdict
from scanner.export.report import ReportedResource, reported
from scanner.export.safe import printable
from scanner.export.table import LISTED_RESOURCES, Line
from scanner.model.finding import Fact

#: More fields than this are counted instead of listed.
LISTED_FIELDS = 4


class ReportedForbidden(msgspec.Struct, frozen=True, rename="camel"):
    """One check that a workload does not pass; `reason` and `detail` in the admission plugin's words."""

    check: str
    reason: str
    detail: str
    evidence: tuple[Fact, ...]


class ReportedVerdict(msgspec.Struct, frozen=True, rename="camel"):
    """What a standard says of one workload."""

    resource: ReportedResource
    allowed: bool
    forbidden: tuple[ReportedForbidden, ...]


def reported_verdict(verdict: Verdict) -> ReportedVerdict:
    """Write a verdict for a program."""
    return ReportedVerdict(
        resource=reported(verdict.resource),
        allowed=verdict.is_allowed,
        forbidden=tuple(ReportedForbidden(f.check, f.reason, f.detail, f.evidence) for f in verdict.forbidden),
    )


def verdict_lines(verdicts: Iterable[Verdict], standard: str) -> list[Line]:
    """Lay verdicts out for a person: what would break in each namespace if it enforced this standard."""
    by_namespace = groupby(sorted(verdicts, key=lambda v: v.resource.namespace), key=lambda v: v.resource.namespace)
    lines = [line for namespace, group in by_namespace for line in _namespace(namespace, list(group), standard)]
    return lines or [Line("", "no workload in there")]


def _namespace(namespace: str, verdicts: Sequence[Verdict], standard: str) -> Iterator[Line]:
    refused = [verdict for verdict in verdicts if not verdict.is_allowed]
    where = f"Namespace {printable(namespace)}" if namespace else "Without a namespace"
    if not refused:
        yield Line("pass", f"{where}: {standard} allows every workload ({len(verdicts):,})")
        return
    yield Line("high", f"{where}: {standard} refuses pods of {len(refused):,} of {len(verdicts):,} workloads")
    for verdict in refused[:LISTED_RESOURCES]:
        yield Line("resource", f"    {printable(str(verdict.resource))}")
        for forbidden in verdict.forbidden:
            yield from _forbidden(forbidden)
    if len(refused) > LISTED_RESOURCES:
        yield Line("detail", f"    … and {len(refused) - LISTED_RESOURCES:,} more; -o json lists all")


def _forbidden(forbidden: Forbidden) -> Iterator[Line]:
    yield Line("detail", f"        {forbidden.check}: {printable(forbidden.detail)}")
    for fact in forbidden.evidence[:LISTED_FIELDS]:
        holder = f" of {fact.object}" if fact.object else ""
        yield Line("detail", f"            {printable(fact.path + holder)}")
    if len(forbidden.evidence) > LISTED_FIELDS:
        yield Line("detail", f"            … and {len(forbidden.evidence) - LISTED_FIELDS:,} more fields")


class ReportedSetting(msgspec.Struct, frozen=True, rename="camel"):
    """What one mode of Pod Security does; without a label the default of the cluster holds, which may not be known."""

    level: str
    version: str
    labelled: bool


class ReportedEnforced(msgspec.Struct, frozen=True, rename="camel"):
    """What is enforced on the pods of one namespace, and what of it is unknown."""

    namespace: str
    modes: dict[str, ReportedSetting]
    webhooks: tuple[str, ...]
    policies: tuple[str, ...]
    mutations: tuple[str, ...]
    unknown: tuple[str, ...]


def reported_enforced(found: Enforced) -> ReportedEnforced:
    """Write what is enforced for a program."""
    return ReportedEnforced(
        namespace=found.namespace,
        modes={mode: ReportedSetting(s.level, s.version, s.is_labelled) for mode, s in found.settings.items()},
        webhooks=found.webhooks,
        policies=found.policies,
        mutations=found.mutations,
        unknown=found.unknown,
    )


def enforced_lines(found: Sequence[Enforced]) -> list[Line]:
    """Lay out what is enforced in each namespace: the three modes, the webhooks that see pods, what is unknown."""
    lines: list[Line] = []
    for space in found:
        enforce = space.settings["enforce"]
        style = "high" if enforce.level == "privileged" else "pass"
        lines.append(Line(style, f"Namespace {printable(space.namespace)}: enforces {_said(enforce)}"))
        lines += [Line("detail", f"    {mode} {_said(space.settings[mode])}") for mode in ("warn", "audit")]
        lines += [Line("detail", f"    {printable(webhook)}") for webhook in space.webhooks]
        lines += [Line("detail", f"    ValidatingAdmissionPolicy {printable(policy)}") for policy in space.policies]
        lines += [
            Line("detail", f"    MutatingAdmissionPolicy {printable(policy)}: may change pods before they are judged")
            for policy in space.mutations
        ]
    unknown = sorted({reason for space in found for reason in space.unknown})
    lines += [Line("unknown", f"Unknown: {printable(reason)}") for reason in unknown]
    return lines or [Line("", "no namespace in there")]


def _said(setting: Setting) -> str:
    if not setting.is_labelled:
        return "nothing by label; the cluster's default holds"
    return setting.level if setting.level == "privileged" else f"{setting.level} {printable(setting.version)}"
