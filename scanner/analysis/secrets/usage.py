"""The usage map: everything that refers to a Secret, by name alone; no Secret is read for it.

Operators refer to Secrets from their own custom resources in ways that are theirs, so a Secret without a use here may
be in use all the same.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from scanner.analysis.secrets.operators import operator_uses
from scanner.model.network import IngressBody, ListenerTLS
from scanner.model.objects import KubeObject
from scanner.model.reference_grants import is_granted, missing_grants
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.secret import SecretRef, SecretUse, SecretUseKind
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Container, PodTemplate, Workload

#: Volume types with a reference to a Secret of the pod's namespace: where the name stands, as keys below the volume.
#: Source: k8s.io/api/core/v1, VolumeSource.
_VOLUME_REFERENCES: tuple[tuple[str, ...], ...] = (
    ("azureFile", "secretName"),
    ("cephfs", "secretRef", "name"),
    ("cinder", "secretRef", "name"),
    ("csi", "nodePublishSecretRef", "name"),
    ("flexVolume", "secretRef", "name"),
    ("iscsi", "secretRef", "name"),
    ("rbd", "secretRef", "name"),
    ("scaleIO", "secretRef", "name"),
    ("storageos", "secretRef", "name"),
)
_SECRET = GroupKind("", "Secret")
_GATEWAY = GroupKind("gateway.networking.k8s.io", "Gateway")
#: Kinds into which cert-manager writes an authority, where an annotation says which.
#: Source: https://cert-manager.io/docs/concepts/ca-injector/.
_INJECTED = (
    GroupKind("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    GroupKind("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    GroupKind("apiregistration.k8s.io", "APIService"),
    GroupKind("apiextensions.k8s.io", "CustomResourceDefinition"),
)
_FROM_SECRET = "cert-manager.io/inject-ca-from-secret"  # noqa: S105 - an annotation
_FROM_CERTIFICATE = "cert-manager.io/inject-ca-from"


def secret_uses(snapshot: Snapshot) -> tuple[SecretUse, ...]:
    """Return every place that refers to a Secret, sorted by Secret, user and path."""
    found = [use for workload in snapshot.workloads for use in uses_of_workload(workload)]
    found += [use for o in snapshot.of("", "ServiceAccount") for use in uses_of_service_account(o)]
    found += [use for o in snapshot.of("networking.k8s.io", "Ingress") for use in uses_of_ingress(o)]
    found += [
        use for o in snapshot.of(*_GATEWAY) for use in uses_of_gateway(o) if _may_be_granted(snapshot, use.secret, o)
    ]
    found += [use for kind in _INJECTED for o in snapshot.of(*kind) for use in _injected(snapshot, o)]
    found += operator_uses(snapshot)
    return tuple(sorted(found, key=lambda use: (use.secret, use.user, use.path)))


def uses_of_workload(workload: Workload) -> tuple[SecretUse, ...]:
    """Return what a workload's templates and extra containers refer to; `user` is the object that holds the path."""
    namespace = workload.ref.namespace
    found = [use for template in workload.templates for use in _of_pod_spec(template, namespace)]
    found += [use for container in workload.containers for use in _of_container(container, namespace)]
    return tuple(found)


def _of_pod_spec(template: PodTemplate, namespace: str) -> Iterator[SecretUse]:
    """Yield the volumes and imagePullSecrets of a PodSpec."""
    for index, volume in enumerate(template.spec.get("volumes") or ()):
        yield from _of_volume(volume, f"{template.path}.volumes[{index}]", template.owner, namespace)
    yield from _pull_secrets(template.spec, f"{template.path}.imagePullSecrets", template.owner, namespace)


def _pull_secrets(holder: Mapping[str, Any], path: str, user: ObjectRef, namespace: str) -> Iterator[SecretUse]:
    for index, reference in enumerate(holder.get("imagePullSecrets") or ()):
        if name := _name(reference, "name"):
            yield SecretUse(SecretRef(namespace, name), SecretUseKind.IMAGE_PULL, user, f"{path}[{index}]")


def _of_volume(volume: Mapping[str, Any], path: str, user: ObjectRef, namespace: str) -> Iterator[SecretUse]:
    """Yield the references of one volume; single keys where it takes only some."""
    secret = volume.get("secret")
    if secret and (name := _name(secret, "secretName")):
        yield from _items(secret, f"{path}.secret", user, SecretRef(namespace, name))
    for index, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
        secret = source.get("secret")
        if secret and (name := _name(secret, "name")):
            yield from _items(secret, f"{path}.projected.sources[{index}].secret", user, SecretRef(namespace, name))
    for reference in _VOLUME_REFERENCES:
        if name := _name(volume, *reference):
            owner = _name(volume, reference[0], "secretNamespace") or namespace
            place = f"{path}.{'.'.join(reference)}"
            yield SecretUse(SecretRef(owner, name), SecretUseKind.VOLUME, user, place)


