"""Service accounts with rights that no pod could use: nothing runs as them, or nothing that does carries their token.

Who asks for a token elsewhere (a pipeline, a person) may use them all the same, which is why this is a hint. An audit
log tells: see `least_privilege`.
"""

import datetime as dt
from collections.abc import Iterator

from scanner.analysis.rbac.identities import uses_of
from scanner.analysis.rbac.index import Chain
from scanner.analysis.rbac.least_privilege import subjects_with_grants
from scanner.analysis.rbac.subjects import evidence_of, place_of
from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from scanner.model.rbac import Subject
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import TEMPLATE_PATHS

#: Taste: so many rules show what is at stake.
_RULES_SHOWN = 10
#: What a Secret that holds a token names its service account by.
_ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"


def idle_accounts(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:  # noqa: ARG001 - as all questions
    """Judge every service account that bindings name: fail if no pod carries its token.

    `default` accounts are another policy's, and so are accounts that don't exist. Where not every kind of workload was
    read, and in files, which may lack what runs, it is unknown. An account of which a Secret holds a token passes:
    someone has made it for use elsewhere.
    """
    for subject, own in subjects_with_grants(snapshot).items():
        if subject.kind == "ServiceAccount" and subject.name != "default":
            account = snapshot.find("", "ServiceAccount", subject.namespace, subject.name)
            if account is not None:
                outcome, message, missing = _judged(snapshot, subject, own)
                yield Answer(
                    resource=account.ref,
                    outcome=outcome,
                    message=message,
                    evidence=() if outcome is Outcome.PASS else evidence_of(own[:_RULES_SHOWN]),
                    missing=missing,
                )


def _judged(snapshot: Snapshot, subject: Subject, own: tuple[Chain, ...]) -> tuple[Outcome, str, tuple[str, ...]]:
    uses = uses_of(snapshot, subject.namespace, subject.name)
    if any(use.is_token_mounted for use in uses):
        return Outcome.PASS, "pods carry its token", ()
    if _has_token_secret(snapshot, subject):
        return Outcome.PASS, "a Secret holds a token of it", ()
    rules = f"{len(own)} rule{'s' if len(own) > 1 else ''} {place_of(chain.namespace for chain in own)}"
    why = "no pod that runs as it carries its token" if uses else "no workload runs as it"
    missing = _missing(snapshot, subject.namespace)
    return (Outcome.UNKNOWN if missing else Outcome.FAIL), f"{subject} holds {rules}, and {why}", missing


def _has_token_secret(snapshot: Snapshot, subject: Subject) -> bool:
    return any(
        (o.meta.annotations or {}).get(_ACCOUNT_ANNOTATION) == subject.name
        for o in snapshot.of("", "Secret")
        if o.meta.namespace == subject.namespace
    )


def _missing(snapshot: Snapshot, namespace: str) -> tuple[str, ...]:
    """Name what could show that something runs as an account of a namespace after all."""
    if snapshot.source is SourceKind.MANIFESTS:
        return ("Pod: it may be in the cluster already",)
    return tuple(read.missing for read in snapshot.inconclusive(TEMPLATE_PATHS, namespace))
