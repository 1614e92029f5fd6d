"""Certificates as facts: what a certificate says of itself, never its key, and not even its own bytes."""

import datetime as dt
import enum

import msgspec

from scanner.model.refs import GroupKind

#: What the coverage calls the reading of TLS Secrets by name. No kind of Kubernetes: they are Secrets, of which only
#: the certificate's facts are kept, and reading them is opted in to apart from listing Secrets.
TLS_SECRETS = GroupKind("", "TLS Secrets")
#: The type of a Secret that holds a certificate and its key, and where in it they stand.
TLS_TYPE = "kubernetes.io/tls"
TLS_CERTIFICATE, TLS_KEY, TLS_AUTHORITY = "tls.crt", "tls.key", "ca.crt"


class Trust(enum.StrEnum):
    """How far a chain of certificates was verified: signatures and names, not times."""

    #: It ends in a certificate that common programs trust, or in an authority that stands beside it.
    VERIFIED = "verified"
    #: It is whole as far as it goes, and its last issuer is nobody known here: a private authority, perhaps.
    UNKNOWN_ISSUER = "unknown-issuer"
    #: The first certificate vouches for itself, and is no authority that stands beside it.
    SELF_SIGNED = "self-signed"
    #: A certificate in it is not signed by the one that follows.
    BROKEN = "broken"


class Certificate(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What one certificate says."""

    #: As RFC 4514 writes a name: `CN=shop.example.com,O=Shop`; cut where it is long.
    subject: str
    issuer: str
    not_before: dt.datetime
    not_after: dt.datetime
    #: SHA-256 of the certificate, in hex.
    fingerprint: str
    #: `RSA`, `EC`, `DSA`, `Ed25519`, `Ed448`, or the OID of another.
    key: str
    #: Size of the key; 0 where the algorithm has just one.
    bits: int = 0
    #: The hash that it was signed with: `sha256`; empty where the signature scheme has its own (Ed25519).
    signature_hash: str = ""
    #: Subject alternative names: DNS names in lower case, wildcards included, and addresses.
    hosts: tuple[str, ...] = ()
    #: It may sign others.
    is_authority: bool = False
    #: Its own key signed it.
    is_self_signed: bool = False


class Bundle(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The certificates of one place, in their order: a chain, or authorities beside each other."""

    certificates: tuple[Certificate, ...] = ()
    #: What cannot be read of it, in one line; never what stands there.
    problem: str = ""
    #: For a chain; None where nothing was verified.
    trust: Trust | None = None
    #: Whether the private key beside it is that of its first certificate; None without a key that can be compared.
    key_belongs: bool | None = None


class Presented(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A certificate that the connection of a scan itself rests on."""

    #: `api-server` for what the API server showed, `client` for what the scanner showed it.
    role: str
    bundle: Bundle
