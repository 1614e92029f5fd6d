"""Least privilege: what identities are granted, compared with what they used, and the roles that would have sufficed.

A proposal is about one subject and replaces what bindings give to that subject by name. What its groups give it stays,
and is the groups' proposal; so does what Kubernetes itself gives to everyone (discovery, above all) and to its own.
`proof.py` checks a proposal with the authorizer itself.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from scanner.analysis.rbac.authorizer import authorizer_of, subject_key
from scanner.analysis.rbac.index import Chain
from scanner.analysis.rbac.matching import ALL, group_matches, resource_matches, verb_matches
from scanner.analysis.rbac.requests import Request, implied_groups, subjects_of
from scanner.analysis.rbac.subjects import chains_of, expectation, listed
from scanner.analysis.rbac.usage import Usage, Use
from scanner.model.rbac import Binding, Rule, Subject
from scanner.model.snapshot import Snapshot

#: Used in more namespaces than this, what was granted cluster-wide stays so: such a subject serves every namespace, and
#: roles in those that exist today would break it in the next one. Taste.
MANY_NAMESPACES = 8
#: Up to so many names are proposed as resourceNames, where they are asked for. Taste: a list that a person reviews.
FEW_NAMES = 10
#: Objects that come and go under ever new names: naming them would only last until the next.
_FLEETING = frozenset(
    {"certificatesigningrequests", "controllerrevisions", "endpointslices", "events", "jobs", "pods", "replicasets"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantUse:
    """One rule that a binding gives a subject, and what of it was used."""

    chain: Chain
    is_used: bool
    #: In what it is wider than its use, in words; empty if in nothing, or if it was not used at all.
    wider: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedRole:
    """A role to create and to bind to the subject: a Role and RoleBinding, or cluster-wide if without a namespace."""

    namespace: str
    name: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What one subject is granted by name, what it used of that, and the roles that would have sufficed."""

    subject: Subject
    #: Every rule that bindings give it by name, cluster-wide ones first; without those of Kubernetes' own.
    grants: tuple[GrantUse, ...]
    #: Empty if nothing was used of the grants, and if the proposal would not be whole: see `is_partial`.
    roles: tuple[ProposedRole, ...]
    #: Bindings that name it today and that the proposed ones replace.
    replaces: tuple[Binding, ...]
    #: Users that were seen: itself, or members of the group.
    users: tuple[str, ...]
    #: What was used, kind by kind, and allowed by the grants.
    needed: tuple[Use, ...]
    #: What was used and everyone may do, by Kubernetes' own bindings: left out of the roles. Empty for groups.
    given_to_all: tuple[Use, ...]
    #: What was used and no role of the snapshot allows: another authorizer did, or a role that is gone since. Empty for
    #: groups.
    unexplained: tuple[Use, ...]
    #: Kinds of requests that stay cluster-wide, though each was made in a namespace: `list pods`.
    kept_wide: tuple[str, ...]
    #: Not all that it did is known: nothing is proposed.
    is_partial: bool
    denied: int
    first_seen: dt.datetime | None
    last_seen: dt.datetime | None

    @property
    def unused(self) -> tuple[GrantUse, ...]:
        """Grants of which nothing was used."""
        return tuple(grant for grant in self.grants if not grant.is_used)


@dataclass(frozen=True, slots=True)
class _Need:
    """One right to grant. Without names it is about any object."""

    namespace: str
    verb: str
    group: str
    resource: str
    names: frozenset[str]
    path: str | None = None

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {what}"


def proposals(
    snapshot: Snapshot,
    usages: Iterable[Usage],
    *,
    subjects: Collection[Subject] | None = None,
    with_names: bool = False,
) -> tuple[Proposal, ...]:
    """Compare grants with their use, for each subject that bindings of the snapshot name, sorted.

    Subjects that hold nothing but what Kubernetes itself gives them are left out.

    Args:
        snapshot: The roles and bindings.
        usages: What identities used.
        subjects: Only these, in canonical form.
        with_names: Propose resourceNames where the names are few and stay; otherwise only where the grant had them.
    """
    members: dict[Subject, list[Usage]] = defaultdict(list)
    for usage in usages:
        for subject in subjects_of(usage.identity):
            members[subject].append(usage)
    return tuple(
        _proposal(snapshot, subject, own, members.get(subject, ()), with_names=with_names)
        for subject, own in subjects_with_grants(snapshot).items()
        if subjects is None or subject in subjects
    )


