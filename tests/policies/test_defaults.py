"""What the API server fills in changes no outcome: a manifest is judged as the object that it becomes."""

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from scanner.model.policy import PolicyId
from scanner.policy.evaluate import evaluate
from scanner.policy.load import load_policy
from tests.builders import NOW, snapshot
from tests.policies.fixtures import FOLDERS, objects_of
from tests.policy.api_server import ApiServer, api_server, namespace
from tests.services import ControlPlane

FIXTURES = [
    (name, file) for name, folder in FOLDERS for file in sorted(folder.glob("*.yaml")) if file.name != "policy.yaml"
]


@pytest.fixture(scope="module")
def server(control_plane: ControlPlane) -> Iterator[ApiServer]:
    """An API server."""
    with api_server(control_plane) as found:
        yield found


@pytest.fixture(scope="module")
def scratch(server: ApiServer) -> str:
    """A namespace in which things are only tried."""
    name = f"defaults-{uuid.uuid4().hex[:12]}"
    server.create(namespace(name))
    return name


@pytest.mark.control_plane
@pytest.mark.parametrize(("name", "file"), FIXTURES, ids=[f"{name}/{file.name}" for name, file in FIXTURES])
def test_defaults_change_no_outcome(server: ApiServer, scratch: str, name: str, file: Path) -> None:
    """A fixture gives the same outcomes as it is written and as the API server would store it."""
    written = list(objects_of(file))
    stored = [_stored(server, scratch, thing) for thing in written]
    assert _outcomes(name, file, stored) == _outcomes(name, file, written)


def _stored(server: ApiServer, scratch: str, thing: dict[str, Any]) -> dict[str, Any]:
    """Return an object with its defaults, or as it was where the API server cannot be asked.

    That is for kinds that it does not serve, for what it has already, and for what is only added to pods that run.
    """
    if "ephemeralContainers" in thing.get("spec", {}):
        return thing
    metadata = thing["metadata"]
    home = metadata.get("namespace")
    found = server.stored(thing | {"metadata": metadata | ({"namespace": scratch} if home else {})})
    if found is None:
        return thing
    if home:
        found["metadata"]["namespace"] = home
    # Times are no defaults: the API server sets them to when it was asked.
    found["metadata"] |= {key: metadata[key] for key in ("creationTimestamp", "managedFields") if key in metadata}
    return found


def _outcomes(name: str, file: Path, objects: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    policy = load_policy(file.parent / "policy.yaml", PolicyId(name))
    return [(f.outcome, str(f.resource)) for f in evaluate(snapshot(*objects), [policy], now=NOW).findings]
