"""Each folder's manifests give exactly its `expected.json`; run one with `pytest tests/policies -k <policy name>`."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanner.model.finding import Fact, Finding
from scanner.model.policy import PolicyId
from scanner.policy.evaluate import evaluate
from scanner.policy.load import check_fixtures, load_policies, load_policy
from tests.builders import NOW
from tests.policies.fixtures import FOLDERS, ROOT, snapshot_of


@pytest.mark.parametrize(("name", "folder"), FOLDERS, ids=[name for name, _ in FOLDERS])
def test_fixtures_give_exactly_what_is_expected(name: str, folder: Path) -> None:
    """A policy's manifests give the outcomes, resources and evidence of `expected.json`, and nothing else."""
    policy = load_policy(folder / "policy.yaml", PolicyId(name))
    found = {
        file.name: [_shown(f) for f in evaluate(snapshot_of(file), [policy], now=NOW).findings]
        for file in sorted(folder.glob("*.yaml"))
        if file.name != "policy.yaml"
    }
    expected = folder / "expected.json"
    assert found == (msgspec.json.decode(expected.read_bytes()) if expected.is_file() else "expected.json is missing")


def test_every_policy_has_fixtures() -> None:
    """No policy is without a passing and a failing fixture."""
    check_fixtures(ROOT)


def test_every_policy_loads() -> None:
    """All policy files are right, and no two share an id."""
    assert len(load_policies(ROOT)) == len(FOLDERS)


def _shown(finding: Finding) -> dict[str, Any]:
    return {
        "outcome": str(finding.outcome),
        "resource": str(finding.resource),
        "evidence": [_place(fact) for fact in finding.evidence],
    } | ({"expected": finding.expected} if finding.expected else {})


def _place(fact: Fact) -> dict[str, str]:
    place = {"container": fact.container, "path": fact.path, "object": str(fact.object or "")}
    return {key: value for key, value in place.items() if value or key == "path"}
