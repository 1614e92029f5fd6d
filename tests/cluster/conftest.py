"""Fixtures of the tests that read a cluster."""

from collections.abc import Iterator

import pytest

from tests.cluster import stand_in
from tests.cluster.live import Api, thing, unique
from tests.cluster.stand_in import StandIn
from tests.services import ControlPlane


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A server that misbehaves on demand."""
    with stand_in.running() as running:
        yield running


@pytest.fixture
def api(control_plane: ControlPlane) -> Api:
    """The real API server, as its administrator."""
    return Api(control_plane)


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    """A namespace of the test's own in the real API server, with the service account `robot`."""
    name = unique("shop")
    with api.having(thing("v1", "Namespace", name), thing("v1", "ServiceAccount", "robot", name)):
        yield name
