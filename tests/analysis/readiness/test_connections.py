"""Many copies on one database."""

from typing import Any

import pytest

from scanner.analysis.readiness.connections import shared_databases
from scanner.model.finding import Outcome
from tests.analysis.readiness.builders import autoscaler, replicated, service
from tests.builders import NOW, container, snapshot, workload


def _client(name: str, replicas: int, url: str, pool: int | None = 10, namespace: str = "shop") -> dict[str, Any]:
    env = [{"name": "DATABASE_URL", "value": url}]
    if pool is not None:
        env.append({"name": "DB_POOL_SIZE", "value": str(pool)})
    made = replicated(replicas, name, namespace=namespace)
    made["spec"]["template"]["spec"]["containers"] = [container(env=env)]
    return made


def _database(limit: int | None = 100) -> tuple[dict[str, Any], ...]:
    args = ["-c", f"max_connections={limit}"] if limit else []
    return workload("db", container(args=args), kind="StatefulSet"), service("db", selector={"app": "db"})


def _outcomes(*objects: dict[str, Any]) -> dict[str, Outcome]:
    found = shared_databases(snapshot(*objects), now=NOW)
    return {a.resource.name: a.outcome for a in found if a.resource.name != "db"}


@pytest.mark.parametrize("url", ["postgres://db/shop", "jdbc:postgresql://db.shop.svc.cluster.local:5432/x"])
def test_names_of_one_service_are_one_database(url: str) -> None:
    """However much of it is written."""
    clients = (_client("web", 6, "postgresql://db.shop:5432/shop"), _client("worker", 5, url))
    assert _outcomes(*clients, *_database()) == {"web": Outcome.FAIL, "worker": Outcome.FAIL}


def test_equal_names_in_two_namespaces_are_two_databases() -> None:
    """A short name is of its own namespace."""
    clients = (_client("web", 6, "postgres://db/x"), _client("worker", 6, "postgres://db/x", namespace="billing"))
    assert _outcomes(*clients, *_database()) == {"web": Outcome.PASS, "worker": Outcome.UNKNOWN}


def test_the_most_copies_of_an_autoscaler_count() -> None:
    """It will use them when it matters."""
    scaled = (_client("web", 1, "postgres://db/x"), autoscaler("Deployment web", maxReplicas=11))
    assert _outcomes(*scaled, *_database()) == {"web": Outcome.FAIL}


def test_a_limit_that_is_not_visible_is_unknown_with_the_number_of_copies() -> None:
    """Silence of the database is no pass."""
    (answer,) = (
        a
        for a in shared_databases(snapshot(_client("web", 4, "postgres://db/x"), *_database(None)), now=NOW)
        if a.resource.name == "web"
    )
    assert (answer.outcome, "4 copies" in answer.message) == (Outcome.UNKNOWN, True)


def test_what_is_known_may_be_too_much_already() -> None:
    """Although nobody says how many the other one opens."""
    clients = (_client("web", 11, "postgres://db/x"), _client("worker", 1, "postgres://db/x", pool=None))
    assert _outcomes(*clients, *_database())["web"] is Outcome.FAIL


def test_no_evidence_holds_the_address_of_the_database() -> None:
    """It may have a password in it."""
    clients = _client("web", 11, "postgres://shop:hunter2@db/x")
    assert all("hunter2" not in repr(a) for a in shared_databases(snapshot(clients, *_database()), now=NOW))
