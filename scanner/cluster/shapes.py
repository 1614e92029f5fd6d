"""The shape that Kubernetes gives to the kinds that we know, as far as anything here reads them.

An object is checked against its shape once, on arrival, so that everything behind can read fields without checking:
`spec.template.spec.containers` is a list of objects, `securityContext.privileged` a boolean. Fields that are missing
are fine, fields that are not named here may hold anything. Nulls have been taken out before, as the API server does.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from scanner.model.availability import (
    Affinity,
    AutoscalerBody,
    ClaimBody,
    DisruptionBudgetBody,
    LimitRangeBody,
    PriorityClassBody,
    Quantities,
    SpreadTerm,
)
from scanner.model.network import EndpointSliceBody, IngressBody, NetworkPolicyBody, ServiceBody
from scanner.model.rbac import RBAC_GROUP, BindingBody, RoleBody
from scanner.model.refs import GroupKind
from scanner.model.selectors import LabelSelector

_Object = dict[str, Any]
_Strings = dict[str, str]


class _Shape(msgspec.Struct, rename="camel"):
    """Fields by their names on the wire; what is not named is not looked at."""


class _SecurityContext(_Shape):
    privileged: bool | None = None
    allow_privilege_escalation: bool | None = None
    read_only_root_filesystem: bool | None = None
    run_as_non_root: bool | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    proc_mount: str | None = None
    capabilities: dict[str, list[str]] | None = None
    seccomp_profile: _Strings | None = None
    app_armor_profile: _Strings | None = None
    se_linux_options: _Strings | None = None
    windows_options: _Object | None = None


class _PodSecurityContext(_Shape):
    run_as_non_root: bool | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    fs_group: int | None = None
    supplemental_groups: list[int] | None = None
    sysctls: list[_Strings] | None = None
    seccomp_profile: _Strings | None = None
    app_armor_profile: _Strings | None = None
    se_linux_options: _Strings | None = None
    windows_options: _Object | None = None


class _KeyRef(_Shape):
    name: str | None = None
    key: str | None = None
    optional: bool | None = None


class _EnvSource(_Shape):
    secret_key_ref: _KeyRef | None = None
    config_map_key_ref: _KeyRef | None = None
    field_ref: _Strings | None = None
    resource_field_ref: _Object | None = None


class _EnvVar(_Shape):
    name: str | None = None
    value: str | None = None
    value_from: _EnvSource | None = None


class _EnvFrom(_Shape):
    prefix: str | None = None
    secret_ref: _KeyRef | None = None
    config_map_ref: _KeyRef | None = None


class _ContainerPort(_Shape):
    name: str | None = None
    container_port: int | None = None
    host_port: int | None = None
    host_ip: str | None = msgspec.field(default=None, name="hostIP")
    protocol: str | None = None


class _Resources(_Shape):
    limits: Quantities | None = None
    requests: Quantities | None = None
    claims: list[_Strings] | None = None


class _VolumeMount(_Shape):
    name: str | None = None
    mount_path: str | None = None
    sub_path: str | None = None
    read_only: bool | None = None


class _Handler(_Shape):
    http_get: _Object | None = None
    tcp_socket: _Object | None = None
    exec: _Object | None = None
    grpc: _Object | None = None


class _Lifecycle(_Shape):
    post_start: _Handler | None = None
    pre_stop: _Handler | None = None


class _Container(_Shape):
    name: str | None = None
    image: str | None = None
    image_pull_policy: str | None = None
    restart_policy: str | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    env: list[_EnvVar] | None = None
    env_from: list[_EnvFrom] | None = None
    ports: list[_ContainerPort] | None = None
    resources: _Resources | None = None
    volume_mounts: list[_VolumeMount] | None = None
    liveness_probe: _Handler | None = None
    readiness_probe: _Handler | None = None
    startup_probe: _Handler | None = None
    lifecycle: _Lifecycle | None = None
    security_context: _SecurityContext | None = None


class _SecretVolume(_Shape):
    secret_name: str | None = None
    items: list[_Object] | None = None
    optional: bool | None = None


class _ProjectedSource(_Shape):
    secret: _KeyRef | None = None
    config_map: _KeyRef | None = None
    service_account_token: _Object | None = None


class _ProjectedVolume(_Shape):
    sources: list[_ProjectedSource] | None = None


class _ClaimVolume(_Shape):
    claim_name: str | None = None


class _Volume(_Shape):
    name: str | None = None
    host_path: _Strings | None = None
    secret: _SecretVolume | None = None
    config_map: _Object | None = None
    projected: _ProjectedVolume | None = None
    persistent_volume_claim: _ClaimVolume | None = None
    csi: _Object | None = None
    empty_dir: _Object | None = None


class _PodSpec(_Shape):
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    ephemeral_containers: list[_Container] | None = None
    volumes: list[_Volume] | None = None
    service_account_name: str | None = None
    service_account: str | None = None
    automount_service_account_token: bool | None = None
    image_pull_secrets: list[_KeyRef] | None = None
    host_network: bool | None = None
    host_pid: bool | None = msgspec.field(default=None, name="hostPID")
    host_ipc: bool | None = msgspec.field(default=None, name="hostIPC")
    host_users: bool | None = None
    share_process_namespace: bool | None = None
    node_name: str | None = None
    hostname: str | None = None
    subdomain: str | None = None
    os: _Strings | None = None
    restart_policy: str | None = None
    runtime_class_name: str | None = None
    priority_class_name: str | None = None
    termination_grace_period_seconds: int | None = None
    node_selector: _Strings | None = None
    affinity: Affinity | None = None
    tolerations: list[_Object] | None = None
    topology_spread_constraints: list[SpreadTerm] | None = None
    resources: _Resources | None = None
    security_context: _PodSecurityContext | None = None


class _Pod(_Shape):
    spec: _PodSpec | None = None


class _TemplateMeta(_Shape):
    labels: _Strings | None = None
    annotations: _Strings | None = None


class _Template(_Shape):
    metadata: _TemplateMeta | None = None
    spec: _PodSpec | None = None


class _ControllerSpec(_Shape):
    """Of everything but a ReplicationController, whose selector is a plain map."""

    replicas: int | None = None
    selector: LabelSelector | None = None
    service_name: str | None = None
    template: _Template | None = None


class _Controller(_Shape):
    spec: _ControllerSpec | None = None


class _ReplicationControllerSpec(_Shape):
    replicas: int | None = None
    selector: _Strings | None = None
    template: _Template | None = None


class _ReplicationController(_Shape):
    spec: _ReplicationControllerSpec | None = None


class _CronJobSpec(_Shape):
    suspend: bool | None = None
    schedule: str | None = None
    job_template: _Controller | None = None


class _CronJob(_Shape):
    spec: _CronJobSpec | None = None


class _ServiceAccount(_Shape):
    automount_service_account_token: bool | None = None
    secrets: list[_Strings] | None = None
    image_pull_secrets: list[_KeyRef] | None = None


class _AdmissionPolicySpec(_Shape):
    param_kind: _Strings | None = None
    match_constraints: _Object | None = None
    match_conditions: list[_Strings] | None = None
    validations: list[_Strings] | None = None
    variables: list[_Strings] | None = None
    audit_annotations: list[_Strings] | None = None
    failure_policy: str | None = None


class _AdmissionPolicy(_Shape):
    spec: _AdmissionPolicySpec | None = None


class _Other(_Shape):
    """What is true of every kind that has a spec."""

    spec: _Object | None = None


SHAPES: Mapping[GroupKind, type] = {
    GroupKind("", "Pod"): _Pod,
    GroupKind("", "ReplicationController"): _ReplicationController,
    GroupKind("", "Service"): ServiceBody,
    GroupKind("", "LimitRange"): LimitRangeBody,
    GroupKind("", "PersistentVolumeClaim"): ClaimBody,
    GroupKind("", "ServiceAccount"): _ServiceAccount,
    GroupKind("apps", "Deployment"): _Controller,
    GroupKind("apps", "ReplicaSet"): _Controller,
    GroupKind("apps", "StatefulSet"): _Controller,
    GroupKind("apps", "DaemonSet"): _Controller,
    GroupKind("autoscaling", "HorizontalPodAutoscaler"): AutoscalerBody,
    GroupKind("batch", "Job"): _Controller,
    GroupKind("batch", "CronJob"): _CronJob,
    GroupKind("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): _AdmissionPolicy,
    GroupKind("networking.k8s.io", "Ingress"): IngressBody,
    GroupKind("discovery.k8s.io", "EndpointSlice"): EndpointSliceBody,
    GroupKind("networking.k8s.io", "NetworkPolicy"): NetworkPolicyBody,
    GroupKind("networking.k8s.io", "Ingress"): IngressBody,
    GroupKind("scheduling.k8s.io", "PriorityClass"): PriorityClassBody,
    GroupKind("policy", "PodDisruptionBudget"): DisruptionBudgetBody,
    GroupKind(RBAC_GROUP, "Role"): RoleBody,
    GroupKind(RBAC_GROUP, "ClusterRole"): RoleBody,
    GroupKind(RBAC_GROUP, "RoleBinding"): BindingBody,
    GroupKind(RBAC_GROUP, "ClusterRoleBinding"): BindingBody,
}


def shape_of(kind: GroupKind) -> type:
    """Return what an object of this kind must look like."""
    return SHAPES.get(kind, _Other)