def subjects_with_grants(snapshot: Snapshot) -> Mapping[Subject, tuple[Chain, ...]]:
    """Map each subject that holds more than Kubernetes itself gives it to all that it holds beyond; sorted."""
    return snapshot.derive(_subjects_with_grants)


def _subjects_with_grants(snapshot: Snapshot) -> Mapping[Subject, tuple[Chain, ...]]:
    return {
        subject: own
        for subject, chains in sorted(chains_of(snapshot).items(), key=lambda item: subject_key(item[0]))
        for own in (tuple(chain for chain in chains if not expectation(snapshot, [chain])),)
        if own
    }


def _proposal(
    snapshot: Snapshot, subject: Subject, own: tuple[Chain, ...], members: Iterable[Usage], *, with_names: bool
) -> Proposal:
    seen = list(members)
    standing = _Standing(snapshot, subject)
    used = [(usage, use) for usage in seen for use in usage.uses]
    given_to_all = [use for _, use in used if standing.gives_to_all(use)]
    needed = [use for _, use in used if not standing.gives_to_all(use) and standing.is_granted(use)]
    is_partial = any(usage.is_partial for usage in seen)
    needs = frozenset() if is_partial else frozenset(_needs(standing, needed, with_names=with_names))
    needs, kept_wide = _lifted(standing, needs)
    roles = tuple(_roles(subject, needs))
    is_group = subject.kind == "Group"
    return Proposal(
        subject=subject,
        grants=tuple(_grant_uses(standing, own, needed)),
        roles=roles,
        replaces=_replaced(own, roles),
        users=tuple(usage.identity.user for usage in seen),
        needed=tuple(needed),
        given_to_all=() if is_group else tuple(given_to_all),
        unexplained=() if is_group else tuple(use for usage, use in used if not _is_explained(snapshot, usage, use)),
        kept_wide=kept_wide,
        is_partial=is_partial,
        denied=sum(usage.denied for usage in seen),
        first_seen=min((use.first_seen for _, use in used), default=None),
        last_seen=max((use.last_seen for _, use in used), default=None),
    )


class _Standing:
    """Answers what a subject's own grants allow, and what it may do anyway."""

    def __init__(self, snapshot: Snapshot, subject: Subject) -> None:
        self._snapshot = snapshot
        self._index = authorizer_of(snapshot).index
        self._subject = subject
        self._anyway = (subject, *implied_groups(subject))

    def own_chains(self, request: Request) -> Iterator[Chain]:
        """Find what of the subject's own grants allows a request."""
        for scope in _scopes(request):
            for chain in self._index.chains_that_allow(request, self._subject, scope):
                if not expectation(self._snapshot, [chain]):
                    yield chain

    def grants_for_all(self, request: Request) -> bool:
        """Tell whether the subject's own grants allow a request for objects of any name."""
        return any(_is_for_all(chain, request) for chain in self.own_chains(request))

    def is_granted(self, use: Use) -> bool:
        """Tell whether the subject's own grants allow a use, of one name at least that may have been used."""
        if use.has_more_names and self.granted_names(use.request):
            return True
        return any(any(self.own_chains(request)) for request in use.requests)

    def gives_to_all(self, use: Use) -> bool:
        """Tell whether Kubernetes' own bindings allow a use, whatever its names."""
        if use.has_more_names:
            return any(_is_for_all(chain, use.request) for chain in self._given_chains(use.request))
        return all(any(self._given_chains(request)) for request in use.requests)

    def _given_chains(self, request: Request) -> Iterator[Chain]:
        """Find what of Kubernetes' own bindings allows a request."""
        for subject in self._anyway:
            for scope in _scopes(request):
                for chain in self._index.chains_that_allow(request, subject, scope):
                    if expectation(self._snapshot, [chain]):
                        yield chain

    def granted_names(self, request: Request) -> frozenset[str]:
        """Return the names that grants which are limited to names allow a request for."""
        return frozenset(
            name
            for scope in _scopes(request)
            for chain in self._index.chains_of(self._subject, scope)
            if not expectation(self._snapshot, [chain])
            and verb_matches(chain.rule, request.verb)
            and group_matches(chain.rule, request.group)
            and resource_matches(chain.rule, request.resource, request.subresource)
            for name in chain.rule.resource_names or ()
        )


