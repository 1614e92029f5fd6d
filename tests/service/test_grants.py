"""Who may do what as of the last stored scan is kept whole, and nothing else is."""

from pathlib import Path

import pytest

from scanner.cluster.saved import snapshot_of_bytes
from scanner.errors import InputError
from scanner.model.rbac import RBAC_GROUP
from scanner.service.grants import LastGrants, packed_grants
from scanner.store.database import open_database, upgrade
from tests.builders import binding, cluster_role, pod, rule, snapshot

WORLD = snapshot(cluster_role("reader", rule("get", "pods")), binding("ClusterRole reader", "User jane"), pod("web-0"))


def test_roles_and_bindings_come_back_as_they_were() -> None:
    """With what was and was not read of them."""
    kept = snapshot_of_bytes(packed_grants(WORLD), "kept")
    assert (kept.roles, kept.bindings) == (WORLD.roles, WORLD.bindings)
    assert kept.coverage == tuple(read for read in WORLD.coverage if RBAC_GROUP in read.resource)


def test_nothing_else_is_kept() -> None:
    """Pods decide nothing here."""
    assert {kind.group for kind in snapshot_of_bytes(packed_grants(WORLD), "kept").objects} == {RBAC_GROUP}


@pytest.mark.parametrize("packed", [b"", b"nonsense", packed_grants(WORLD)[:-20]])
def test_what_is_damaged_is_told(packed: bytes) -> None:
    """Half of the bindings would be wrong answers."""
    with pytest.raises(InputError, match="kept"):
        snapshot_of_bytes(packed, "kept")


def test_before_the_first_scan_nothing_is_known(tmp_path: Path) -> None:
    """Neither a cluster nor its grants."""
    engine = open_database(f"sqlite:///{tmp_path / 'test.sqlite'}")
    upgrade(engine)
    grants = LastGrants()
    assert (dict(grants.clusters(engine)), grants.of(engine, "test")) == ({}, None)
    engine.dispose()
