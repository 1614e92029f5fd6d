"""Which Ingresses and Gateways nobody serves, and what that means for their doors."""

from collections.abc import Mapping
from typing import Any

import pytest

from scanner.analysis.network.classes import gateways_not_served, ingresses_without_class
from scanner.analysis.network.exposure import Entry, Verdict, exposures
from scanner.analysis.network.kept import kept
from scanner.model.answer import Answer
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Outcome
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import SourceKind
from tests.builders import NOW, snapshot, workload

_GATEWAY_API = "gateway.networking.k8s.io/v1"
_SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "cart", "namespace": "shop"},
    "spec": {"selector": {"app": "cart"}, "ports": [{"port": 80}]},
}
_SERVED = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}


def _class(name: str = "nginx", *, default: str = "") -> dict[str, Any]:
    annotations = {"ingressclass.kubernetes.io/is-default-class": default} if default else {}
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": metadata, "spec": {}}


def _ingress(name: str = "", *, annotation: str = "", status: Any = None) -> dict[str, Any]:
    annotations = {"kubernetes.io/ingress.class": annotation} if annotation else {}
    spec: dict[str, Any] = {"defaultBackend": {"service": {"name": "cart", "port": {"number": 80}}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "cart", "namespace": "shop", "annotations": annotations},
        "spec": spec | ({"ingressClassName": name} if name else {}),
        "status": status,
    }


def _gateway_class(name: str = "edge") -> dict[str, Any]:
    return {"apiVersion": _GATEWAY_API, "kind": "GatewayClass", "metadata": {"name": name}, "spec": {}}


def _gateway(*conditions: Any, name: str = "edge") -> dict[str, Any]:
    listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
    return {
        "apiVersion": _GATEWAY_API,
        "kind": "Gateway",
        "metadata": {"name": "front", "namespace": "shop"},
        "spec": {"gatewayClassName": name, "listeners": listeners},
        "status": {"conditions": list(conditions)},
    }


_ROUTE = {
    "apiVersion": _GATEWAY_API,
    "kind": "HTTPRoute",
    "metadata": {"name": "cart", "namespace": "shop"},
    "spec": {"parentRefs": [{"name": "front"}], "rules": [{"backendRefs": [{"name": "cart", "port": 80}]}]},
}


def _denied(name: str) -> list[Read]:
    return [
        Read(resource=r.name, state=ReadState.FORBIDDEN if r.name == name else ReadState.COMPLETE) for r in RESOURCES
    ]


_GATEWAY_DENIED = _denied("gatewayclasses.gateway.networking.k8s.io")
_INGRESS_DENIED = _denied("ingressclasses.networking.k8s.io")


