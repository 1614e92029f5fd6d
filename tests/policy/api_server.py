"""What the real API server says: would it create this object?"""

import ssl
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from scanner.model.refs import GroupKind, group_of
from scanner.model.resources import plural_of
from tests.services import ControlPlane

#: The admission plugin takes in new policies once a second.
ACTIVE_TIMEOUT_SECONDS = 60.0
_ADMISSION = "admissionregistration.k8s.io/v1"


class InvalidError(Exception):
    """The API server finds an object invalid."""


@dataclass(frozen=True)
class Refusal:
    """What a ValidatingAdmissionPolicy said when it refused an object."""

    message: str


@dataclass(frozen=True)
class ApiServer:
    """A client of the test control plane."""

    client: httpx.Client

    def create(self, thing: Mapping[str, Any]) -> None:
        """Create an object; raises `InvalidError` if the API server finds it invalid."""
        answer = self._post(thing)
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            raise InvalidError(answer.json()["message"])
        answer.raise_for_status()

    def defaulted(self, thing: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object as it would be stored: with what the API server fills in."""
        answer = self._post(thing, dry_run=True)
        answer.raise_for_status()
        stored: dict[str, Any] = answer.json()
        return stored

    def refusal(self, thing: Mapping[str, Any]) -> Refusal | None:
        """Ask whether an object would be created; None if so. Fails for any refusal but an admission policy's."""
        ephemeral = thing.get("spec", {}).get("ephemeralContainers") if thing["kind"] == "Pod" else None
        if ephemeral:
            return self._refusal_of_ephemeral(thing, ephemeral)
        return _refusal(self._post(thing, dry_run=True))

    def stored(self, thing: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return an object as it would be stored, with all defaults.

        None if the API server has no such kind, or has one of that name already.
        """
        answer = self._post(thing, dry_run=True)
        if answer.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
            return None
        if not answer.is_success:
            raise AssertionError(f"refused: {answer.json().get('message', '')}")
        found: dict[str, Any] = answer.json()
        return found

    def _refusal_of_ephemeral(self, pod: Mapping[str, Any], ephemeral: object) -> Refusal | None:
        """Create the pod without its ephemeral containers, then ask for them, as `kubectl debug` does."""
        without = {**pod, "spec": {k: v for k, v in pod["spec"].items() if k != "ephemeralContainers"}}
        refused = _refusal(self._post(without))
        if refused is not None:
            return refused
        url = f"{_url(pod)}/{pod['metadata']['name']}"
        created = self.client.get(url).json()
        created["spec"]["ephemeralContainers"] = ephemeral
        return _refusal(self.client.put(f"{url}/ephemeralcontainers", params={"dryRun": "All"}, json=created))

    def _post(self, thing: Mapping[str, Any], *, dry_run: bool = False) -> httpx.Response:
        return self.client.post(_url(thing), params={"dryRun": "All"} if dry_run else {}, json=thing)

    def wait_until_policies_are_active(self) -> None:
        """Return once every policy and binding that was created before is in force.

        The API server takes them in all at once, so that one more, created last, tells of those before it.
        """
        name = f"sentinel-{uuid.uuid4().hex[:12]}"
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["namespaces"], "operations": ["CREATE"]}
        spec = {
            "matchConstraints": {"resourceRules": [rule | {"resourceNames": [name]}]},
            "validations": [{"expression": "false"}],
        }
        binding = {"policyName": name, "validationActions": ["Deny"]}
        self.create(policy(name, spec))
        self.create(policy_binding(name, binding))
        deadline = time.monotonic() + ACTIVE_TIMEOUT_SECONDS
        while self.refusal(namespace(name)) is None:
            if time.monotonic() > deadline:
                raise TimeoutError("the API server does not take in admission policies")


def policy(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Make a ValidatingAdmissionPolicy."""
    return {
        "apiVersion": _ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": dict(spec),
    }


def policy_binding(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Make a ValidatingAdmissionPolicyBinding."""
    return {
        "apiVersion": _ADMISSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": dict(spec),
    }


def namespace(name: str, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Make a Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}


@contextmanager
def api_server(control_plane: ControlPlane) -> Iterator[ApiServer]:
    """Connect to a control plane."""
    with httpx.Client(
        base_url=control_plane.url,
        headers={"Authorization": f"Bearer {control_plane.token}"},
        verify=ssl.create_default_context(cafile=control_plane.ca_file),
        timeout=30,
    ) as client:
        yield ApiServer(client)


def _url(thing: Mapping[str, Any]) -> str:
    version = thing["apiVersion"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    where = thing["metadata"].get("namespace")
    plural = plural_of(GroupKind(group_of(version), thing["kind"]))
    return f"{root}/namespaces/{where}/{plural}" if where else f"{root}/{plural}"


def _refusal(answer: httpx.Response) -> Refusal | None:
    if answer.is_success:
        return None
    message = answer.json().get("message", "")
    if "ValidatingAdmissionPolicy" not in message:
        raise AssertionError(f"refused for another reason: {message}")
    return Refusal(message.partition("denied request: ")[2])
