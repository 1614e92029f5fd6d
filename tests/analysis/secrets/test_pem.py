"""What is read of PEM text, whoever wrote it."""

import base64
import datetime as dt

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from scanner.analysis.secrets.pem import MAX_BYTES, MAX_CERTIFICATES, bundle_of, bundle_of_base64, names_host
from scanner.model.certificate import Trust
from tests.builders import NOW
from tests.certificates import certificate, rsa_key

ROOT = certificate("root", is_authority=True)
MIDDLE = certificate("middle", is_authority=True, issuer=ROOT)
LEAF = certificate("shop.example.com", "shop.example.com", "*.eu.example.com", "10.0.0.7", issuer=MIDDLE, days=30)


def test_a_certificate_is_read_as_facts() -> None:
    """Subject, issuer, hosts, times, key and signature."""
    (facts,) = bundle_of(LEAF.pem).certificates
    assert (facts.subject, facts.issuer) == ("CN=shop.example.com", "CN=middle")
    assert facts.hosts == ("shop.example.com", "*.eu.example.com", "10.0.0.7")
    assert (facts.not_after - NOW, facts.key, facts.bits) == (dt.timedelta(days=30), "EC", 256)
    assert (facts.signature_hash, facts.is_authority, facts.is_self_signed) == ("sha256", False, False)


def test_a_small_key_keeps_its_size() -> None:
    """RSA of 1024 bits."""
    (facts,) = bundle_of(certificate(key=rsa_key()).pem).certificates
    assert (facts.key, facts.bits) == ("RSA", 1024)


def test_a_key_belongs_to_its_certificate() -> None:
    """By its public half."""
    assert bundle_of(LEAF.pem, key=LEAF.key_pem).key_belongs is True


def test_a_key_of_another_certificate_does_not_belong() -> None:
    """Neither of the same kind nor of another."""
    assert bundle_of(LEAF.pem, key=ROOT.key_pem).key_belongs is False
    assert bundle_of(LEAF.pem, key=certificate(key=rsa_key()).key_pem).key_belongs is False


@pytest.mark.parametrize("key", [None, b"", b"hunter2"])
def test_a_key_that_cannot_be_read_proves_nothing(key: bytes | None) -> None:
    """It may be encrypted, or of a sort that is not known here."""
    assert bundle_of(LEAF.pem, key=key).key_belongs is None


@pytest.mark.parametrize(
    ("chain", "authorities", "trust"),
    [
        (LEAF.pem + MIDDLE.pem, ROOT.pem, Trust.VERIFIED),
        (LEAF.pem + MIDDLE.pem, b"", Trust.UNKNOWN_ISSUER),
        (LEAF.pem + MIDDLE.pem + ROOT.pem, b"", Trust.UNKNOWN_ISSUER),
        (LEAF.pem, ROOT.pem, Trust.UNKNOWN_ISSUER),
        (LEAF.pem + ROOT.pem, ROOT.pem, Trust.BROKEN),
        (ROOT.pem, b"", Trust.SELF_SIGNED),
        (ROOT.pem, ROOT.pem, Trust.VERIFIED),
    ],
    ids=["verified", "private root", "private root sent", "middle missing", "wrong link", "self-signed", "trusted"],
)
def test_a_chain_is_verified_as_far_as_it_is_known(chain: bytes, authorities: bytes, trust: Trust) -> None:
    """By its signatures, up to an authority that stands beside it."""
    assert bundle_of(chain, authorities=authorities, verify=True).trust is trust


def test_a_certificate_that_only_names_its_issuer_is_not_signed_by_it() -> None:
    """Names prove nothing."""
    impostor = certificate("middle", is_authority=True)
    assert bundle_of(LEAF.pem + impostor.pem, verify=True).trust is Trust.BROKEN


def test_a_public_root_is_known() -> None:
    """Every one that browsers trust verifies itself."""
    import certifi  # noqa: PLC0415 - only here

    root = certifi.contents().partition("-----END CERTIFICATE-----")
    assert bundle_of(root[0] + root[1], verify=True).trust is Trust.VERIFIED


