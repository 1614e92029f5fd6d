"""Proposals, applied and checked by the authorizer itself: nothing that was used is lost, nothing new is given."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from scanner.analysis.rbac.authorizer import Authorizer, authorizer_of
from scanner.analysis.rbac.least_privilege import Proposal, ProposedRole
from scanner.analysis.rbac.requests import Request, canonical_subject
from scanner.analysis.rbac.subjects import plain
from scanner.analysis.rbac.usage import Usage
from scanner.model.objects import KubeObject, ObjectMeta
from scanner.model.rbac import RBAC_GROUP, BindingBody, Rule, Subject
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot

API_VERSION = f"{RBAC_GROUP}/v1"


@dataclass(frozen=True, slots=True)
class Proof:
    """What was checked of proposals, and what did not hold."""

    #: Recorded requests that were allowed before, and are still.
    requests: int
    #: Rights in the proposed rules, each of which its subject was granted before.
    rights: int
    #: Whatever contradicts it, in words. Empty: it is proven.
    failures: tuple[str, ...]


def manifests_of(proposal: Proposal) -> Iterator[dict[str, Any]]:
    """Return the proposed roles, each with its binding, as the API server takes them."""
    for role in proposal.roles:
        kind = "Role" if role.namespace else "ClusterRole"
        metadata = {"name": role.name} | ({"namespace": role.namespace} if role.namespace else {})
        rules = [plain(rule) for rule in role.rules]
        yield {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "rules": rules}
        yield {
            "apiVersion": API_VERSION,
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": kind, "name": role.name},
            "subjects": [plain(proposal.subject)],
        }


def applied(snapshot: Snapshot, proposals: Iterable[Proposal]) -> Snapshot:
    """Return a snapshot in which proposals are applied: their roles bound, and their subjects out of what they replace.

    A proposal without roles changes nothing.
    """
    acted = [proposal for proposal in proposals if proposal.roles]
    removed: dict[tuple[str, str, str], set[Subject]] = {}
    for proposal in acted:
        for binding in proposal.replaces:
            removed.setdefault((binding.ref.kind, binding.ref.namespace, binding.ref.name), set()).add(proposal.subject)
    made = [_object(manifest) for proposal in acted for manifest in manifests_of(proposal)]
    objects: dict[GroupKind, dict[tuple[str, str], KubeObject]] = {
        kind: {(o.meta.namespace, o.meta.name): _without(o, removed) for o in found}
        for kind, found in snapshot.objects.items()
    }
    for thing in made:
        objects.setdefault(thing.group_kind, {})[thing.meta.namespace, thing.meta.name] = thing
    return replace(
        snapshot,
        objects={kind: tuple(found[key] for key in sorted(found)) for kind, found in objects.items()},
    )


def _object(manifest: Mapping[str, Any]) -> KubeObject:
    body = {name: part for name, part in manifest.items() if name not in {"apiVersion", "kind", "metadata"}}
    return KubeObject(
        manifest["apiVersion"], manifest["kind"], ObjectMeta(**manifest["metadata"]), msgspec.json.encode(body)
    )


def _without(thing: KubeObject, removed: Mapping[tuple[str, str, str], set[Subject]]) -> KubeObject:
    """Take subjects out of a binding."""
    gone = removed.get((thing.kind, thing.meta.namespace, thing.meta.name))
    if not gone or thing.group_kind.group != RBAC_GROUP:
        return thing
    body = thing.decode(BindingBody)
    namespace = thing.meta.namespace
    kept = tuple(s for s in body.subjects or () if canonical_subject(s, namespace) not in gone)
    return msgspec.structs.replace(thing, body=msgspec.json.encode(msgspec.structs.replace(body, subjects=kept)))


def prove(snapshot: Snapshot, usages: Iterable[Usage], proposals: Iterable[Proposal]) -> Proof:
    """Check proposals, all applied together, by asking the authorizer before and after."""
    listed = list(proposals)
    before, after = authorizer_of(snapshot), authorizer_of(applied(snapshot, listed))
    failures: list[str] = []
    requests = rights = 0
    for usage in usages:
        for request in (request for use in usage.uses for request in use.requests):
            if before.can(usage.identity, request).is_allowed:
                requests += 1
                if not after.can(usage.identity, request).is_allowed:
                    failures.append(f"{usage.identity.user} could {request} and no longer can")
    for proposal in listed:
        for right in itertools.chain.from_iterable(map(rights_in, proposal.roles)):
            rights += 1
            if not _was_granted(before, proposal.subject, right):
                failures.append(f"{proposal.subject} could not {right.request} before")
    return Proof(requests, rights, tuple(failures))


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that a role grants."""

    request: Request
    #: It is granted for objects of any name; the request names none.
    is_for_all: bool


def _was_granted(before: Authorizer, subject: Subject, right: Right) -> bool:
    return any(
        not right.is_for_all or not chain.rule.resource_names
        for scope in {"", right.request.namespace}
        for chain in before.index.chains_that_allow(right.request, subject, scope)
    )


def rights_in(role: ProposedRole) -> Iterator[Right]:
    """Take a proposed role apart into all that it grants."""
    for rule in role.rules:
        yield from _rights(rule, role.namespace)


def _rights(rule: Rule, namespace: str) -> Iterator[Right]:
    for verb, path in itertools.product(rule.verbs, rule.non_resource_urls or ()):
        yield Right(Request(verb=verb, path=path), is_for_all=False)
    names, is_for_all = rule.resource_names or ("",), not rule.resource_names
    for verb, group, what, name in itertools.product(rule.verbs, rule.api_groups or (), rule.resources or (), names):
        resource, _, subresource = what.partition("/")
        request = Request(
            verb=verb, group=group, resource=resource, subresource=subresource, name=name, namespace=namespace
        )
        yield Right(request, is_for_all)
