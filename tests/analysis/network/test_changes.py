"""What changed between two snapshots, against their rows compared pair by pair, and by hand."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from scanner.analysis.network.addresses import address_place
from scanner.analysis.network.changes import Change, PolicyChange, State, changes, differences
from scanner.analysis.network.connections import Row, rows, workload_text
from scanner.analysis.network.connectivity import connectivity
from scanner.analysis.network.ports import EVERY_PORT, Span, port_span
from scanner.model.coverage import Read, ReadState
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot
from tests.analysis.network.worlds import worlds
from tests.builders import snapshot

_thorough = settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))

#: A pair with a protocol and a port, and what it was or is.
_States = dict[tuple[str, str, int], State]


def _edges(found: Sequence[Sequence[Row]]) -> tuple[set[int], set[int]]:
    """Return the places of ports and of addresses at which some row begins."""
    ports, addresses = {EVERY_PORT[0]}, {0, 1 << 32}
    for row in (row for rows_ in found for row in rows_):
        for first, last in _spans(row):
            ports |= {first, last + 1}
        for end in (row.src, row.dst):
            if "/" not in end:
                low, high = map(address_place, end.split("-"))
                addresses |= {low, high + 1}
    return ports, addresses


def _spans(row: Row) -> Iterator[Span]:
    for part in row.ports.split(","):
        first, _, last = part.partition("-")
        yield port_span(row.protocol, int(first), int(last or first))


def _states(found: Sequence[Row], ports: set[int], addresses: set[int]) -> _States:
    """Spell rows out, one entry for each port and each address at which anything begins."""
    states: _States = {}
    for row in found:
        state = State.UNKNOWN if row.unknown else State.OPEN
        for source in _points(row.src, addresses):
            for destination in _points(row.dst, addresses):
                for first, last in _spans(row):
                    states |= {(source, destination, p): state for p in ports if first <= p <= last}
    return states


def _points(end: str, addresses: set[int]) -> list[str]:
    if "/" in end:
        return [end]
    low, high = map(address_place, end.split("-"))
    return [str(place) for place in addresses if low <= place <= high]


def _pair_by_pair(before: Snapshot, after: Snapshot, *, policy_only: bool) -> Mapping[Any, tuple[State, State]]:
    found = [list(rows(connectivity(s, policy_only=policy_only))) for s in (before, after)]
    ports, addresses = _edges(found)
    old, new = (_states(one, ports, addresses) for one in found)
    closed = State.CLOSED
    both = {key: (old.get(key, closed), new.get(key, closed)) for key in {*old, *new}}
    return {key: states for key, states in both.items() if states[0] is not states[1]}


def _by_rectangles(before: Snapshot, after: Snapshot, *, policy_only: bool) -> Mapping[Any, tuple[State, State]]:
    found = [list(rows(connectivity(s, policy_only=policy_only))) for s in (before, after)]
    ports, addresses = _edges(found)
    spelt: dict[Any, tuple[State, State]] = {}
    for difference in changes(before, after, policy_only=policy_only).differences:
        for pair in difference.pairs():
            for source in _end_points(pair[0], addresses):
                for destination in _end_points(pair[1], addresses):
                    for change in difference.changes:
                        for port in (p for p in ports for a, b in change.spans if a <= p <= b):
                            assert (source, destination, port) not in spelt
                            spelt[source, destination, port] = (change.before, change.after)
    return spelt


def _end_points(end: ObjectRef | Span, addresses: set[int]) -> list[str]:
    if isinstance(end, ObjectRef):
        return [workload_text(end)]
    return [str(place) for place in addresses if end[0] <= place <= end[1]]


@_thorough
@given(worlds(), worlds())
def test_by_policies_alone_the_difference_is_that_of_the_rows(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    """Whatever becomes of pods and policies, what changed is what the two lists of connections tell."""
    pair = snapshot(*before), snapshot(*after)
    assert _by_rectangles(*pair, policy_only=True) == _pair_by_pair(*pair, policy_only=True)


@_thorough
@given(worlds(with_addresses=True, with_host_pods=True, with_networks=True), worlds(with_networks=True))
def test_with_what_plugins_decide_the_difference_is_that_of_the_rows(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    """What becomes unknown, and what is decided from then on, is told as well."""
    pods = [o for o in before if o["kind"] in {"Pod", "Namespace"}]
    policies = [o for o in after if o["kind"] not in {"Pod", "Namespace"}]
    pair = snapshot(*before), snapshot(*pods, *policies)
    assert _by_rectangles(*pair, policy_only=False) == _pair_by_pair(*pair, policy_only=False)


@_thorough
@given(worlds(with_addresses=True, with_host_pods=True, with_networks=True))
def test_nothing_differs_from_itself(world: list[dict[str, Any]]) -> None:
    """Two scans of one cluster have no difference, unless what stayed is asked for."""
    one, other = connectivity(snapshot(*world)), connectivity(snapshot(*reversed(world)))
    assert differences(one, other) == ()
    stayed = differences(one, other, unchanged=True)
    assert all(c.before is c.after for d in stayed for c in d.changes)
    assert bool(stayed) == bool(list(rows(one)))


def _pod(name: str, namespace: str = "shop", **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "app", "image": "registry.example.com/app:1"}]},
        "status": {"phase": "Running"},
    }


def _policy(name: str, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}, **spec},
    }


_DENY = _policy("deny", policyTypes=["Ingress", "Egress"])


def test_a_default_deny_over_many_workloads_is_a_few_rectangles() -> None:
    """What it closes is told in sets: nobody can read a million pairs."""
    pods = [_pod(f"web-{n}", app=f"a{n}") for n in range(300)]
    other = _pod("probe", "ops")
    found = changes(snapshot(*pods, other), snapshot(*pods, other, _DENY))
    assert len(found.differences) <= 4
    assert {c for d in found.differences for c in d.changes} == {Change(State.OPEN, State.CLOSED, (EVERY_PORT,))}
    within = [d for d in found.differences if len(d.sources.workloads) >= 300 and len(d.destinations.workloads) >= 300]
    assert len(within) == 1


def test_changed_ports_of_a_pair_are_one_difference() -> None:
    """A pair that loses one port and gets another is told once, with both."""
    pods = [_pod("a"), _pod("b")]
    old, new = (
        _policy("ports", policyTypes=["Ingress"], ingress=[{"from": [{"podSelector": {}}], "ports": [{"port": port}]}])
        for port in (80, 443)
    )
    found = changes(snapshot(*pods, old), snapshot(*pods, new))
    assert [d.changes for d in found.differences] == [
        (
            Change(State.CLOSED, State.OPEN, (port_span("TCP", 443, 443),)),
            Change(State.OPEN, State.CLOSED, (port_span("TCP", 80, 80),)),
        )
    ]
    assert [(ref.name, change) for ref, change in found.policies] == [("ports", PolicyChange.CHANGED)]


def test_fields_in_another_order_are_no_change_of_a_policy() -> None:
    """Files and API servers write one policy in different orders."""
    spec = {"policyTypes": ["Ingress"], "podSelector": {"matchLabels": {"a": "b", "c": "d"}}}
    turned = {"podSelector": {"matchLabels": {"c": "d", "a": "b"}}, "policyTypes": ["Ingress"]}
    one = _policy("same")
    found = changes(snapshot(one | {"spec": spec}), snapshot(one | {"spec": turned}))
    assert (found.policies, found.differences) == ((), ())


def test_workloads_that_come_and_go_are_told_with_their_connections() -> None:
    """A new workload opens what it can reach; one that went closes it."""
    found = changes(snapshot(_pod("a"), _pod("old")), snapshot(_pod("a"), _pod("new")))
    assert [ref.name for ref in found.added] == ["new"]
    assert [ref.name for ref in found.removed] == ["old"]
    pairs = {
        (getattr(s, "name", ""), getattr(d, "name", ""), c.after)
        for difference in found.differences
        for s, d in difference.pairs()
        for c in difference.changes
    }
    assert ("new", "a", State.OPEN) in pairs
    assert ("old", "a", State.CLOSED) in pairs
    assert ("old", "new", State.CLOSED) not in pairs


@pytest.mark.parametrize("state", [ReadState.FORBIDDEN, ReadState.FAILED])
def test_a_workload_that_was_not_read_is_unknown_and_not_closed(state: ReadState) -> None:
    """A scan that lacked a right must not look like one that found the doors closed."""
    whole = snapshot(_pod("a"), _pod("b", "ops"))
    coverage = tuple(_ended(read, state) if read.resource == "pods" else read for read in whole.coverage)
    blind = snapshot(_pod("a"), coverage=coverage)
    found = changes(whole, blind)
    assert {(c.before, c.after) for d in found.differences for c in d.changes} == {(State.OPEN, State.UNKNOWN)}
    assert {reason for d in found.differences for reason in d.reasons} == {"not read: list pods"}


def _ended(read: Read, state: ReadState) -> Read:
    """Return a read that ended otherwise."""
    return Read(resource=read.resource, state=state)