def _scopes(request: Request) -> tuple[str, ...]:
    """Return where bindings count for a request: the whole cluster (empty), and its namespace if it has one."""
    return ("", request.namespace) if request.namespace else ("",)


def _is_for_all(chain: Chain, request: Request) -> bool:
    """Tell whether a rule that allows a request without a name allows it with any: it may list the empty name alone."""
    return request.path is not None or not chain.rule.resource_names


def _is_explained(snapshot: Snapshot, usage: Usage, use: Use) -> bool:
    authorizer = authorizer_of(snapshot)
    return all(authorizer.can(usage.identity, request).is_allowed for request in use.requests)


def _needs(standing: _Standing, uses: Iterable[Use], *, with_names: bool) -> Iterator[_Need]:
    for use in uses:
        request = use.request
        is_for_all = standing.grants_for_all(request)
        names = _chosen_names(use) if is_for_all and with_names else frozenset()
        if not is_for_all:
            granted = standing.granted_names(request)
            names = granted if use.has_more_names else granted & use.names
        yield _Need(request.namespace, request.verb, request.group, request.combined_resource, names, request.path)


def _chosen_names(use: Use) -> frozenset[str]:
    """Return the names to limit a right to, none if they are too many, don't last, or it is also used without one."""
    fits = not use.has_more_names and "" not in use.names and len(use.names) <= FEW_NAMES
    return use.names if fits and use.request.resource not in _FLEETING else frozenset()


def _lifted(standing: _Standing, needs: frozenset[_Need]) -> tuple[frozenset[_Need], tuple[str, ...]]:
    """Let what is needed in many namespaces be cluster-wide, if it was; drop what the whole cluster's covers."""
    places: dict[_Need, set[str]] = defaultdict(set)
    for need in needs:
        places[replace(need, namespace="")].add(need.namespace)
    wide = {
        need
        for need, namespaces in places.items()
        if "" not in namespaces and len(namespaces) > MANY_NAMESPACES and _was_wide(standing, need)
    }
    everywhere = {need for need in needs if not need.namespace} | wide
    kept = {
        need
        for need in needs
        if not need.namespace
        or not everywhere & {replace(need, namespace=""), replace(need, namespace="", names=frozenset())}
    }
    return frozenset(kept | everywhere), tuple(sorted({str(need) for need in wide}))


def _was_wide(standing: _Standing, need: _Need) -> bool:
    resource, _, subresource = need.resource.partition("/")
    asked = Request(verb=need.verb, group=need.group, resource=resource, subresource=subresource)
    if not need.names:
        return standing.grants_for_all(asked)
    return all(any(standing.own_chains(replace(asked, name=name))) for name in need.names)


def _replaced(own: Iterable[Chain], roles: Iterable[ProposedRole]) -> tuple[Binding, ...]:
    """Return the bindings that a proposal makes superfluous, without those that it writes anew under their name."""
    written = {(role.namespace, role.name) for role in roles}
    found = {(chain.namespace, chain.binding.ref.name): chain.binding for chain in own}
    return tuple(binding for place, binding in found.items() if place not in written)


def _roles(subject: Subject, needs: Iterable[_Need]) -> Iterator[ProposedRole]:
    """Put rights together to roles, one a namespace."""
    by_namespace: dict[str, list[_Need]] = defaultdict(list)
    for need in needs:
        by_namespace[need.namespace].append(need)
    for namespace, found in sorted(by_namespace.items()):
        yield ProposedRole(namespace=namespace, name=_role_name(subject), rules=tuple(_rules(found)))


