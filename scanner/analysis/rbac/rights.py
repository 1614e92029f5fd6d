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
from scanner.analysis.rbac.subjects import EXPECTED, evidence_of, is_builtin, judged_subjects, listed, place_of, ref_of
from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from scanner.model.policy import Severity
from scanner.model.rbac import Subject
from scanner.model.snapshot import Snapshot

#: Who holds a right in kube-system reaches the cluster's own controllers: no better than everywhere.
CONTROL_NAMESPACE = "kube-system"


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


#: Who holds a right, by subject and scope (empty: the whole cluster).
_Holds = Mapping[Subject, Mapping[str, Sequence[_Hold]]]


def subjects_who_can(
    snapshot: Snapshot,
    *,
    now: dt.datetime,  # noqa: ARG001 - every question takes it
    any_of: Sequence[Mapping[str, Any]] = (),
    all_of: Sequence[Sequence[Mapping[str, Any]]] = (),
    in_namespace: str = "",
) -> Iterator[Answer]:
    """Judge every subject: fail if it can do any of these, or at least one of each of those, in some place.

    `any_of` lists `Way`s; `all_of` lists rights that are needed together, each as a list of `Way`s. `in_namespace` is
    the severity where it holds in single namespaces alone, kube-system not among them.
    """
    rights = [msgspec.convert(right, tuple[Way, ...]) for right in (all_of or (any_of,))]
    index = authorizer_of(snapshot).index
    held = [_holds(index, right, snapshot.server_version) for right in rights]
    narrow = Severity(in_namespace) if in_namespace else None
    for subject in judged_subjects(snapshot):
        yield _judged(snapshot, subject, _satisfied(held, subject), narrow)


def _holds(index: Index, right: Iterable[Way], server_version: str) -> _Holds:
    found: dict[Subject, dict[str, list[_Hold]]] = {}
    for way in right:
        if not way.works_in(server_version):
            continue
        for request in way.requests():
            for subject, chain in index.chains(request, ("",) if way.cluster_scoped else None):
                found.setdefault(subject, {}).setdefault(chain.namespace, []).append(_Hold(request, chain))
    return found


def _satisfied(held: Sequence[_Holds], subject: Subject) -> Mapping[str, Sequence[_Hold]]:
    """Return the scopes in which a subject holds all rights and brings in a part itself, with what grants them.

    If it does so in the whole cluster, single namespaces add nothing.
    """
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
        if "" in found:
            break
    return found


def _in_scope(holders: Iterable[Mapping[str, Sequence[_Hold]]], scope: str) -> Sequence[_Hold]:
    """Return what holds in a scope: what is granted there, and what is granted everywhere."""
    return [hold for by_scope in holders for place in sorted({"", scope}) for hold in by_scope.get(place, ())]


def _judged(
    snapshot: Snapshot, subject: Subject, satisfied: Mapping[str, Sequence[_Hold]], narrow: Severity | None
) -> Answer:
    resource = ref_of(snapshot, subject)
    if not satisfied:
        return Answer(resource=resource, outcome=Outcome.PASS, message="cannot")
    holds = list(itertools.chain(*satisfied.values()))
    evidence = evidence_of(sorted((hold.chain for hold in holds), key=lambda chain: chain.sort_key))
    if all(is_builtin(hold.chain) for hold in holds):
        return Answer(resource=resource, outcome=Outcome.PASS, message=EXPECTED, evidence=evidence)
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
        verb, _, what = str(request).partition(" ")
        verbs.setdefault(what, {})[verb] = None
    things: dict[tuple[str, ...], list[str]] = {}
    for what, found in verbs.items():
        things.setdefault(tuple(found), []).append(what)
    return "; ".join(f"{', '.join(found)} {listed(what)}" for found, what in things.items())
