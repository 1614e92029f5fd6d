"""The subjects that policies judge, and how findings about them read.

A finding is about a subject: a service account, a user or a group that a binding of the snapshot names. What a group
gives its members is the group's finding. Grants that Kubernetes itself makes, with roles and subjects as it makes them,
are judged too: they fail, marked as expected, and stand out as soon as someone changes the role or adds a subject.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from scanner.analysis.rbac.addons import addon_of
from scanner.analysis.rbac.authorizer import authorizer_of, subject_key
from scanner.analysis.rbac.bootstrap import has_default_subjects, is_expected, is_unchanged
from scanner.analysis.rbac.index import Chain, RoleKey, role_key_of, scope_of
from scanner.analysis.rbac.matching import ALL, rule_allows
from scanner.analysis.rbac.requests import Request, canonical_subject
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.rbac import RBAC_GROUP, Role, Rule, Subject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot, SourceKind

#: What every answer about grants rests on.
RBAC_READS = tuple(
    GroupKind(RBAC_GROUP, f"{prefix}{kind}") for prefix in ("Cluster", "") for kind in ("Role", "RoleBinding")
)
SERVICE_ACCOUNT = GroupKind("", "ServiceAccount")
#: Asked in the rules' own words: only a rule that says so grants the verb `*` on `*`.
EVERYTHING = Request(verb="*", group="*", resource="*")
#: Taste: as many chains as a person may check by hand.
CHAINS_SHOWN = 50
#: Taste: as many names as a person reads in one line.
NAMES_SHOWN = 5


def judged_subjects(snapshot: Snapshot) -> tuple[Subject, ...]:
    """Return every subject, in canonical form, that a binding of the snapshot names; sorted."""
    return snapshot.derive(_judged_subjects)


def _judged_subjects(snapshot: Snapshot) -> tuple[Subject, ...]:
    named = {canonical_subject(s, scope_of(b)) for b in snapshot.bindings for s in b.subjects}
    return tuple(sorted((subject for subject in named if subject is not None), key=subject_key))


def chains_of(snapshot: Snapshot) -> dict[Subject, tuple[Chain, ...]]:
    """Return all that bindings give each judged subject by itself, rule by rule."""
    return snapshot.derive(_chains_of)


def _chains_of(snapshot: Snapshot) -> dict[Subject, tuple[Chain, ...]]:
    index = authorizer_of(snapshot).index
    found: dict[Subject, list[Chain]] = {subject: [] for subject in judged_subjects(snapshot)}
    for (subject, _), bounds in index.by_subject.items():
        if subject in found:
            found[subject] += (
                Chain(b.binding, b.subject_index, index.roles[b.role_key], number)
                for b in bounds
                for number in range(len(index.roles[b.role_key].rules))
            )
    return {subject: tuple(sorted(chains, key=lambda chain: chain.sort_key)) for subject, chains in found.items()}


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A ClusterRole that a binding refers to and files don't show: the cluster may have it, with any rule."""

    role: str
    #: Where it is bound: one namespace, or everywhere if empty.
    scope: str

    def __str__(self) -> str:
        """Say what was not read."""
        return f"ClusterRole {self.role}: it may be in the cluster already"


def unresolved_roles(snapshot: Snapshot) -> dict[Subject, tuple[Unresolved, ...]]:
    """Return the ClusterRoles that subjects are bound to and whose rules nobody knows.

    There are none in a live cluster, where what was not listed is in the coverage. A Role stands beside its RoleBinding
    or nowhere, as does a ClusterRole of Kubernetes' own.
    """
    return snapshot.derive(_unresolved_roles)


def _unresolved_roles(snapshot: Snapshot) -> dict[Subject, tuple[Unresolved, ...]]:
    found: dict[Subject, set[Unresolved]] = {}
    if snapshot.source is SourceKind.MANIFESTS:
        roles = authorizer_of(snapshot).index.roles
        for binding in snapshot.bindings:
            if binding.role_ref.kind == "ClusterRole" and role_key_of(binding) not in roles:
                for named in binding.subjects:
                    subject = canonical_subject(named, scope_of(binding))
                    if subject is not None:
                        found.setdefault(subject, set()).add(Unresolved(binding.role_ref.name, scope_of(binding)))
    return {subject: tuple(sorted(some, key=lambda u: (u.role, u.scope))) for subject, some in found.items()}


def not_failing(resource: ObjectRef, message: str, doubts: Iterable[Unresolved]) -> Answer:
    """Answer for a subject that no known grant speaks against: it passes, unless what it is bound to is not known."""
    missing = tuple(sorted({str(doubt) for doubt in doubts}))
    if missing:
        return Answer(
            resource=resource,
            outcome=Outcome.UNKNOWN,
            message=f"is bound to roles that are not among the files: {listed(missing)}",
            missing=missing,
        )
    return Answer(resource=resource, outcome=Outcome.PASS, message=message)


