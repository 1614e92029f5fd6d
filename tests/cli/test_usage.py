"""Usage, errors and exit statuses."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scanner.cli.main import COMMANDS
from scanner.version import VERSION
from tests.cli.running import EXAMPLE, REPOSITORY, plimsoll


def test_the_version_is_that_of_the_project() -> None:
    """One number, in both places."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
    assert plimsoll("version").out == f"plimsoll {VERSION}\n"


def test_help_names_every_command() -> None:
    """And each has help of its own."""
    shown = plimsoll("--help")
    assert shown.status == 0
    for command in COMMANDS:
        assert re.search(rf"^ +{command}\s", shown.out, re.MULTILINE)
        assert plimsoll(command, "--help").status == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("sacn",), "invalid choice: 'sacn'"),
        (("scan", "--fail-on", "urgent"), "argument --fail-on: invalid choice: 'urgent'"),
        (("scan", "--manifests", "no/such/folder"), "--manifests no/such/folder: no such file or folder"),
        (("scan", "--manifests", str(EXAMPLE), "--snapshot", "x"), "not allowed with argument --manifests"),
        (("scan", "--manifests", str(EXAMPLE), "--policies", "pods/nothing"), "no policy is named 'pods/nothing'"),
        (("scan", "--snapshot", str(EXAMPLE / "shop.yaml")), "shop.yaml"),
        (("scan",), "kubeconfig"),
        (("policies", "test", str(EXAMPLE / "shop.yaml"), "--manifests", str(EXAMPLE)), "no ValidatingAdmissionPolicy"),
        (("policies", "show", "pods/nothing"), "no policy is named 'pods/nothing'"),
    ],
)
def test_bad_usage_is_one_clear_line(arguments: tuple[str, ...], complaint: str) -> None:
    """On stderr, with status 2 and nothing on stdout."""
    ended = plimsoll(*arguments)
    assert (ended.status, ended.out) == (2, "")
    assert complaint in ended.err
    assert ended.err.count("\n") == 1


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    """`plimsoll … | head -1` says nothing on stderr."""
    errors = tmp_path / "errors"
    command = f"{sys.executable} -m scanner policies docs 2>{errors} | head -1"
    shown = subprocess.run(["sh", "-c", command], cwd=REPOSITORY, capture_output=True, check=True)
    assert shown.stdout == b"# Policies\n"
    assert errors.read_text() == ""
