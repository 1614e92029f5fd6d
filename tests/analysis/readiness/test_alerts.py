"""Which workloads an expression is about."""

from typing import Any

import pytest

from scanner.analysis.readiness.alerts import workloads_without_alert
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Outcome
from scanner.model.snapshot import SourceKind
from tests.analysis.readiness.builders import service, unread
from tests.builders import NOW, snapshot, workload


def _rule(*expressions: str) -> dict[str, Any]:
    rules = [{"alert": "Down", "expr": expression} for expression in expressions]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "rules", "namespace": "monitoring"},
        "spec": {"groups": [{"name": "g", "rules": rules}]},
    }


def _about(*expressions: str) -> Outcome:
    """Ask of Deployment shop/cart behind Service cart-api."""
    seen = snapshot(workload("cart"), service("cart-api"), _rule(*expressions))
    return next(a.outcome for a in workloads_without_alert(seen, now=NOW) if a.resource.kind == "Deployment")


@pytest.mark.parametrize(
    ("expression", "outcome"),
    [
        ('kube_pod_status_phase{phase="Failed"} > 0', Outcome.PASS),
        ("kube_pod_status_ready == 0", Outcome.PASS),
        ('kube_pod_info{namespace="bank"}', Outcome.FAIL),
        ('kube_pod_info{namespace!="shop"}', Outcome.FAIL),
        ('kube_pod_info{namespace=~"bank|shop"}', Outcome.PASS),
        ('kube_pod_info{namespace!~"kube-.*|default"}', Outcome.PASS),
        ('kube_pod_info{namespace=~"s[a-z]op"}', Outcome.UNKNOWN),
        ("kube_deployment_status_replicas_available < 1", Outcome.PASS),
        ("kube_statefulset_status_replicas_ready < 1", Outcome.FAIL),
        ('kube_deployment_spec_replicas{deployment="web"}', Outcome.FAIL),
        ('up{job="cart-api"} == 0', Outcome.PASS),
        ("absent(up{job='node-exporter'})", Outcome.FAIL),
        ('http_errors_total{namespace="shop"} > 1', Outcome.PASS),
        ('http_errors_total{code=~"5.."} > 1', Outcome.UNKNOWN),
        ("sum by (namespace) (http_errors_total) > 1", Outcome.UNKNOWN),
        ("node_load1 > 10 and on(instance) node_uname_info", Outcome.FAIL),
        ("vector(1) offset 5m", Outcome.FAIL),
        ('{__name__="kube_pod_info"}', Outcome.PASS),
        ("}}}{{{\"'", Outcome.FAIL),
        ("a" * 50_000, Outcome.UNKNOWN),
        ("{" * 4_000, Outcome.FAIL),
        ('{"' * 2_000, Outcome.FAIL),
    ],
)
def test_an_alert_is_about_what_its_series_select(expression: str, outcome: Outcome) -> None:
    """By series, namespace, name and Service; what cannot be told is unknown."""
    assert _about(expression) is outcome


def test_one_alert_that_is_about_it_is_enough() -> None:
    """Whatever others leave open."""
    assert _about("http_errors_total > 1", "kube_pod_status_ready == 0") is Outcome.PASS


def test_without_the_operator_it_is_unknown_once() -> None:
    """Alerts may be written elsewhere; the cluster is told, not each workload."""
    reads = [Read(r.resource, ReadState.ABSENT) if r.resource.startswith("prometheusrules") else r for r in unread()]
    (answer,) = workloads_without_alert(snapshot(workload("cart"), coverage=reads), now=NOW)
    assert (answer.resource.kind, answer.outcome) == ("Cluster", Outcome.UNKNOWN)
    assert "not installed" in answer.message


def test_rules_that_may_not_be_read_are_unknown() -> None:
    """With the read that is missing."""
    seen = snapshot(workload("cart"), coverage=unread("prometheusrules.monitoring.coreos.com"))
    (answer,) = workloads_without_alert(seen, now=NOW)
    assert answer.missing == ("list prometheusrules.monitoring.coreos.com",)


def test_rules_of_another_form_are_no_alerts() -> None:
    """What only a file can hold breaks nothing."""
    odd = _rule("up") | {"spec": {"groups": [{"rules": [7, {"alert": 3, "expr": {}}]}, "x"]}}
    seen = snapshot(workload("cart"), odd, source=SourceKind.MANIFESTS)
    assert [a.outcome for a in workloads_without_alert(seen, now=NOW)] == [Outcome.UNKNOWN]
