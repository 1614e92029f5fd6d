"""Which TLS Secrets serve which hosts: what Ingresses and Gateways name as certificates.

These are the only Secrets that a scan reads by name where reading certificates is opted in to.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from scanner.model.network import IngressBody
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.secret import SecretRef
from scanner.model.snapshot import Snapshot

INGRESS = GroupKind("networking.k8s.io", "Ingress")
GATEWAY = GroupKind("gateway.networking.k8s.io", "Gateway")


@dataclass(frozen=True, slots=True)
class Served:
    """One place that serves the certificate of a Secret."""

    secret: SecretRef
    user: ObjectRef
    #: Path of the reference in the user.
    path: str
    #: Hosts that are served with it, as written; empty where the place names none: then any.
    hosts: tuple[str, ...]


class _CertificateRef(msgspec.Struct):
    name: str = ""
    kind: str | None = None
    namespace: str | None = None
    group: str | None = None


class _ListenerTLS(msgspec.Struct, rename="camel"):
    certificate_refs: tuple[_CertificateRef, ...] | None = None


class _Listener(msgspec.Struct):
    hostname: str | None = None
    tls: _ListenerTLS | None = None


class _GatewaySpec(msgspec.Struct):
    listeners: tuple[_Listener, ...] | None = None


class _GatewayBody(msgspec.Struct):
    spec: _GatewaySpec | None = None


def served(ingresses: Iterable[KubeObject], gateways: Iterable[KubeObject]) -> tuple[Served, ...]:
    """Return every reference to a certificate, in the order of the objects."""
    return (
        *(place for ingress in ingresses for place in _of_ingress(ingress)),
        *(place for gateway in gateways for place in _of_gateway(gateway)),
    )


def served_in(snapshot: Snapshot) -> tuple[Served, ...]:
    """Return every reference to a certificate in a snapshot."""
    return served(snapshot.of(*INGRESS), snapshot.of(*GATEWAY))


def _of_ingress(ingress: KubeObject) -> Iterator[Served]:
    spec = ingress.decode(IngressBody).spec
    ruled = tuple(rule.host for rule in spec.rules or () if rule.host)
    for index, tls in enumerate(spec.tls or ()):
        if tls.secret_name:
            secret = SecretRef(ingress.meta.namespace, tls.secret_name)
            hosts = tls.hosts or (ruled if len(spec.tls or ()) == 1 else ())
            yield Served(secret, ingress.ref, f"spec.tls[{index}].secretName", hosts)


def _of_gateway(gateway: KubeObject) -> Iterator[Served]:
    try:
        body = gateway.decode(_GatewayBody)
    except msgspec.ValidationError:  # a custom resource: only its own schema, which we don't have, is sure
        return
    for i, listener in enumerate((body.spec.listeners if body.spec else ()) or ()):
        for j, reference in enumerate((listener.tls.certificate_refs if listener.tls else ()) or ()):
            if reference.name and (reference.kind or "Secret") == "Secret" and not reference.group:
                secret = SecretRef(reference.namespace or gateway.meta.namespace, reference.name)
                hosts = (listener.hostname,) if listener.hostname else ()
                yield Served(secret, gateway.ref, f"spec.listeners[{i}].tls.certificateRefs[{j}]", hosts)
