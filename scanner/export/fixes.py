"""Fixes as text: objects that `kubectl apply` takes, a diff for a person, and JSON for a program.

A changed object carries the resourceVersion that was seen, so that applying it to a cluster where someone changed it
since is refused. `kubectl apply` deletes nothing; what is to be deleted stands below as commands.
"""

import difflib
import shlex
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import yaml

from scanner.export.report import ReportedResource, reported
from scanner.export.safe import printable
from scanner.export.table import Line
from scanner.model.change import Operation
from scanner.model.finding import Finding
from scanner.model.objects import KubeObject
from scanner.model.refs import ClusterName
from scanner.model.resources import BY_KIND
from scanner.policy.fixes import Fix, Repair

#: Set by the API server alone: of no use in what is applied.
_SERVERS_OWN = ("uid", "generation", "creationTimestamp", "deletionTimestamp")
_NOTHING = "/dev/null"
#: Lines of a diff before its first hunk.
_HEADING = 2
_STYLES = {"+": "pass", "-": "high", "@": "detail"}


class ReportedFix(msgspec.Struct, frozen=True, rename="camel"):
    """What ends one finding."""

    finding: str
    policy: str
    resource: ReportedResource
    #: Empty if there is no fix, or if those before have ended the finding already.
    operations: tuple[Operation, ...]
    #: Why there is no fix.
    reason: str | msgspec.UnsetType = msgspec.UNSET


def reported_fixes(steps: Iterable[tuple[Finding, Fix]], cluster: ClusterName) -> tuple[ReportedFix, ...]:
    """Put fixes together for a program, in the order in which they are carried out."""
    return tuple(
        ReportedFix(
            finding=finding.fingerprint(cluster),
            policy=finding.policy,
            resource=reported(finding.resource),
            operations=fix.operations,
            reason=fix.reason or msgspec.UNSET,
        )
        for finding, fix in steps
    )


def fix_yaml(repair: Repair) -> str:
    """Write the objects that a repair makes or changes as they will be, then commands for those that it deletes."""
    before, after = repair.before.by_name, repair.after.by_name
    kept = [_applied(after[name]) for name in repair.touched if name in after]
    gone = [before[name] for name in repair.touched if name in before and name not in after]
    text = yaml.safe_dump_all(kept, sort_keys=False, width=120, allow_unicode=True, explicit_start=True) if kept else ""
    commands = "".join(f"# {_deletion(thing)}\n" for thing in gone)
    return text + (f"# kubectl apply deletes nothing:\n{commands}" if commands else "")


def fix_diff(repair: Repair) -> list[Line]:
    """Lay out what a repair changes for a person: a unified diff of each object."""
    before, after = repair.before.by_name, repair.after.by_name
    lines: list[Line] = []
    for name in repair.touched:
        one, other = before.get(name), after.get(name)
        label = "/".join(part for part in (name[0].kind, *name[1:]) if part)
        old, new = f"a/{label}" if one else _NOTHING, f"b/{label}" if other else _NOTHING
        for number, text in enumerate(difflib.unified_diff(_text(one), _text(other), old, new, lineterm="")):
            style = "heading" if number < _HEADING else _STYLES.get(text[:1], "")
            lines.append(Line(style, printable(text)))
    return lines


def reasons(steps: Iterable[tuple[Finding, Fix]]) -> Iterator[str]:
    """Say of which findings there is no fix, and why."""
    for finding, fix in steps:
        if fix.reason:
            yield printable(f"no fix for {finding.resource} ({finding.policy}): {fix.reason}")


def _text(thing: KubeObject | None) -> list[str]:
    if thing is None:
        return []
    text: str = yaml.safe_dump(_applied(thing), sort_keys=True, width=120, allow_unicode=True)
    return text.splitlines()


def _applied(thing: KubeObject) -> dict[str, Any]:
    whole = thing.as_dict()
    whole["metadata"] = {name: part for name, part in whole["metadata"].items() if name not in _SERVERS_OWN}
    return whole


def _deletion(thing: KubeObject) -> str:
    """Write the command that deletes an object; names of files are quoted, so that they cannot be more than names."""
    resource = BY_KIND[thing.group_kind].name if thing.group_kind in BY_KIND else thing.kind
    place = f" --namespace {shlex.quote(thing.meta.namespace)}" if thing.meta.namespace else ""
    return printable(f"kubectl delete {resource} {shlex.quote(thing.meta.name)}{place}")
