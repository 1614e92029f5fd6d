"""Services that select nothing, and Ingresses that lead to no Service."""

from collections.abc import Mapping
from typing import Any

import pytest

from scanner.analysis.network.services import ingresses_without_backend, services_without_backend
from scanner.model.answer import Answer
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Outcome
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import SourceKind
from tests.builders import NOW, pod, snapshot, workload


def _service(name: str = "web", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _ingress(service: str = "web", **port: Any) -> dict[str, Any]:
    backend = {"service": {"name": service, "port": port or {"number": 80}}}
    rules = [{"host": "shop.example.com", "http": {"paths": [{"path": "/", "backend": backend}]}}]
    metadata = {"name": "front", "namespace": "shop"}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": {"rules": rules}}


def _of_services(*objects: Mapping[str, Any], **options: Any) -> list[Answer]:
    return list(services_without_backend(snapshot(*objects, **options), now=NOW))


def _of_ingress(*objects: Mapping[str, Any], **options: Any) -> Answer:
    (answer,) = ingresses_without_backend(snapshot(*objects, **options), now=NOW)
    return answer


def test_a_service_that_selects_no_pod_fails() -> None:
    """Its selector contradicts the labels of every template."""
    (answer,) = _of_services(_service(selector={"app": "wbe"}), workload("web"))
    assert (answer.outcome, answer.evidence[0].value) == (Outcome.FAIL, {"app": "wbe"})


def test_a_workload_of_another_namespace_is_no_backend() -> None:
    """A Service selects pods of its own namespace."""
    (answer,) = _of_services(_service(selector={"app": "web"}), workload("web", namespace="blog"))
    assert answer.outcome is Outcome.FAIL


def test_a_label_of_running_pods_is_enough() -> None:
    """Patroni labels its primary itself."""
    running = pod("db-0", labels={"app": "db", "role": "primary"}, owner="StatefulSet db")
    (answer,) = _of_services(
        _service(selector={"app": "db", "role": "primary"}), workload("db", kind="StatefulSet"), running
    )
    assert answer.outcome is Outcome.PASS


def test_a_label_that_a_template_lacks_may_come_at_run_time() -> None:
    """Without running pods, a template that contradicts nothing proves nothing."""
    (answer,) = _of_services(_service(selector={"app": "db", "role": "primary"}), workload("db"))
    assert answer.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("spec", [{}, {"selector": {}}, {"type": "ExternalName", "selector": {"app": "x"}}])
def test_a_service_without_pods_by_design_is_not_judged(spec: dict[str, Any]) -> None:
    """Its backends are elsewhere."""
    assert not _of_services(_service(**spec))


def test_unread_pods_make_a_service_without_backend_unknown() -> None:
    """Pods of a custom controller show only as pods."""
    reads = [
        Read(resource=r.name, state=ReadState.FORBIDDEN if r.name == "pods" else ReadState.COMPLETE) for r in RESOURCES
    ]
    (answer,) = _of_services(_service(selector={"app": "web"}), workload("cart"), coverage=reads)
    assert (answer.outcome, answer.missing) == (Outcome.UNKNOWN, ("list pods",))


@pytest.mark.parametrize(
    ("objects", "outcome"), [((), Outcome.UNKNOWN), ((workload("cart"),), Outcome.FAIL)], ids=["alone", "beside others"]
)
def test_files_are_the_whole_only_where_they_hold_workloads(
    objects: tuple[dict[str, Any], ...], outcome: Outcome
) -> None:
    """A folder of Services alone says nothing about the pods behind them."""
    (answer,) = _of_services(_service(selector={"app": "web"}), *objects, source=SourceKind.MANIFESTS)
    assert answer.outcome is outcome


@pytest.mark.parametrize(
    ("port", "outcome"),
    [
        ({"number": 80}, Outcome.PASS),
        ({"name": "http"}, Outcome.PASS),
        ({"number": 8080}, Outcome.FAIL),
        ({"name": "https"}, Outcome.FAIL),
    ],
)
def test_a_backend_needs_a_port_that_its_service_has(port: dict[str, Any], outcome: Outcome) -> None:
    """By number it is the Service's port, not the pod's; by name that of the Service."""
    service = _service(ports=[{"name": "http", "port": 80, "targetPort": 8080}])
    assert _of_ingress(_ingress(**port), service).outcome is outcome


def test_a_backend_that_does_not_exist_fails_in_a_live_cluster() -> None:
    """The evidence points at the name."""
    answer = _of_ingress(_ingress("blog"))
    assert (answer.outcome, answer.evidence[0].path) == (
        Outcome.FAIL,
        "spec.rules[0].http.paths[0].backend.service.name",
    )


def test_a_backend_that_is_in_no_file_is_unknown() -> None:
    """The Service may lie in another folder."""
    answer = _of_ingress(_ingress("blog"), source=SourceKind.MANIFESTS)
    assert (answer.outcome, answer.missing) == (Outcome.UNKNOWN, ("list services",))


def test_files_with_other_services_hold_those_of_the_ingress_too() -> None:
    """Where Services of the namespace are in the files, the one that is not is missing."""
    assert _of_ingress(_ingress("blog"), _service("web"), source=SourceKind.MANIFESTS).outcome is Outcome.FAIL


def test_an_action_of_the_aws_controller_is_no_service() -> None:
    """`use-annotation` sends the controller to the Ingress's annotations."""
    assert _of_ingress(_ingress("redirect", name="use-annotation")).outcome is Outcome.PASS
