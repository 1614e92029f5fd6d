"""The engine's rows against an evaluator that asks for each pair and each port by itself, on generated worlds."""

import ipaddress
from collections.abc import Iterator, Sequence

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from scanner.analysis.network.connections import Row, rows
from scanner.analysis.network.connectivity import connectivity
from tests.analysis.network.brute_force import End, Object, Reading, outcomes, pods_of
from tests.analysis.network.worlds import PROTOCOLS, calico_worlds, worlds
from tests.builders import snapshot

#: Numbers that rules use, with neighbours.
PORTS = (1, 52, 53, 54, 80, 65535)
#: At the edges of the networks that rules use, and within.
OUTSIDE = (
    "0.0.0.0",  # noqa: S104 - nothing binds to it
    "9.255.255.255",
    "10.1.0.0",
    "10.1.2.3",
    "10.2.0.0",
    "127.255.255.255",
    "192.0.2.7",
    "::",
    "fd00::1",
)

_addresses = st.lists(st.sampled_from(OUTSIDE), min_size=1, max_size=2)


def _thorough(worlds_count: int) -> settings:
    return settings(deadline=None, max_examples=worlds_count, suppress_health_check=list(HealthCheck))


class Answers:
    """What the rows say of single connections: True, False, or None for unknown."""

    def __init__(self, found: Sequence[Row]) -> None:
        self._rows: dict[tuple[str, str, str], list[Row]] = {}
        self._ranges = {end for row in found for end in (row.src, row.dst) if "/" not in end}
        for row in found:
            self._rows.setdefault((row.src, row.dst, row.protocol), []).append(row)

    def ask(self, source: End, destination: End, protocol: str, port: int) -> bool | None:
        """Find the row for a connection; without one it is not possible."""
        hits = [
            row
            for src in self._names(source)
            for dst in self._names(destination)
            for row in self._rows.get((src, dst, protocol), ())
            if any(_first(ports) <= port <= _last(ports) for ports in row.ports.split(","))
        ]
        assert len(hits) <= 1
        return (None if hits[0].unknown else True) if hits else False

    def _names(self, end: End) -> list[str]:
        if isinstance(end, str):
            return [text for text in self._ranges if _holds(text, end)]
        return [f"{end['metadata']['namespace']}/{end['metadata']['name']}[Pod]"]


def _first(ports: str) -> int:
    return int(ports.partition("-")[0])


def _last(ports: str) -> int:
    return int(ports.rpartition("-")[2])


def _holds(text: str, address: str) -> bool:
    first, last = (ipaddress.ip_address(edge) for edge in text.split("-"))
    parsed = ipaddress.ip_address(address)
    return first.version == parsed.version and int(first) <= int(parsed) <= int(last)


def _connections(world: Sequence[Object], outside: Sequence[str]) -> Iterator[tuple[End, End, str, int]]:
    """Yield every pair but a pod and itself, with every port that a rule could tell from its neighbours."""
    pods = list(pods_of(world))
    ends: list[tuple[End, End]] = [(a, b) for a in pods for b in pods if a is not b]
    ends += [pair for pod in pods for address in outside for pair in ((pod, address), (address, pod))]
    return ((a, b, protocol, port) for a, b in ends for protocol in PROTOCOLS for port in PORTS)


def _possible(world: Sequence[Object], connection: tuple[End, End, str, int], readings: Sequence[Reading]) -> set[bool]:
    source, destination, protocol, port = connection
    return {o for how in readings for o in outcomes(world, source, destination, (protocol, port), how)}


def _verdict(possible: set[bool]) -> bool | None:
    return possible.pop() if len(possible) == 1 else None


def _different(
    answers: Answers, world: Sequence[Object], outside: Sequence[str], readings: Sequence[Reading]
) -> list[tuple[tuple[End, End, str, int], bool | None]]:
    """Return the connections of which the rows say another thing than the readings together: yes, no or unknown."""
    return [
        (connection, said)
        for connection in _connections(world, outside)
        if (said := answers.ask(*connection)) is not _verdict(_possible(world, connection, readings))
    ]


