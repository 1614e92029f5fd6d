"""Ways to end a finding: changes of roles and bindings that take away what was judged, the smallest first.

They are candidates: whoever judges decides which of them really ends the finding (`scanner.policy.fixes`). None of them
ever gives anybody anything. In this order:

1. What was judged is taken from the rules, word by word, where nobody else uses the role, or only those who fail for
   the same rule; otherwise the subject is bound to a new role that has the rest. What a `*` stands for is never spelled
   out: the word goes.
2. The rules that were judged go as a whole, in the same two ways.
3. The subject is taken out of the bindings. A binding left without subjects is deleted, and so is a role that only it
   referred to.

Of rights that count only together, one is taken: first a verb that serves nothing but giving away power (`bind`,
`escalate`, `impersonate`, `approve`, `sign`, `attest`), then what fewer chains give, then what the policy names last.

Kubernetes' own roles keep what Kubernetes gave them, and its own bindings their subjects: the API server would restore
both when it starts. Aggregated ClusterRoles are written by a controller: there the roles that they take rules from are
changed.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeAlias

from scanner.analysis.rbac.aggregation import sources_of
from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.bootstrap import bootstrap_roles, is_expected, rights_of
from scanner.analysis.rbac.edits import Edits, bindings_by_name, is_aggregated, is_kept_up, name_of
from scanner.analysis.rbac.index import Chain, RoleKey, role_key_of, scope_of
from scanner.analysis.rbac.requests import Request, canonical_subject, implied_groups
from scanner.analysis.rbac.subjects import EVERYTHING, chains_of, gives_everything
from scanner.analysis.rbac.subtract import without, without_wildcards
from scanner.analysis.rbac.ways import Hold, Holds
from scanner.model.change import Operation
from scanner.model.finding import Fact
from scanner.model.objects import labels_of
from scanner.model.rbac import RBAC_GROUP, Binding, Role, Rule, Subject
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot

#: Verbs that are good for nothing but power over others.
_GIVING = ("bind", "escalate", "impersonate", "approve", "sign", "attest")
#: Which subjects fail for which rule: the role as text with the rule's path, to subjects.
Concerned: TypeAlias = Mapping[tuple[str, str], AbstractSet[Subject]]


@dataclass(frozen=True, slots=True)
class Case:
    """A finding about a subject, as far as a fix needs it."""

    snapshot: Snapshot
    subject: Subject
    #: Who else fails for the same reason.
    concerned: Concerned
    #: What names new objects: `<role>-without-<purpose>`.
    purpose: str


@dataclass(frozen=True, slots=True)
class Cut:
    """What is to be left of one rule of a subject."""

    chain: Chain
    left: tuple[Rule, ...]


class _ImpossibleError(Exception):
    """The API server would undo it."""


def subject_of(ref: ObjectRef) -> Subject | None:
    """Return the subject that a finding is about, or None if it is about something else."""
    if ref.kind in {"User", "Group"} and ref.group == RBAC_GROUP:
        return Subject(ref.kind, ref.name, "", RBAC_GROUP)
    if ref.kind == "ServiceAccount" and not ref.group:
        return Subject(ref.kind, ref.name, ref.namespace)
    return None


def concerned_by(findings: Iterable[tuple[ObjectRef, Sequence[Fact]]]) -> Concerned:
    """Say which subjects fail for which rule, of the resources and the evidence of one policy's findings."""
    found: dict[tuple[str, str], set[Subject]] = {}
    for resource, evidence in findings:
        subject = subject_of(resource)
        if subject is not None:
            for fact in evidence:
                if fact.path.startswith("rules["):
                    found.setdefault((str(fact.object), fact.path), set()).add(subject)
    return found