def _role_name(subject: Subject) -> str:
    """Name the roles of a subject: any other has other ones."""
    words = {"ServiceAccount": subject.namespace}.get(subject.kind, subject.kind.lower())
    # What no name of an object may hold (k8s.io/apimachinery/pkg/api/validation/path).
    name = "".join(f"_{ord(letter):x}_" if letter in "/%" else letter for letter in subject.name)
    return f"least-privilege:{words}:{name}"


def _rules(needs: Iterable[_Need]) -> Iterator[Rule]:
    """Group rights to rules that grant exactly these: first verbs on one resource, then resources with equal verbs.

    API groups stay apart: a rule grants each of its resources in each of its groups.
    """
    verbs: dict[tuple[str, str, frozenset[str]], set[str]] = defaultdict(set)
    paths: dict[str, set[str]] = defaultdict(set)
    for need in needs:
        if need.path is not None:
            paths[need.path].add(need.verb)
        else:
            verbs[need.group, need.resource, need.names].add(need.verb)
    resources: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource, names), found in sorted(verbs.items(), key=lambda item: (*item[0][:2], sorted(item[0][2]))):
        resources[group, tuple(sorted(found)), tuple(sorted(names))].append(resource)
    for (group, of_each, limits), listing in sorted(resources.items(), key=lambda item: (item[0][0], item[1])):
        yield Rule(of_each, (group,), tuple(listing), limits or None)
    urls: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path, found in sorted(paths.items()):
        urls[tuple(sorted(found))].append(path)
    for of_paths, listing in sorted(urls.items()):
        yield Rule(of_paths, non_resource_urls=tuple(listing))


def _grant_uses(standing: _Standing, own: Iterable[Chain], uses: Iterable[Use]) -> Iterator[GrantUse]:
    """Compare each rule with what it allowed of all that was used."""
    allowed: dict[tuple[object, ...], dict[Request, Use]] = defaultdict(dict)
    for use in uses:
        for request in use.requests:
            for chain in standing.own_chains(request):
                allowed[chain.sort_key][request] = use
    for chain in own:
        found = allowed.get(chain.sort_key, {})
        yield GrantUse(chain=chain, is_used=bool(found), wider=tuple(_wider(chain, found)) if found else ())


def _wider(chain: Chain, used: Mapping[Request, Use]) -> Iterator[str]:
    """Say in what a rule is wider than the requests that it allowed."""
    rule = chain.rule
    yield from _beyond("verb", rule.verbs, {request.verb for request in used})
    if rule.non_resource_urls:
        yield from _beyond("path", rule.non_resource_urls, {request.path or "" for request in used})
        return
    yield from _beyond("API group", rule.api_groups or (), {request.group for request in used})
    yield from _beyond("resource", rule.resources or (), {request.combined_resource for request in used})
    names = {request.name for request in used}
    if rule.resource_names:
        yield from _beyond("name", rule.resource_names, names)
    elif len(names) <= FEW_NAMES and all(map(_chosen_names, used.values())):
        yield f"any name, used: {listed(sorted(names))}"
    namespaces = {request.namespace for request in used}
    if not chain.namespace and "" not in namespaces and len(namespaces) <= MANY_NAMESPACES:
        yield f"cluster-wide, used in {listed(sorted(namespaces))}"


def _beyond(what: str, granted: Collection[str], used: set[str]) -> Iterator[str]:
    """Say which words of a rule were not used; of a wildcard, what was used."""
    shown = sorted(word or "the core" for word in used)
    if any(ALL in word for word in granted) and not used <= set(granted):
        yield f"any {what}, used: {listed(shown)}"
        return
    unused = [word or "the core" for word in granted if word not in used and word != ALL]
    if unused and used & set(granted):
        yield f"{what}s never used: {listed(sorted(unused))}"


def summary_of(proposal: Proposal) -> Mapping[str, int]:
    """Count grants by their use."""
    wider = sum(bool(grant.wider) for grant in proposal.grants)
    unused = len(proposal.unused)
    return {"unused": unused, "wider": wider, "needed": len(proposal.grants) - unused - wider}
