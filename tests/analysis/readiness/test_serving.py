"""What traffic meets when a pod starts, or is gone."""

from typing import Any

import pytest

from scanner.analysis.readiness.serving import serving_without_readiness_probe, single_replica
from scanner.model.finding import Outcome
from tests.analysis.readiness.builders import autoscaler, replicated, service, unread
from tests.builders import NOW, container, snapshot, workload

PROBE = {"tcpSocket": {"port": 8080}}


def _readiness(*objects: dict[str, Any]) -> Outcome:
    (answer,) = serving_without_readiness_probe(snapshot(*objects), now=NOW)
    return answer.outcome


def _single(*objects: dict[str, Any]) -> Outcome:
    (answer,) = single_replica(snapshot(*objects), now=NOW)
    return answer.outcome


def _listening(name: str, port: int, **fields: Any) -> dict[str, Any]:
    return container(name, ports=[{"name": name, "containerPort": port}], **fields)


def test_traffic_without_a_probe_fails() -> None:
    """The plain case."""
    assert _readiness(workload("cart"), service()) is Outcome.FAIL


def test_a_probe_of_the_only_container_passes() -> None:
    """It need not declare its port."""
    assert _readiness(workload("cart", container(readinessProbe=PROBE)), service()) is Outcome.PASS


@pytest.mark.parametrize("target", [8080, "app"])
def test_the_probe_of_another_container_does_not_speak_for_the_port(target: int | str) -> None:
    """The container that declares the target port, by number or by name, is the one to be asked."""
    containers = [_listening("app", 8080), _listening("metrics", 9100, readinessProbe=PROBE)]
    fronted = service(ports=[{"port": 80, "targetPort": target}])
    assert _readiness(workload("cart", *containers), fronted) is Outcome.FAIL


def test_without_target_port_the_port_counts() -> None:
    """The API server fills in the port as target."""
    containers = [_listening("app", 80, readinessProbe=PROBE), _listening("metrics", 9100)]
    assert _readiness(workload("cart", *containers), service()) is Outcome.PASS


def test_the_evidence_names_the_container_and_the_service() -> None:
    """Both are needed to check it by hand."""
    (answer,) = serving_without_readiness_probe(snapshot(workload("cart"), service()), now=NOW)
    assert [(fact.path, str(fact.object or "")) for fact in answer.evidence] == [
        ("spec.template.spec.containers[0].readinessProbe", ""),
        ("spec.selector", "Service shop/cart"),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"publishNotReadyAddresses": True},
        {"selector": {"app": "cart", "track": "stable"}},
        {"selector": {}},
        {"type": "ExternalName"},
        {"ports": [{"name": "http-metrics", "port": 9100}]},
    ],
    ids=["wants unready pods", "selects others", "selects none", "is an alias", "is scraped"],
)
def test_a_service_that_does_not_wait_for_these_pods_asks_for_no_probe(fields: dict[str, Any]) -> None:
    """It sends them no requests that anybody depends on."""
    assert _readiness(workload("cart"), service(**fields)) is Outcome.PASS


def test_pods_that_run_to_an_end_need_no_probe() -> None:
    """A Job's pods are never ready for long."""
    assert _readiness(workload("cart", kind="Job", restartPolicy="Never"), service()) is Outcome.PASS


def test_one_pod_behind_a_service_fails() -> None:
    """The plain case."""
    assert _single(replicated(1), service()) is Outcome.FAIL


def test_an_autoscaler_that_keeps_two_passes() -> None:
    """However few are written as replicas."""
    assert _single(replicated(1), service(), autoscaler(minReplicas=2)) is Outcome.PASS


def test_an_autoscaler_that_goes_down_to_one_fails() -> None:
    """However many there are now."""
    assert _single(replicated(4), service(), autoscaler(minReplicas=1)) is Outcome.FAIL


def test_one_pod_without_a_service_passes() -> None:
    """Nobody calls it."""
    assert _single(replicated(1)) is Outcome.PASS


def test_autoscalers_that_could_not_be_read_leave_it_open() -> None:
    """One of them may keep two."""
    seen = snapshot(replicated(1), service(), coverage=unread("horizontalpodautoscalers.autoscaling"))
    (answer,) = single_replica(seen, now=NOW)
    assert answer.outcome is Outcome.UNKNOWN
