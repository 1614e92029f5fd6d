"""Which Gateways serve routes in the clear."""

from typing import Any

import pytest

from scanner.analysis.network.gateways import gateways_in_the_clear
from scanner.model.finding import Outcome
from tests.builders import NOW, snapshot

API = "gateway.networking.k8s.io/v1"
REDIRECT = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]}
SERVE = {"backendRefs": [{"name": "web", "port": 80}]}


def _gateway(*listeners: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "front", "namespace": "edge"}
    return {"apiVersion": API, "kind": "Gateway", "metadata": metadata, "spec": {"listeners": list(listeners)}}


def _listener(name: str = "http", protocol: str = "HTTP", **fields: Any) -> dict[str, Any]:
    allowed = {"allowedRoutes": {"namespaces": {"from": "All"}}}
    return {"name": name, "port": 80 if protocol == "HTTP" else 443, "protocol": protocol} | allowed | fields


def _route(
    *rules: dict[str, Any],
    parent: dict[str, Any] | None = None,
    hostnames: tuple[str, ...] = (),
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    spec = {
        "parentRefs": [{"name": "front", "namespace": "edge"} | (parent or {})],
        "hostnames": list(hostnames),
        "rules": list(rules or (SERVE,)),
    }
    metadata = {"name": "web", "namespace": "shop", "labels": labels or {}}
    return {"apiVersion": API, "kind": "HTTPRoute", "metadata": metadata, "spec": spec}


def _fails(*objects: dict[str, Any]) -> bool:
    (answer,) = gateways_in_the_clear(snapshot(*objects), now=NOW)
    return answer.outcome is Outcome.FAIL


def test_a_route_on_a_plain_listener_is_served_in_the_clear() -> None:
    """The evidence names the listener and the route."""
    (answer,) = gateways_in_the_clear(snapshot(_gateway(_listener()), _route()), now=NOW)
    assert [(fact.path, str(fact.object or "")) for fact in answer.evidence] == [
        ("spec.listeners[0].protocol", ""),
        ("spec.parentRefs", "HTTPRoute shop/web"),
    ]


def test_a_listener_that_only_redirects_is_right() -> None:
    """Plain requests are sent to HTTPS."""
    assert not _fails(_gateway(_listener(), _listener("https", "HTTPS")), _route(REDIRECT))


def test_a_route_that_chose_the_other_listener_is_right() -> None:
    """A sectionName means one listener."""
    both = _gateway(_listener(), _listener("https", "HTTPS"))
    assert not _fails(both, _route(parent={"sectionName": "https"}))


@pytest.mark.parametrize(
    ("allowed", "fails"),
    [
        ({}, False),
        ({"namespaces": {"from": "Same"}}, False),
        ({"namespaces": {"from": "All"}}, True),
        ({"namespaces": {"from": "None"}}, False),
        (
            {
                "namespaces": {
                    "from": "Selector",
                    "selector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
                }
            },
            True,
        ),
        ({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"edge": "yes"}}}}, False),
    ],
)
def test_a_listener_takes_routes_of_the_namespaces_that_it_allows(allowed: dict[str, Any], fails: bool) -> None:
    """By default its own alone."""
    assert _fails(_gateway(_listener(allowedRoutes=allowed)), _route()) is fails


@pytest.mark.parametrize(
    ("listener", "route", "fails"),
    [
        ("", "shop.example.com", True),
        ("shop.example.com", "shop.example.com", True),
        ("*.example.com", "shop.example.com", True),
        ("shop.example.com", "*.example.com", True),
        ("*.example.com", "example.com", False),
        ("api.example.com", "shop.example.com", False),
    ],
)
def test_listener_and_route_need_a_common_hostname(listener: str, route: str, fails: bool) -> None:
    """A listener without hostname takes every route."""
    assert _fails(_gateway(_listener(hostname=listener)), _route(hostnames=(route,))) is fails


def test_an_acme_challenge_is_right() -> None:
    """It must be answered in the clear."""
    assert not _fails(_gateway(_listener()), _route(labels={"acme.cert-manager.io/http01-solver": "true"}))
