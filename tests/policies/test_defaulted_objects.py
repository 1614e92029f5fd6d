"""Questions about network and secrets have one answer for a manifest and for what the API server makes of it.

The API server fills in defaults (policyTypes, protocols, types of Services, expirations of tokens) and drops what is
empty. CEL policies are compared with it in `test_admission_parity`.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanner.model.policy import Policy, PolicyId
from scanner.policy.evaluate import evaluate
from scanner.policy.load import load_policy
from tests.builders import NOW, snapshot
from tests.policies.fixtures import FOLDERS, objects_of
from tests.policy.api_server import ApiServer, api_server, namespace
from tests.services import ControlPlane

#: The namespaces that the fixtures are in; nothing is stored in them.
NAMESPACES = ("shop", "payments", "kube-system")
#: Several processes run parts of this module against one API server.
RUN = uuid.uuid4().hex[:8]

QUESTIONS = [
    (load_policy(folder / "policy.yaml", PolicyId(name)), folder)
    for name, folder in FOLDERS
    if name.startswith(("network/", "secrets/"))
]
#: Groups that the test control plane does not have: their objects have no defaults either.
NOT_SERVED = ("cert-manager.io", "gateway.networking.k8s.io")
#: The test control plane does not have the kinds of the Gateway API.
GATEWAY_QUESTIONS = {
    "network.gateways_in_the_clear",
    "network.references_not_granted",
    "network.routes_without_backend",
}
#: They are about the times at which an object was made and changed, which the API server sets itself.
TIME_QUESTIONS = {"secrets.mutable_secrets", "secrets.old_secrets"}
#: A scan of a cluster reads no ConfigMaps.
FILE_QUESTIONS = {"secrets.literal_config_maps"}
ELSEWHERE = GATEWAY_QUESTIONS | TIME_QUESTIONS | FILE_QUESTIONS
ASKED = [(p, folder) for p, folder in QUESTIONS if p.ask and p.ask not in ELSEWHERE]


@pytest.fixture(scope="module")
def server(control_plane: ControlPlane) -> Iterator[ApiServer]:
    """An API server with the namespaces of the fixtures and their default service accounts."""
    with api_server(control_plane) as found:
        for name in NAMESPACES:
            account = {"metadata": {"name": "default", "namespace": _own(name)}}
            found.create(namespace(_own(name)))
            found.create({"apiVersion": "v1", "kind": "ServiceAccount"} | account)
        yield found


@pytest.mark.control_plane
@pytest.mark.parametrize(("policy", "folder"), ASKED, ids=[policy.id for policy, _ in ASKED])
def test_defaults_change_no_answer(server: ApiServer, policy: Policy, folder: Path) -> None:
    """Each fixture as the API server would store it gives what `expected.json` says of it."""
    expected = msgspec.json.decode((folder / "expected.json").read_bytes())
    found = {}
    for file in expected:
        stored = snapshot(*(_stored(server, thing) for thing in objects_of(folder / file)))
        answers = evaluate(stored, [policy], now=NOW).findings
        found[file] = [{"outcome": str(a.outcome), "resource": str(a.resource)} for a in answers]
    assert found == {
        file: [{k: r[k] for k in ("outcome", "resource")} for r in rows] for file, rows in expected.items()
    }


def _own(name: str) -> str:
    """Return a namespace of this process alone for one of the fixtures'."""
    return f"defaulted-{RUN}-{name}"


def _stored(server: ApiServer, thing: dict[str, Any]) -> dict[str, Any]:
    """Return an object as the API server would store it, back in its own namespace."""
    metadata = thing["metadata"]
    if thing["apiVersion"].partition("/")[0] in NOT_SERVED:
        return thing
    if thing["kind"] == "Namespace" or (thing["kind"] == "ServiceAccount" and metadata["name"] == "default"):
        return thing  # it may be there already, and has no defaults that matter
    placed = metadata | ({"namespace": _own(metadata["namespace"])} if "namespace" in metadata else {})
    stored = server.defaulted(thing | {"metadata": placed})
    stored["metadata"] = stored["metadata"] | {k: metadata[k] for k in ("namespace",) if k in metadata}
    return stored
