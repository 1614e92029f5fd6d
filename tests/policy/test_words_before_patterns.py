"""Plain words that a policy looks for before a costly pattern leave out nothing that the pattern matches."""

import re
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from scanner.model.finding import Outcome
from scanner.model.policy import Policy
from scanner.policy.evaluate import evaluate
from scanner.policy.load import builtin_policies_root, load_policies
from tests.builders import NOW, container, snapshot, workload

_MOUNTED = "data-on-scratch-disk"
_VOLUMES = [{"name": "data", "emptyDir": {}}]


@cache
def _policy(name: str) -> Policy:
    (found,) = load_policies(builtin_policies_root(), only=[f"readiness/{name}"])
    return found


def _holding(place: str, text: str) -> dict[str, Any]:
    match place:
        case "variable":
            return container(env=[{"name": text, "value": "/var/log/app.log"}])
        case "value":
            return container(env=[{"name": "LOG_FILE", "value": text}])
        case "mount":
            return container(volumeMounts=[{"name": "data", "mountPath": text}])
        case "image":
            return container(image=text)
        case _:
            return container(args=[text])


@pytest.mark.parametrize(
    ("policy", "number", "place", "but"),
    [
        ("log-file-configured", 0, "variable", "$^"),
        ("log-file-configured", 1, "value", "^(/dev/|/proc/|[a-z]+://)"),
        ("log-file-configured", 3, "argument", "=(/dev/|/proc/)"),
        (_MOUNTED, 0, "mount", "$^"),
        (_MOUNTED, 1, "image", "$^"),
        ("sidecar-tails-logs", 0, "argument", "tail -[fF] /dev/null"),
    ],
)
@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_the_pattern_matches_fails(policy: str, number: int, place: str, but: str, data: st.DataObject) -> None:
    """Texts made from each pattern itself, but for what the policy excepts."""
    found = _policy(policy)
    pattern = re.findall(r"matches\('([^']*)'\)", found.forbid)[number]
    text = data.draw(
        st.from_regex(pattern, fullmatch=True, alphabet=st.characters(min_codepoint=32, max_codepoint=126))
    )
    assume(not re.search(but, text))
    world = snapshot(workload("db", _holding(place, text), volumes=_VOLUMES))
    (finding,) = evaluate(world, [found], now=NOW, all_outcomes=True).findings
    assert finding.outcome is Outcome.FAIL
