"""Whether something on the nodes collects logs."""

import pytest

from scanner.analysis.readiness.logging import log_collector
from scanner.model.finding import Outcome
from scanner.model.snapshot import SourceKind
from tests.analysis.readiness.builders import unread
from tests.builders import NOW, container, snapshot, workload


@pytest.mark.parametrize(
    ("image", "outcome"),
    [
        ("cr.fluentbit.io/fluent/fluent-bit:4.1", Outcome.PASS),
        ("grafana/alloy@sha256:0", Outcome.PASS),
        ("gcr.io/datadoghq/agent:7", Outcome.PASS),
        ("registry.example.com/build/agent:7", Outcome.FAIL),
        ("registry.example.com/vectorise/node:7", Outcome.FAIL),
    ],
)
def test_an_agent_is_known_by_its_image(image: str, outcome: Outcome) -> None:
    """By the last part of its name."""
    (answer,) = log_collector(snapshot(workload("logs", container() | {"image": image}, kind="DaemonSet")), now=NOW)
    assert answer.outcome is outcome


def test_files_do_not_tell_what_runs() -> None:
    """None among them is unknown, and names what would tell."""
    (answer,) = log_collector(snapshot(workload(), source=SourceKind.MANIFESTS), now=NOW)
    assert (answer.outcome, answer.missing) == (Outcome.UNKNOWN, ("list daemonsets.apps",))


def test_unread_daemon_sets_are_unknown() -> None:
    """What could not be listed may be a collector."""
    (answer,) = log_collector(snapshot(workload(), coverage=unread("daemonsets.apps")), now=NOW)
    assert answer.outcome is Outcome.UNKNOWN
