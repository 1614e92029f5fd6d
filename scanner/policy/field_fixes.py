"""Fixes for findings that values of fields end, object by object, as the `fix` of their policies says.

Several findings of one object are fixed one after the other, so that they come out as one change. A fix counts only if
its CEL policy, asked again about the object, passes; those of questions are held against the fixtures by tests.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scanner.model.change import Create, Delete, Operation, Patch
from scanner.model.finding import Finding
from scanner.model.objects import KubeObject
from scanner.model.policy import Policy, PolicyId
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot
from scanner.policy.edits import edited, passes
from scanner.policy.judge import namespace_object
from scanner.policy.patches import applied_between, patch_between

Json = dict[str, Any]

#: The API server lets nobody change the pods of these: they are deleted and made anew.
REPLACED = frozenset({GroupKind("", "Pod"), GroupKind("batch", "Job")})
_POD = GroupKind("", "Pod")
#: Set by the API server alone, or of no use to another object of the same name.
_SERVERS_OWN = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "generateName")
#: Labels that the API server puts on a Job's pods.
_OF_ONE_JOB = ("controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name")

NO_FIX = "no value of a field ends it; see what its policy says"
DECISION = "a person must decide "
NOT_READ = "the object that its pods come from was not read, or is of a kind whose pods are not known"
NOT_ENOUGH = "its values do not end it here: what the policy says must be done by hand"
RUNNING_ONLY = "it is in running pods alone: delete those, and their controller makes others"


@dataclass(frozen=True, slots=True)
class FieldFix:
    """What ends a finding."""

    operations: tuple[Operation, ...] = ()
    #: What server-side apply takes; None where the object must be replaced.
    applied: Json | None = None
    #: Paths of what is only removed, which server-side apply cannot do for what others own.
    removed: tuple[str, ...] = ()
    #: Why there is no fix.
    reason: str = ""


@dataclass(frozen=True)
class FieldFixes:
    """Objects of a snapshot, and what fixes have made of them so far."""

    snapshot: Snapshot
    policies: Mapping[PolicyId, Policy]
    #: Objects that fixes have changed, by kind, namespace and name.
    changed: dict[tuple[GroupKind, str, str], Json] = field(default_factory=dict)

    def of(self, finding: Finding, *, keep: bool = False) -> FieldFix:
        """Return what ends a finding, after the fixes before that were kept; `keep` keeps this one."""
        policy, ref = self.policies[finding.policy], finding.resource
        if not policy.fix:
            return FieldFix(reason=DECISION + policy.decision if policy.decision else NO_FIX)
        thing = self.snapshot.find(ref.group, ref.kind, ref.namespace, ref.name)
        if thing is None:
            return FieldFix(reason=NOT_READ)
        name = (ref.group_kind, ref.namespace, ref.name)
        before = self.changed.get(name) or plain(thing)
        around = self._around(ref.namespace)
        after = edited(policy, before, around)
        if policy.forbid and not passes(policy, after, around):
            return FieldFix(reason=NOT_ENOUGH)
        if after == before and name not in self.changed and not _drops_debugging(thing, finding):
            return FieldFix(reason=RUNNING_ONLY if any(f.object for f in finding.evidence) else NOT_ENOUGH)
        if keep:
            self.changed[name] = after
        return _fix(thing, before, after) if after != before or name not in self.changed else FieldFix()

    def _around(self, namespace: str) -> dict[str, Any]:
        found = namespace_object(self.snapshot, namespace) if namespace else None
        return {"namespaceObject": found} if found else {}


def plain(thing: KubeObject) -> Json:
    """Return an object as a person would write it, without what the API server alone sets."""
    whole = thing.as_dict()
    whole.pop("status", None)
    whole["metadata"] = {name: part for name, part in whole["metadata"].items() if name not in _SERVERS_OWN}
    return whole


def made_anew(whole: Json) -> Json:
    """Return what is created in the place of a Pod or Job that was deleted: it runs where it will, not where it did."""
    spec = dict(whole["spec"])
    metadata = dict(whole["metadata"])
    metadata.pop("ownerReferences", None)
    if whole["kind"] == "Pod":
        spec = {key: value for key, value in spec.items() if key not in {"nodeName", "ephemeralContainers"}}
    elif not spec.get("manualSelector"):
        spec.pop("selector", None)
        template = dict(spec["template"])
        template["metadata"] = _without_labels(template.get("metadata") or {})
        spec["template"], metadata = template, _without_labels(metadata)
    return {**whole, "metadata": metadata, "spec": spec}


def _without_labels(metadata: Json) -> Json:
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key not in _OF_ONE_JOB}
    return {
        **{key: value for key, value in metadata.items() if key != "labels"},
        **({"labels": labels} if labels else {}),
    }


def is_replaced(before: Json, after: Json, kind: GroupKind) -> bool:
    """Tell whether a change takes a new object: the API server lets only images of a running pod be changed."""
    if kind not in REPLACED:
        return False
    if kind != _POD:
        return before.get("spec") != after.get("spec")
    return before == after or any(not s.path.endswith(("/image", "/name")) for s in patch_between(before, after))


def makes_anew(operations: Iterable[Operation]) -> bool:
    """Tell whether operations have a whole Pod or Job in them, with all that its environment and commands say."""
    return any(isinstance(o, Create) and o.object["kind"] in {kind.kind for kind in REPLACED} for o in operations)


def _drops_debugging(thing: KubeObject, finding: Finding) -> bool:
    """Tell whether a pod made anew is the fix, because a debug container is what fails."""
    return thing.group_kind == _POD and any(".ephemeralContainers" in f".{f.path}" for f in finding.evidence)


def _fix(thing: KubeObject, before: Json, after: Json) -> FieldFix:
    if is_replaced(before, after, thing.group_kind):
        return FieldFix((Delete(thing.ref, thing.meta.resource_version), Create(made_anew(after))))
    applied, removed = applied_between(before, after)
    return FieldFix((Patch(thing.ref, patch_between(before, after)),), applied, removed)