@pytest.mark.parametrize(
    ("pem", "problem"),
    [
        (b"", "empty"),
        (b"hunter2", "no certificate in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----", "1 of its certificates cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "1 of its certificates cannot be read"),
        (b"x" * (MAX_BYTES + 1), "larger than a Secret can be"),
        (LEAF.key_pem, "no certificate in PEM"),
    ],
    ids=["empty", "text", "not base64", "not a certificate", "huge", "a key"],
)
def test_what_cannot_be_read_is_named_without_its_text(pem: bytes, problem: str) -> None:
    """And nothing breaks."""
    bundle = bundle_of(pem, verify=True)
    assert (bundle.problem, bundle.certificates, bundle.trust) == (problem, (), None)


def test_of_thousands_of_certificates_the_first_are_read() -> None:
    """The rest is counted."""
    bundle = bundle_of(LEAF.pem * 1200)
    assert len(bundle.certificates) == MAX_CERTIFICATES
    assert bundle.problem == f"1200 certificates, of which the first {MAX_CERTIFICATES} are read"


def test_one_broken_certificate_does_not_hide_the_others() -> None:
    """They are read, and the bundle has a problem."""
    bundle = bundle_of(LEAF.pem + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + ROOT.pem)
    assert [c.subject for c in bundle.certificates] == ["CN=shop.example.com", "CN=root"]
    assert bundle.problem == "1 of its certificates cannot be read"


def test_what_a_subject_says_is_printable_and_short() -> None:
    """It goes into messages."""
    (facts,) = bundle_of(certificate("\x1b[31m" + "a" * 50).pem).certificates
    assert "\x1b" not in facts.subject


@given(st.binary(max_size=2000))
def test_nothing_breaks_the_reader(noise: bytes) -> None:
    """Whatever stands between the lines of a certificate."""
    bundle_of(b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(noise) + b"\n-----END CERTIFICATE-----")
    bundle_of(LEAF.pem.replace(b"A", noise[:3], 1), key=noise, authorities=noise, verify=True)
    bundle_of_base64(noise.decode("latin-1"))


@given(st.integers(0, 400), st.integers(0, 255))
def test_no_changed_byte_breaks_the_reader(place: int, value: int) -> None:
    """Certificates that are broken inside are read, or counted as broken."""
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - only here

    der = bytearray(LEAF.certificate.public_bytes(Encoding.DER))
    der[place % len(der)] = value
    text = base64.b64encode(bytes(der)).decode()
    bundle_of(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----", verify=True)


@pytest.mark.parametrize(
    ("host", "is_named"),
    [
        ("shop.example.com", True),
        ("SHOP.example.com.", True),
        ("de.eu.example.com", True),
        ("*.eu.example.com", True),
        ("10.0.0.7", True),
        ("eu.example.com", False),
        ("a.de.eu.example.com", False),
        ("example.com", False),
        ("10.0.0.8", False),
        ("*.example.com", False),
        ("", False),
    ],
)
def test_a_certificate_is_for_its_hosts(host: str, *, is_named: bool) -> None:
    """A wildcard is for one label, and for a wildcard."""
    (facts,) = bundle_of(LEAF.pem).certificates
    assert names_host(facts, host) is is_named


def test_a_common_name_is_no_host() -> None:
    """Browsers and Go look at alternative names alone."""
    (facts,) = bundle_of(certificate("shop.example.com").pem).certificates
    assert not names_host(facts, "shop.example.com")


def test_a_base64_bundle_is_read() -> None:
    """As a webhook's caBundle has it."""
    bundle = bundle_of_base64(base64.b64encode(ROOT.pem).decode())
    assert [c.is_authority for c in bundle.certificates] == [True]


def test_text_that_is_no_base64_is_a_problem() -> None:
    """Not an error."""
    assert bundle_of_base64("?").problem == "not base64"


def test_a_small_curve_keeps_its_size() -> None:
    """So that it can be called weak."""
    (facts,) = bundle_of(certificate(key=ec.generate_private_key(ec.SECP192R1())).pem).certificates
    assert (facts.key, facts.bits) == ("EC", 192)
