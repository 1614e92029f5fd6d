"""Makes objects and identities in the real API server, and clients that act as those identities."""

import contextlib
import json
import ssl
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from scanner.cluster.access import Access
from scanner.cluster.client import Client
from scanner.model.refs import GroupKind, group_of
from scanner.model.resources import BY_KIND
from tests.services import ControlPlane

#: Kinds that tests make and scans have no table entry for: plural, and whether they lie in a namespace.
_OTHERS = {
    "ConfigMap": ("configmaps", True),
    "CustomResourceDefinition": ("customresourcedefinitions", False),
    "APIService": ("apiservices", False),
}


@dataclass(frozen=True)
class Api:
    """The API server, as its administrator."""

    control_plane: ControlPlane

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request and return its answer; raises `urllib.error.HTTPError`."""
        request = urllib.request.Request(  # noqa: S310 - https, our own address
            self.control_plane.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.control_plane.token}", "Content-Type": "application/json"},
        )
        context = ssl.create_default_context(cafile=self.control_plane.ca_file)
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:  # noqa: S310 - as above
            return json.load(answer)

    @contextlib.contextmanager
    def having(self, *objects: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
        """Create objects for as long as the block takes, the later ones first to go."""
        with contextlib.ExitStack() as stack:
            made = []
            for thing in objects:
                made.append(self.call("POST", path_of(thing), thing))
                stack.callback(self._delete, thing)
            yield made

    def _delete(self, thing: dict[str, Any]) -> None:
        with contextlib.suppress(urllib.error.HTTPError):  # gone with its owner or its definition
            self.call("DELETE", f"{path_of(thing)}/{thing['metadata']['name']}?gracePeriodSeconds=0")

    def client(self, token: str = "", namespace: str = "") -> Client:
        """Return a client with a token; without one, the administrator's."""
        from kubernetes.client import Configuration  # noqa: PLC0415 - slow to import

        def load() -> Access:
            key = {"BearerToken": f"Bearer {token or self.control_plane.token}"}
            configuration = Configuration(
                host=self.control_plane.url, api_key=key, ssl_ca_cert=self.control_plane.ca_file
            )
            return Access(configuration, "test", namespace)

        return Client(load)

    def token(self, namespace: str, account: str) -> str:
        """Return a token of a service account."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return str(self.call("POST", path, review)["status"]["token"])


def path_of(thing: dict[str, Any]) -> str:
    """Return the path of the list that an object is created in."""
    kind, group = thing["kind"], group_of(thing["apiVersion"])
    base = f"/apis/{thing['apiVersion']}" if group else f"/api/{thing['apiVersion']}"
    known = BY_KIND.get(GroupKind(group, kind))
    plural, namespaced = _OTHERS.get(kind, (f"{kind.lower()}s", True))
    if known:
        plural, namespaced = known.plural, known.namespaced
    return f"{base}/namespaces/{thing['metadata']['namespace']}/{plural}" if namespaced else f"{base}/{plural}"


def unique(prefix: str) -> str:
    """Return a name that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def thing(api_version: str, kind: str, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
    """Make an object."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata} | fields


def pod_spec() -> dict[str, Any]:
    """Make a PodSpec that the API server takes."""
    return {"containers": [{"name": "app", "image": "registry.example.com/app:1"}]}


def owned_by(owner: dict[str, Any]) -> list[dict[str, Any]]:
    """Make the ownerReferences of what an object controls."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    return [reference]


def rights(name: str, rules: Sequence[dict[str, Any]], account: str, home: str, namespace: str = "") -> list[Any]:
    """Make a role and its binding to a service account of `home`; for the whole cluster without a namespace."""
    rbac = "rbac.authorization.k8s.io"
    kind = "Role" if namespace else "ClusterRole"
    subjects = [{"kind": "ServiceAccount", "name": account, "namespace": home}]
    return [
        thing(f"{rbac}/v1", kind, name, namespace, rules=list(rules)),
        thing(
            f"{rbac}/v1",
            f"{kind}Binding",
            name,
            namespace,
            roleRef={"apiGroup": rbac, "kind": kind, "name": name},
            subjects=subjects,
        ),
    ]


def wait_until(holds: Callable[[], object]) -> None:
    """Wait until the API server has noticed."""
    waited = threading.Event()
    for _ in range(1000):
        if holds():
            return
        waited.wait(0.02)
    pytest.fail("the API server never noticed")
