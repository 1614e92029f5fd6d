"""Certificates that run out, and those that cannot be judged."""

import base64
import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from scanner.analysis.secrets import certificates
from scanner.analysis.secrets.pem import bundle_of
from scanner.analysis.secrets.steps import step_at
from scanner.model.certificate import Presented
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Outcome
from scanner.model.policy import Severity
from scanner.model.snapshot import Snapshot, SourceKind
from tests.builders import NOW, snapshot
from tests.certificates import Made, certificate

CA = certificate("ca", is_authority=True, days=4000)


def secret(made: Made, name: str = "shop-tls", chain: bytes = b"") -> dict[str, Any]:
    """Make a TLS Secret."""
    data = {"tls.crt": made.pem + chain, "tls.key": made.key_pem, "ca.crt": CA.pem}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "shop"},
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def ingress(*hosts: str, name: str = "shop-tls", **annotations: str) -> dict[str, Any]:
    """Make an Ingress that serves a Secret's certificate."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "shop", "namespace": "shop", "annotations": annotations},
        "spec": {"tls": [{"hosts": list(hosts), "secretName": name}]},
    }


def webhook(bundle: str) -> dict[str, Any]:
    """Make a webhook with a CA bundle."""
    config = {"name": "x.example.com", "clientConfig": {"url": "https://x.example.com", "caBundle": bundle}}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "x"},
        "webhooks": [config],
    }


def expiring(found: Snapshot, now: dt.datetime = NOW) -> list[tuple[Outcome, Severity | None]]:
    """Return outcome and severity of each answer about the end of TLS Secrets."""
    return [(a.outcome, a.severity) for a in certificates.certificates_expiring(found, now=now)]


@pytest.mark.parametrize(
    ("days", "severity"),
    [
        (30.1, None),
        (30, Severity.LOW),
        (14.1, Severity.LOW),
        (14, Severity.MEDIUM),
        (3.1, Severity.MEDIUM),
        (3, Severity.HIGH),
        (0.1, Severity.HIGH),
        (0, Severity.CRITICAL),
        (-400, Severity.CRITICAL),
    ],
)
def test_a_certificate_gets_worse_by_steps(days: float, severity: Severity | None) -> None:
    """30, 14 and 3 days before its end, and at it."""
    made = certificate(issuer=CA, days=100)
    now = NOW + dt.timedelta(days=100 - days)
    outcome = Outcome.FAIL if severity else Outcome.PASS
    assert expiring(snapshot(secret(made)), now) == [(outcome, severity)]


def test_a_certificate_of_a_month_has_the_same_steps() -> None:
    """Only those that live shorter are renewed by machines for sure."""
    assert step_at(dt.timedelta(days=29), dt.timedelta(days=30)) == (Severity.LOW, "runs out within 30 days")


@pytest.mark.parametrize(("hours", "severity"), [(9, None), (8, Severity.LOW), (0.5, Severity.HIGH)])
def test_a_certificate_of_a_day_has_steps_of_hours(hours: float, severity: Severity | None) -> None:
    """The first is a third of its life."""
    step = step_at(dt.timedelta(hours=hours), dt.timedelta(days=1))
    assert (step[0] if step else None) is severity


def test_the_first_certificate_of_a_chain_to_end_counts() -> None:
    """An issuer that ends breaks what it signed."""
    middle = certificate("middle", is_authority=True, issuer=CA, days=2)
    made = certificate(issuer=middle, days=300)
    assert expiring(snapshot(secret(made, chain=middle.pem))) == [(Outcome.FAIL, Severity.HIGH)]


def test_a_certificate_that_is_not_valid_yet_fails() -> None:
    """A clock, or a file of tomorrow."""
    made = certificate(issuer=CA, since=2, days=100)
    (answer,) = certificates.certificates_expiring(snapshot(secret(made)), now=NOW)
    assert (answer.outcome, answer.message[:34]) == (Outcome.FAIL, "Its certificate is not valid befor")


def issued(renewal: str, ready: str = "True") -> dict[str, Any]:
    """Make cert-manager's Certificate of the Secret."""
    status = {"notAfter": "2026-12-03T12:00:00Z", "renewalTime": renewal}
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"secretName": "shop-tls"},
        "status": status | {"conditions": [{"type": "Ready", "status": ready}]},
    }


