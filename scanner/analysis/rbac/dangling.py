"""Bindings that refer to what does not exist: rights that wait for whoever may create the missing name.

Who may is part of the evidence: with the missing role comes every right that its creator holds already or may hand out,
with the missing service account what the binding gives. Those who may do everything anyway, and Kubernetes' own
controllers, are left out.

A live cluster shows what exists. Files do not: a Role stands beside its RoleBinding or nowhere, but a ClusterRole or
a service account may be in the cluster already, so those stay unknown.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.bootstrap import is_expected
from scanner.analysis.rbac.index import Chain, role_key_of, scope_of
from scanner.analysis.rbac.requests import Request, canonical_subject
from scanner.analysis.rbac.subjects import NAMES_SHOWN, evidence_of, expectation, gives_everything, listed, plain
from scanner.model.answer import Answer
from scanner.model.coverage import Read
from scanner.model.finding import Fact, Outcome
from scanner.model.policy import Severity
from scanner.model.rbac import RBAC_GROUP, Binding, Subject
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot, SourceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gap:
    """Something that a binding refers to and the scan did not see."""

    fact: Fact
    text: str
    severity: Severity
    #: Why that does not prove that it does not exist; empty if it does.
    doubt: str
    #: What its creator asks the API server for; a name is not looked at.
    creation: Request


def dangling_bindings(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:  # noqa: ARG001 - as all questions
    """Judge every binding: fail if its role or a service account that it names does not exist."""
    for binding in snapshot.bindings:
        gaps = [*_missing_role(snapshot, binding), *_missing_accounts(snapshot, binding)]
        certain = [gap for gap in gaps if not gap.doubt]
        creators = [_creators(snapshot, gap.creation) for gap in certain]
        yield Answer(
            resource=binding.ref,
            outcome=Outcome.FAIL if certain else Outcome.UNKNOWN if gaps else Outcome.PASS,
            message="; ".join(_texts(certain, creators) if certain else [gap.text for gap in gaps])
            or "all that it refers to exists",
            evidence=(*(gap.fact for gap in certain or gaps), *_shown(creators)),
            severity=max((gap.severity for gap in certain), key=lambda severity: severity.rank, default=None),
            missing=() if certain else tuple(sorted({gap.doubt for gap in gaps})),
        )


def _missing_role(snapshot: Snapshot, binding: Binding) -> Iterator[_Gap]:
    kind, namespace, name = key = role_key_of(binding)
    if key in authorizer_of(snapshot).index.roles:
        return
    named = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
    yield _Gap(
        fact=Fact(path="roleRef", value=plain(binding.role_ref), note=f"{named} does not exist"),
        text=f"{named} does not exist: whoever may create it gives its rules to {_count(binding)}",
        severity=Severity.MEDIUM if binding.subjects else Severity.LOW,
        doubt=_doubt(snapshot, GroupKind(RBAC_GROUP, kind), namespace),
        creation=Request(verb="create", group=RBAC_GROUP, resource=f"{kind.lower()}s", namespace=namespace),
    )


def _missing_accounts(snapshot: Snapshot, binding: Binding) -> Iterator[_Gap]:
    for number, subject in enumerate(binding.subjects):
        account = canonical_subject(subject, scope_of(binding))
        if account is None or account.kind != "ServiceAccount" or is_expected(binding, account):
            continue
        if account.name == "default" and snapshot.source is SourceKind.MANIFESTS:
            continue  # every namespace has one, though no file does
        if snapshot.find("", "ServiceAccount", account.namespace, account.name) is None:
            yield _Gap(
                fact=Fact(path=f"subjects[{number}]", value=plain(subject), note=f"{account} does not exist"),
                text=f"{account} does not exist: whoever may create it gets what this binds",
                severity=Severity.LOW,
                doubt=_doubt(snapshot, GroupKind("", "ServiceAccount"), account.namespace),
                creation=Request(verb="create", resource="serviceaccounts", namespace=account.namespace),
            )


_Creators = Mapping[Subject, tuple[Chain, ...]]


def _creators(snapshot: Snapshot, creation: Request) -> _Creators:
    """Return who may create a missing object, with what lets them."""
    known = snapshot.derive(_known_creators)
    if creation not in known:
        known[creation] = {
            holder.subject: chains
            for holder in authorizer_of(snapshot).who_can(creation)
            for chains in (tuple(c for c in holder.chains if not gives_everything(c.role)),)
            if chains and not expectation(snapshot, chains)
        }
    return known[creation]


def _known_creators(_: Snapshot) -> dict[Request, _Creators]:
    """Begin to remember who may create what: many bindings lack the same."""
    return {}


def _texts(gaps: Iterable[_Gap], creators: Iterable[_Creators]) -> Iterator[str]:
    for gap, some in zip(gaps, creators, strict=True):
        yield f"{gap.text} ({listed(map(str, some))} may)" if some else gap.text


def _shown(creators: Iterable[_Creators]) -> tuple[Fact, ...]:
    """Show what lets the first few create it."""
    chains = (chains[0] for some in creators for chains in list(some.values())[:NAMES_SHOWN])
    return tuple(
        replace(fact, note=f"may create it: {fact.note}" if fact.note else fact.note) for fact in evidence_of(chains)
    )


def _doubt(snapshot: Snapshot, kind: GroupKind, namespace: str) -> str:
    """Say why an object that was not seen may exist all the same; empty if it cannot."""
    if snapshot.source is SourceKind.MANIFESTS:
        return "" if kind.kind == "Role" else f"{kind}: it may be in the cluster already"
    reads = snapshot.inconclusive((kind,), namespace)
    return "; ".join(_told(read) for read in reads)


def _told(read: Read) -> str:
    return f"list {read.resource}" + (f" in {read.namespace}" if read.namespace else "")


def _count(binding: Binding) -> str:
    number = len(binding.subjects)
    return "its subject" if number == 1 else f"its {number} subjects"
