"""Writes `scanner/analysis/rbac/bootstrap.json` anew from a real API server: `python -m` this module.

To be run when the test control plane moves to another release.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from scanner.analysis.rbac import bootstrap
from tests import services
from tests.analysis.rbac.kube import RBAC_PATH, Client

#: What the server adds to an object that says nothing about it.
_DROPPED = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation")


def bootstrap_objects_of(client: Client) -> list[dict[str, Any]]:
    """Read every role and binding with the bootstrap label, in order of kind and name."""
    return [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind} | _trimmed(item)
        for plural, kind in (
            ("clusterroles", "ClusterRole"),
            ("clusterrolebindings", "ClusterRoleBinding"),
            ("roles", "Role"),
            ("rolebindings", "RoleBinding"),
        )
        for item in _labelled(client, plural)
    ]


def _labelled(client: Client, plural: str) -> Iterator[dict[str, Any]]:
    selector = "%3D".join(bootstrap.LABEL).replace("/", "%2F")
    items = client.call("GET", f"{RBAC_PATH}/{plural}?labelSelector={selector}")["items"]
    yield from sorted(items, key=lambda o: (o["metadata"].get("namespace", ""), o["metadata"]["name"]))


def _trimmed(item: dict[str, Any]) -> dict[str, Any]:
    return item | {"metadata": {k: v for k, v in item["metadata"].items() if k not in _DROPPED}}


def main() -> None:
    """Start a control plane, read it, write the file."""
    with (
        tempfile.TemporaryDirectory() as folder,
        services._control_plane(Path(folder) / "run") as control_plane,
        Client(control_plane) as client,
    ):
        found = bootstrap_objects_of(client)
    lines = ",\n".join(msgspec.json.encode(o, order="sorted").decode() for o in found)
    Path(bootstrap.__file__).with_name("bootstrap.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