@pytest.mark.parametrize(
    ("certificate_", "outcome"),
    [
        (issued("2026-11-25T12:00:00Z"), Outcome.PASS),
        (issued("2026-11-23T06:00:00Z"), Outcome.PASS),
        (issued("2026-11-20T06:00:00Z"), Outcome.FAIL),
        (issued("2026-11-25T12:00:00Z", ready="False"), Outcome.FAIL),
    ],
    ids=["ahead", "due for hours", "overdue", "not ready"],
)
def test_what_cert_manager_renews_in_time_is_as_it_should_be(certificate_: dict[str, Any], outcome: Outcome) -> None:
    """Unless the renewal is overdue, or cert-manager itself says that it is not well."""
    found = snapshot(secret(certificate(issuer=CA, days=10)), certificate_)
    assert [o for o, _ in expiring(found)] == [outcome]


def test_a_served_secret_that_does_not_exist_is_told() -> None:
    """Where it was asked for by its name, and no list of Secrets could tell."""
    coverage = [Read("TLS Secrets", ReadState.COMPLETE), Read("secrets", ReadState.SKIPPED)]
    found = snapshot(ingress("shop.example.com"), coverage=coverage)
    (answer,) = certificates.certificates_unusable(found, now=NOW)
    assert (answer.outcome, str(answer.resource)) == (Outcome.FAIL, "Ingress shop/shop")


@pytest.mark.parametrize("state", [ReadState.SKIPPED, ReadState.FORBIDDEN, ReadState.FAILED])
def test_a_served_secret_that_was_not_asked_for_is_not_called_missing(state: ReadState) -> None:
    """Not knowing is no finding."""
    coverage = [Read("TLS Secrets", ReadState.COMPLETE), Read("TLS Secrets", state, "shop")]
    assert list(certificates.certificates_unusable(snapshot(ingress(), coverage=coverage), now=NOW)) == []


def test_of_files_one_answer_says_which_certificates_are_elsewhere() -> None:
    """And nothing passes."""
    found = snapshot(ingress("shop.example.com"), source=SourceKind.MANIFESTS)
    questions = (
        certificates.certificates_expiring,
        certificates.certificates_weak,
        certificates.certificates_for_other_hosts,
        certificates.chains_broken,
        certificates.certificates_self_signed,
        certificates.certificates_unusable,
    )
    assert [a.outcome for ask in questions for a in ask(found, now=NOW)] == [Outcome.UNKNOWN]


@pytest.mark.parametrize(
    ("host", "annotations", "outcome"),
    [
        ("shop.example.com", {}, Outcome.FAIL),
        ("8.8.8.8", {}, Outcome.FAIL),
        ("shop.internal", {}, Outcome.PASS),
        ("10.0.0.1", {}, Outcome.PASS),
        ("shop", {}, Outcome.PASS),
        ("shop.example.com", {"alb.ingress.kubernetes.io/scheme": "internal"}, Outcome.PASS),
    ],
)
def test_a_self_signed_certificate_is_not_for_the_internet(
    host: str, annotations: dict[str, str], outcome: Outcome
) -> None:
    """Inside it may do."""
    own = certificate("shop", host)
    found = snapshot(secret(own), ingress(host, **annotations))
    assert [a.outcome for a in certificates.certificates_self_signed(found, now=NOW)] == [outcome]


@pytest.mark.parametrize(
    "bundle", ["hunter2?", base64.b64encode(b"hunter2").decode(), base64.b64encode(CA.key_pem).decode()]
)
def test_a_ca_bundle_that_cannot_be_read_is_unknown(bundle: str) -> None:
    """And what stands there is not repeated."""
    (answer,) = certificates.relied_on_expiring(snapshot(webhook(bundle)), now=NOW)
    assert answer.outcome is Outcome.UNKNOWN
    assert "hunter2" not in answer.message


def test_the_api_servers_certificate_is_judged() -> None:
    """Its own, its authorities (the one that lasts longest), and the scanner's."""
    shown = (
        Presented(role="api-server", bundle=bundle_of(certificate("kube", days=10).pem)),
        Presented(role="authority", bundle=bundle_of(CA.pem + certificate("old", days=-5).pem)),
        Presented(role="client", bundle=bundle_of(certificate("me", days=1).pem)),
    )
    found = replace(snapshot(), presented=shown)
    assert [(a.key, a.outcome, a.severity) for a in certificates.relied_on_expiring(found, now=NOW)] == [
        ("api-server", Outcome.FAIL, Severity.MEDIUM),
        ("authority", Outcome.PASS, None),
        ("client", Outcome.FAIL, Severity.HIGH),
    ]


def test_gateways_and_ingresses_of_strange_shape_break_nothing() -> None:
    """Custom resources may say anything."""
    strange = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "x", "namespace": "shop"},
        "spec": {"listeners": "hunter2"},
    }
    assert list(certificates.certificates_unusable(snapshot(strange), now=NOW)) == []
