"""Each CEL policy as a real ValidatingAdmissionPolicy: the API server refuses what fails here, and nothing else."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from scanner.model.finding import Outcome
from scanner.model.policy import Policy, PolicyId
from scanner.policy.evaluate import evaluate
from scanner.policy.generate import admission_name, to_admission
from scanner.policy.load import load_policy
from tests.builders import NOW, snapshot
from tests.policies.fixtures import FOLDERS, objects_of
from tests.policy.api_server import ApiServer, api_server, namespace
from tests.services import ControlPlane

#: Objects and namespaces with this label are judged by the policy that its value names, and by no other.
LABEL = "plimsoll-parity"

POLICIES = [(load_policy(folder / "policy.yaml", PolicyId(name)), folder) for name, folder in FOLDERS]
CEL_POLICIES = [(policy, folder) for policy, folder in POLICIES if policy.forbid]


@pytest.fixture(scope="module")
def server(control_plane: ControlPlane) -> Iterator[ApiServer]:
    """An API server in which every policy is in force, for what bears its label."""
    with api_server(control_plane) as found:
        for policy, folder in CEL_POLICIES:
            for created in _admission(policy):
                found.create(created)
            for file in _manifests(folder):
                for created in _namespaces(policy, file):
                    found.create(created)
        found.wait_until_policies_are_active()
        yield found


@pytest.mark.control_plane
@pytest.mark.parametrize(("policy", "folder"), CEL_POLICIES, ids=[policy.id for policy, _ in CEL_POLICIES])
def test_the_api_server_refuses_what_fails(server: ApiServer, policy: Policy, folder: Path) -> None:
    """Under the generated policy, exactly those objects of the fixtures cannot be created that fail our own."""
    ours: dict[str, bool] = {}
    theirs: dict[str, bool] = {}
    for file in _manifests(folder):
        namespaces = [o for o in objects_of(file) if o["kind"] == "Namespace"]
        for thing in objects_of(file):
            name = f"{file.name} {thing['kind']} {thing['metadata']['name']}"
            others = [o for o in namespaces if o["metadata"]["name"] != thing["metadata"]["name"]]
            found = evaluate(snapshot(thing, *others), [policy], now=NOW).findings
            ours[name] = any(f.outcome is Outcome.FAIL and f.resource.kind == thing["kind"] for f in found)
            theirs[name] = server.refusal(_placed(thing, policy, file)) is not None
    assert theirs == ours


def _manifests(folder: Path) -> list[Path]:
    return sorted(f for f in folder.glob("*.yaml") if f.name != "policy.yaml")


def _admission(policy: Policy) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the generated policy, bound to what bears its label."""
    generated, binding = to_admission(policy)
    selector = {"matchLabels": {LABEL: admission_name(policy)}}
    binding["spec"]["matchResources"] = {"objectSelector": selector}
    return generated, binding


def _namespace_name(policy: Policy, file: Path, name: str) -> str:
    """Give each fixture namespaces of its own."""
    return f"{policy.id.replace('/', '-')}-{file.stem}-{name}"[-63:].lstrip("-")


def _namespaces(policy: Policy, file: Path) -> list[dict[str, Any]]:
    """Return the namespaces that a fixture needs, with the labels that it gives them."""
    objects = list(objects_of(file))
    labels = {o["metadata"]["name"]: o["metadata"].get("labels", {}) for o in objects if o["kind"] == "Namespace"}
    used = {o["metadata"].get("namespace") for o in objects} - {None}
    return [namespace(_namespace_name(policy, file, str(n)), labels.get(n, {})) for n in sorted(used)]


def _placed(thing: Mapping[str, Any], policy: Policy, file: Path) -> dict[str, Any]:
    """Return an object of a fixture with the label, in the fixture's own namespace."""
    metadata = dict(thing["metadata"])
    metadata["labels"] = dict(metadata.get("labels") or {}) | {LABEL: admission_name(policy)}
    if "namespace" in metadata:
        metadata["namespace"] = _namespace_name(policy, file, metadata["namespace"])
    return {**thing, "metadata": metadata}
