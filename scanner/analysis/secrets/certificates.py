"""Certificates: which run out, are weak, are for other hosts, do not verify, or have another key.

Those of TLS Secrets are judged where reading them is opted in to, else they are unknown. Without any right on Secrets,
CA bundles of webhooks and API services are judged, and what the connection of the scan rests on: the API server's own
certificate, its authorities, the client's.

Severity rises by steps, 30, 14 and 3 days before the end and when it has come, and a message names the step and no
number of days: so each step is one change of a finding, and told once.
"""

import datetime as dt
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from scanner.analysis.secrets.issued import renewals
from scanner.analysis.secrets.pem import bundle_of_base64, lifetime, names_host
from scanner.analysis.secrets.served import GATEWAY, INGRESS, Served, served_in
from scanner.analysis.secrets.steps import step_at
from scanner.model.answer import Answer
from scanner.model.certificate import TLS_CERTIFICATE, TLS_SECRETS, Bundle, Certificate, Trust
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.secret import SecretBody, SecretRef
from scanner.model.snapshot import Snapshot, SourceKind, object_ref_of_cluster

SECRET = GroupKind("", "Secret")
_ADMISSION = "admissionregistration.k8s.io"
WEBHOOKS = (
    GroupKind(_ADMISSION, "ValidatingWebhookConfiguration"),
    GroupKind(_ADMISSION, "MutatingWebhookConfiguration"),
)
API_SERVICE = GroupKind("apiregistration.k8s.io", "APIService")

#: What answers about certificates of TLS Secrets rest on.
READS: tuple[GroupKind, ...] = (TLS_SECRETS, INGRESS, GATEWAY)
#: What answers about certificates that the API server relies on rest on.
RELIED_ON_READS: tuple[GroupKind, ...] = (*WEBHOOKS, API_SERVICE)

_MIN_RSA_BITS = 2048
_MIN_EC_BITS = 224
_WEAK_HASHES = frozenset({"md5", "sha1"})
#: Ends of names that are nobody's on the internet.
#: Source: RFC 6761, RFC 6762, RFC 8375, and ICANN's `internal`.
_PRIVATE_ENDS = (".local", ".internal", ".localhost", ".home.arpa", ".lan", ".corp", ".svc", ".intranet", ".private")
#: Annotations and values by which an Ingress says that its door is not open to the internet.
_INTERNAL = (("alb.ingress.kubernetes.io/scheme", "internal"), ("kubernetes.io/ingress.class", "gce-internal"))


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Held:
    """A Secret whose certificate was read."""

    ref: ObjectRef
    keys: tuple[str, ...]
    bundle: Bundle | None


@dataclass(frozen=True, slots=True)
class _Relied:
    """A certificate, or authorities, that an object holds for the API server, or a connection rests on."""

    ref: ObjectRef
    key: str
    #: How a message begins: `The CA bundle of webhook x`.
    what: str
    path: str
    bundle: Bundle
    #: Whether any one of them that is valid is enough.
    are_authorities: bool