def _said(kind: str, status: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": "Said", "lastTransitionTime": "2026-11-01T12:00:00Z"}


def _entry(*objects: Mapping[str, Any], **fields: Any) -> Entry:
    whole = snapshot(workload(), _SERVICE, *objects, **fields)
    (found,) = exposures(whole)
    assert exposures(kept(whole)) == (found,)
    (entry,) = found.entries
    return entry


def _of_ingress(*objects: Mapping[str, Any], **fields: Any) -> Answer:
    (answer,) = ingresses_without_class(snapshot(*objects, **fields), now=NOW)
    return answer


def _of_gateway(*objects: Mapping[str, Any], **fields: Any) -> Answer:
    (answer,) = gateways_not_served(snapshot(*objects, **fields), now=NOW)
    return answer


@pytest.mark.parametrize(
    "objects",
    [
        (_ingress("nginx"), _class()),
        (_ingress(annotation="nginx"), _class()),
        (_ingress(), _class(default="true")),
        (_ingress("gone", status=_SERVED),),
        (_ingress("gone", annotation="nginx"), _class()),
    ],
    ids=["by its field", "by the annotation", "by default", "by its address", "the annotation has precedence"],
)
def test_an_ingress_that_is_served_is_a_door(objects: tuple[dict[str, Any], ...]) -> None:
    """Its class exists, or a controller gave it an address."""
    assert (_of_ingress(*objects).outcome, _entry(*objects).verdict) == (Outcome.PASS, Verdict.OPEN)


@pytest.mark.parametrize(
    ("objects", "text"),
    [
        ((_ingress("gone"), _class(default="true")), "IngressClass gone does not exist"),
        ((_ingress(annotation="gone"), _class(default="true")), "IngressClass gone does not exist"),
        ((_ingress("nginx", annotation="gone"), _class()), "IngressClass gone does not exist"),
        ((_ingress(), _class(default="false")), "It names no class, and no IngressClass is the default"),
        ((_ingress("nginx", status={"loadBalancer": {"ingress": []}}),), "IngressClass nginx does not exist"),
    ],
    ids=["by its field", "by the annotation", "the annotation has precedence", "no default", "no address"],
)
def test_an_ingress_whose_class_does_not_exist_may_be_no_door(objects: tuple[dict[str, Any], ...], text: str) -> None:
    """Old controllers watch for the annotation without an IngressClass."""
    answer, entry = _of_ingress(*objects), _entry(*objects)
    assert (answer.outcome, answer.message) == (Outcome.FAIL, text)
    assert entry.verdict is Verdict.UNKNOWN
    assert entry.reasons[0].lower().startswith(text.lower())


def test_an_ingress_of_files_is_a_door_whatever_its_class() -> None:
    """Files need not hold the classes."""
    assert list(ingresses_without_class(snapshot(_ingress("gone"), source=SourceKind.MANIFESTS), now=NOW)) == []
    assert _entry(_ingress("gone"), source=SourceKind.MANIFESTS).verdict is Verdict.OPEN


def test_classes_that_may_not_be_read_make_no_ingress_unserved() -> None:
    """It counts as a door, and the answer names the right that is missing."""
    answer = _of_ingress(_ingress("gone"), coverage=_INGRESS_DENIED)
    assert (answer.outcome, answer.missing) == (Outcome.UNKNOWN, ("list ingressclasses.networking.k8s.io",))
    assert _entry(_ingress("gone"), coverage=_INGRESS_DENIED).verdict is Verdict.OPEN


def test_a_gateway_of_a_class_that_exists_is_a_door() -> None:
    """Conditions that are not yet known say nothing against it, nor do those of others."""
    gateway = _gateway(_said("Accepted", "True"), _said("Programmed", "Unknown"), _said("example.com/Ok", "False"))
    assert _of_gateway(gateway, _gateway_class()).outcome is Outcome.PASS
    assert _entry(gateway, _gateway_class(), _ROUTE).verdict is Verdict.OPEN


@pytest.mark.parametrize(
    ("objects", "path"),
    [
        ((_gateway(name="gone"), _gateway_class()), "spec.gatewayClassName"),
        ((_gateway(_said("Accepted", "False")), _gateway_class()), "status.conditions"),
        ((_gateway(_said("Accepted", "True"), _said("Programmed", "False")), _gateway_class()), "status.conditions"),
    ],
    ids=["no class", "not accepted", "not programmed"],
)
def test_a_gateway_that_nobody_serves_may_be_no_door(objects: tuple[dict[str, Any], ...], path: str) -> None:
    """Its class does not exist, or its controller says so."""
    answer = _of_gateway(*objects)
    assert (answer.outcome, [fact.path for fact in answer.evidence]) == (Outcome.FAIL, [path])
    entry = _entry(*objects, _ROUTE)
    assert (entry.verdict, "nobody may serve it" in entry.reasons[0]) == (Verdict.UNKNOWN, True)


def test_gateway_classes_that_may_not_be_read_leave_the_word_of_the_controller() -> None:
    """A class that was not seen proves nothing; a condition does."""
    unseen = _of_gateway(_gateway(), coverage=_GATEWAY_DENIED)
    assert (unseen.outcome, unseen.missing) == (Outcome.UNKNOWN, ("list gatewayclasses.gateway.networking.k8s.io",))
    refused = _of_gateway(_gateway(_said("Accepted", "False")), coverage=_GATEWAY_DENIED)
    assert (refused.outcome, len(refused.evidence)) == (Outcome.FAIL, 1)


@pytest.mark.parametrize("status", ["none", {"conditions": 5}, {"conditions": [{"type": []}]}])
def test_a_status_of_no_such_shape_says_nothing(status: Any) -> None:
    """A custom resource may hold anything there."""
    gateway = _gateway() | {"status": status}
    assert _of_gateway(gateway, _gateway_class()).outcome is Outcome.PASS


def test_addresses_and_times_in_a_status_are_not_kept() -> None:
    """They change by themselves; what is kept is kept again when a snapshot is read back."""
    taken = snapshot(
        _ingress("nginx", status=_SERVED), _gateway(_said("Accepted", "False"), _said("Programmed", "True"))
    )
    assert [o.status for objects in taken.objects.values() for o in objects] == [
        b'{"loadBalancer":{"ingress":[{}]}}',
        b'{"conditions":[{"type":"Accepted","status":"False"}]}',
    ]
