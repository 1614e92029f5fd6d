"""Ways to a right, as policies write them, and who has one.

Mostly a way is a few requests of which any one suffices. What a rule limited to names yields depends on the names:
nothing unless the way lists one of them, or says that any will do.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from scanner.analysis.rbac.aggregation import feeders
from scanner.analysis.rbac.index import Chain, Index, RoleKey
from scanner.analysis.rbac.matching import ALL, rule_allows
from scanner.analysis.rbac.releases import minor_of
from scanner.analysis.rbac.requests import Request, implied_groups
from scanner.model.rbac import RBAC_GROUP, Rule, Subject

#: Ends a verb in a way that stands for all verbs with this start.
_ANY_VERB = ":*"


class Way(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to a right: any of these verbs on any of these resources or paths."""

    #: One that ends in `:*` means any verb with this start, on whatever resource; `resources` is then empty.
    verbs: tuple[str, ...]
    #: As kubectl writes them: `pods`, `deployments.apps`, `pods/exec`, `signers.certificates.k8s.io`.
    resources: tuple[str, ...] = ()
    #: Paths of the API server that are no resources.
    paths: tuple[str, ...] = ()
    #: Objects that yield as much as all of them: a rule with resourceNames counts only if it has one of these.
    names: tuple[str, ...] = ()
    #: A rule with resourceNames counts whatever they are.
    any_name: bool = False
    #: Only a rule with resourceNames counts, whatever they are or with one of `names`: the other half of a way that
    #: leaves those out. The right of a service account on itself does not.
    only_named: bool = False
    #: The ways of one list that have this must meet in one object; if by its name, in a role that the subject holds.
    same_name: bool = False
    #: The resources have no namespace, so that a RoleBinding cannot grant them.
    cluster_scoped: bool = False
    #: The objects lie in this namespace; a right in the whole cluster includes it.
    namespace: str = ""
    #: The names of ClusterRoles whose rules are aggregated into others count like `names`.
    feeders: bool = False
    #: It works since this minor release; where the release is not known, it counts.
    since: str = ""
    #: It stopped working with this minor release; where the release is not known, it counts.
    before: str = ""
    #: It works only with releases whose version has this part (`-eks-`); where the release is not known, it does not.
    only_on: str = ""

    def requests(self) -> Iterator[Request]:
        """Yield what to ask the authorizer, apart from the namespace."""
        for verb, path in itertools.product(self.verbs, self.paths):
            yield Request(verb=verb, path=path)
        for verb, resource, name in itertools.product(self.verbs, self.resources, ("", *self.names)):
            group_resource, _, subresource = resource.partition("/")
            plural, _, group = group_resource.partition(".")
            request = Request(verb=verb, group=group, resource=plural, subresource=subresource, name=name)
            if not name or _carries_name(request):
                yield request

    def works_in(self, server_version: str) -> bool:
        """Tell whether it works in a release of Kubernetes, named as `v1.37.2`."""
        if not server_version:
            return not self.only_on
        release = minor_of(server_version)
        is_too_old = self.since and release < minor_of(self.since)
        is_too_new = self.before and release >= minor_of(self.before)
        return self.only_on in server_version and not is_too_old and not is_too_new

    @property
    def scopes(self) -> tuple[str, ...] | None:
        """Where a binding must hold (empty: the whole cluster) to grant it; None if anywhere."""
        if self.cluster_scoped or self.paths:
            return ("",)
        return ("", self.namespace) if self.namespace else None


@dataclass(frozen=True, slots=True)
class Hold:
    """One request that one chain grants."""

    request: Request
    chain: Chain


#: Who has a way, by subject and scope (empty: the whole cluster).
Holds = Mapping[Subject, Mapping[str, Sequence[Hold]]]


def holds_of(index: Index, way: Way) -> Holds:
    """Find who has a way."""
    found: dict[Subject, dict[str, list[Hold]]] = {}
    asked = msgspec.structs.replace(way, names=(*way.names, *feeders(index.roles))) if way.feeders else way
    for subject, hold in _found(index, asked):
        found.setdefault(subject, {}).setdefault(hold.chain.namespace, []).append(hold)
    return found


def _found(index: Index, way: Way) -> Iterator[tuple[Subject, Hold]]:
    if not way.only_named:
        for request in way.requests():
            for subject, chain in index.chains(request, way.scopes):
                if not request.name or chain.rule.resource_names:  # else the request for all names has found it
                    yield subject, Hold(request, chain)
    if way.any_name or way.only_named:
        yield from _named(index, way)
    for verb in way.verbs:
        if verb.endswith(_ANY_VERB):
            yield from _started(index, way, verb.removesuffix(ALL))


