"""References to Secrets, or to keys of them, that do not exist.

The scanner holds no right on Secrets unless its operator grants one, so mostly the answer is that it is unknown.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from scanner.analysis.secrets.tokens import weight_of_account
from scanner.analysis.secrets.usage import uses_of_ingress, uses_of_service_account, uses_of_workload
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import LAST_APPLIED, KubeObject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.secret import SecretBody, SecretRef, SecretUse, SecretUseKind
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import TEMPLATE_PATHS

SECRET = GroupKind("", "Secret")
SERVICE_ACCOUNT = GroupKind("", "ServiceAccount")
INGRESS = GroupKind("networking.k8s.io", "Ingress")

#: What the answers rest on.
READS: tuple[GroupKind, ...] = (SECRET, SERVICE_ACCOUNT, INGRESS, *TEMPLATE_PATHS)

_TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105 - a type, not a token
_ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"

#: Custom resources of which a controller makes a Secret, and where they name it if not by their own name.
_MAKERS: Mapping[GroupKind, tuple[str, ...]] = {
    GroupKind("bitnami.com", "SealedSecret"): ("spec", "template", "metadata", "name"),
    GroupKind("cert-manager.io", "Certificate"): ("spec", "secretName"),
    GroupKind("external-secrets.io", "ExternalSecret"): ("spec", "target", "name"),
    GroupKind("isindir.github.com", "SopsSecret"): (),
    GroupKind("secrets.hashicorp.com", "VaultStaticSecret"): ("spec", "destination", "name"),
    GroupKind("secrets.hashicorp.com", "VaultDynamicSecret"): ("spec", "destination", "name"),
    GroupKind("secrets.hashicorp.com", "VaultPKISecret"): ("spec", "destination", "name"),
}


def missing_references(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each workload, ServiceAccount and Ingress that refers to Secrets whether all of them exist.

    Optional references are left out, and so is what a service account lists as its own. A Secret that was seen without
    the key that is asked for fails. Where Secrets were not read, and for files, beside which Secrets are seldom kept,
    one that was not seen is unknown; all of a namespace are one answer, about the Namespace.
    """
    del now  # nothing here depends on the time
    unproven: dict[str, list[SecretUse]] = {}
    for user, uses in _users(snapshot):
        needed = [u for u in uses if not u.optional and u.kind is not SecretUseKind.SERVICE_ACCOUNT]
        absent = [u for u in needed if not _is_there(snapshot, u.secret)]
        keyless = [u for u in needed if _lacks_key(snapshot, u)]
        if absent and _missing_reads(snapshot, user.namespace):
            unproven.setdefault(user.namespace, []).extend(absent)
            failed = keyless
        else:
            failed = absent + keyless
        if failed:
            yield _failed(user, failed, keyless)
        elif needed and not absent:
            yield Answer(resource=user, outcome=Outcome.PASS, message="Every Secret that it needs exists")
    for namespace, uses in sorted(unproven.items()):
        yield _unproven(snapshot, namespace, uses)


def _users(snapshot: Snapshot) -> Iterator[tuple[ObjectRef, Iterable[SecretUse]]]:
    """Yield everything that may refer to Secrets, with its references; all are of the user's namespace."""
    for workload in snapshot.workloads:
        yield workload.ref, uses_of_workload(workload)
    for account in snapshot.of(*SERVICE_ACCOUNT):
        yield account.ref, uses_of_service_account(account)
    for ingress in snapshot.of(*INGRESS):
        yield ingress.ref, uses_of_ingress(ingress)


def _failed(user: ObjectRef, uses: list[SecretUse], keyless: list[SecretUse]) -> Answer:
    problems = {
        f"Secret {u.secret.name} has no key {u.key}" if u in keyless else f"Secret {u.secret.name} does not exist"
        for u in uses
    }
    return Answer(
        resource=user, outcome=Outcome.FAIL, message="; ".join(sorted(problems)), evidence=_evidence(user, uses)
    )


