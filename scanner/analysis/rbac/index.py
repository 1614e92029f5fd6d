"""Roles and bindings of a snapshot, indexed from both ends: by who is bound, and by what a rule names.

Ten thousand bindings answer "who can" in milliseconds because equal rules are kept once, and found by verb,
group and resource; only what is left is matched exactly. The same search over what one subject is bound to answers ten
thousand different questions in seconds, though a subject may have thousands of bindings.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from scanner.analysis.rbac.aggregation import with_aggregated_rules
from scanner.analysis.rbac.bootstrap import bootstrap_bindings, bootstrap_roles
from scanner.analysis.rbac.matching import ALL, rule_allows
from scanner.analysis.rbac.requests import Request, canonical_subject
from scanner.model.rbac import Binding, Role, Rule, Subject
from scanner.model.snapshot import Snapshot, SourceKind

K = TypeVar("K")
V = TypeVar("V")
#: Kind, namespace (empty for ClusterRoles) and name of a role.
RoleKey = tuple[str, str, str]
#: Fewer distinct rules than this are matched one by one: finding them by their words takes as long (measured).
_FEW_RULES = 16
#: A rule's place: its role and its index there.
Place = tuple[RoleKey, int]


@dataclass(frozen=True, slots=True)
class Chain:
    """Why someone may do something: a binding names a subject and a role, and one of the role's rules allows it."""

    binding: Binding
    #: Which of the binding's subjects it is.
    subject_index: int
    role: Role
    rule_index: int

    @property
    def rule(self) -> Rule:
        """The rule that allows it."""
        return self.role.rules[self.rule_index]

    @property
    def namespace(self) -> str:
        """Where it holds: one namespace, or everywhere if empty."""
        return scope_of(self.binding)

    @property
    def sort_key(self) -> tuple[str, str, str, int, int]:
        """Cluster-wide ones first, then by namespace and name."""
        ref = self.binding.ref
        return (self.namespace, ref.kind, ref.name, self.rule_index, self.subject_index)

    def __str__(self) -> str:
        """Write it as people say it: `ClusterRoleBinding ops -> ClusterRole view -> rules[3]`."""
        return f"{self.binding.ref} -> {self.role.ref} -> rules[{self.rule_index}]"


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding whose role exists, as one of its subjects sees it."""

    binding: Binding
    subject_index: int
    subject: Subject
    role_key: RoleKey


class RuleIndex(Generic[V]):
    """Finds, among many rules, those that allow a request, with what was kept beside each."""

    def __init__(self, rules: Iterable[tuple[Rule, V]]) -> None:
        """Keep each distinct rule once."""
        self._kept: Mapping[Rule, tuple[V, ...]] = _grouped(rules)

    @cached_property
    def _by_words(self) -> Mapping[tuple[str, str, str], tuple[Rule, ...]]:
        """Map a verb, a group and a resource, as rules write them, to the distinct rules that name all three."""
        return _grouped(
            (words, rule)
            for rule in self._kept
            for words in set(itertools.product(rule.verbs, rule.api_groups or (), rule.resources or ()))
        )

    @cached_property
    def _with_paths(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self._kept if rule.non_resource_urls)

    def that_allow(self, request: Request) -> Iterator[V]:
        """Find what was kept beside every rule that allows a request."""
        for rule in self._candidates(request):
            if rule_allows(rule, request):
                yield from self._kept[rule]

    def _candidates(self, request: Request) -> Iterable[Rule]:
        """Narrow down the rules to those that name what a request names, each once."""
        if request.path is not None:
            return self._with_paths
        if len(self._kept) <= _FEW_RULES:
            return self._kept
        resources = {request.combined_resource, ALL}
        if request.subresource:
            resources.add(f"{ALL}/{request.subresource}")
        words = itertools.product({request.verb, ALL}, {request.group, ALL}, resources)
        return dict.fromkeys(rule for key in words for rule in self._by_words.get(key, ()))


@dataclass(frozen=True)
class Index:
    """Roles by name and bindings by subject and role."""

    roles: Mapping[RoleKey, Role]
    #: In the order in which the API server visits them.
    bindings: tuple[Binding, ...]

    @cached_property
    def _bound(self) -> tuple[Bound, ...]:
        return tuple(_bound(self.bindings, self.roles))

    @cached_property
    def by_subject(self) -> Mapping[tuple[Subject, str], tuple[Bound, ...]]:
        """Map a subject and a scope (empty: cluster-wide) to what binds it."""
        return _grouped(((b.subject, scope_of(b.binding)), b) for b in self._bound)

    @cached_property
    def scopes(self) -> Mapping[Subject, tuple[str, ...]]:
        """Map a subject to the scopes in which it is bound (empty: cluster-wide)."""
        return _grouped(self.by_subject)

    @cached_property
    def by_role(self) -> Mapping[RoleKey, Mapping[str, tuple[Bound, ...]]]:
        """Map a role to what is bound to it, by scope (empty: cluster-wide)."""
        by_role = _grouped((bound.role_key, bound) for bound in self._bound)
        return {key: _grouped((scope_of(b.binding), b) for b in bounds) for key, bounds in by_role.items()}

    @cached_property
    def _rules(self) -> RuleIndex[Place]:
        """Every rule of a bound role."""
        return RuleIndex((rule, (key, n)) for key in self.by_role for n, rule in enumerate(self.roles[key].rules))

    @cached_property
    def _rules_by_subject(self) -> dict[tuple[Subject, str], RuleIndex[Chain]]:
        return {}

    def chains_of(self, subject: Subject, scope: str) -> Iterator[Chain]:
        """Return all that a subject is given in a scope (empty: cluster-wide), rule by rule."""
        for bound in self.by_subject.get((subject, scope), ()):
            role = self.roles[bound.role_key]
            for number in range(len(role.rules)):
                yield Chain(bound.binding, bound.subject_index, role, number)

    def chains_that_allow(self, request: Request, subject: Subject, scope: str) -> Iterator[Chain]:
        """Find all that gives a subject in a scope what a request asks for."""
        key = (subject, scope)
        if key not in self.by_subject:
            return iter(())
        if key not in self._rules_by_subject:
            self._rules_by_subject[key] = RuleIndex((chain.rule, chain) for chain in self.chains_of(subject, scope))
        return self._rules_by_subject[key].that_allow(request)

    def chains(self, request: Request, scopes: Iterable[str] | None = None) -> Iterator[tuple[Subject, Chain]]:
        """Find every subject that a request is granted to, with the chain, in the scopes given or in all."""
        for key, number in self._rules.that_allow(request):
            by_scope = self.by_role[key]
            for scope in by_scope if scopes is None else scopes:
                for bound in by_scope.get(scope, ()):
                    yield bound.subject, Chain(bound.binding, bound.subject_index, self.roles[key], number)


def index_of(snapshot: Snapshot) -> Index:
    """Index the roles and bindings of a snapshot.

    Manifests are judged as in a cluster that they are applied to: with Kubernetes' own roles and bindings, unless a
    file says otherwise, and with aggregated ClusterRoles filled. A live cluster is taken as it is.
    """
    roles = dict(snapshot.roles)
    bindings = {(b.ref.kind, b.ref.namespace, b.ref.name): b for b in snapshot.bindings}
    if snapshot.source is SourceKind.MANIFESTS:
        roles = {(r.ref.kind, r.ref.namespace, r.ref.name): r for r in bootstrap_roles()} | roles
        bindings = {(b.ref.kind, b.ref.namespace, b.ref.name): b for b in bootstrap_bindings()} | bindings
        cluster_roles = {name: role for (kind, _, name), role in roles.items() if kind == "ClusterRole"}
        roles |= {("ClusterRole", "", name): role for name, role in with_aggregated_rules(cluster_roles).items()}
    return Index(roles, tuple(binding for _, binding in sorted(bindings.items())))


def scope_of(binding: Binding) -> str:
    """Return the namespace that a binding grants in, empty for the whole cluster."""
    return binding.ref.namespace if binding.ref.kind == "RoleBinding" else ""


def role_key_of(binding: Binding) -> RoleKey:
    """Return the role that a binding refers to; a Role is one of its own namespace. The apiGroup decides nothing.

    Source: k8s.io/kubernetes/pkg/registry/rbac/validation/rule.go, GetRoleReferenceRules.
    """
    kind = binding.role_ref.kind
    return (kind, scope_of(binding) if kind == "Role" else "", binding.role_ref.name)


def _bound(bindings: Iterable[Binding], roles: Mapping[RoleKey, Role]) -> Iterator[Bound]:
    """Resolve bindings; one whose role does not exist binds nobody, and a subject named twice counts once."""
    for binding in bindings:
        key, seen = role_key_of(binding), set[Subject]()
        if key not in roles:
            continue
        for number, named in enumerate(binding.subjects):
            subject = canonical_subject(named, scope_of(binding))
            if subject is not None and subject not in seen:
                seen.add(subject)
                yield Bound(binding, number, subject, key)


def _grouped(pairs: Iterable[tuple[K, V]]) -> Mapping[K, tuple[V, ...]]:
    """Collect values by key, in their order."""
    groups: defaultdict[K, list[V]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return {key: tuple(values) for key, values in groups.items()}
