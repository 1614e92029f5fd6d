"""The guide to connections shows commands that work."""

import re
import shlex

import pytest

from tests.cli.running import REPOSITORY, plimsoll

_COMMANDS = re.findall(
    r"^    plimsoll (.*)$", (REPOSITORY / "docs" / "connectivity.md").read_text(encoding="utf-8"), re.MULTILINE
)


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_answers(command: str) -> None:
    """Each ends well and prints something."""
    run = plimsoll(*shlex.split(command))
    assert (run.status, run.err) == (0, "")
    assert run.out


def test_there_are_commands() -> None:
    """The guide is not read in vain."""
    assert len(_COMMANDS) >= 4