def certificates_expiring(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each TLS Secret whether a certificate of its chain runs out, or is not valid yet.

    What cert-manager renews in time is as it should be. For files, which seldom hold Secrets, one answer here says
    which certificates cannot be judged by anything.
    """
    yield from _unseen(snapshot)
    renewed = snapshot.derive(renewals)
    for held in snapshot.derive(_held):
        chain = held.bundle.certificates if held.bundle else ()
        if not chain:
            continue
        first = min(chain, key=lambda c: c.not_after)
        renewal = renewed.get(SecretRef(held.ref.namespace, held.ref.name))
        yield _expiry(held.ref, "", "Its certificate", TLS_CERTIFICATE, first, now, renewal)


def relied_on_expiring(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each CA bundle of a webhook or API service, and each certificate of the connection, whether it ends.

    Of authorities the one that lasts longest counts: beside it, an old one may run out.
    """
    for relied in snapshot.derive(_relied_on):
        found = relied.bundle.certificates
        if not found:
            message = f"{relied.what} cannot be read: {relied.bundle.problem}"
            yield Answer(resource=relied.ref, key=relied.key, outcome=Outcome.UNKNOWN, message=message)
            continue
        pick = max if relied.are_authorities else min
        first = pick(found, key=lambda c: c.not_after)
        yield _expiry(relied.ref, relied.key, relied.what, relied.path, first, now, None)


def _expiry(  # noqa: PLR0913, PLR0917 - one row of what is told
    ref: ObjectRef, key: str, what: str, path: str, first: Certificate, now: dt.datetime, renewal: dt.datetime | None
) -> Answer:
    evidence = (Fact(path=path, value=_shown(first)),)
    if first.not_before > now:
        message = f"{what} is not valid before {first.not_before:%Y-%m-%d}: {first.subject}"
        return Answer(resource=ref, key=key, outcome=Outcome.FAIL, message=message, evidence=evidence)
    step = step_at(first.not_after - now, lifetime(first))
    if step is None or (renewal is not None and now < renewal + dt.timedelta(days=1) and first.not_after > now):
        return Answer(resource=ref, key=key, outcome=Outcome.PASS, message=f"{what} lasts, or is renewed in time")
    severity, words = step
    message = f"{what} {words}, on {first.not_after:%Y-%m-%d}: {first.subject or 'without a name'}"
    return Answer(resource=ref, key=key, outcome=Outcome.FAIL, message=message, evidence=evidence, severity=severity)


def certificates_weak(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each TLS Secret whether its certificates have weak keys or signatures."""
    del now  # nothing here depends on the time
    for held in snapshot.derive(_held):
        if held.bundle and held.bundle.certificates:
            yield _weakness(held.ref, "", "Its certificate", TLS_CERTIFICATE, held.bundle)


def relied_on_weak(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each CA bundle, and each certificate of the connection, whether it has weak keys or signatures."""
    del now  # nothing here depends on the time
    for relied in snapshot.derive(_relied_on):
        if relied.bundle.certificates:
            yield _weakness(relied.ref, relied.key, relied.what, relied.path, relied.bundle)


def _weakness(ref: ObjectRef, key: str, what: str, path: str, bundle: Bundle) -> Answer:
    found = [(c, words) for c in bundle.certificates if (words := _weak(c))]
    if not found:
        return Answer(resource=ref, key=key, outcome=Outcome.PASS, message=f"{what} is strong enough")
    said = "; ".join(dict.fromkeys(f"{c.subject or 'without a name'} {words}" for c, words in found[:5]))
    return Answer(
        resource=ref,
        key=key,
        outcome=Outcome.FAIL,
        message=f"{what} is weak: {said}",
        evidence=tuple(Fact(path=path, value=_shown(c), note=words) for c, words in found[:5]),
    )


def _weak(certificate: Certificate) -> str:
    """Word what is weak of a certificate; empty if nothing is. A root's own signature guards nothing."""
    bits = certificate.bits
    if certificate.key == "DSA":
        return f"has a DSA key of {bits} bits"
    if (certificate.key == "RSA" and bits < _MIN_RSA_BITS) or (certificate.key == "EC" and bits < _MIN_EC_BITS):
        return f"has an {certificate.key} key of {bits} bits"
    if certificate.signature_hash in _WEAK_HASHES and not (certificate.is_self_signed and certificate.is_authority):
        return f"is signed with {certificate.signature_hash.upper()}"
    return ""


def certificates_for_other_hosts(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Ingress and Gateway whether the certificates that it serves are for their hosts."""
    del now  # nothing here depends on the time
    for place, held in _served_and_held(snapshot):
        if not (place.hosts and held.bundle and held.bundle.certificates):
            continue
        first = held.bundle.certificates[0]
        strangers = [host for host in place.hosts if not names_host(first, host)]
        if strangers:
            named = ", ".join(first.hosts[:5]) or "no host at all"
            yield _fails(
                place, f"Its certificate in {place.secret.name} is not for {', '.join(strangers)}, but for {named}"
            )
        else:
            yield _passes(place, "The certificate is for these hosts")


def chains_broken(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each TLS Secret whether its chain verifies, up to the Secret's own authority or a public root."""
    del now  # nothing here depends on the time
    for held in snapshot.derive(_held):
        bundle = held.bundle
        match bundle.trust if bundle else None:
            case Trust.VERIFIED:
                yield Answer(resource=held.ref, outcome=Outcome.PASS, message="The chain verifies")
            case Trust.BROKEN:
                yield Answer(
                    resource=held.ref,
                    outcome=Outcome.FAIL,
                    message="A certificate of its chain is not signed by the one that follows",
                    evidence=(Fact(path=TLS_CERTIFICATE, value=_issuers(bundle)),),
                )
            case Trust.UNKNOWN_ISSUER | Trust.SELF_SIGNED:
                issuer = bundle.certificates[-1].issuer if bundle and bundle.certificates else ""
                yield Answer(
                    resource=held.ref,
                    outcome=Outcome.UNKNOWN,
                    message=f"Its issuer is neither a public root nor in the Secret's ca.crt: {issuer}",
                )
            case _:
                pass  # one that cannot be read is told by another policy


def certificates_self_signed(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Ingress and Gateway whether it shows the internet a certificate that vouches for itself.

    Hosts that are nobody's on the internet, addresses of private networks and controllers that call themselves internal
    are passed.
    """
    del now  # nothing here depends on the time
    for place, held in _served_and_held(snapshot):
        if held.bundle is None or held.bundle.trust is None:
            continue
        public = [host for host in place.hosts if _is_public_host(host)]
        if held.bundle.trust is Trust.SELF_SIGNED and public and not _is_internal(snapshot, place.user):
            yield _fails(place, f"The certificate that it shows for {', '.join(public)} vouches for itself")
        else:
            yield _passes(place, "Not self-signed, or not for the internet")


def certificates_unusable(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each TLS Secret whether it can be served: it can be read, and its key belongs to it.

    Of a Secret that is served and does not exist, this tells where Secrets are not listed; elsewhere, that is a missing
    reference.
    """
    del now  # nothing here depends on the time
    for held in snapshot.derive(_held):
        yield _usable(held)
    known = {SecretRef(held.ref.namespace, held.ref.name) for held in snapshot.derive(_held)}
    for place in snapshot.derive(served_in):
        if place.secret in known or not _is_absent(snapshot, place.secret):
            continue
        yield Answer(
            resource=place.user,
            key=place.secret.name,
            outcome=Outcome.FAIL,
            message=f"Secret {place.secret.name}, whose certificate it serves, does not exist",
            evidence=(Fact(path=place.path, value=place.secret.name),),
        )


def _usable(held: _Held) -> Answer:
    bundle = held.bundle
    if bundle is None:
        outcome, message, path = Outcome.FAIL, "It has no tls.crt, and is served as a certificate", ""
    elif bundle.problem:
        outcome, message, path = Outcome.FAIL, f"Its certificate cannot be used: {bundle.problem}", TLS_CERTIFICATE
    elif bundle.key_belongs is False:
        outcome, message, path = Outcome.FAIL, "Its key is not that of its certificate", "tls.key"
    elif bundle.key_belongs is None:
        outcome, message, path = Outcome.UNKNOWN, "Its key cannot be compared with its certificate", "tls.key"
    else:
        return Answer(resource=held.ref, outcome=Outcome.PASS, message="The key belongs to the certificate")
    return Answer(resource=held.ref, outcome=outcome, message=message, evidence=(Fact(path=path),) if path else ())


def _fails(place: Served, message: str) -> Answer:
    shown = Fact(path=place.path, value=place.secret.name)
    return Answer(resource=place.user, key=place.secret.name, outcome=Outcome.FAIL, message=message, evidence=(shown,))


def _passes(place: Served, message: str) -> Answer:
    return Answer(resource=place.user, key=place.secret.name, outcome=Outcome.PASS, message=message)


def _held(snapshot: Snapshot) -> tuple[_Held, ...]:
    """Return the Secrets whose certificates were read: those that have one, and those that are served without."""
    named = {place.secret for place in snapshot.derive(served_in)}
    found = []
    for secret in snapshot.of(*SECRET):
        body = secret.decode(SecretBody)
        is_served = SecretRef(secret.meta.namespace, secret.meta.name) in named
        if body.tls is not None or (is_served and body.type):  # without a type, only metadata was read
            found.append(_Held(secret.ref, body.keys, body.tls))
    return tuple(found)


def _served_and_held(snapshot: Snapshot) -> Iterator[tuple[Served, _Held]]:
    held = {SecretRef(one.ref.namespace, one.ref.name): one for one in snapshot.derive(_held)}
    for place in snapshot.derive(served_in):
        if place.secret in held:
            yield place, held[place.secret]


def _is_absent(snapshot: Snapshot, secret: SecretRef) -> bool:
    """Tell whether a Secret was asked for by its name and does not exist, and no list of Secrets says so."""
    return (
        snapshot.source is SourceKind.LIVE
        and not snapshot.inconclusive((TLS_SECRETS,), secret.namespace)
        and bool(snapshot.inconclusive((SECRET,), secret.namespace))
        and snapshot.find(*SECRET, secret.namespace, secret.name) is None
    )


def _unseen(snapshot: Snapshot) -> Iterator[Answer]:
    """Say of files that certificates which they name are elsewhere."""
    if snapshot.source is SourceKind.LIVE:
        return
    missing = sorted(
        {p.secret for p in snapshot.derive(served_in) if not snapshot.find(*SECRET, p.secret.namespace, p.secret.name)}
    )
    if missing:
        names = ", ".join(f"{secret.namespace}/{secret.name}" for secret in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""  # noqa: PLR2004 - as many as are named
        yield Answer(
            resource=object_ref_of_cluster(snapshot.cluster),
            outcome=Outcome.UNKNOWN,
            message=f"Certificates that are served are not in the files, so nothing is known of them: {names}{more}",
            missing=("get TLS Secrets",),
        )


class _ClientConfig(msgspec.Struct, rename="camel"):
    ca_bundle: str | None = None


class _Webhook(msgspec.Struct, rename="camel"):
    name: str = ""
    client_config: _ClientConfig | None = None


class _WebhooksBody(msgspec.Struct):
    webhooks: tuple[_Webhook, ...] | None = None


class _APIServiceBody(msgspec.Struct):
    spec: _ClientConfig | None = None


_ROLES = {
    "api-server": "The certificate of the API server",
    "authority": "The authority of the API server",
    "client": "The certificate by which the scanner is known",
}


def _relied_on(snapshot: Snapshot) -> tuple[_Relied, ...]:
    """Return what the API server relies on, and what the connection rests on; equal bundles are read once."""
    read: dict[str, Bundle] = {}

    def bundle(text: str) -> Bundle:
        if text not in read:
            read[text] = bundle_of_base64(text)
        return read[text]

    found = []
    for configuration in (o for kind in WEBHOOKS for o in snapshot.of(*kind)):
        hooks = _body(configuration, _WebhooksBody)
        for webhook in (hooks.webhooks if hooks else ()) or ():
            config = webhook.client_config
            if config and config.ca_bundle:
                what = f"The CA bundle of webhook {webhook.name}"
                path = f"webhooks[name={webhook.name}].clientConfig.caBundle"
                held = bundle(config.ca_bundle)
                found.append(_Relied(configuration.ref, webhook.name, what, path, held, are_authorities=True))
    for service in snapshot.of(*API_SERVICE):
        body = _body(service, _APIServiceBody)
        if body and body.spec and body.spec.ca_bundle:
            held = bundle(body.spec.ca_bundle)
            found.append(_Relied(service.ref, "", "Its CA bundle", "spec.caBundle", held, are_authorities=True))
    cluster = object_ref_of_cluster(snapshot.cluster)
    for shown in snapshot.presented:
        what = _ROLES.get(shown.role, shown.role)
        are_authorities = shown.role == "authority"
        found.append(_Relied(cluster, shown.role, what, "", shown.bundle, are_authorities=are_authorities))
    return tuple(found)


def _body(thing: KubeObject, shape: type[T]) -> T | None:
    """Return what an object says, or None where it is not of the shape that Kubernetes gives it."""
    try:
        return thing.decode(shape)
    except msgspec.ValidationError:
        return None


def _shown(certificate: Certificate) -> dict[str, str]:
    """Return what a person needs to find a certificate again."""
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "notAfter": f"{certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
        "sha256": certificate.fingerprint,
    }


def _issuers(bundle: Bundle | None) -> list[str]:
    return [f"{c.subject} by {c.issuer}" for c in (bundle.certificates if bundle else ())][:5]


def _is_public_host(host: str) -> bool:
    """Tell whether a host may be somebody's on the internet."""
    name = host.lower().rstrip(".")
    try:
        return ipaddress.ip_address(name).is_global
    except ValueError:
        return "." in name and not name.endswith(_PRIVATE_ENDS)


class _IngressClass(msgspec.Struct, rename="camel"):
    ingress_class_name: str | None = None
    gateway_class_name: str | None = None


class _Classed(msgspec.Struct):
    spec: _IngressClass | None = None


def _is_internal(snapshot: Snapshot, user: ObjectRef) -> bool:
    """Tell whether an Ingress or a Gateway says that its door is not open to the internet."""
    thing = snapshot.find(user.group, user.kind, user.namespace, user.name)
    if thing is None:
        return False
    annotations = thing.meta.annotations or {}
    body = _body(thing, _Classed)
    spec = body.spec if body and body.spec else _IngressClass()
    name = spec.ingress_class_name or spec.gateway_class_name or ""
    is_said = any(annotations.get(key) == value for key, value in _INTERNAL)
    return is_said or any(word in name for word in ("internal", "private"))
