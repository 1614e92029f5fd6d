"""`plimsoll network propose` as scripts and people use it."""

import pytest
import yaml

from tests.cli.running import EXAMPLE, plimsoll


def test_yaml_is_a_stream_of_network_policies() -> None:
    """What stands around them is comments."""
    out = plimsoll("network", "propose", "--manifests", EXAMPLE, "-n", "shop").out
    assert {o["kind"] for o in yaml.safe_load_all(out) if o} == {"NetworkPolicy"}


@pytest.mark.parametrize("said", ["# Assumed", "# Cut: ", "# Still allowed: "])
def test_yaml_says_what_it_rests_on_and_what_it_does(said: str) -> None:
    """Assumptions first, the proof last."""
    assert said in plimsoll("network", "propose", "--manifests", EXAMPLE, "-n", "shop").out


def test_json_has_manifests_assumptions_and_both_lists() -> None:
    """For programs."""
    report = plimsoll("network", "propose", "--manifests", EXAMPLE, "-o", "json").json
    assert {"assumptions", "policies", "kept", "cut"} <= report.keys()


def test_a_namespace_that_does_not_exist_is_bad_input() -> None:
    """One line says so."""
    ended = plimsoll("network", "propose", "--manifests", EXAMPLE, "-n", "nowhere")
    assert (ended.status, ended.err) == (2, "plimsoll: nowhere: no such namespace was read\n")
