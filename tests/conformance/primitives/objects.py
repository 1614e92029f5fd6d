"""What primitives make, change and delete, and how they reach what lies behind the API server."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tests.builders import container
from tests.conformance.primitives.execute import NS, Attacker, DeniedError, Step

CORE = f"/api/v1/namespaces/{NS}"
APPS = f"/apis/apps/v1/namespaces/{NS}"
BATCH = f"/apis/batch/v1/namespaces/{NS}"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#: A namespace besides, in which Pod Security is enforced.
STRICT = f"{NS}-strict"
STRICT_WORLD = (
    {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": STRICT, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    },
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": STRICT}},
)


def thing(kind: str, name: str, *, api: str = "v1", namespace: str = "", **fields: Any) -> dict[str, Any]:
    """Make an object: `thing("Node", "$NS-node")`."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api, "kind": kind, "metadata": metadata} | fields


def pod(name: str, *, namespace: str = NS, **spec: Any) -> dict[str, Any]:
    """Make a pod that carries no token, so that its containers stay as they are written."""
    plain = {"containers": [container()], "automountServiceAccountToken": False}
    account = {"serviceAccountName": "robot"} if namespace == NS else {}
    return thing("Pod", name, namespace=namespace, spec=plain | account | spec)


def allowed_pod(name: str, *, namespace: str, **spec: Any) -> dict[str, Any]:
    """Make a pod that the strictest Pod Security level lets in."""
    hardened = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    context = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    containers = [container(securityContext=hardened)]
    return pod(name, namespace=namespace, containers=containers, securityContext=context, **spec)


def workload(kind: str, name: str, **pod_spec: Any) -> dict[str, Any]:
    """Make a workload of any kind, whose pods run as whom they like."""
    labels = {"app": name}
    restart = {"restartPolicy": "Never"} if kind in {"Job", "CronJob"} else {}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container()]} | restart | pod_spec}
    if kind == "Job":
        return thing(kind, name, api="batch/v1", namespace=NS, spec={"template": template})
    if kind == "CronJob":
        spec = {"schedule": "0 4 * * *", "jobTemplate": {"spec": {"template": template}}}
        return thing(kind, name, api="batch/v1", namespace=NS, spec=spec)
    if kind == "ReplicationController":
        return thing(kind, name, namespace=NS, spec={"selector": labels, "template": template})
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return thing(kind, name, api="apps/v1", namespace=NS, spec=spec)


def definition() -> dict[str, Any]:
    """Make the definition of a kind in an API group of the test's own."""
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    spec = {
        "group": f"{NS}.example.com",
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things"},
        "versions": [version],
    }
    return thing("CustomResourceDefinition", f"things.{NS}.example.com", api="apiextensions.k8s.io/v1", spec=spec)


def reach(method: str, path: str, *, headers: Mapping[str, str] | None = None) -> Step:
    """Make a step that asks for a connection to a pod or kubelet, which the test control plane has none of.

    Anything but 403 means that the API server would make it; that nobody answers behind it is no concern of RBAC.
    """

    def connect(attacker: Attacker) -> None:
        answer = attacker.client.request(
            method, attacker.named(path), headers={"Authorization": f"Bearer {attacker.token}"} | dict(headers or {})
        )
        if answer.status_code == HTTPStatus.FORBIDDEN:
            raise DeniedError(answer.text)
        assert answer.status_code != HTTPStatus.NOT_FOUND, answer.text
        assert answer.status_code != HTTPStatus.METHOD_NOT_ALLOWED, answer.text

    return connect
