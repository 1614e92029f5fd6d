"""How Secrets lie at rest: whether etcd keeps them encrypted, as far as the cluster shows it, and what keeps them else.

The API server's flag names a file that nobody here reads: with the flag, some resource is encrypted by something, and
which is unknown. Without it, Secrets are plain in etcd. Where no pod shows the flags, the provider knows.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scanner.analysis.readiness.control_plane import flag_of, managed_service, running
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot, SourceKind, object_ref_of_cluster
from scanner.model.workload import Container, Workload

READS: tuple[GroupKind, ...] = (GroupKind("", "Pod"),)
_SERVER, _FLAG = "kube-apiserver", "encryption-provider-config"
#: What providers say of themselves; nothing in the cluster proves it.
#: Sources: docs.aws.amazon.com/eks/latest/userguide/envelope-encryption.html,
#: cloud.google.com/kubernetes-engine/docs/how-to/encrypting-secrets, learn.microsoft.com/azure/aks/kms-data-encryption.
_PROVIDERS: Mapping[str, str] = {
    "Amazon EKS": "it says that it encrypts all objects from 1.28 on, before only where a KMS key was chosen",
    "Google GKE": "it says that it encrypts its disks, and Secrets by a key of yours only where that was chosen",
    "Azure AKS": "it says that it encrypts its disks, and Secrets by a key of yours only where that was chosen",
}
#: Parts of images by which what keeps or brings Secrets is known.
_IMAGES: Mapping[str, str] = {
    "external-secrets": "External Secrets Operator",
    "sealed-secrets": "Sealed Secrets",
    "secrets-store": "Secrets Store CSI Driver",
    "vault-k8s": "Vault Agent Injector",
    "vault-secrets-operator": "Vault Secrets Operator",
    "vault-csi-provider": "Vault CSI Provider",
}
_KMS_IMAGES = ("kms-plugin", "kms-provider", "cloudkms", "aws-encryption-provider", "azure-kms")
#: Custom resources that say the same, where they were read.
_KINDS: Mapping[GroupKind, str] = {
    GroupKind("external-secrets.io", "ClusterSecretStore"): "External Secrets Operator",
    GroupKind("external-secrets.io", "SecretStore"): "External Secrets Operator",
    GroupKind("external-secrets.io", "ExternalSecret"): "External Secrets Operator",
    GroupKind("bitnami.com", "SealedSecret"): "Sealed Secrets",
    GroupKind("secrets-store.csi.x-k8s.io", "SecretProviderClass"): "Secrets Store CSI Driver",
    GroupKind("secrets.hashicorp.com", "VaultStaticSecret"): "Vault Secrets Operator",
}
_CSI_DRIVER = "secrets-store.csi.k8s.io"
_INJECT = "vault.hashicorp.com/agent-inject"
KMS = "KMS plugin"

Verdict = Literal["plain", "configured", "unknown"]


@dataclass(frozen=True, slots=True)
class Store:
    """Something that keeps Secrets elsewhere or encrypts them, and where it is seen."""

    name: str
    #: Sorted.
    seen_in: tuple[ObjectRef, ...]


@dataclass(frozen=True, slots=True)
class AtRest:
    """How Secrets lie at rest."""

    #: `plain`: an API server runs without the flag. `configured`: all have it, and what its file says is unknown.
    verdict: Verdict
    why: str
    stores: tuple[Store, ...]


def at_rest(snapshot: Snapshot) -> AtRest:
    """Tell how Secrets lie at rest, and why that is not known where it is not."""
    servers = running(snapshot, _SERVER)
    stores = snapshot.derive(stores_in_use)
    if any(not flag_of(container, _FLAG) for _, container in servers):
        return AtRest("plain", f"an API server runs without --{_FLAG}", stores)
    if servers:
        plugin = next((f"; a {KMS} runs" for store in stores if store.name == KMS), "")
        why = f"--{_FLAG} is set, and whether its file encrypts Secrets cannot be read from here{plugin}"
        return AtRest("configured", why, stores)
    service = snapshot.derive(managed_service)
    if service:
        why = f"no pod shows the API server's flags: it is {service}'s, and {_PROVIDERS[service]}"
        return AtRest("unknown", why, stores)
    where = ", and files do not tell" if snapshot.source is SourceKind.MANIFESTS else ""
    return AtRest("unknown", f"no pod shows the API server's flags{where}", stores)


def secrets_at_rest(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each API server that is seen whether it is told to encrypt what it stores, else for the cluster.

    With the flag it is unknown what is encrypted. Nothing that can be seen proves that Secrets are.
    """
    del now  # nothing here depends on the time
    servers = running(snapshot, _SERVER)
    found = snapshot.derive(at_rest)
    stores = tuple(Fact(object=store.seen_in[0], note=store.name) for store in found.stores)
    if not servers:
        yield Answer(
            resource=object_ref_of_cluster(snapshot.cluster),
            outcome=Outcome.UNKNOWN,
            message=f"How Secrets are stored is not known: {found.why}",
            evidence=stores,
            missing=("list pods",),
        )
    for workload, container in servers:
        given = flag_of(container, _FLAG)
        fact = _fact(workload, container, given)
        if given:
            message = f"--{_FLAG} is set; whether its file encrypts Secrets is not known"
            yield Answer(resource=workload.ref, outcome=Outcome.UNKNOWN, message=message, evidence=(fact, *stores))
        else:
            message = f"--{_FLAG} of {_SERVER} is {'not set' if given is None else 'empty'}"
            yield Answer(resource=workload.ref, outcome=Outcome.FAIL, message=message, evidence=(fact,))


def _fact(workload: Workload, container: Container, given: str | None) -> Fact:
    holder = container.owner if container.owner != workload.ref else None
    path = f"{container.path}.command"
    return Fact(path=path, value=given, container=container.name, object=holder, note=f"--{_FLAG}")


def stores_in_use(snapshot: Snapshot) -> tuple[Store, ...]:
    """Return what brings Secrets from elsewhere or encrypts them: by images, volumes, annotations, custom resources."""
    seen: dict[str, set[ObjectRef]] = {}
    for workload in snapshot.workloads:
        for name in _told_by(workload):
            seen.setdefault(name, set()).add(workload.ref)
    for kind, name in _KINDS.items():
        for thing in snapshot.of(*kind):
            seen.setdefault(name, set()).add(thing.ref)
    return tuple(Store(name, tuple(sorted(refs))) for name, refs in sorted(seen.items()))


def _told_by(workload: Workload) -> Iterator[str]:
    for container in workload.containers:
        image = str(container.spec.get("image") or "").rpartition("@")[0] or str(container.spec.get("image") or "")
        yield from (name for part, name in _IMAGES.items() if part in image)
        if any(part in image for part in _KMS_IMAGES):
            yield KMS
    template = workload.template
    if _has_csi(template.spec):
        yield "Secrets Store CSI Driver"
    if template.annotations.get(_INJECT) == "true":
        yield "Vault Agent Injector"


def _has_csi(spec: Mapping[str, Any]) -> bool:
    return any((volume.get("csi") or {}).get("driver") == _CSI_DRIVER for volume in spec.get("volumes") or ())
