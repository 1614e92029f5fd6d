"""Judging on two cores says what judging on one says."""

import datetime as dt
import os

import pytest

from scanner.cli import judging
from scanner.cluster.manifests import read_manifests
from scanner.model.refs import ClusterName
from scanner.policy.evaluate import evaluate
from scanner.policy.load import builtin_policies_root, load_policies
from tests.cli.running import EXAMPLE

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
POLICIES = load_policies(builtin_policies_root())
#: A child has only the thread that forks; test workers have others, which hold nothing that judging needs.
FORKS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@FORKS
@pytest.mark.parametrize("all_outcomes", [False, True])
def test_two_cores_say_what_one_says(all_outcomes: bool) -> None:
    """Every finding, count and gap, in one order."""
    snapshot = read_manifests([str(EXAMPLE)], cluster=ClusterName("example"), now=NOW)
    alone = evaluate(snapshot, POLICIES, now=NOW, all_outcomes=all_outcomes)
    assert judging.judge_on_two_cores(snapshot, POLICIES, now=NOW, all_outcomes=all_outcomes) == alone


@FORKS
def test_a_killed_child_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its part is done by the parent."""
    snapshot = read_manifests([str(EXAMPLE)], cluster=ClusterName("example"), now=NOW)
    monkeypatch.setattr(judging, "_answer", lambda *_: os._exit(9))
    assert judging.judge_on_two_cores(snapshot, POLICIES, now=NOW) == evaluate(snapshot, POLICIES, now=NOW)
