"""What cert-manager says of the certificates that it issues, without a right on Secrets.

Source: https://cert-manager.io/docs/reference/api-docs/ (CertificateStatus, IssuerStatus).
"""

import datetime as dt
from collections.abc import Iterator, Mapping

import msgspec

from scanner.analysis.secrets.steps import step_at
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind
from scanner.model.secret import SecretRef
from scanner.model.snapshot import Snapshot, SourceKind

_GROUP = "cert-manager.io"
CERTIFICATE = GroupKind(_GROUP, "Certificate")
ISSUERS = (GroupKind(_GROUP, "Issuer"), GroupKind(_GROUP, "ClusterIssuer"))
READS: tuple[GroupKind, ...] = (CERTIFICATE, *ISSUERS)

#: How late a renewal may be before it is overdue.
_GRACE = dt.timedelta(days=1)


class _Condition(msgspec.Struct):
    type: str = ""
    status: str = ""
    reason: str = ""


class _Status(msgspec.Struct, rename="camel"):
    not_after: dt.datetime | None = None
    renewal_time: dt.datetime | None = None
    conditions: tuple[_Condition, ...] | None = None

    @property
    def ready(self) -> _Condition | None:
        """The condition that says whether all is well."""
        return next((c for c in self.conditions or () if c.type == "Ready"), None)


class _Spec(msgspec.Struct, rename="camel"):
    secret_name: str = ""


class _Body(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


def issued_not_ready(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Certificate, Issuer and ClusterIssuer whether cert-manager calls it ready."""
    del now  # nothing here depends on the time
    for thing in (o for kind in READS for o in snapshot.of(*kind)):
        ready = _status(thing).ready
        if ready is None or ready.status not in {"True", "False"}:
            if snapshot.source is SourceKind.LIVE:
                yield Answer(resource=thing.ref, outcome=Outcome.UNKNOWN, message="cert-manager has not said yet")
        elif ready.status == "True":
            yield Answer(resource=thing.ref, outcome=Outcome.PASS, message="It is ready")
        else:
            reason = ready.reason or "without a reason"
            yield Answer(
                resource=thing.ref,
                outcome=Outcome.FAIL,
                message=f"cert-manager calls it not ready: {reason}",
                evidence=(Fact(path="status.conditions[type=Ready].status", value="False", note=reason),),
            )


def issued_expiring(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Certificate whether it runs out without being renewed in time, by the steps of 30, 14 and 3 days.

    One whose renewal is ahead, or was due less than a day ago, is as it should be.
    """
    for thing in snapshot.of(*CERTIFICATE):
        status = _status(thing)
        end = status.not_after
        if end is None:
            if snapshot.source is SourceKind.LIVE:
                yield Answer(resource=thing.ref, outcome=Outcome.UNKNOWN, message="It was never issued")
            continue
        left, due = end - now, status.renewal_time
        step = step_at(left)
        if step is None or (due is not None and now < due + _GRACE and end > now):
            yield Answer(resource=thing.ref, outcome=Outcome.PASS, message="It lasts, or is renewed in time")
            continue
        severity, words = step
        overdue = f", and its renewal was due on {due:%Y-%m-%d}" if due else ""
        yield Answer(
            resource=thing.ref,
            outcome=Outcome.FAIL,
            message=f"It {words}, on {end:%Y-%m-%d}{overdue}",
            evidence=(Fact(path="status.notAfter", value=f"{end:%Y-%m-%dT%H:%M:%SZ}"),),
            severity=severity,
        )


def renewals(snapshot: Snapshot) -> Mapping[SecretRef, dt.datetime]:
    """Return when cert-manager renews the certificate of a Secret, of those that it calls ready."""
    found: dict[SecretRef, dt.datetime] = {}
    for thing in snapshot.of(*CERTIFICATE):
        status = _status(thing)
        try:
            name = thing.decode(_Body).spec.secret_name
        except msgspec.ValidationError:  # a custom resource: only its own schema, which we don't have, is sure
            continue
        if name and status.renewal_time and status.ready and status.ready.status == "True":
            found[SecretRef(thing.meta.namespace, name)] = status.renewal_time
    return found


def _status(thing: KubeObject) -> _Status:
    """Return what cert-manager said last; empty where it said nothing that can be read."""
    try:
        status = msgspec.json.decode(thing.status, type=_Status | None) if thing.status else None
    except msgspec.ValidationError:
        return _Status()
    return status or _Status()
