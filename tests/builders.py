"""The smallest objects that show a claim: plain JSON values as `kubectl` would take them, and snapshots of them."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from scanner.cluster.decode import decode_object
from scanner.model.certificate import TLS_SECRETS
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Evaluation, Finding, Outcome
from scanner.model.objects import KubeObject
from scanner.model.policy import Confidence, Policy, PolicyId, Severity
from scanner.model.refs import ClusterName, GroupKind, ObjectRef
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import Snapshot, SourceKind

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)

RBAC_V1 = "rbac.authorization.k8s.io/v1"


def snapshot(
    *objects: Mapping[str, Any],
    source: SourceKind = SourceKind.LIVE,
    coverage: Sequence[Read] | None = None,
    server_version: str = "v1.37.2",
) -> Snapshot:
    """Make a snapshot of plain objects; every kind was read wholly unless `coverage` says otherwise."""
    by_kind: dict[GroupKind, list[KubeObject]] = {}
    for decoded in (decode_object(msgspec.json.encode(o)) for o in objects):
        by_kind.setdefault(decoded.group_kind, []).append(decoded)
    names = [*(r.name for r in RESOURCES), str(TLS_SECRETS)]
    complete = [Read(resource=name, state=ReadState.COMPLETE) for name in names]
    return Snapshot(
        cluster=ClusterName("test"),
        source=source,
        taken_at=NOW,
        objects={
            kind: tuple(sorted(found, key=lambda o: (o.meta.namespace, o.meta.name))) for kind, found in by_kind.items()
        },
        coverage=tuple(sorted(complete if coverage is None else coverage)),
        server_version=server_version,
    )


def rule(verbs: str, resources: str = "", *, group: str = "", names: str = "", urls: str = "") -> dict[str, Any]:
    """Make a PolicyRule from words: `rule("get list", "pods pods/log")`."""
    if urls:
        return {"verbs": verbs.split(), "nonResourceURLs": urls.split()}
    restricted = {"resourceNames": names.split()} if names else {}
    return {"verbs": verbs.split(), "apiGroups": group.split() or [""], "resources": resources.split()} | restricted


def role(name: str, *rules: Mapping[str, Any], namespace: str = "shop") -> dict[str, Any]:
    """Make a Role."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": RBAC_V1, "kind": "Role", "metadata": metadata, "rules": list(rules)}


def cluster_role(name: str, *rules: Mapping[str, Any], labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Make a ClusterRole."""
    metadata = {"name": name} | ({"labels": dict(labels)} if labels else {})
    return {"apiVersion": RBAC_V1, "kind": "ClusterRole", "metadata": metadata, "rules": list(rules)}


def binding(role_name: str, *subjects: str, namespace: str = "", name: str = "") -> dict[str, Any]:
    """Bind a role: `binding("ClusterRole view", "ServiceAccount shop/cart", "Group ops", namespace="shop")`.

    With a namespace it is a RoleBinding, else a ClusterRoleBinding.
    """
    kind, _, referred = role_name.partition(" ")
    return {
        "apiVersion": RBAC_V1,
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name or f"{referred}-binding"} | ({"namespace": namespace} if namespace else {}),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": referred},
        "subjects": [subject(words) for words in subjects],
    }


def subject(words: str) -> dict[str, str]:
    """Make a subject from words: `User jane`, `Group ops`, `ServiceAccount shop/cart`."""
    kind, _, name = words.partition(" ")
    if kind != "ServiceAccount":
        return {"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"}
    namespace, _, name = name.rpartition("/")
    return {"kind": kind, "name": name} | ({"namespace": namespace} if namespace else {})


def finding(
    policy_id: str = "pods/privileged-container", resource: str = "Deployment shop/cart", **fields: Any
) -> Finding:
    """Make a failing finding about a resource in words: `Deployment shop/cart`, `ClusterRole admin`."""
    kind, _, name = resource.partition(" ")
    namespace, _, name = name.rpartition("/")
    api_version = {"Deployment": "apps/v1", "ClusterRole": RBAC_V1}.get(kind, "v1")
    defaults: dict[str, Any] = {
        "policy": PolicyId(policy_id),
        "outcome": Outcome.FAIL,
        "severity": Severity.HIGH,
        "confidence": Confidence.CERTAIN,
        "resource": ObjectRef(api_version, kind, namespace, name),
        "message": "it is so",
    }
    return Finding(**defaults | fields)


def evaluation(*findings: Finding, inconclusive: Mapping[str, Sequence[str]] | None = None) -> Evaluation:
    """Make what all policies say; `inconclusive` names policies and the namespaces that they could not judge."""
    gaps = {PolicyId(policy): frozenset(namespaces) for policy, namespaces in (inconclusive or {}).items()}
    return Evaluation(findings=findings, passed={}, inconclusive=gaps)


def cel_policy(policy_id: str = "pods/privileged-container", **fields: Any) -> Policy:
    """Make a policy of high severity that forbids privileged containers."""
    defaults: dict[str, Any] = {
        "id": PolicyId(policy_id),
        "title": f"Title of {policy_id}",
        "severity": Severity.HIGH,
        "confidence": Confidence.CERTAIN,
        "rationale": "Because.",
        "remediation": "Don't.",
        "frameworks": {},
        "sources": ("https://kubernetes.io/",),
        "subject": "container",
        "forbid": "container.?securityContext.?privileged.orValue(false)",
    }
    return Policy(**defaults | fields)


def container(name: str = "app", **fields: Any) -> dict[str, Any]:
    """Make a container: `container(env=[...])`."""
    return {"name": name, "image": f"registry.example.com/shop/{name}:1.0.0"} | fields


def workload(
    name: str = "cart",
    *containers: Mapping[str, Any],
    kind: str = "Deployment",
    namespace: str = "shop",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **pod_spec: Any,
) -> dict[str, Any]:
    """Make a Deployment, StatefulSet, DaemonSet or Job whose pods are labelled `app: <name>`."""
    metadata = {"labels": dict(labels) if labels is not None else {"app": name}, "annotations": dict(annotations or {})}
    spec = {"template": {"metadata": metadata, "spec": {"containers": [*containers] or [container()]} | pod_spec}}
    api_version = "batch/v1" if kind == "Job" else "apps/v1"
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def pod(  # noqa: PLR0913 - each argument is one fact that some claim is about
    name: str,
    *containers: Mapping[str, Any],
    namespace: str = "shop",
    labels: Mapping[str, str] | None = None,
    owner: str = "",
    phase: str = "Running",
    annotations: Mapping[str, str] | None = None,
    **pod_spec: Any,
) -> dict[str, Any]:
    """Make a pod, owned by a workload in words if wanted: `pod("cart-0", owner="StatefulSet cart")`."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": dict(labels or {})}
    if annotations:
        metadata["annotations"] = dict(annotations)
    if owner:
        owner_kind, _, owner_name = owner.partition(" ")
        api_version = "batch/v1" if owner_kind == "Job" else "apps/v1"
        reference = {"apiVersion": api_version, "kind": owner_kind, "name": owner_name, "uid": "1", "controller": True}
        metadata["ownerReferences"] = [reference]
    spec = {"containers": [*containers] or [container()]} | pod_spec
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": phase}}


def network_policy(
    name: str = "policy", selector: Mapping[str, Any] | None = None, *, namespace: str = "shop", **spec: Any
) -> dict[str, Any]:
    """Make a NetworkPolicy: `network_policy("deny", {}, policyTypes=["Ingress"])`."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": dict(selector or {})} | spec,
    }