def without_ways(
    case: Case, held: Sequence[Sequence[Holds]], evidence: Sequence[Fact]
) -> Iterator[tuple[Operation, ...]]:
    """Propose how to take ways from a subject: `held` lists what `held_together` found, for each list of ways.

    First by the rules that the evidence names alone; it leaves out what others make superfluous, so then by all.
    """
    named = {(str(fact.object), fact.path) for fact in evidence}
    lists = [parts for parts in (_parts(holds, case.subject) for holds in held) if parts]
    shown = [[kept for part in parts if (kept := [h for h in part if _place(h.chain) in named])] for parts in lists]
    for chosen in (*_choices(shown), *_choices(lists)):
        cuts = _cuts(chosen)
        if all(gives_everything(cut.chain.role) for cut in cuts):
            # What a role for everything gives besides is no less.
            yield from _proposed(_taken_out, case, cuts)
        yield from _proposed(_narrowed, case, cuts)
    everything = _cuts(hold for parts in lists for part in parts for hold in part)
    yield from _proposed(_narrowed, case, [Cut(cut.chain, ()) for cut in everything])
    yield from _proposed(_taken_out, case, everything)


def _choices(lists: Sequence[Sequence[Sequence[Hold]]]) -> Iterator[list[Hold]]:
    """Yield what to take: the best part of each list, the next best of each, …, all parts."""
    depth = max(map(len, lists), default=0)
    for rank in range(depth):
        yield [hold for parts in lists if parts for hold in parts[min(rank, len(parts) - 1)]]
    if depth > 1:
        yield [hold for parts in lists for part in parts for hold in part]


def _place(chain: Chain) -> tuple[str, str]:
    """Name a rule as evidence does."""
    return str(chain.role.ref), f"rules[{chain.rule_index}]"


def without_wildcards_in(case: Case, evidence: Sequence[Fact]) -> Iterator[tuple[Operation, ...]]:
    """Propose how to take wildcards from the rules that the evidence names."""
    chains = _chains_in(case, evidence)
    yield from _proposed(_narrowed, case, [Cut(chain, without_wildcards(chain.rule)) for chain in chains])
    yield from without_rules(case, evidence)


def without_rules(case: Case, evidence: Sequence[Fact]) -> Iterator[tuple[Operation, ...]]:
    """Propose how to take the rules that the evidence names from a subject."""
    yield from _proposed(_narrowed, case, [Cut(chain, ()) for chain in _chains_in(case, evidence)])
    yield from without_bindings(case, evidence)


def without_bindings(case: Case, evidence: Sequence[Fact]) -> Iterator[tuple[Operation, ...]]:
    """Propose to take a subject out of the bindings that the evidence names."""
    edits = Edits(case.snapshot, case.purpose)
    for name in {name_of(fact.object) for fact in evidence if fact.object is not None}:
        binding = bindings_by_name(case.snapshot).get(name)
        if binding is not None and not is_expected(binding, case.subject):
            edits.take_out(binding, _places(binding, case.subject))
    yield from filter(None, [edits.operations()])


def without_dangling(snapshot: Snapshot, binding: Binding, evidence: Sequence[Fact]) -> Iterator[tuple[Operation, ...]]:
    """Propose how to mend a binding whose evidence names its role, or some of its own subjects."""
    out = [n for n in range(len(binding.subjects)) if any(fact.path == f"subjects[{n}]" for fact in evidence)]
    if out and not any(fact.path == "roleRef" for fact in evidence):
        edits = Edits(snapshot, "")
        edits.take_out(binding, out)
        yield edits.operations()
    if not is_kept_up(binding):
        edits = Edits(snapshot, "")
        edits.delete(binding)
        yield edits.operations()


def without_role(snapshot: Snapshot, role: Role, evidence: Sequence[Fact]) -> Iterator[tuple[Operation, ...]]:
    """Propose what to do about a role that is a finding itself.

    It loses the rules that the evidence names, if others remain; or the labels by which others take its rules, if
    somebody is bound to it; or it is deleted, if nobody is.
    """
    if is_kept_up(role):
        return
    key, paths = _key(role), {fact.path for fact in evidence if fact.object is None}
    numbers = [n for n in range(len(role.rules)) if f"rules[{n}]" in paths]
    labels = [label for label in labels_of(role.meta) if f"metadata.labels['{label}']" in paths]
    is_bound = any(role_key_of(binding) == key for binding in snapshot.bindings)
    if numbers and len(numbers) < len(role.rules) and not role.aggregation:
        edits = Edits(snapshot, "")
        for number in numbers:
            edits.leave(key, number, ())
        yield edits.operations()
    if labels and is_bound:
        edits = Edits(snapshot, "")
        edits.unlabel(role, labels)
        yield edits.operations()
    if not is_bound:
        edits = Edits(snapshot, "")
        edits.delete_role(role)
        yield edits.operations()


