"""Fixes as text: objects that `kubectl apply --server-side` takes, a diff for a person, and JSON for a program.

Of what values of fields fix, only those fields are applied, under a manager's name of our own; a Pod or Job, which the
API server lets nobody change, is written whole, to be replaced. Diffs show no value that may be a secret.

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
from scanner.model.credential import masked_in
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
    #: What `kubectl apply --server-side --field-manager=plimsoll` takes instead of the operations, where it can.
    applied: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    #: Fields that only the operations remove, since server-side apply takes nothing away that others own.
    removed: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    #: Who manages what is to be changed, and where to change it.
    managed: str | msgspec.UnsetType = msgspec.UNSET
    #: Places inside these whose text held a credential, which a scan does not keep: null, to be filled in by a person.
    fill_in: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


def reported_fixes(steps: Iterable[tuple[Finding, Fix]], cluster: ClusterName) -> tuple[ReportedFix, ...]:
    """Put fixes together for a program, in the order in which they are carried out."""
    return tuple(
        _fillable(
            ReportedFix(
                finding=finding.fingerprint(cluster),
                policy=finding.policy,
                resource=reported(finding.resource),
                operations=fix.operations,
                reason=fix.reason or msgspec.UNSET,
                applied=fix.applied or msgspec.UNSET,
                removed=fix.removed or msgspec.UNSET,
                managed=managed_elsewhere(finding) or msgspec.UNSET,
            )
        )
        for finding, fix in steps
    )


def _fillable(fix: ReportedFix) -> ReportedFix:
    """Put null in place of masks, which are no values, and say where."""
    shown = {"operations": msgspec.to_builtins(fix.operations)}
    if fix.applied is not msgspec.UNSET:
        shown["applied"] = fix.applied
    places = tuple(_masked(shown))
    if not places:
        return fix
    empty = _without_masks(shown)
    operations = msgspec.convert(empty["operations"], tuple[Operation, ...])
    applied = empty.get("applied", msgspec.UNSET)
    return msgspec.structs.replace(fix, operations=operations, applied=applied, fill_in=places)


def _masked(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of texts that hold masks."""
    match value:
        case str() if any(masked_in(value)):
            yield path
        case dict():
            for key, inner in value.items():
                yield from _masked(inner, f"{path}.{key}" if path else f"{key}")
        case list() | tuple():
            for index, inner in enumerate(value):
                yield from _masked(inner, f"{path}[{index}]")
        case _:
            return


