"""Resources can be listed, with their findings."""

import datetime as dt

import pytest

from tests.api.conftest import Api, deployment, scan
from tests.builders import NOW


def test_resources_are_paged_in_order_of_their_names(api: Api) -> None:
    """Pages go on by cluster, namespace, kind and name."""
    scan(api.engine, *(deployment(name, namespace) for namespace in ("b", "a") for name in ("y", "x")))
    found = [(item["namespace"], item["name"]) for item in api.items("/api/v1/resources", limit=1)]
    assert found == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]


@pytest.mark.parametrize(
    ("params", "names"),
    [({"namespace": "bank"}, ["till"]), ({"kind": "Deployment", "name": "ca"}, ["cart"]), ({"kind": "Job"}, [])],
)
def test_filters_choose(api: Api, params: dict[str, str], names: list[str]) -> None:
    """Each filter chooses what it names."""
    scan(api.engine, deployment("cart"), deployment("till", "bank"))
    assert [item["name"] for item in api.items("/api/v1/resources", **params)] == names


def test_resource_has_its_open_findings(api: Api) -> None:
    """One resource shows everything that stands against it."""
    scan(api.engine, deployment("cart"), deployment("till"))
    (listed,) = api.items("/api/v1/resources", name="cart")
    found = api.get(f"/api/v1/resources/{listed['id']}").json()
    assert [item["severity"] for item in found["findings"]] == ["high", "low"]


def test_what_is_gone_is_listed_on_request(api: Api) -> None:
    """A deleted resource is history."""
    scan(api.engine, deployment("cart"))
    scan(api.engine, at=NOW + dt.timedelta(hours=1))
    assert api.items("/api/v1/resources") == []
    assert [item["name"] for item in api.items("/api/v1/resources", gone=True)] == ["cart"]


def test_unknown_resource_is_not_found(sqlite_api: Api) -> None:
    """An id that was never given is a 404."""
    assert sqlite_api.get("/api/v1/resources/0").status_code == 404