def _parts(holds: Sequence[Holds], subject: Subject) -> list[list[Hold]]:
    """Return what a subject itself holds of each part where it has all parts; what is best taken away first."""
    groups = implied_groups(subject) if len(holds) > 1 else ()
    owners = (subject, *groups)
    scopes = {scope for part in holds for owner in owners for scope in part.get(owner, {})}
    full = {s for s in scopes if all(any({"", s} & part.get(o, {}).keys() for o in owners) for part in holds)}
    counted = full | ({""} if full else set())
    parts = [
        [hold for scope, some in sorted(part.get(subject, {}).items()) if scope in counted for hold in some]
        for part in holds
    ]
    ranked = sorted(enumerate(parts), key=lambda item: (not _only_gives(item[1]), len(item[1]), -item[0]))
    return [part for _, part in ranked if part]


def _only_gives(part: Sequence[Hold]) -> bool:
    return all(hold.request.verb.startswith(_GIVING) for hold in part)


def _cuts(holds: Iterable[Hold]) -> list[Cut]:
    """Say what is left of each rule; what a role for everything gives is cut only where everything was asked for."""
    chains: dict[tuple[str, int, RoleKey, int], Chain] = {}
    asked: dict[tuple[RoleKey, int], list[Request]] = {}
    for hold in holds:
        chain = hold.chain
        if hold.request == EVERYTHING or not gives_everything(chain.role):
            rule = (role_key_of(chain.binding), chain.rule_index)
            chains.setdefault((str(chain.binding.ref), chain.subject_index, *rule), chain)
            asked.setdefault(rule, []).append(hold.request)
    return [Cut(chain, without(chain.rule, asked[key, n])) for (_, _, key, n), chain in chains.items()]


def _chains_in(case: Case, evidence: Sequence[Fact]) -> list[Chain]:
    """Return the chains of a subject whose binding and rule are both among the evidence."""
    named = {(str(fact.object), fact.path) for fact in evidence}
    return [
        chain
        for chain in chains_of(case.snapshot).get(case.subject, ())
        if (str(chain.binding.ref), f"subjects[{chain.subject_index}]") in named and _place(chain) in named
    ]


def _proposed(
    make: Callable[[Case, Sequence[Cut], Edits], None], case: Case, cuts: Sequence[Cut]
) -> Iterator[tuple[Operation, ...]]:
    """Yield what is to be done, unless it is nothing or would be undone."""
    edits = Edits(case.snapshot, case.purpose)
    try:
        make(case, cuts, edits)
    except _ImpossibleError:
        return
    yield from filter(None, [edits.operations()])


def _taken_out(case: Case, cuts: Sequence[Cut], edits: Edits) -> None:
    """Take the subject out of each binding."""
    for cut in cuts:
        _check(case, cut.chain.binding)
        edits.take_out(cut.chain.binding, _places(cut.chain.binding, case.subject))


def _narrowed(case: Case, cuts: Sequence[Cut], edits: Edits) -> None:
    """Leave the subject what is left of the rules, in the same role or in another."""
    by_role: dict[RoleKey, list[Cut]] = {}
    for cut in cuts:
        by_role.setdefault(role_key_of(cut.chain.binding), []).append(cut)
    for some in by_role.values():
        role = some[0].chain.role
        left = {cut.chain.rule_index: cut.left for cut in some if cut.left != (cut.chain.rule,)}
        rest = _with(role.rules, left)
        if not left:
            continue
        if not rest:
            _taken_out(case, some, edits)
            continue
        in_place = _in_place(case, role, left)
        for key, number, rules in in_place:
            edits.leave(key, number, rules)
        if not in_place:
            _rebound(case, some, rest, edits)


