"""Which subjects hold a right, or several rights together: the question behind most policies about RBAC.

Rights that only yield something together (create a CSR, approve it) count where one identity holds all of them in one
place, through whatever bindings, its groups' included; it is then the finding of each subject that brings in a part.
"""

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.index import Chain, Index
from scanner.analysis.rbac.requests import Request, implied_groups
from scanner.analysis.rbac.subjects import (
    EXPECTED,
    Unresolved,
    evidence_of,
    is_builtin,
    judged_subjects,
    listed,
    not_failing,
    place_of,
    ref_of,
    unresolved_roles,
)
from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from scanner.model.policy import Severity
from scanner.model.rbac import Subject
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot

#: Who holds a right in kube-system reaches the cluster's own controllers: no better than everywhere.
CONTROL_NAMESPACE = "kube-system"
#: Asked in the rules' own words: only a rule that says so grants the verb `*` on `*`.
_EVERYTHING = Request(verb="*", group="*", resource="*")


class Way(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to a right: any of these verbs on any of these resources."""

    verbs: tuple[str, ...]
    #: As kubectl writes them: `pods`, `deployments.apps`, `pods/exec`, `signers.certificates.k8s.io`.
    resources: tuple[str, ...]
    #: Objects that yield as much as all of them: a rule with resourceNames counts only if it has one of these.
    names: tuple[str, ...] = ()
    #: The resources have no namespace, so that a RoleBinding cannot grant them.
    cluster_scoped: bool = False
    #: It stopped working with this minor release; where the release is not known, it counts.
    before: str = ""

    def requests(self) -> Iterator[Request]:
        """Yield what to ask the authorizer, apart from the namespace."""
        for verb, resource, name in itertools.product(self.verbs, self.resources, ("", *self.names)):
            group_resource, _, subresource = resource.partition("/")
            plural, _, group = group_resource.partition(".")
            yield Request(verb=verb, group=group, resource=plural, subresource=subresource, name=name)

    def works_in(self, server_version: str) -> bool:
        """Tell whether it works in a release of Kubernetes, named as `v1.37.2`."""
        return not (self.before and server_version) or _minor(server_version) < _minor(self.before)


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.removeprefix("v").split(".")[:2]
    return int(major), int("".join(itertools.takewhile(str.isdigit, minor)) or "0")


@dataclass(frozen=True, slots=True)
class _Hold:
    """One request that one chain grants."""

    request: Request
    chain: Chain


#: Who has a way, by subject and scope (empty: the whole cluster).
_Holds = Mapping[Subject, Mapping[str, Sequence[_Hold]]]


def subjects_who_can(
    snapshot: Snapshot,
    *,
    now: dt.datetime,  # noqa: ARG001 - every question takes it
    any_of: Sequence[Mapping[str, Any]] = (),
    together: Sequence[Sequence[Mapping[str, Any]]] = (),
    in_namespace: str = "",
) -> Iterator[Answer]:
    """Judge every subject: fail if it has one of these ways, or all ways of one of these lists in some place.

    `any_of` lists `Way`s that suffice alone; `together` lists lists of `Way`s that yield something only together.
    `in_namespace` is the severity where it holds in single namespaces alone, kube-system not among them.
    """
    wanted = msgspec.convert([[way] for way in any_of] + [list(ways) for ways in together], list[list[Way]])
    index = authorizer_of(snapshot).index
    held = [
        [_holds(index, way) for way in ways]
        for ways in wanted
        if all(w.works_in(snapshot.server_version) for w in ways)
    ]
    narrow = Severity(in_namespace) if in_namespace else None
    is_cluster_scoped = all(way.cluster_scoped for ways in wanted for way in ways)
    for subject in judged_subjects(snapshot):
        satisfied = _joined(_satisfied(ways, subject) for ways in held)
        unresolved = unresolved_roles(snapshot).get(subject, ())
        doubts = [role for role in unresolved if not (is_cluster_scoped and role.scope)]
        yield _judged(ref_of(snapshot, subject), subject, satisfied, doubts, narrow)


def _holds(index: Index, way: Way) -> _Holds:
    found: dict[Subject, dict[str, list[_Hold]]] = {}
    for request in way.requests():
        for subject, chain in index.chains(request, ("",) if way.cluster_scoped else None):
            if request.name and not chain.rule.resource_names:
                continue  # the request for all names has found it
            found.setdefault(subject, {}).setdefault(chain.namespace, []).append(_Hold(request, chain))
    return found


def _satisfied(held: Sequence[_Holds], subject: Subject) -> Mapping[str, Sequence[_Hold]]:
    """Return the scopes in which a subject holds all of these and brings in a part itself, with what grants them."""
    own = [holds.get(subject, {}) for holds in held]
    if not any(own):
        return {}
    groups = implied_groups(subject) if len(held) > 1 else ()
    given = [[holds.get(group, {}) for group in groups] for holds in held]
    scopes = sorted({scope for by_scope in (*own, *itertools.chain(*given)) for scope in by_scope})
    found: dict[str, Sequence[_Hold]] = {}
    for scope in scopes:
        mine = [_in_scope([by_scope], scope) for by_scope in own]
        parts = [part or _in_scope(theirs, scope) for part, theirs in zip(mine, given, strict=True)]
        if any(mine) and all(parts):
            found[scope] = list(itertools.chain(*parts))
    return found


def _in_scope(holders: Iterable[Mapping[str, Sequence[_Hold]]], scope: str) -> Sequence[_Hold]:
    """Return what holds in a scope: what is granted there, and what is granted everywhere."""
    return [hold for by_scope in holders for place in sorted({"", scope}) for hold in by_scope.get(place, ())]


def _joined(found: Iterable[Mapping[str, Sequence[_Hold]]]) -> Mapping[str, Sequence[_Hold]]:
    """Join by scope; what holds in the whole cluster makes single namespaces superfluous."""
    joined: dict[str, list[_Hold]] = {}
    for by_scope in found:
        for scope, holds in by_scope.items():
            joined.setdefault(scope, []).extend(holds)
    return {"": joined[""]} if "" in joined else joined


def _judged(
    resource: ObjectRef,
    subject: Subject,
    satisfied: Mapping[str, Sequence[_Hold]],
    doubts: Iterable[Unresolved],
    narrow: Severity | None,
) -> Answer:
    if not satisfied:
        return not_failing(resource, "holds no such right", (), doubts)
    holds = list(itertools.chain(*satisfied.values()))
    evidence = evidence_of(sorted((hold.chain for hold in holds), key=lambda chain: chain.sort_key))
    if all(is_builtin(hold.chain) for hold in holds):
        return not_failing(resource, EXPECTED, evidence, doubts)
    return Answer(
        resource=resource,
        outcome=Outcome.FAIL,
        message=f"{subject} can {_what(hold.request for hold in holds)} {place_of(satisfied)}",
        evidence=evidence,
        severity=None if {"", CONTROL_NAMESPACE} & satisfied.keys() else narrow,
    )


def _what(requests: Iterable[Request]) -> str:
    """Say what can be done: `get, list secrets; create pods, deployments.apps`."""
    verbs: dict[str, dict[str, None]] = {}
    for request in requests:
        verb, _, what = ("do", "", "everything") if request == _EVERYTHING else str(request).partition(" ")
        verbs.setdefault(what, {})[verb] = None
    things: dict[tuple[str, ...], list[str]] = {}
    for what, found in verbs.items():
        things.setdefault(tuple(found), []).append(what)
    return "; ".join(f"{', '.join(found)} {listed(what)}" for found, what in things.items())
