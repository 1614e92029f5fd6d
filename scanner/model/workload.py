"""Workloads: one shape for Pod, Deployment, CronJob and any custom controller that owns pods.

A workload is a root owner: what a person edits. Its template is judged once, however many pods run from it; what only
its running pods have (injected sidecars, ephemeral debug containers) is joined to it.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from scanner.model.objects import KubeObject, ObjectMeta
from scanner.model.refs import GroupKind, ObjectRef

#: Built-in kinds that hold a pod template, and the path from the object to the PodSpec.
TEMPLATE_PATHS: Mapping[GroupKind, str] = {
    GroupKind("", "Pod"): "spec",
    GroupKind("", "ReplicationController"): "spec.template.spec",
    GroupKind("apps", "Deployment"): "spec.template.spec",
    GroupKind("apps", "ReplicaSet"): "spec.template.spec",
    GroupKind("apps", "StatefulSet"): "spec.template.spec",
    GroupKind("apps", "DaemonSet"): "spec.template.spec",
    GroupKind("batch", "Job"): "spec.template.spec",
    GroupKind("batch", "CronJob"): "spec.jobTemplate.spec.template.spec",
}


class ContainerRole(enum.StrEnum):
    """What a container is for."""

    REGULAR = "regular"
    INIT = "init"
    #: An init container with `restartPolicy: Always` (KEP-753).
    SIDECAR = "sidecar"
    #: Added to a running pod by `kubectl debug`.
    EPHEMERAL = "ephemeral"


@dataclass(frozen=True)
class Container:
    """One container of a workload, wherever it stands."""

    name: str
    role: ContainerRole
    #: Path in `owner`, `spec.template.spec.initContainers[0]`.
    path: str
    #: The object that holds it: the root owner, or a pod where only the running pod has it.
    owner: ObjectRef
    #: The container as plain JSON values; callers must not change it.
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class PodTemplate:
    """A pod's metadata and spec as they stand in a template, or in a pod of a controller without one."""

    #: The object that holds it.
    owner: ObjectRef
    #: Path from that object to the PodSpec.
    path: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    #: The PodSpec as plain JSON values; callers must not change it.
    spec: Mapping[str, Any]

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """Every container in the order of the spec: init and sidecar, regular, ephemeral."""
        return tuple(
            Container(
                name=str(spec.get("name", "")),
                role=role_of(field, spec),
                path=f"{self.path}.{field}[{index}]",
                owner=self.owner,
                spec=spec,
            )
            for field in ("initContainers", "containers", "ephemeralContainers")
            for index, spec in enumerate(self.spec.get(field) or ())
        )

    @property
    def service_account(self) -> str:
        """Name of the service account that the pods run as; `default` if none is set."""
        return str(self.spec.get("serviceAccountName") or self.spec.get("serviceAccount") or "default")


def role_of(field: str, spec: Mapping[str, Any]) -> ContainerRole:
    """Tell the role of a container from the list that it stands in and its restartPolicy."""
    match field:
        case "initContainers":
            return ContainerRole.SIDECAR if spec.get("restartPolicy") == "Always" else ContainerRole.INIT
        case "ephemeralContainers":
            return ContainerRole.EPHEMERAL
        case _:
            return ContainerRole.REGULAR


class PodStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The kept part of a pod's status, and what of its spec differs between pods of one template."""

    node_name: str = ""
    phase: str = ""
    host_ip: str = msgspec.field(default="", name="hostIP")
    pod_ips: tuple[str, ...] = msgspec.field(default=(), name="podIPs")

    @property
    def is_terminated(self) -> bool:
        """Tell whether the pod has run to its end and has no network any more."""
        return self.phase in {"Succeeded", "Failed"}


@dataclass(frozen=True)
class Pod:
    """A pod as it runs."""

    object: KubeObject

    @cached_property
    def status(self) -> PodStatus:
        """Where and how it runs."""
        return msgspec.json.decode(self.object.status, type=PodStatus) if self.object.status else PodStatus()

    @property
    def ref(self) -> ObjectRef:
        """Its name."""
        return self.object.ref


@dataclass(frozen=True)
class Workload:
    """A root owner with its template and its running pods."""

    ref: ObjectRef
    #: Metadata of the root owner; only what the ownerReference tells where the owner itself was not read.
    meta: ObjectMeta
    #: The root owner as read; None for a custom controller that was not.
    object: KubeObject | None
    #: Its own template first (if its kind has one), then distinct ones that only running pods show.
    templates: tuple[PodTemplate, ...]
    #: Containers that running pods have and no template: injected or ephemeral; distinct by name and content.
    extra_containers: tuple[Container, ...]
    pods: tuple[Pod, ...]

    @property
    def template(self) -> PodTemplate:
        """The template that new pods will come from."""
        return self.templates[0]

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """Every distinct container that this workload runs or would run."""
        return tuple(c for t in self.templates for c in t.containers) + self.extra_containers
