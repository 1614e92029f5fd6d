"""The engine's rows on Cilium's policies against an evaluator that asks for each pair and port, on generated worlds."""

from hypothesis import given

from scanner.analysis.network.connections import rows
from scanner.analysis.network.connectivity import connectivity
from tests.analysis.network.brute_force import Object
from tests.analysis.network.cilium_brute_force import Settings, every_setting, outcome
from tests.analysis.network.cilium_worlds import cilium_worlds
from tests.analysis.network.test_brute_force import Answers, _addresses, _connections, _thorough
from tests.builders import snapshot


def _differences(world: list[Object], outside: list[str], settings: list[Settings]) -> list[object]:
    answers = Answers(list(rows(connectivity(snapshot(*world), policy_only=True))))
    found: list[object] = []
    for source, destination, protocol, port in _connections(world, outside):
        possible = {outcome(world, source, destination, (protocol, port), how) for how in settings}
        said = answers.ask(source, destination, protocol, port)
        if said != (possible.pop() if len(possible) == 1 else None):
            found.append((source, destination, protocol, port, said))
    return found


@_thorough(200)
@given(cilium_worlds(), _addresses)
def test_ciliums_policies_say_what_each_pair_and_port_says(world: list[Object], outside: list[str]) -> None:
    """Every row, and every absence of one, is what the pair by itself gives; nothing of this is unknown."""
    assert _differences(world, outside, [Settings()]) == []


@_thorough(150)
@given(cilium_worlds(with_doubts=True), _addresses)
def test_what_no_object_tells_is_unknown_for_those_pairs_alone(world: list[Object], outside: list[str]) -> None:
    """Where what applications, names of domains or requirements do decides, and nowhere else, a pair is unknown."""
    assert _differences(world, outside, every_setting()) == []