def _items(source: Mapping[str, Any], path: str, user: ObjectRef, secret: SecretRef) -> Iterator[SecretUse]:
    """Yield one use for each key that a volume takes, or one for the whole Secret."""
    optional = source.get("optional") is True
    items = source.get("items") or ()
    if not items:
        yield SecretUse(secret, SecretUseKind.VOLUME, user, path, optional=optional)
    for index, item in enumerate(items):
        key = _name(item, "key")
        yield SecretUse(secret, SecretUseKind.VOLUME, user, f"{path}.items[{index}]", key=key, optional=optional)


def _of_container(container: Container, namespace: str) -> Iterator[SecretUse]:
    """Yield the environment variables of a container that come from Secrets."""
    user, spec = container.owner, container.spec
    for index, variable in enumerate(spec.get("env") or ()):
        reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
        if reference and (name := _name(reference, "name")):
            yield SecretUse(
                SecretRef(namespace, name),
                SecretUseKind.ENV,
                user,
                f"{container.path}.env[{index}].valueFrom.secretKeyRef",
                container=container.name,
                key=_name(reference, "key"),
                optional=reference.get("optional") is True,
            )
    for index, source in enumerate(spec.get("envFrom") or ()):
        reference = source.get("secretRef")
        if reference and (name := _name(reference, "name")):
            yield SecretUse(
                SecretRef(namespace, name),
                SecretUseKind.ENV_FROM,
                user,
                f"{container.path}.envFrom[{index}].secretRef",
                container=container.name,
                optional=reference.get("optional") is True,
            )


def uses_of_service_account(account: KubeObject) -> tuple[SecretUse, ...]:
    """Return a service account's imagePullSecrets, which its pods inherit, and the Secrets that it lists as its own."""
    body = msgspec.json.decode(account.body, type=dict[str, Any])
    namespace = account.meta.namespace
    own = [
        SecretUse(SecretRef(namespace, name), SecretUseKind.SERVICE_ACCOUNT, account.ref, f"secrets[{index}]")
        for index, reference in enumerate(body.get("secrets") or ())
        if (name := _name(reference, "name"))
    ]
    return (*own, *_pull_secrets(body, "imagePullSecrets", account.ref, namespace))


def uses_of_ingress(ingress: KubeObject) -> tuple[SecretUse, ...]:
    """Return the certificates that an Ingress refers to."""
    return tuple(
        SecretUse(
            SecretRef(ingress.meta.namespace, tls.secret_name),
            SecretUseKind.INGRESS_TLS,
            ingress.ref,
            f"spec.tls[{index}].secretName",
        )
        for index, tls in enumerate(ingress.decode(IngressBody).spec.tls or ())
        if tls.secret_name
    )


class _Listener(msgspec.Struct):
    tls: ListenerTLS | None = None


class _GatewaySpec(msgspec.Struct):
    listeners: tuple[_Listener, ...] = ()


class _GatewayBody(msgspec.Struct):
    spec: _GatewaySpec = msgspec.field(default_factory=_GatewaySpec)


def uses_of_gateway(gateway: KubeObject) -> tuple[SecretUse, ...]:
    """Return the certificates that a Gateway's listeners refer to; none if its listeners cannot be read as such."""
    try:
        listeners = gateway.decode(_GatewayBody).spec.listeners
    except msgspec.ValidationError:  # a custom resource: only its own schema, which we don't have, is sure
        return ()
    return tuple(
        SecretUse(
            SecretRef(reference.namespace or gateway.meta.namespace, reference.name),
            SecretUseKind.GATEWAY_TLS,
            gateway.ref,
            f"spec.listeners[{i}].tls.certificateRefs[{j}]",
        )
        for i, listener in enumerate(listeners)
        for j, reference in enumerate(listener.tls.certificate_refs if listener.tls else ())
        if reference.kind == "Secret" and not reference.group and reference.name
    )


def _may_be_granted(snapshot: Snapshot, secret: SecretRef, gateway: KubeObject) -> bool:
    """Tell whether a Gateway may use a Secret of another namespace: by a ReferenceGrant there, or one not seen."""
    own, there = gateway.meta.namespace, secret.namespace
    return is_granted(snapshot, _GATEWAY, own, _SECRET, there, secret.name) or bool(missing_grants(snapshot, there))


def _injected(snapshot: Snapshot, holder: KubeObject) -> Iterator[SecretUse]:
    """Yield the Secret whose authority cert-manager writes into an object: named itself, or by its Certificate."""
    annotations = holder.meta.annotations or {}
    namespace, _, name = annotations.get(_FROM_SECRET, "").partition("/")
    if name:
        secret = SecretRef(namespace, name)
        yield SecretUse(secret, SecretUseKind.CA_INJECTION, holder.ref, f"metadata.annotations[{_FROM_SECRET}]")
    namespace, _, name = annotations.get(_FROM_CERTIFICATE, "").partition("/")
    certificate = snapshot.find("cert-manager.io", "Certificate", namespace, name)
    if certificate and (made := _name(msgspec.json.decode(certificate.body), "spec", "secretName")):
        secret = SecretRef(namespace, made)
        yield SecretUse(secret, SecretUseKind.CA_INJECTION, holder.ref, f"metadata.annotations[{_FROM_CERTIFICATE}]")


def _name(value: Any, *keys: str) -> str:
    """Return the text at a path of keys; empty where something else or nothing is there."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""
