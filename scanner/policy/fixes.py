"""Fixes for findings as operations. Those about RBAC are proposed by the analysis and held against the policy itself.

What values of fields end is in `field_fixes`.

A proposal counts only if the policy, asked again about the changed roles and bindings, no longer finds it. So that a
fix costs as little in a cluster of ten thousand bindings as in one of ten, the policy is asked about the part that the
finding is about: the subject's bindings and those of its groups, their roles, and one other binding to each.
"""

import datetime as dt
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from scanner.analysis.rbac import fix
from scanner.analysis.rbac.aggregation import feeders
from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.changed import changed, object_name
from scanner.analysis.rbac.edits import ObjectName, bindings_by_name, name_of
from scanner.analysis.rbac.index import role_key_of, scope_of
from scanner.analysis.rbac.requests import canonical_subject, implied_groups
from scanner.analysis.rbac.subjects import RBAC_READS
from scanner.analysis.rbac.ways import Holds, Way, held_together
from scanner.model.change import Delete, Operation
from scanner.model.finding import Finding, Outcome
from scanner.model.objects import KubeObject, ObjectMeta
from scanner.model.policy import Policy, PolicyId
from scanner.model.rbac import RBAC_GROUP, Binding, Subject
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot
from scanner.policy import patches
from scanner.policy.evaluate import evaluate
from scanner.policy.field_fixes import FieldFix, FieldFixes, is_replaced, made_anew, plain

AREA = "rbac/"
_ACCOUNT = GroupKind("", "ServiceAccount")

EXPECTED = "it is as it should be: a grant of Kubernetes itself or of a known add-on, unchanged"
NOT_JUDGED = "nobody could judge it: what is missing must be read first"
NOT_RIGHTS = "it is no matter of roles and bindings"
UNDONE = "no change of roles and bindings ends it that the API server would not undo"


@dataclass(frozen=True, slots=True)
class Fix:
    """What ends a finding."""

    #: In the order in which they are carried out; empty if there is no such change.
    operations: tuple[Operation, ...] = ()
    #: Why there is none.
    reason: str = ""
    #: What server-side apply takes for it; None for roles, bindings and what must be replaced.
    applied: dict[str, Any] | None = None
    #: Paths of what it removes, and server-side apply cannot.
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fixes:
    """Fixes for the findings of one evaluation, each made when it is asked for."""

    snapshot: Snapshot
    policies: Mapping[PolicyId, Policy]
    findings: tuple[Finding, ...]
    now: dt.datetime
    _held: dict[PolicyId, Sequence[Sequence[Holds]]] = field(default_factory=dict)
    _concerned: dict[PolicyId, fix.Concerned] = field(default_factory=dict)

    def of(self, finding: Finding) -> Fix:
        """Return what ends a finding, or why nothing does."""
        if finding.outcome is not Outcome.FAIL:
            return Fix(reason=NOT_JUDGED)
        if finding.expected:
            return Fix(reason=EXPECTED)
        if not finding.policy.startswith(AREA):
            return _of_fields(FieldFixes(self.snapshot, self.policies).of(finding))
        proposals = self._proposals(finding)
        part = _part(self.snapshot, finding)
        policy = self.policies[finding.policy]
        if not _finds(part, policy, finding, self.now):
            part = self.snapshot
        ended = (some for some in proposals if not _finds(changed(part, some), policy, finding, self.now))
        found = next(ended, None)
        if found is None:
            is_rights = finding.resource.group == RBAC_GROUP or fix.subject_of(finding.resource) is not None
            return Fix(reason=UNDONE if is_rights else NOT_RIGHTS)
        return Fix(found)

    def _proposals(self, finding: Finding) -> Iterator[tuple[Operation, ...]]:
        """Choose by what the finding is about, and by what its policy asks."""
        ref, subject = finding.resource, fix.subject_of(finding.resource)
        if subject is not None:
            return self._proposals_for(subject, finding)
        role = self.snapshot.roles.get((ref.kind, ref.namespace, ref.name))
        if role is not None and ref.group == RBAC_GROUP:
            return fix.without_role(self.snapshot, role, finding.evidence)
        binding = bindings_by_name(self.snapshot).get(name_of(ref))
        if binding is not None:
            return fix.without_dangling(self.snapshot, binding, finding.evidence)
        return iter(())

    def _proposals_for(self, subject: Subject, finding: Finding) -> Iterator[tuple[Operation, ...]]:
        policy = self.policies[finding.policy]
        purpose = finding.policy.removeprefix(AREA)
        case = fix.Case(self.snapshot, subject, self._concerned_by(policy.id), purpose)
        match policy.ask:
            case "rbac.subjects_who_can":
                return fix.without_ways(case, self._held_by(policy), finding.evidence)
            case "rbac.subjects_with_wildcards":
                return fix.without_wildcards_in(case, finding.evidence)
            case "rbac.anonymous_grants" | "rbac.authenticated_grants" | "rbac.default_accounts_with_rights":
                return fix.without_bindings(case, finding.evidence)
            case _:
                return fix.without_rules(case, finding.evidence)

    def _held_by(self, policy: Policy) -> Sequence[Sequence[Holds]]:
        """Find who has the ways that a policy is about, once for all of its findings."""
        if policy.id not in self._held:
            index = authorizer_of(self.snapshot).index
            wanted = [[way] for way in policy.arguments.get("any_of", ())] + list(policy.arguments.get("together", ()))
            self._held[policy.id] = [
                parts
                for ways in msgspec.convert(wanted, list[list[Way]])
                if all(way.works_in(self.snapshot.server_version) for way in ways)
                for parts in held_together(index, ways)
            ]
        return self._held[policy.id]

    def _concerned_by(self, policy: PolicyId) -> fix.Concerned:
        if policy not in self._concerned:
            same = (f for f in self.findings if f.policy == policy and f.stands_out)
            self._concerned[policy] = fix.concerned_by((f.resource, f.evidence) for f in same)
        return self._concerned[policy]


