"""ValidatingAdmissionPolicies as texts: ours as manifests, the outcomes of anyone's as JSON and as lines."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec
import yaml

from scanner.export.report import ReportedResource, reported
from scanner.export.safe import printable
from scanner.export.table import LISTED_RESOURCES, Line
from scanner.model.snapshot import Snapshot
from scanner.policy.admission import AdmissionOutcome, AdmissionResult

#: Result to the style of its line.
_STYLES = {
    AdmissionResult.DENIED: "high",
    AdmissionResult.ERROR: "medium",
    AdmissionResult.UNKNOWN: "unknown",
    AdmissionResult.ALLOWED: "pass",
}


class ReportedOutcome(msgspec.Struct, frozen=True, rename="camel"):
    """What one policy, under one binding, says of one object."""

    policy: str
    binding: str
    resource: ReportedResource
    result: AdmissionResult
    message: str
    expression: str
    path: str
    reason: str
    validation_actions: tuple[str, ...]
    param: ReportedResource | None


class AdmissionReport(msgspec.Struct, frozen=True, rename="camel"):
    """The outcomes of a whole audit."""

    api_version: str
    kind: str
    cluster: str
    summary: dict[str, int]
    results: tuple[ReportedOutcome, ...]


def admission_manifests(pairs: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """Write policies with their bindings as one YAML stream that `kubectl apply -f -` takes."""
    documents = [document for pair in pairs for document in pair]
    text: str = yaml.safe_dump_all(documents, sort_keys=False, width=120, allow_unicode=True, explicit_start=True)
    return text


def admission_report(snapshot: Snapshot, outcomes: Sequence[AdmissionOutcome]) -> AdmissionReport:
    """Put an audit together for a program; outcomes keep their order."""
    return AdmissionReport(
        api_version="plimsoll.dev/v1",
        kind="AdmissionReport",
        cluster=snapshot.cluster,
        summary={result.value: sum(o.result is result for o in outcomes) for result in AdmissionResult},
        results=tuple(
            ReportedOutcome(
                policy=o.policy,
                binding=o.binding,
                resource=reported(o.resource),
                result=o.result,
                message=o.message,
                expression=o.expression,
                path=o.path,
                reason=o.reason,
                validation_actions=o.actions,
                param=reported(o.param) if o.param else None,
            )
            for o in outcomes
        ),
    )


def admission_lines(outcomes: Sequence[AdmissionOutcome]) -> list[Line]:
    """Lay out an audit for a person: by policy and result, what was allowed only counted."""
    lines: list[Line] = []
    order = list(AdmissionResult)
    ordered = sorted(outcomes, key=lambda o: (o.policy, order.index(o.result), o.resource))
    for (policy, result), group in groupby(ordered, key=lambda o: (o.policy, o.result)):
        block = list(group)
        lines.append(Line(_STYLES[result], f"{result.value.upper():<9}{printable(policy)}  ({len(block):,} objects)"))
        if result is AdmissionResult.ALLOWED:
            continue
        for outcome in block[:LISTED_RESOURCES]:
            lines.append(Line("resource", f"    {printable(str(outcome.resource))}"))
            lines.append(Line("detail", f"        {printable(outcome.message)}"))
        if len(block) > LISTED_RESOURCES:
            lines.append(Line("detail", f"    … and {len(block) - LISTED_RESOURCES:,} more; -o json lists all"))
    return lines or [Line("", "no object is matched by these policies")]
