"""`plimsoll network graph` as scripts and people use it."""

import pytest

from tests.cli.running import EXAMPLE, plimsoll


@pytest.mark.parametrize(
    ("language", "start"), [("mermaid", "flowchart LR\n"), ("dot", "digraph connectivity {\n"), ("svg", "<svg ")]
)
def test_every_language_is_written(language: str, start: str) -> None:
    """Nothing but the picture is on stdout."""
    assert plimsoll("network", "graph", "--manifests", EXAMPLE, "-o", language).out.startswith(start)


def test_a_namespace_that_does_not_exist_is_bad_input() -> None:
    """One line says so."""
    ended = plimsoll("network", "graph", "--manifests", EXAMPLE, "-n", "nowhere")
    assert (ended.status, ended.err) == (2, "plimsoll: nowhere: no such namespace was read\n")
