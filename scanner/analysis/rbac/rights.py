"""Which subjects hold a right, or several rights together: the question behind most policies about RBAC.

Rights that only yield something together (create a CSR, approve it) count where one identity holds all of them in one
place, through whatever bindings, its groups' included; it is then the finding of each subject that brings in a part.

Who may do everything is one finding, that of the policy which asks for just that. Other policies look past grants that
give everything: a subject that fails by another grant too fails by that one, and of a subject that would fail by such
grants alone they say nothing, neither that it fails nor that it passes. "Who can" (`authorizer`) names it all the same.
"""

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.requests import Request, implied_groups
from scanner.analysis.rbac.subjects import (
    EVERYTHING,
    Unresolved,
    evidence_of,
    expectation,
    gives_everything,
    judged_subjects,
    listed,
    names_everything,
    not_failing,
    place_of,
    ref_of,
    unresolved_roles,
)
from scanner.analysis.rbac.ways import Hold, Holds, Way, held_together
from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from scanner.model.policy import Severity
from scanner.model.rbac import Subject
from scanner.model.snapshot import Snapshot

#: Who holds a right in kube-system reaches the cluster's own controllers: no better than everywhere.
CONTROL_NAMESPACE = "kube-system"


def subjects_who_can(  # noqa: PLR0913 - each argument is one key of a policy's `with`
    snapshot: Snapshot,
    *,
    now: dt.datetime,  # noqa: ARG001 - every question takes it
    any_of: Sequence[Mapping[str, Any]] = (),
    together: Sequence[Sequence[Mapping[str, Any]]] = (),
    in_namespace: str = "",
    past_wildcards: bool = False,
) -> Iterator[Answer]:
    """Judge every subject: fail if it has one of these ways, or all ways of one of these lists in some place.

    `any_of` lists `Way`s that suffice alone; `together` lists lists of `Way`s that yield something only together.
    `in_namespace` is the severity where it holds in single namespaces alone, kube-system not among them.
    With `past_wildcards`, rules on all resources of all groups are looked past, as roles that give everything are: the
    policy about wildcards names them, and what yields little is not said of them once more.
    """
    wanted = msgspec.convert([[way] for way in any_of] + [list(ways) for ways in together], list[list[Way]])
    index = authorizer_of(snapshot).index
    held = [
        parts
        for ways in wanted
        if all(w.works_in(snapshot.server_version) for w in ways)
        for parts in held_together(index, ways)
    ]
    narrow = Severity(in_namespace) if in_namespace else None
    is_cluster_scoped = all(way.cluster_scoped for ways in wanted for way in ways)
    own = [[_telling(holds, past_wildcards=past_wildcards) for holds in ways] for ways in held]
    for subject in judged_subjects(snapshot):
        satisfied = _joined(_satisfied(ways, subject) for ways in own)
        if not satisfied and any(_satisfied(ways, subject) for ways in held):
            continue
        unresolved = unresolved_roles(snapshot).get(subject, ())
        doubts = [role for role in unresolved if not (is_cluster_scoped and role.scope)]
        yield _judged(snapshot, subject, satisfied, doubts, narrow)


def _telling(found: Holds, *, past_wildcards: bool) -> Holds:
    """Leave out what other policies say of a subject, unless everything is what was asked for."""
    return {
        subject: {
            scope: kept
            for scope, holds in by_scope.items()
            for kept in ([h for h in holds if _is_told_here(h, past_wildcards=past_wildcards)],)
            if kept
        }
        for subject, by_scope in found.items()
    }


def _is_told_here(hold: Hold, *, past_wildcards: bool) -> bool:
    if hold.request == EVERYTHING:
        return True
    return not (gives_everything(hold.chain.role) or (past_wildcards and names_everything(hold.chain.rule)))


def _satisfied(held: Sequence[Holds], subject: Subject) -> Mapping[str, Sequence[Hold]]:
    """Return the scopes in which a subject holds all of these and brings in a part itself, with what grants them."""
    own = [holds.get(subject, {}) for holds in held]
    if not any(own):
        return {}
    groups = implied_groups(subject) if len(held) > 1 else ()
    given = [[holds.get(group, {}) for group in groups] for holds in held]
    scopes = sorted({scope for by_scope in (*own, *itertools.chain(*given)) for scope in by_scope})
    found: dict[str, Sequence[Hold]] = {}
    for scope in scopes:
        mine = [_in_scope([by_scope], scope) for by_scope in own]
        parts = [part or _in_scope(theirs, scope) for part, theirs in zip(mine, given, strict=True)]
        if any(mine) and all(parts):
            found[scope] = list(itertools.chain(*parts))
    return found


def _in_scope(holders: Iterable[Mapping[str, Sequence[Hold]]], scope: str) -> Sequence[Hold]:
    """Return what holds in a scope: what is granted there, and what is granted everywhere."""
    return [hold for by_scope in holders for place in sorted({"", scope}) for hold in by_scope.get(place, ())]


def _joined(found: Iterable[Mapping[str, Sequence[Hold]]]) -> Mapping[str, Sequence[Hold]]:
    """Join by scope; what holds in the whole cluster makes single namespaces superfluous."""
    joined: dict[str, list[Hold]] = {}
    for by_scope in found:
        for scope, holds in by_scope.items():
            joined.setdefault(scope, []).extend(holds)
    return {"": joined[""]} if "" in joined else joined


def _judged(
    snapshot: Snapshot,
    subject: Subject,
    satisfied: Mapping[str, Sequence[Hold]],
    doubts: Iterable[Unresolved],
    narrow: Severity | None,
) -> Answer:
    resource = ref_of(snapshot, subject)
    if not satisfied:
        return not_failing(resource, "holds no such right", doubts)
    holds = list(itertools.chain(*satisfied.values()))
    doubtful = list(doubts)
    expected = expectation(snapshot, (hold.chain for hold in holds))
    if expected and doubtful:
        return not_failing(resource, "holds no such right beyond what is expected", doubtful)
    return Answer(
        resource=resource,
        outcome=Outcome.FAIL,
        message=f"{subject} can {_what(hold.request for hold in holds)} {place_of(satisfied)}",
        evidence=evidence_of(sorted((hold.chain for hold in holds), key=lambda chain: chain.sort_key)),
        severity=None if {"", CONTROL_NAMESPACE} & satisfied.keys() else narrow,
        expected=expected,
    )


def _what(requests: Iterable[Request]) -> str:
    """Say what can be done: `get, list secrets; create pods, deployments.apps`."""
    verbs: dict[str, dict[str, None]] = {}
    for request in requests:
        verb, _, what = ("do", "", "everything") if request == EVERYTHING else str(request).partition(" ")
        verbs.setdefault(what, {})[verb] = None
    things: dict[tuple[str, ...], list[str]] = {}
    for what, found in verbs.items():
        things.setdefault(tuple(found), []).append(what)
    return "; ".join(f"{', '.join(found)} {listed(what)}" for found, what in things.items())
