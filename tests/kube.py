"""A client of the test control plane: creates, reads and deletes whatever its discovery knows."""

import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.services import ControlPlane

#: Created before everything else, in this order.
FIRST = ("Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "Role")


@dataclass
class Kube:
    """Talks to the API server as its administrator."""

    client: httpx.Client
    _resources: dict[str, dict[str, tuple[str, bool]]] = field(default_factory=dict)

    def path(self, thing: Mapping[str, Any]) -> str | None:
        """Return the collection that an object belongs to; None if its kind is not served."""
        version = thing["apiVersion"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if version not in self._resources:
            answer = self.client.get(root)
            served = answer.json()["resources"] if answer.is_success else []
            self._resources[version] = {r["kind"]: (r["name"], r["namespaced"]) for r in served if "/" not in r["name"]}
        if thing["kind"] not in self._resources[version]:
            return None
        plural, namespaced = self._resources[version][thing["kind"]]
        namespace = thing["metadata"].get("namespace", "default")
        return f"{root}/namespaces/{namespace}/{plural}" if namespaced else f"{root}/{plural}"

    def create(self, thing: Mapping[str, Any], *, dry_run: bool = False) -> httpx.Response:
        """Create an object and return the answer, whatever it is."""
        path = self.path(thing)
        assert path is not None, f"{thing['apiVersion']} {thing['kind']} is not served"
        return self.client.post(path, json=thing, params={"dryRun": "All"} if dry_run else {})

    def install(self, things: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Create objects, what others need first; return those whose kind is not served. What is there stays."""
        order = {kind: place for place, kind in enumerate(FIRST)}
        left: list[Mapping[str, Any]] = []
        for thing in sorted(things, key=lambda t: order.get(t["kind"], len(order))):
            if self.path(thing) is None:
                left.append(thing)
                continue
            answer = self.create(thing)
            if answer.status_code != httpx.codes.CONFLICT:
                assert answer.is_success, f"{thing['kind']} {thing['metadata']['name']}: {answer.text}"
        return left


@contextmanager
def kube(control_plane: ControlPlane) -> Iterator[Kube]:
    """Connect to a control plane."""
    with httpx.Client(
        base_url=control_plane.url,
        headers={"Authorization": f"Bearer {control_plane.token}"},
        verify=ssl.create_default_context(cafile=control_plane.ca_file),
        timeout=30,
        trust_env=False,
    ) as client:
        yield Kube(client)
