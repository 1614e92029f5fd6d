"""PEM to facts: certificates, whether they vouch for each other, and whether a key belongs to one.

Whoever may write an object writes what is parsed here, so everything is bounded: bytes, certificates, names, and the
checks of signatures. A key is compared and dropped: no fact is made of it, and no message quotes it.
"""

import base64
import binascii
import datetime as dt
import functools
import ipaddress
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from scanner.model.certificate import Bundle, Certificate, Trust

if TYPE_CHECKING:
    from cryptography import x509

#: Kubernetes takes objects up to 1.5 MB, and a Secret's data up to 1 MiB.
MAX_BYTES = 1 << 20
#: Certificates of one bundle that are read; all roots of an operating system are about 150.
MAX_CERTIFICATES = 300
#: A chain longer than this is verified by nobody.
MAX_CHAIN = 10
MAX_HOSTS = 200
_MAX_TEXT = 200
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----([^-]*)-----END \1-----")
_CERTIFICATE_LABELS = frozenset({b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"})
_TOO_LARGE = "larger than a Secret can be"


def bundle_of(
    pem: bytes | str, *, key: bytes | str | None = None, authorities: bytes | str = b"", verify: bool = False
) -> Bundle:
    """Return the facts of the certificates in PEM text.

    Args:
        pem: A chain, or authorities.
        key: The private key that should belong to the first certificate; None if there is none to compare.
        authorities: PEM of authorities that stand beside a chain and that its users trust.
        verify: Whether it is a chain whose signatures are to be checked.

    A bundle of which one certificate is broken has a problem and the facts of the others.
    """
    raw = _bytes(pem)
    if len(raw) > MAX_BYTES:
        return Bundle(problem=_TOO_LARGE)
    blocks = [body for label, body in _BLOCK.findall(raw) if label in _CERTIFICATE_LABELS]
    if not blocks:
        return Bundle(problem="no certificate in PEM" if raw.strip() else "empty")
    read, broken = _parsed(_der(block) for block in blocks[:MAX_CERTIFICATES])
    bundle = _bundle(read, broken)
    if len(blocks) > MAX_CERTIFICATES:
        problem = f"{len(blocks)} certificates, of which the first {MAX_CERTIFICATES} are read"
        bundle = msgspec.structs.replace(bundle, problem="; ".join(filter(None, (bundle.problem, problem))))
    return msgspec.structs.replace(
        bundle,
        trust=_trust(read, authorities) if verify and read and not bundle.problem else None,
        key_belongs=_belongs(read[0], _bytes(key)) if key is not None and read else None,
    )


def bundle_of_der(der: bytes) -> Bundle:
    """Return the facts of one certificate as TLS transports it."""
    return _bundle(*_parsed([der]))


def bundle_of_base64(text: str) -> Bundle:
    """Return the facts of PEM text as the API has it, in base64: a `caBundle`."""
    if len(text) > 2 * MAX_BYTES:
        return Bundle(problem=_TOO_LARGE)
    raw = decoded(text)
    return Bundle(problem="not base64") if raw is None else bundle_of(raw)


def decoded(text: str) -> bytes | None:
    """Return what base64 stands for; None if it is none."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _bundle(read: "Sequence[x509.Certificate]", broken: int) -> Bundle:
    facts: list[Certificate] = []
    for certificate in read:
        try:
            facts.append(_facts(certificate))
        except Exception:  # noqa: BLE001 - fields are decoded late, and cryptography raises whatever its parsers do
            broken += 1
    return Bundle(certificates=tuple(facts), problem=f"{broken} of its certificates cannot be read" if broken else "")


def _bytes(text: bytes | str) -> bytes:
    return text.encode(errors="replace") if isinstance(text, str) else text


def _der(block: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(block.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _parsed(ders: Iterable[bytes]) -> "tuple[list[x509.Certificate], int]":
    """Return the certificates, and how many were none."""
    import warnings  # noqa: PLC0415 - only here

    from cryptography import x509  # noqa: PLC0415 - slow to import, and most scans of files have no certificate

    read, broken = [], 0
    # Certificates that break rules without being unreadable (a serial number of 0) are warned of; that helps nobody.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for der in ders:
            try:
                read.append(x509.load_der_x509_certificate(der))
            except Exception:  # noqa: BLE001 - whatever a hostile certificate makes of the parser, it is none
                broken += 1
    return read, broken


def _facts(certificate: "x509.Certificate") -> Certificate:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - as above

    key, bits = _key(certificate)
    return Certificate(
        subject=_text(certificate.subject.rfc4514_string()),
        issuer=_text(certificate.issuer.rfc4514_string()),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=certificate.fingerprint(SHA256()).hex(),
        key=key,
        bits=bits,
        signature_hash=_signature_hash(certificate),
        hosts=_hosts(certificate),
        is_authority=_is_authority(certificate),
        is_self_signed=_is_issued_by(certificate, certificate),
    )


def _text(text: str) -> str:
    printable = "".join(c if c.isprintable() else "?" for c in text[: _MAX_TEXT + 1])
    return printable if len(printable) <= _MAX_TEXT else f"{printable[:_MAX_TEXT]}…"


def _key(certificate: "x509.Certificate") -> tuple[str, int]:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa  # noqa: PLC0415 - as above

    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return certificate.public_key_algorithm_oid.dotted_string, 0
    kinds = ((rsa.RSAPublicKey, "RSA"), (ec.EllipticCurvePublicKey, "EC"), (dsa.DSAPublicKey, "DSA"))
    fixed = ((ed25519.Ed25519PublicKey, "Ed25519"), (ed448.Ed448PublicKey, "Ed448"))
    name = next((name for kind, name in (*kinds, *fixed) if isinstance(key, kind)), "")
    return name or certificate.public_key_algorithm_oid.dotted_string, int(getattr(key, "key_size", 0))


def _signature_hash(certificate: "x509.Certificate") -> str:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - as above

    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return certificate.signature_algorithm_oid.dotted_string
    return algorithm.name if algorithm else ""


def _hosts(certificate: "x509.Certificate") -> tuple[str, ...]:
    from cryptography import x509  # noqa: PLC0415 - as above

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    found = [_text(name.lower()) for name in names.get_values_for_type(x509.DNSName)]
    found += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return tuple(found[:MAX_HOSTS])


def _is_authority(certificate: "x509.Certificate") -> bool:
    from cryptography import x509  # noqa: PLC0415 - as above

    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def _is_issued_by(certificate: "x509.Certificate", issuer: "x509.Certificate") -> bool:
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 - a signature that cannot be checked proves nothing, whatever was the matter
        return False
    return True


def _trust(chain: "Sequence[x509.Certificate]", authorities: bytes | str) -> Trust:
    """Verify that each certificate is signed by the next, and who signed the last."""
    beside, _ = _parsed(
        _der(body) for label, body in _BLOCK.findall(_bytes(authorities)[:MAX_BYTES]) if label in _CERTIFICATE_LABELS
    )
    links = list(chain[:MAX_CHAIN])
    if len(links) == 1 and _is_issued_by(links[0], links[0]):
        return Trust.VERIFIED if links[0] in beside or _is_public(links[0]) else Trust.SELF_SIGNED
    for certificate, issuer in itertools.pairwise(links):
        if not _is_issued_by(certificate, issuer):
            return Trust.BROKEN
    last = links[-1]
    if any(last == root or _is_issued_by(last, root) for root in beside[:MAX_CERTIFICATES]) or _is_public(last):
        return Trust.VERIFIED
    return Trust.UNKNOWN_ISSUER


def _is_public(certificate: "x509.Certificate") -> bool:
    """Tell whether a certificate is, or is signed by, a root that browsers trust."""
    roots = _public_roots()
    candidates = (*roots.get(certificate.subject.public_bytes(), ()), *roots.get(certificate.issuer.public_bytes(), ()))
    return any(certificate == root or _is_issued_by(certificate, root) for root in candidates)


@functools.cache
def _public_roots() -> "dict[bytes, tuple[x509.Certificate, ...]]":
    """Return Mozilla's roots by their subject."""
    import certifi  # noqa: PLC0415 - only certificates that users see need it

    read, _ = _parsed(_der(body) for _, body in _BLOCK.findall(certifi.contents().encode()))
    by_subject: dict[bytes, tuple[x509.Certificate, ...]] = {}
    for root in read:
        name = root.subject.public_bytes()
        by_subject[name] = (*by_subject.get(name, ()), root)
    return by_subject


def _belongs(certificate: "x509.Certificate", key: bytes) -> bool | None:
    """Tell whether a private key is that of a certificate; None where the key cannot be read, as if encrypted."""
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - as above
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )

    if len(key) > MAX_BYTES:
        return None
    try:
        # Whether its primes are primes takes 40 ms, and says nothing of whose it is; the key is used for nothing else.
        own = load_pem_private_key(key, None, unsafe_skip_rsa_key_validation=True).public_key()
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return own.public_bytes(*form) == certificate.public_key().public_bytes(*form)
    except Exception:  # noqa: BLE001 - encrypted, of an unknown sort or none at all: nothing is proven
        return None


def names_host(certificate: Certificate, host: str) -> bool:
    """Tell whether a certificate is for a host: by RFC 6125, as browsers and Go do it.

    A wildcard stands for one whole first label. A host that is itself a wildcard (`*.example.com`, an Ingress for all
    of a zone) needs the same wildcard. Common names don't count.
    """
    wanted = host.lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(wanted)) in certificate.hosts
    except ValueError:
        pass
    names = {name.rstrip(".") for name in certificate.hosts}
    label, dot, rest = wanted.partition(".")
    return wanted in names or bool(label and dot and rest and f"*.{rest}" in names)


def lifetime(certificate: Certificate) -> dt.timedelta:
    """Return how long a certificate is valid in all."""
    return certificate.not_after - certificate.not_before
