"""A snapshot says what it does not know, and where."""

import pytest

from scanner.model.coverage import Read, ReadState
from scanner.model.refs import GroupKind
from tests.builders import pod, snapshot, workload

POD = GroupKind("", "Pod")
WIDGET = GroupKind("example.com", "Widget")
REFUSED = Read("pods", ReadState.FORBIDDEN, reason="no")


def missing(namespace: str, *reads: Read, kind: GroupKind = POD) -> list[tuple[str, ReadState]]:
    """Return namespace and state of the reads that prove nothing about a kind in a namespace."""
    return [(r.namespace, r.state) for r in snapshot(coverage=reads).inconclusive([kind], namespace)]


@pytest.mark.parametrize("state", [ReadState.COMPLETE, ReadState.ABSENT])
def test_a_read_to_the_end_leaves_nothing_open(state: ReadState) -> None:
    """A kind that is not served has no objects either."""
    assert missing("shop", Read("pods", state)) == []


@pytest.mark.parametrize("state", [ReadState.PARTIAL, ReadState.FORBIDDEN, ReadState.FAILED, ReadState.SKIPPED])
def test_any_other_read_proves_nothing(state: ReadState) -> None:
    """However it ended."""
    assert missing("shop", Read("pods", state)) == [("", state)]


def test_a_kind_that_was_not_asked_for_proves_nothing() -> None:
    """Silence is never a pass."""
    assert missing("shop") == [("", ReadState.SKIPPED)]


def test_a_namespace_that_was_read_is_known() -> None:
    """Although the whole cluster was refused."""
    assert missing("shop", REFUSED, Read("pods", ReadState.COMPLETE, "shop")) == []


def test_a_namespace_that_was_not_read_is_not_known() -> None:
    """Another one's read does not count."""
    assert missing("bank", REFUSED, Read("pods", ReadState.COMPLETE, "shop")) == [("", ReadState.FORBIDDEN)]


def test_the_whole_cluster_is_not_known_by_one_namespace() -> None:
    """What asks about all of it stays open."""
    assert missing("", REFUSED, Read("pods", ReadState.COMPLETE, "shop")) == [("", ReadState.FORBIDDEN)]


def test_a_gap_in_a_namespace_counts_there() -> None:
    """A broken file, for one, beside files that were read."""
    reads = (Read("pods", ReadState.COMPLETE), Read("pods", ReadState.PARTIAL, "shop", "broken"))
    assert (missing("shop", *reads), missing("bank", *reads)) == ([("shop", ReadState.PARTIAL)], [])


def test_custom_kinds_are_looked_up_by_their_kind() -> None:
    """Their plural is known to the API server alone."""
    assert missing("shop", Read("Widget.example.com", ReadState.COMPLETE), kind=WIDGET) == []


def test_namespaces_that_only_objects_tell_of_have_the_label_of_their_name() -> None:
    """As the API server labels every namespace."""
    found = snapshot(workload("web", namespace="shop"), pod("db", namespace="bank"))
    assert found.namespaces == {n: {"kubernetes.io/metadata.name": n} for n in ("bank", "shop")}


def test_labels_of_a_namespace_are_its_own() -> None:
    """With the one that every namespace has."""
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}}
    assert snapshot(made).namespaces == {"shop": {"kubernetes.io/metadata.name": "shop"} | labels}
