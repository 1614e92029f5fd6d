"""What the guide on least privilege shows can be used as it stands there."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from scanner.cli.main import _parser
from scanner.settings import Settings

GUIDE = (Path(__file__).parents[2] / "docs" / "least-privilege.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the guide's blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def commands() -> list[list[str]]:
    """Return the words of every command of ours."""
    lines = "\n".join(blocks("sh")).splitlines()
    found = [shlex.split(line.rpartition("| ")[2], comments=True) for line in lines if "plimsoll" in line]
    return [words[1 : words.index(">")] if ">" in words else words[1:] for words in found]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_are_understood(words: list[str]) -> None:
    """Each command has the arguments that the guide gives it."""
    assert _parser(words).parse_args(words).logs


def test_audit_policy_records_metadata_alone() -> None:
    """The policy of the guide is the one that the test with the real API server uses."""
    policy: Any = yaml.safe_load(blocks("yaml")[0])
    assert policy == {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    }


def test_webhook_sends_a_token_over_https() -> None:
    """The API server sends none over plain http."""
    config: Any = yaml.safe_load(blocks("yaml")[1])
    assert config["clusters"][0]["cluster"]["server"].startswith("https://")
    assert config["users"][0]["user"].keys() == {"token"}


def test_settings_exist() -> None:
    """The guide names a setting that there is."""
    assert "audit_token" in Settings.model_fields
    assert "PLIMSOLL_AUDIT_TOKEN_FILE" in GUIDE
