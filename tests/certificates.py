"""Certificates for tests: made at once, with the faults that a claim is about."""

import datetime as dt
import functools
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.builders import NOW

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@functools.cache
def rsa_key(bits: int = 1024) -> rsa.RSAPrivateKey:
    """Return a key of a size; always the same one, since making one takes long."""
    return rsa.generate_private_key(65537, bits)


def certificate(  # noqa: PLR0913 - each argument is one fact that some claim is about
    name: str = "shop.example.com",
    *hosts: str,
    issuer: Made | None = None,
    key: Key | None = None,
    days: float = 365,
    since: float = -365,
    is_authority: bool = False,
    hash_: HashAlgorithm | None = None,
    now: dt.datetime = NOW,
) -> Made:
    """Make a certificate that ends `days` after `now` and began `since` days after it; by itself without issuer."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=since))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
    signer = issuer.key if issuer else own
    return Made(builder.sign(signer, hash_ or SHA256()), own)  # type: ignore[arg-type]  # some hashes are for tests


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