def _rebound(case: Case, cuts: Sequence[Cut], rest: tuple[Rule, ...], edits: Edits) -> None:
    """Bind the subject to a new role instead."""
    for cut in cuts:
        binding = cut.chain.binding
        _check(case, binding)
        if not scope_of(binding) and _aggregates_all(case.snapshot):
            raise _ImpossibleError
        edits.take_out(binding, _places(binding, case.subject))
        edits.rebind(binding, cut.chain.subject_index, rest)


def _check(case: Case, binding: Binding) -> None:
    if is_expected(binding, case.subject) or name_of(binding.ref) not in bindings_by_name(case.snapshot):
        raise _ImpossibleError


def _places(binding: Binding, subject: Subject) -> list[int]:
    """Return where a binding names a subject, in whatever form."""
    return [n for n, named in enumerate(binding.subjects) if canonical_subject(named, scope_of(binding)) == subject]


def _with(rules: Sequence[Rule], left: Mapping[int, tuple[Rule, ...]]) -> tuple[Rule, ...]:
    """Put what is left of some rules in their place."""
    return tuple(itertools.chain.from_iterable(left.get(n, (rule,)) for n, rule in enumerate(rules)))


def _in_place(
    case: Case, role: Role, left: Mapping[int, tuple[Rule, ...]]
) -> list[tuple[RoleKey, int, tuple[Rule, ...]]]:
    """Say which rules of which roles to change so that a role has what is left; nothing if others need it as it is."""
    roles = authorizer_of(case.snapshot).index.roles
    concerned = frozenset.intersection(
        *(frozenset(case.concerned.get((str(role.ref), f"rules[{number}]"), ())) for number in left)
    )
    if not role.aggregation:
        changes = {_key(role): left}
    else:
        by_rule = {role.rules[number]: rules for number, rules in left.items()}
        cluster_roles = [other for other in roles.values() if other.ref.kind == "ClusterRole"]
        changes = {
            _key(source): {n: by_rule[rule] for n, rule in enumerate(source.rules) if rule in by_rule}
            for source in sources_of(role, cluster_roles)
            if by_rule.keys() & set(source.rules)
        }
    for key, rules in changes.items():
        is_free = _users(case.snapshot, roles[key]) <= {case.subject, *concerned}
        if not is_free or not _stays(case.snapshot, key, rules):
            return []
    return [(key, n, rules) for key, by_number in sorted(changes.items()) for n, rules in sorted(by_number.items())]


def _stays(snapshot: Snapshot, key: RoleKey, left: Mapping[int, tuple[Rule, ...]]) -> bool:
    """Tell whether a role can be changed so that it stays: it is there, and keeps what Kubernetes gave it."""
    role = snapshot.roles.get(key)
    if role is None:
        return False
    if not is_kept_up(role):
        return True
    own = next((known for known in bootstrap_roles() if _key(known) == key), None)
    return own is not None and rights_of(own.rules) <= rights_of(_with(role.rules, left))


def _users(snapshot: Snapshot, role: Role) -> set[Subject]:
    """Return who is bound to a role, or to one that takes rules from it."""
    index = authorizer_of(snapshot).index
    cluster_roles = [other for other in index.roles.values() if other.ref.kind == "ClusterRole"]
    affected = [_key(role)]
    if is_aggregated(snapshot, role):
        affected += [
            _key(other)
            for other in cluster_roles
            if other.aggregation and any(_key(source) == _key(role) for source in sources_of(other, cluster_roles))
        ]
    return {bound.subject for key in affected for bounds in index.by_role.get(key, {}).values() for bound in bounds}


def _aggregates_all(snapshot: Snapshot) -> bool:
    """Tell whether some ClusterRole takes the rules of one without labels."""
    return snapshot.derive(_has_open_aggregation)


def _has_open_aggregation(snapshot: Snapshot) -> bool:
    roles = authorizer_of(snapshot).index.roles.values()
    return any(selector.matches({}) for role in roles for selector in role.aggregation)


def _key(role: Role) -> RoleKey:
    return (role.ref.kind, role.ref.namespace, role.ref.name)