def fixes_of(snapshot: Snapshot, policies: Iterable[Policy], findings: Iterable[Finding], *, now: dt.datetime) -> Fixes:
    """Prepare to fix the findings of an evaluation."""
    return Fixes(snapshot, {policy.id: policy for policy in policies}, tuple(findings), now)


def _finds(snapshot: Snapshot, policy: Policy, finding: Finding, now: dt.datetime) -> bool:
    """Tell whether a policy, asked about a snapshot, has this finding to tell."""
    return any(
        one.stands_out and _names(one) == _names(finding) for one in evaluate(snapshot, [policy], now=now).findings
    )


def _names(finding: Finding) -> tuple[str, ObjectName, str]:
    """Return what makes two findings the same."""
    return (finding.policy, name_of(finding.resource), finding.key)


def _part(snapshot: Snapshot, finding: Finding) -> Snapshot:
    """Return what a finding is about: what is bound to its subject, the roles, and one more binding to each of those.

    ClusterRoles that aggregate, and those that they take rules from, are always part of it.
    """
    index, bindings = authorizer_of(snapshot).index, bindings_by_name(snapshot)
    about = {name_of(ref) for ref in (finding.resource, *(f.object for f in finding.evidence if f.object))}
    own = {name: bindings[name] for name in about & bindings.keys()}
    subject = fix.subject_of(finding.resource)
    for owner in (subject, *implied_groups(subject)) if subject else ():
        for scope in index.scopes.get(owner, ()):
            own |= {name_of(bound.binding.ref): bound.binding for bound in index.by_subject[owner, scope]}
    roles = {role_key_of(binding) for binding in own.values()} | {
        (kind.kind, namespace, name) for kind, namespace, name in about if kind in RBAC_READS
    }
    for key in roles:
        users = (bound.binding for bounds in index.by_role.get(key, {}).values() for bound in bounds)
        own |= {name_of(other.ref): other for other in (_first_outside(users, own),) if other is not None}
    named = (canonical_subject(subject, scope_of(b)) for b in own.values() for subject in b.subjects)
    kept = {
        *own,
        *about,
        *((GroupKind(RBAC_GROUP, kind), namespace, name) for kind, namespace, name in roles),
        *snapshot.derive(_aggregating),
        *((_ACCOUNT, subject.namespace, subject.name) for subject in named if subject is not None),
    }
    objects: dict[GroupKind, list[KubeObject]] = {kind: [] for kind in (*RBAC_READS, _ACCOUNT)}
    for name in sorted(kept & snapshot.by_name.keys()):
        objects.setdefault(name[0], []).append(snapshot.by_name[name])
    return replace(snapshot, objects={kind: tuple(things) for kind, things in objects.items()})


def _first_outside(bindings: Iterable[Binding], known: Container[ObjectName]) -> Binding | None:
    return next((binding for binding in bindings if name_of(binding.ref) not in known), None)


def _aggregating(snapshot: Snapshot) -> frozenset[ObjectName]:
    """Name the ClusterRoles that aggregate or are aggregated."""
    roles = authorizer_of(snapshot).index.roles
    aggregating = {role.ref.name for role in roles.values() if role.aggregation}
    return frozenset((GroupKind(RBAC_GROUP, "ClusterRole"), "", name) for name in {*feeders(roles), *aggregating})


@dataclass(frozen=True, slots=True)
class Repair:
    """What ends several findings, one after the other."""

    #: Each with its own fix, made for a cluster in which those before were carried out.
    steps: tuple[tuple[Finding, Fix], ...]
    #: The snapshot as it is, and with all of them carried out.
    before: Snapshot
    after: Snapshot
    #: What they touch, in the order in which it is touched first.
    touched: tuple[ObjectName, ...]
    #: What server-side apply takes for those that values of fields change; None for those that must be replaced.
    applied: Mapping[ObjectName, dict[str, Any] | None] = field(default_factory=dict)
    #: Of those, the paths that server-side apply cannot remove.
    removed: Mapping[ObjectName, tuple[str, ...]] = field(default_factory=dict)


