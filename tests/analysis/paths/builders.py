"""The smallest cluster in which someone reaches a Secret."""

from typing import Any

from scanner.analysis.paths.secret_access import Reach, SecretAccess, secret_paths
from scanner.model.secret import SecretRef
from scanner.model.snapshot import Snapshot


def pod(
    name: str = "web-0", *, holds: str = "db", account: str = "web", namespace: str = "shop", node: str = "n1"
) -> dict[str, Any]:
    """Make a running pod that has a Secret in its environment and carries its account's token."""
    reference = {"name": "P", "valueFrom": {"secretKeyRef": {"name": holds, "key": "p"}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "serviceAccountName": account,
            "nodeName": node,
            "containers": [{"name": "app", "image": "example.com/app", "env": [reference]}],
        },
        "status": {"phase": "Running"},
    }


def secret(name: str = "db", namespace: str = "shop", **metadata: Any) -> dict[str, Any]:
    """Make a Secret without data."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace} | metadata}


def access_to(snapshot: Snapshot, name: str = "db", namespace: str = "shop") -> SecretAccess:
    """Return who reaches a Secret."""
    paths = secret_paths(snapshot)
    return paths.access(paths.by_name[SecretRef(namespace, name)])


def means_of(access: SecretAccess) -> dict[str, list[str]]:
    """Return how each subject reaches it, as the steps' means: `token get`."""
    return {str(reach.subject): _means(reach) for reach in access.reaches}


def _means(reach: Reach) -> list[str]:
    return [" ".join(step.means for step in route.steps) for route in reach.routes]
