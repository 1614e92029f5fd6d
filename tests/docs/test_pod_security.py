"""The guide to Pod Security Standards shows what the command prints."""

import re
import shlex

from tests.cli.running import REPOSITORY, plimsoll


def test_the_example_is_what_the_command_prints() -> None:
    """Word for word."""
    guide = (REPOSITORY / "docs" / "pod-security.md").read_text(encoding="utf-8")
    found = re.search(r"```console\n\$ plimsoll (?P<command>.*)\n(?P<output>[^`]*)```", guide)
    assert found
    assert plimsoll(*shlex.split(found["command"])).out == found["output"]