def ref_of(snapshot: Snapshot, subject: Subject) -> ObjectRef:
    """Name a subject as the resource of a finding; a service account with its uid, if the scan saw it."""
    if subject.kind != "ServiceAccount":
        return ObjectRef(f"{RBAC_GROUP}/v1", subject.kind, "", subject.name)
    seen = snapshot.find("", "ServiceAccount", subject.namespace, subject.name)
    return seen.ref if seen else ObjectRef("v1", "ServiceAccount", subject.namespace, subject.name)


def gives_everything(role: Role) -> bool:
    """Tell whether a role grants every verb on every resource, whatever its name."""
    return any(rule_allows(rule, EVERYTHING) for rule in role.rules)


def names_everything(rule: Rule) -> bool:
    """Tell whether a rule is about all resources of all groups, whatever its verbs."""
    return ALL in (rule.api_groups or ()) and ALL in (rule.resources or ()) and not rule.resource_names


def expectation(snapshot: Snapshot, chains: Iterable[Chain]) -> str:
    """Say in one line why all of these grants are as they should be; empty if one of them stands out.

    A grant is expected if Kubernetes itself binds that subject there, and the role grants what Kubernetes made it
    grant; or if a known add-on is published with it. A subject that someone added to such a binding stands out by
    itself, and leaves the others as they are.
    """
    own: dict[str, bool] = {}
    of_addons: dict[str, None] = {}
    for chain in chains:
        binding = chain.binding
        subject = canonical_subject(binding.subjects[chain.subject_index], scope_of(binding))
        if subject is None:
            return ""
        if is_expected(binding, subject) and role_key_of(binding) in own_roles(snapshot):
            own[str(binding.ref)] = has_default_subjects(binding)
        elif addon := addon_of(subject, chain.role, snapshot.server_version):
            of_addons[f"{chain.role.ref} of the add-on {addon}, as it is published"] = None
        else:
            return ""
    return "; ".join([*_own(own), *of_addons])


def _own(bindings: Mapping[str, bool]) -> Iterator[str]:
    if bindings:
        others = "" if all(bindings.values()) else " but for other subjects in it"
        yield f"Kubernetes' own {listed(bindings)}, unchanged{others}"


def own_roles(snapshot: Snapshot) -> frozenset[RoleKey]:
    """Return the roles that are Kubernetes' own and grant what they did when it made them."""
    return snapshot.derive(_own_roles)


def _own_roles(snapshot: Snapshot) -> frozenset[RoleKey]:
    roles = authorizer_of(snapshot).index.roles
    return frozenset(key for key, role in roles.items() if is_unchanged(role, snapshot.server_version))


def evidence_of(chains: Iterable[Chain]) -> tuple[Fact, ...]:
    """Show chains as facts: which binding names the subject, and which rule of its role grants; each once.

    A subject may have thousands of bindings: the first chains are shown, and how many there are besides.
    """
    distinct = list({chain.sort_key: chain for chain in chains}.values())
    facts: dict[tuple[str, str], Fact] = {}
    for chain in distinct[:CHAINS_SHOWN]:
        for fact in _facts_of(chain):
            facts.setdefault((str(fact.object), fact.path), fact)
    more = len(distinct) - CHAINS_SHOWN
    return (*facts.values(), Fact(note=f"{more:,} more grants like these")) if more > 0 else tuple(facts.values())


def _facts_of(chain: Chain) -> Iterator[Fact]:
    yield Fact(
        path=f"subjects[{chain.subject_index}]",
        value=plain(chain.binding.subjects[chain.subject_index]),
        object=chain.binding.ref,
        note=f"bound to {chain.role.ref}",
    )
    yield Fact(path=f"rules[{chain.rule_index}]", value=plain(chain.rule), object=chain.role.ref)


def plain(value: msgspec.Struct) -> dict[str, Any]:
    """Return a part of an object as the JSON values that it came in."""
    built: dict[str, Any] = msgspec.to_builtins(value)
    return {name: list(part) if isinstance(part, tuple) else part for name, part in built.items()}


def place_of(scopes: Iterable[str]) -> str:
    """Say where something holds: `cluster-wide`, `in namespaces a, b`."""
    found = sorted(set(scopes))
    if "" in found:
        return "cluster-wide"
    return f"in namespace{'s' if len(found) > 1 else ''} {listed(found)}"


def listed(names: Iterable[str]) -> str:
    """List names in one line, the first few by name."""
    found = list(names)
    more = len(found) - NAMES_SHOWN
    return ", ".join(found[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
