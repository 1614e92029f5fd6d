"""Fixtures of the tests that read a cluster."""

from collections.abc import Iterator

import pytest

from tests.cluster import stand_in
from tests.cluster.stand_in import StandIn


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A server that misbehaves on demand."""
    with stand_in.running() as running:
        yield running
