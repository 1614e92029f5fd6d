"""Bindings of the group that needs none."""

import pytest

from scanner.analysis.rbac.bootstrap import LABEL
from scanner.analysis.rbac.masters import masters_bound
from tests.builders import NOW, binding, snapshot


def _outcome(bound: dict[str, object]) -> str:
    (answer,) = masters_bound(snapshot(bound), now=NOW)
    return str(answer.outcome)


@pytest.mark.parametrize(
    ("subject", "outcome"),
    [
        ("Group system:masters", "fail"),
        ("Group masters", "pass"),
        ("User system:masters", "pass"),
        ("ServiceAccount shop/system:masters", "pass"),
    ],
)
def test_only_the_group_counts(subject: str, outcome: str) -> None:
    """Others of that name are nobody special."""
    assert _outcome(binding("ClusterRole view", "User jane", subject)) == outcome


def test_kubernetes_own_binding_passes() -> None:
    """Every cluster has it."""
    own = binding("ClusterRole cluster-admin", "Group system:masters", name="cluster-admin")
    own["metadata"]["labels"] = dict([LABEL])
    assert _outcome(own) == "pass"


def test_evidence_is_the_subject() -> None:
    """The place in the binding is shown."""
    (answer,) = masters_bound(snapshot(binding("ClusterRole view", "User jane", "Group system:masters")), now=NOW)
    assert [fact.path for fact in answer.evidence] == ["subjects[1]"]