def repair_of(
    snapshot: Snapshot, policies: Iterable[Policy], findings: Sequence[Finding], *, now: dt.datetime
) -> Repair:
    """Return what ends all of these findings together: two fixes may change one role, and one may end two findings.

    A finding that another's fix has ended already needs nothing more.
    """
    by_id = {policy.id: policy for policy in policies}
    rights = _repair_of_rights(snapshot, by_id, [f for f in findings if f.policy.startswith(AREA)], now=now)
    others = [f for f in findings if not f.policy.startswith(AREA)]
    return _with_fields(rights, by_id, others) if others else rights


def _repair_of_rights(
    snapshot: Snapshot, by_id: Mapping[PolicyId, Policy], findings: Sequence[Finding], *, now: dt.datetime
) -> Repair:
    fixes, touched = fixes_of(snapshot, by_id.values(), findings, now=now), dict[ObjectName, None]()
    steps: list[tuple[Finding, Fix]] = []
    for finding in findings:
        found: Finding | None = finding
        if touched and finding.stands_out:
            again = evaluate(fixes.snapshot, [by_id[finding.policy]], now=now).findings
            found = next((one for one in again if one.stands_out and _names(one) == _names(finding)), None)
            fixes = fixes_of(fixes.snapshot, by_id.values(), again, now=now)
        fix_ = fixes.of(found) if found else Fix()
        operations = tuple(_after(operation, touched) for operation in fix_.operations)
        steps.append((finding, replace(fix_, operations=operations)))
        touched |= dict.fromkeys(name_of(object_name(operation)) for operation in operations)
        if operations:
            fixes = fixes_of(changed(fixes.snapshot, operations), by_id.values(), findings, now=now)
    return Repair(tuple(steps), snapshot, fixes.snapshot, tuple(touched))


def _after(operation: Operation, touched: Container[ObjectName]) -> Operation:
    """Don't ask for the version that was seen where an operation before has made another of it."""
    if isinstance(operation, Delete) and name_of(operation.resource) in touched:
        return msgspec.structs.replace(operation, resource_version="")
    return operation


def _with_fields(repair: Repair, policies: Mapping[PolicyId, Policy], findings: Sequence[Finding]) -> Repair:
    """Carry on a repair with what values of fields end, one change an object."""
    fields = FieldFixes(repair.after, policies)
    steps: list[tuple[Finding, Fix]] = []
    seen = dict.fromkeys(repair.touched)
    for finding in findings:
        if finding.stands_out:
            fix_ = _of_fields(fields.of(finding, keep=True))
        else:
            fix_ = Fix(reason=EXPECTED if finding.expected else NOT_JUDGED)
        operations = tuple(_after(operation, seen) for operation in fix_.operations)
        steps.append((finding, replace(fix_, operations=operations)))
        seen |= dict.fromkeys(name_of(object_name(operation)) for operation in operations)
    return _with_objects(repair, fields, tuple(steps))


def _with_objects(repair: Repair, fields: FieldFixes, steps: tuple[tuple[Finding, Fix], ...]) -> Repair:
    """Put what was changed into the snapshot, each kind once."""
    before = repair.after
    applied: dict[ObjectName, dict[str, Any] | None] = {}
    removed: dict[ObjectName, tuple[str, ...]] = {}
    made: dict[ObjectName, KubeObject] = {}
    for name, after in fields.changed.items():
        thing = before.by_name[name]
        old = plain(thing)
        if is_replaced(old, after, name[0]):
            applied[name], made[name] = None, _as_object(made_anew(after), thing)
        else:
            applied[name], removed[name] = patches.applied_between(old, after)
            made[name] = _as_object(after, thing)
    kinds = {name[0] for name in made}
    objects = {
        kind: tuple(made.get((kind, o.meta.namespace, o.meta.name), o) for o in before.of(*kind)) for kind in kinds
    }
    return replace(
        repair,
        steps=(*repair.steps, *steps),
        after=replace(before, objects={**before.objects, **objects}),
        touched=(*repair.touched, *made),
        applied=applied,
        removed=removed,
    )


def _as_object(whole: Mapping[str, Any], before: KubeObject) -> KubeObject:
    body = {name: part for name, part in whole.items() if name not in {"apiVersion", "kind", "metadata"}}
    meta = msgspec.convert(whole["metadata"], ObjectMeta)
    return msgspec.structs.replace(before, meta=meta, body=msgspec.json.encode(body))


def _of_fields(fix_: FieldFix) -> Fix:
    return Fix(fix_.operations, fix_.reason, fix_.applied, fix_.removed)