def _named(index: Index, way: Way) -> Iterator[tuple[Subject, Hold]]:
    """Find who has a way for certain names alone; each name is one request."""
    requests = [request for request in way.requests() if not request.name and _carries_name(request)]
    for subject, chain in _chains(index, way, lambda rule: bool(rule.resource_names)):
        unlimited = msgspec.structs.replace(chain.rule, resource_names=None)
        for request in requests:
            if rule_allows(unlimited, request):
                for name in chain.rule.resource_names or ():
                    if not way.only_named or _is_meant(way, subject, Hold(replace(request, name=name), chain)):
                        yield subject, Hold(replace(request, name=name), chain)


def _started(index: Index, way: Way, start: str) -> Iterator[tuple[Subject, Hold]]:
    """Find who holds any verb with a start on any resource, limited to names or not."""
    for subject, chain in _chains(index, way, lambda rule: bool(rule.resources)):
        verb = next((verb for verb in chain.rule.verbs if verb == ALL or verb.startswith(start)), "")
        if verb:
            resource, _, subresource = (chain.rule.resources or ("",))[0].partition("/")
            group = (chain.rule.api_groups or ("",))[0]
            yield subject, Hold(Request(verb=verb, group=group, resource=resource, subresource=subresource), chain)


def _chains(index: Index, way: Way, is_wanted: Callable[[Rule], bool]) -> Iterator[tuple[Subject, Chain]]:
    """Walk through what bindings give by rules of a kind, in the scopes where they can grant a way."""
    for key, by_scope in index.by_role.items():
        role = index.roles[key]
        for number, rule in enumerate(role.rules):
            if is_wanted(rule):
                for scope in by_scope if way.scopes is None else way.scopes:
                    for bound in by_scope.get(scope, ()):
                        yield bound.subject, Chain(bound.binding, bound.subject_index, role, number)


def _carries_name(request: Request) -> bool:
    """Tell whether such a request names its object, so that a rule limited to names can allow it.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources.
    """
    return request.subresource != "" or request.verb not in {"create", "deletecollection"}


def _is_meant(way: Way, subject: Subject, hold: Hold) -> bool:
    """Tell whether a way for named objects alone is about this one."""
    request, here = hold.request, hold.chain.namespace
    is_itself = request.resource == "serviceaccounts" and (subject.namespace, subject.name) == (here, request.name)
    return not is_itself and (not way.names or request.name in way.names)


def held_together(index: Index, ways: Sequence[Way]) -> Iterator[Sequence[Holds]]:
    """Find who has each way of a list; a subject that has all parts of one list yielded has what the ways stand for.

    The first is for rights on all objects. Ways that must meet in one role give more: lists for each name that limits
    one of them, where a last part says who is bound to the role of that name.
    """
    yield [holds_of(index, way) for way in ways]
    meeting = [place for place, way in enumerate(ways) if way.same_name]
    roles = _roles_by_name(index) if meeting else {}
    for place in meeting:
        kind = "ClusterRole" if next(ways[place].requests()).resource == "clusterroles" else "Role"
        for name, limited in sorted(_by_name(_named(index, ways[place])).items()):
            bound = _bound_to(index, roles.get((kind, name), ()))
            if _may_meet(limited, bound):
                parts = [
                    holds_of(index, msgspec.structs.replace(way, names=(name,)) if way.same_name else way)
                    for way in ways
                ]
                yield [*parts[:place], limited, *parts[place + 1 :], bound]


def _by_name(found: Iterable[tuple[Subject, Hold]]) -> Mapping[str, Holds]:
    """Sort what is limited to names by name."""
    by_name: dict[str, dict[Subject, dict[str, list[Hold]]]] = {}
    for subject, hold in found:
        by_subject = by_name.setdefault(hold.request.name, {})
        by_subject.setdefault(subject, {}).setdefault(hold.chain.namespace, []).append(hold)
    return by_name


def _roles_by_name(index: Index) -> Mapping[tuple[str, str], Sequence[RoleKey]]:
    """Return the roles that are bound to anyone, by kind and name."""
    found: dict[tuple[str, str], list[RoleKey]] = {}
    for key in index.by_role:
        found.setdefault((key[0], key[2]), []).append(key)
    return found


def _bound_to(index: Index, keys: Iterable[RoleKey]) -> Holds:
    """Find who is bound to one of some roles; the chain shows a role's first rule."""
    found: dict[Subject, dict[str, list[Hold]]] = {}
    for key in keys:
        role = index.roles[key]
        request = Request(verb="hold", group=RBAC_GROUP, resource=f"{key[0].lower()}s", name=key[2])
        for scope, bounds in index.by_role[key].items() if role.rules else ():
            for bound in bounds:
                hold = Hold(request, Chain(bound.binding, bound.subject_index, role, 0))
                found.setdefault(bound.subject, {}).setdefault(scope, []).append(hold)
    return found


def _may_meet(some: Holds, others: Holds) -> bool:
    """Tell whether anyone can have a part of both, by itself or by a group that it is in."""
    return any(
        mine.keys() & {subject, *implied_groups(subject)}
        for mine, theirs in ((some, others), (others, some))
        for subject in theirs
    )