def _wrong(
    answers: Answers, world: Sequence[Object], outside: Sequence[str], readings: Sequence[Reading]
) -> list[tuple[tuple[End, End, str, int], bool | None]]:
    """Return the connections that the rows decide otherwise than some reading does."""
    return [
        (connection, said)
        for connection in _connections(world, outside)
        if (said := answers.ask(*connection)) is not None and _possible(world, connection, readings) != {said}
    ]


@_thorough(1000)
@given(worlds(), _addresses)
def test_policies_alone_say_what_each_pair_and_port_says(world: list[Object], outside: list[str]) -> None:
    """Every row, and every absence of one, is what the pair by itself gives."""
    answers = Answers(list(rows(connectivity(snapshot(*world), policy_only=True))))
    assert _different(answers, world, outside, [Reading()]) == []


@_thorough(400)
@given(worlds(with_addresses=True, with_networks=True), _addresses)
def test_addresses_of_pods_count_for_networks_and_may_count_for_blocks(world: list[Object], outside: list[str]) -> None:
    """With known addresses a connection is unknown just where plugins that take ipBlock for pods differ from others."""
    other = Reading(blocks_mean_pods=True)
    answers = Answers(list(rows(connectivity(snapshot(*world)))))
    assert _different(answers, world, outside, [Reading(), other]) == []


@_thorough(200)
@given(worlds(with_addresses=True, with_host_pods=True, with_networks=True), _addresses)
def test_what_is_decided_holds_for_every_reading_of_the_api(world: list[Object], outside: list[str]) -> None:
    """However a plugin treats the host network, nodes and blocks of pods' addresses, no row and no absence is wrong."""
    readings = [Reading(h, b, n) for h in (True, False) for b in (True, False) for n in (True, False)]
    answers = Answers(list(rows(connectivity(snapshot(*world)))))
    assert _wrong(answers, world, outside, readings) == []


@_thorough(400)
@given(worlds(with_networks=True), _addresses)
def test_policies_alone_decide_nothing_that_a_family_of_addresses_would_change(
    world: list[Object], outside: list[str]
) -> None:
    """Where networks are all of IPv4 or of IPv6, what is decided holds for pods with an address of either."""
    answers = Answers(list(rows(connectivity(snapshot(*world), policy_only=True))))
    readings = [Reading(family=4), Reading(family=6)]
    assert _wrong(answers, world, outside, readings) == []


@_thorough(300)
@given(calico_worlds(), _addresses)
def test_policies_of_calico_say_what_each_pair_and_port_says(world: list[Object], outside: list[str]) -> None:
    """By labels and ports alone, in tiers of its own, beside and between those of Kubernetes."""
    answers = Answers(list(rows(connectivity(snapshot(*world), policy_only=True))))
    assert _different(answers, world, outside, [Reading()]) == []


@_thorough(300)
@given(calico_worlds(with_addresses=True, with_networks=True), _addresses)
def test_networks_of_calico_mean_pods_by_their_address(world: list[Object], outside: list[str]) -> None:
    """Networks of rules and of network sets, where addresses are known: unknown just where plugins differ."""
    answers = Answers(list(rows(connectivity(snapshot(*world)))))
    readings = [Reading(), Reading(blocks_mean_pods=True)]
    assert _different(answers, world, outside, readings) == []


@_thorough(150)
@given(calico_worlds(with_addresses=True, with_host_pods=True, with_networks=True), _addresses)
def test_policies_of_calico_hold_for_every_reading_of_the_api(world: list[Object], outside: list[str]) -> None:
    """However the host network and blocks of pods' addresses are treated, no row and no absence is wrong."""
    readings = [Reading(h, b, n) for h in (True, False) for b in (True, False) for n in (True, False)]
    answers = Answers(list(rows(connectivity(snapshot(*world)))))
    assert _wrong(answers, world, outside, readings) == []


@_thorough(150)
@given(calico_worlds(with_networks=True), _addresses)
def test_policies_of_calico_decide_nothing_that_a_family_would_change(world: list[Object], outside: list[str]) -> None:
    """By policies alone, what is decided holds for pods with an address of either family."""
    answers = Answers(list(rows(connectivity(snapshot(*world), policy_only=True))))
    readings = [Reading(family=4), Reading(family=6)]
    assert _wrong(answers, world, outside, readings) == []