def _unproven(snapshot: Snapshot, namespace: str, uses: list[SecretUse]) -> Answer:
    known = snapshot.find("", "Namespace", "", namespace)
    resource = known.ref if known else ObjectRef("v1", "Namespace", "", namespace)
    return Answer(
        resource=resource,
        outcome=Outcome.UNKNOWN,
        message=f"{_named(uses)} may or may not exist",
        evidence=_evidence(resource, uses),
        missing=_missing_reads(snapshot, namespace),
    )


def _named(uses: Iterable[SecretUse]) -> str:
    names = sorted({u.secret.name for u in uses})
    return f"{'Secrets' if len(names) > 1 else 'Secret'} {', '.join(names)}"


def _evidence(resource: ObjectRef, uses: Iterable[SecretUse]) -> tuple[Fact, ...]:
    return tuple(
        Fact(path=u.path, value=u.secret.name, container=u.container, object=None if u.user == resource else u.user)
        for u in uses
    )


def _is_there(snapshot: Snapshot, secret: SecretRef) -> bool:
    return snapshot.find(*SECRET, secret.namespace, secret.name) is not None or secret in snapshot.derive(
        secrets_to_come
    )


def _lacks_key(snapshot: Snapshot, use: SecretUse) -> bool:
    """Tell whether a Secret that was seen lacks a key; no key seen at all proves nothing, as in metadata-only reads."""
    found = snapshot.find(*SECRET, use.secret.namespace, use.secret.name)
    if found is None or not use.key or use.secret in snapshot.derive(secrets_to_come):
        return False
    body = found.decode(SecretBody)
    # An empty type means that only metadata was read: its list of keys may lack some.
    return bool(body.type) and use.key not in body.keys


def secrets_to_come(snapshot: Snapshot) -> frozenset[SecretRef]:
    """Return the Secrets that a controller makes of a custom resource in the snapshot."""
    return frozenset(
        SecretRef(o.meta.namespace, _made_by(o, path)) for kind, path in _MAKERS.items() for o in snapshot.of(*kind)
    )


def _made_by(maker: KubeObject, path: tuple[str, ...]) -> str:
    """Return the name that a custom resource gives its Secret: by default its own."""
    value: Any = msgspec.json.decode(maker.body)
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value else maker.meta.name


def _missing_reads(snapshot: Snapshot, namespace: str) -> tuple[str, ...]:
    """Return the reads that would prove that a Secret of a namespace does not exist; empty if they were made."""
    if snapshot.source is not SourceKind.LIVE:
        return ("list secrets",)
    return tuple(read.missing for read in snapshot.inconclusive((SECRET,), namespace))


def legacy_tokens(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Secret that was read whether it holds a token of a service account that never expires.

    A type that is not known (metadata-only reads) is told by the annotation that such Secrets must carry and, where
    keys are known, by the key `token`: OpenShift's registry logins carry the annotation too. What the account may do
    makes it worse or better: see `tokens.weight_of_account`.
    """
    del now  # nothing here depends on the time
    for o in snapshot.of(*SECRET):
        account = (o.meta.annotations or {}).get(_ACCOUNT_ANNOTATION, "")
        body = o.decode(SecretBody)
        if body.type == _TOKEN_TYPE or (not body.type and account and "token" in (body.keys or ("token",))):
            yield Answer(
                resource=o.ref,
                outcome=Outcome.FAIL,
                message=f"It holds a token of ServiceAccount {account or '(not named)'} that never expires",
                evidence=(Fact(path="type", value=_TOKEN_TYPE),),
                severity=weight_of_account(snapshot, o.meta.namespace, account) if account else None,
            )
        else:
            yield Answer(resource=o.ref, outcome=Outcome.PASS, message="It is no service account's token")


def data_in_last_applied(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Secret that was read whether its last-applied annotation holds values of its data."""
    del now  # nothing here depends on the time
    for secret in snapshot.of(*SECRET):
        if secret.decode(SecretBody).leaks_data:
            yield Answer(
                resource=secret.ref,
                outcome=Outcome.FAIL,
                message="Its last-applied annotation holds values of its data",
                evidence=(Fact(path=f"metadata.annotations[{LAST_APPLIED}]"),),
            )
        else:
            yield Answer(resource=secret.ref, outcome=Outcome.PASS, message="No annotation of kubectl holds its data")
