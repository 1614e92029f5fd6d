"""Each primitive yields what its policy says, each near miss does not, and the policy tells them apart."""

from collections.abc import Iterator

import pytest

from tests.conformance.primitives.execute import Case, all_primitives, cases_of, expected, observe
from tests.kube import Kube, kube
from tests.services import ControlPlane

#: How many ways to gain by RBAC are known.
ROWS = 71
CASES = cases_of(all_primitives())


@pytest.fixture(scope="module")
def server(control_plane: ControlPlane) -> Iterator[Kube]:
    """The API server, as its administrator."""
    with kube(control_plane) as connected:
        yield connected


@pytest.mark.control_plane
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_api_server_and_the_policy_agree(server: Kube, case: Case) -> None:
    """Where the API server lets the attacker have it, the policy fails for that identity; elsewhere neither does."""
    assert observe(server, case) == expected(case)


def test_names_are_used_once() -> None:
    """Each row of the table can be told from the others."""
    names = [str(case) for case in CASES]
    assert len(names) == len(set(names))


def test_no_row_is_left_out() -> None:
    """Every row of the list of primitives has one at least."""
    ranges = (part.partition("-") for p in all_primitives() for part in p.rows.split(","))
    rows = {row for first, _, last in ranges for row in range(int(first), int(last or first) + 1)}
    assert rows == set(range(1, ROWS + 1))


def test_every_primitive_has_a_near_miss() -> None:
    """None is shown by its positive alone."""
    assert [str(p) for p in all_primitives() if not p.near_misses] == []
