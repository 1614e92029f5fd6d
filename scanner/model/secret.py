"""Secrets: their names and what refers to them; never a secret's data."""

import datetime as dt
import enum
from dataclasses import dataclass

import msgspec

from scanner.model.certificate import Bundle
from scanner.model.refs import ObjectRef


class SecretBody(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What is kept of a Secret: its type, the names of its keys, and facts of its certificate; no value."""

    type: str = "Opaque"
    keys: tuple[str, ...] = ()
    #: Where only metadata was read, that somebody set the field, whatever to.
    immutable: bool = False
    #: Its last-applied annotation holds values of its data: whoever sees its metadata reads them.
    leaks_data: bool = False
    #: When a field of it, other than its status, was last written, as far as its managed fields tell.
    changed_at: dt.datetime | None = None
    #: Of its `tls.crt`, where that was read.
    tls: Bundle | None = None


class SecretUseKind(enum.StrEnum):
    """How a Secret is used."""

    ENV = "env"
    ENV_FROM = "envFrom"
    VOLUME = "volume"
    IMAGE_PULL = "imagePullSecret"
    INGRESS_TLS = "ingressTLS"
    GATEWAY_TLS = "gatewayTLS"
    #: A webhook or API service, into which cert-manager writes its authority.
    CA_INJECTION = "caInjection"
    SERVICE_ACCOUNT = "serviceAccount"
    #: Storage: a PersistentVolume or a StorageClass, whose driver takes it.
    VOLUME_SOURCE = "volumeSource"
    #: A custom resource, whose operator takes it.
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, order=True)
class SecretRef:
    """The name of a Secret."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class SecretUse:
    """One place that refers to a Secret."""

    secret: SecretRef
    kind: SecretUseKind
    user: ObjectRef
    #: Path of the reference in the user.
    path: str
    container: str = ""
    #: A single key, where only that is used.
    key: str = ""
    #: The user starts without the Secret.
    optional: bool = False
