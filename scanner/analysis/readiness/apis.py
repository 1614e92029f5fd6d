"""Versions of APIs that Kubernetes no longer serves, or will not for long."""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import KubeObject
from scanner.model.snapshot import Snapshot

_MINOR = re.compile(r"^v?1\.([0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class Removal:
    """When a version of an API ends, and what takes its place."""

    #: The first minor version of Kubernetes 1.x that does not serve it.
    minor: int
    instead: str


def _of(minor: int, old: str, new: str, *kinds: str) -> dict[tuple[str, str], Removal]:
    return {(old, kind): Removal(minor, new) for kind in kinds}


_WORKLOADS = ("Deployment", "DaemonSet", "ReplicaSet")
_RBAC_KINDS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_FLOWS = ("FlowSchema", "PriorityLevelConfiguration")

#: apiVersion and kind → its end. Source: https://kubernetes.io/docs/reference/using-api/deprecation-guide/
REMOVED: Mapping[tuple[str, str], Removal] = {
    **_of(16, "extensions/v1beta1", "apps/v1", *_WORKLOADS),
    **_of(16, "extensions/v1beta1", "networking.k8s.io/v1", "NetworkPolicy"),
    **_of(16, "apps/v1beta1", "apps/v1", "Deployment", "StatefulSet", "ReplicaSet"),
    **_of(16, "apps/v1beta2", "apps/v1", *_WORKLOADS, "StatefulSet"),
    **_of(22, "extensions/v1beta1", "networking.k8s.io/v1", "Ingress"),
    **_of(22, "networking.k8s.io/v1beta1", "networking.k8s.io/v1", "Ingress", "IngressClass"),
    **_of(22, "rbac.authorization.k8s.io/v1beta1", "rbac.authorization.k8s.io/v1", *_RBAC_KINDS),
    **_of(22, "admissionregistration.k8s.io/v1beta1", "admissionregistration.k8s.io/v1", *_WEBHOOKS),
    **_of(22, "apiextensions.k8s.io/v1beta1", "apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    **_of(22, "apiregistration.k8s.io/v1beta1", "apiregistration.k8s.io/v1", "APIService"),
    **_of(22, "certificates.k8s.io/v1beta1", "certificates.k8s.io/v1", "CertificateSigningRequest"),
    **_of(22, "coordination.k8s.io/v1beta1", "coordination.k8s.io/v1", "Lease"),
    **_of(22, "scheduling.k8s.io/v1beta1", "scheduling.k8s.io/v1", "PriorityClass"),
    **_of(
        22, "storage.k8s.io/v1beta1", "storage.k8s.io/v1", "CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"
    ),
    **_of(25, "batch/v1beta1", "batch/v1", "CronJob"),
    **_of(25, "discovery.k8s.io/v1beta1", "discovery.k8s.io/v1", "EndpointSlice"),
    **_of(25, "events.k8s.io/v1beta1", "events.k8s.io/v1", "Event"),
    **_of(25, "autoscaling/v2beta1", "autoscaling/v2", "HorizontalPodAutoscaler"),
    **_of(26, "autoscaling/v2beta2", "autoscaling/v2", "HorizontalPodAutoscaler"),
    **_of(25, "policy/v1beta1", "policy/v1", "PodDisruptionBudget"),
    **_of(25, "policy/v1beta1", "Pod Security admission", "PodSecurityPolicy"),
    **_of(25, "node.k8s.io/v1beta1", "node.k8s.io/v1", "RuntimeClass"),
    **_of(26, "flowcontrol.apiserver.k8s.io/v1beta1", "flowcontrol.apiserver.k8s.io/v1", *_FLOWS),
    **_of(27, "storage.k8s.io/v1beta1", "storage.k8s.io/v1", "CSIStorageCapacity"),
    **_of(29, "flowcontrol.apiserver.k8s.io/v1beta2", "flowcontrol.apiserver.k8s.io/v1", *_FLOWS),
    **_of(32, "flowcontrol.apiserver.k8s.io/v1beta3", "flowcontrol.apiserver.k8s.io/v1", *_FLOWS),
}


def removed_apis(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which objects are written in a version of their API that Kubernetes removes or has removed.

    A cluster gives its objects in versions that it serves; in which version somebody last wrote one, its managed fields
    tell, as far as they are kept.
    """
    del now  # nothing here depends on the time
    found = _MINOR.match(snapshot.server_version)
    server = int(found[1]) if found else None
    for objects in snapshot.objects.values():
        for thing in objects:
            found_in = _old_version(thing)
            if found_in is None:
                continue
            version, fact = found_in
            removal = REMOVED[version, thing.kind]
            gone = server is not None and server >= removal.minor
            yield Answer(
                resource=thing.ref,
                outcome=Outcome.FAIL,
                message=f"{version} {'was' if gone else 'is'} removed in Kubernetes 1.{removal.minor}; "
                f"use {removal.instead}",
                evidence=(fact,),
            )


def _old_version(thing: KubeObject) -> tuple[str, Fact] | None:
    """Return a removed version in which an object is, or was last written by somebody, and what shows it."""
    if (thing.api_version, thing.kind) in REMOVED:
        return thing.api_version, Fact(path="apiVersion", value=thing.api_version)
    if b"beta" not in thing.managers:  # as all removed versions have: most objects are decided here
        return None
    for manager in thing.field_managers:
        if (manager.api_version, thing.kind) in REMOVED:
            note = f"written so by {manager.manager}"
            return manager.api_version, Fact(path="metadata.managedFields", value=manager.api_version, note=note)
    return None
