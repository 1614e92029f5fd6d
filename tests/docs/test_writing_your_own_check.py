"""The guide to one's own checks: its files, given to its command, print what it shows."""

import re
from pathlib import Path

import pytest
import yaml

from scanner.model.finding import Outcome
from scanner.policy.audited import admission_policies_violated
from tests.builders import NOW, snapshot
from tests.cli.running import plimsoll

GUIDE = (Path(__file__).parents[2] / "docs" / "writing-your-own-check.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", GUIDE, re.DOTALL))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with every file of the guide."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_example_is_what_the_command_prints(folder: Path) -> None:
    """To the letter."""
    found = re.search(r"```console\n\$ plimsoll (?P<command>.*)\n(?P<output>[^`]*)```", GUIDE)
    assert found is not None
    run = plimsoll(*(folder / word if word in FILES else word for word in found["command"].split()))
    assert run.out == found["output"]


def test_once_bound_a_scan_audits_it() -> None:
    """One Deployment fails, milder than by a binding that denies."""
    things = [document for text in FILES.values() for document in yaml.safe_load_all(text)]
    answers = {a.resource.name: a for a in admission_policies_violated(snapshot(*things), now=NOW)}
    assert (answers["cart"].outcome, answers["cart"].is_milder) == (Outcome.FAIL, True)
    assert answers["shelf"].outcome is Outcome.PASS