def _without_masks(value: Any) -> Any:
    match value:
        case str():
            return None if any(masked_in(value)) else value
        case dict():
            return {key: _without_masks(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_without_masks(inner) for inner in value]
        case _:
            return value


def fix_yaml(repair: Repair) -> str:
    """Write the objects that a repair makes or changes as they will be, then commands for those that it deletes.

    Of those that values of fields fix, only these fields, for server-side apply.
    """
    before, after = repair.before.by_name, repair.after.by_name
    gone = [before[name] for name in repair.touched if name in before and name not in after]
    commands = "".join(f"# {_deletion(thing)}\n" for thing in gone)
    text = _documents(_applied(after[n]) for n in repair.touched if n in after and n not in repair.applied)
    fields = [(repair.applied[n], repair.removed[n]) for n in repair.touched if repair.applied.get(n)]
    warnings = "".join(f"# not in here, since apply removes nothing: {path}\n" for _, some in fields for path in some)
    documents = _documents(whole for whole, _ in fields if whole and whole.keys() - {"apiVersion", "kind", "metadata"})
    if documents or warnings:
        text += f"{APPLY}{printable_lines(warnings)}{documents}"
    replaced = [after[n] for n in repair.touched if n in repair.applied and repair.applied[n] is None]
    if replaced:
        text += REPLACE + _documents(_applied(thing) for thing in replaced)
    return text + (f"# kubectl apply deletes nothing:\n{commands}" if commands else "")


APPLY = "# kubectl apply --server-side --field-manager=plimsoll --force-conflicts -f -\n"
FILL_IN = "# a scan keeps no credential: fill in what stands as null here, then take away the # in front\n"
REPLACE = "# Pods and Jobs cannot be changed: kubectl replace --force -f - deletes them and makes them anew\n"
#: Managers that write a field again from elsewhere, and where that is.
_SOURCES = {
    "helm": "change it in the chart",
    "helm-controller": "change it in the HelmRelease or its chart",
    "kustomize-controller": "change it in the repository that Flux follows",
    "argocd-controller": "change it in the repository that Argo CD follows",
    "argocd-application-controller": "change it in the repository that Argo CD follows",
}


def managed_elsewhere(finding: Finding) -> str:
    """Say where a field is to be changed that a deployment tool would set again; empty if none is known to."""
    managers = sorted({f.set_by.manager for f in finding.evidence if f.set_by and f.set_by.manager.lower() in _SOURCES})
    return "; ".join(f"managed by {manager}: {_SOURCES[manager.lower()]}" for manager in managers)


def notes(steps: Iterable[tuple[Finding, Fix]]) -> Iterator[str]:
    """Say of which objects a deployment tool would undo a fix."""
    said = (f"{finding.resource} is {note}" for finding, _ in steps if (note := managed_elsewhere(finding)))
    return (printable(text) for text in dict.fromkeys(said))


def printable_lines(text: str) -> str:
    """Make every line safe to print."""
    return "".join(f"{printable(line)}\n" for line in text.splitlines())


def _documents(wholes: Iterable[dict[str, Any]]) -> str:
    return "".join(_document(whole) for whole in wholes)


def _document(whole: dict[str, Any]) -> str:
    """Write an object; as a comment where credentials are to be filled in, so that nothing is replaced without."""
    places = tuple(_masked(whole))
    shown = _without_masks(whole) if places else whole
    text: str = yaml.safe_dump_all([shown], sort_keys=False, width=120, allow_unicode=True, explicit_start=True)
    if not places:
        return text
    said = "".join(f"#   {printable(place)}\n" for place in places)
    lines = "".join(f"# {line}\n" for line in text.splitlines())
    return f"{FILL_IN}{said}{lines}"


def fix_diff(repair: Repair) -> list[Line]:
    """Lay out what a repair changes for a person: a unified diff of each object."""
    before, after = repair.before.by_name, repair.after.by_name
    lines = [Line("detail", f"# {note}") for note in notes(repair.steps)]
    for name in repair.touched:
        one, other = before.get(name), after.get(name)
        label = "/".join(part for part in (name[0].kind, *name[1:]) if part)
        old, new = f"a/{label}" if one else _NOTHING, f"b/{label}" if other else _NOTHING
        if name in repair.applied and repair.applied[name] is None:
            lines.append(Line("detail", printable(f"# {label} cannot be changed: it is deleted and made anew")))
        if repair.removed.get(name):
            paths = ", ".join(repair.removed[name])
            lines.append(Line("detail", printable(f"# {label}: server-side apply cannot remove {paths}")))
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
    text: str = yaml.safe_dump(_withheld(_applied(thing)), sort_keys=True, width=120, allow_unicode=True)
    return text.splitlines()


def _applied(thing: KubeObject) -> dict[str, Any]:
    whole = thing.as_dict()
    whole["metadata"] = {name: part for name, part in whole["metadata"].items() if name not in _SERVERS_OWN}
    return whole


def _withheld(value: Any, *, is_secret: bool = False) -> Any:
    """Copy a value without what environment variables, commands and headers say: a diff goes where manifests don't."""
    match value:
        case dict():
            return {key: _withheld(item, is_secret=key in _SECRET) for key, item in value.items()}
        case list() if is_secret and not all(isinstance(item, dict) for item in value):
            return [WITHHELD]
        case list():
            return [
                {
                    k: WITHHELD if k == "value" and is_secret else _withheld(v, is_secret=k in _SECRET)
                    for k, v in item.items()
                }
                if isinstance(item, dict)
                else _withheld(item)
                for item in value
            ]
        case _:
            return value


#: What stands in a diff for what may be a secret.
WITHHELD = "(withheld)"
_SECRET = frozenset({"env", "args", "command", "httpHeaders"})


def _deletion(thing: KubeObject) -> str:
    """Write the command that deletes an object; names of files are quoted, so that they cannot be more than names."""
    resource = BY_KIND[thing.group_kind].name if thing.group_kind in BY_KIND else thing.kind
    place = f" --namespace {shlex.quote(thing.meta.namespace)}" if thing.meta.namespace else ""
    return printable(f"kubectl delete {resource} {shlex.quote(thing.meta.name)}{place}")
