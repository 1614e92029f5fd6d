"""What a container is told to connect to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.analysis.readiness.endpoints import Told
from scanner.model.workload import Container
from tests.builders import container, snapshot, workload


def _told(name: str, value: str) -> Told:
    (found,) = snapshot(workload("web", container(env=[{"name": name, "value": value}]))).workloads
    return Told(found.template.containers[0])


@pytest.mark.parametrize(
    ("name", "value", "host", "port", "is_database"),
    [
        ("DATABASE_URL", "postgres://shop:p%40ss@db.shop:5432/shop?sslmode=require", "db.shop", 5432, True),
        ("SPRING_DATASOURCE_URL", "jdbc:mysql://DB:3306/shop", "db", 3306, True),
        ("MONGO", "mongodb+srv://u:p@cluster0.example.net/shop", "cluster0.example.net", None, True),
        ("DSN", "shop:secret@tcp(mysql:3306)/shop?parseTime=true", "mysql", 3306, True),
        ("CONNINFO", "host=10.1.2.3 port=5433 dbname=shop user=shop", "10.1.2.3", 5433, True),
        ("CONNECTION", "Server=tcp:sql.example.net,1433;Database=shop;User Id=sa;", "sql.example.net", 1433, True),
        ("PGHOST", "db", "db", None, True),
        ("REDIS_HOST", "[::1]:6379", "::1", 6379, True),
        ("PAYMENT_HOST", "payments:8080", "payments", 8080, False),
        ("API", "https://[2001:db8::1]/v1", "2001:db8::1", None, False),
    ],
)
def test_the_usual_forms_are_understood(name: str, value: str, host: str, port: int | None, is_database: bool) -> None:
    """Host and port, whatever the driver writes around them."""
    (endpoint,) = _told(name, value).endpoints
    assert (endpoint.host, endpoint.port, endpoint.is_database) == (host, port, is_database)


@pytest.mark.parametrize(
    ("name", "value"),
    [("NO_PROXY", "http://10.0.0.1"), ("LISTEN_ADDR", "0.0.0.0:80"), ("GREETING", "hello"), ("DB_HOST", "$(HOST)")],
)
def test_what_is_no_peer_is_left_out(name: str, value: str) -> None:
    """Addresses to listen on, lists of networks, and what another variable fills in."""
    assert _told(name, value).endpoints == ()


@pytest.mark.parametrize(
    ("name", "value", "pool"),
    [
        ("DB_POOL_SIZE", "20", 20),
        ("SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE", "7", 7),
        ("DATABASE_URL", "postgres://db/shop?sslmode=require&pool_max_conns=9", 9),
        ("DB_POOL_SIZE", "many", None),
        ("DB_POOL_SIZE", "٣", None),
        ("THREADS", "20", None),
    ],
)
def test_the_size_of_the_pool_is_read_where_frameworks_have_it(name: str, value: str, pool: int | None) -> None:
    """In a variable of its own, or as a parameter of the address."""
    assert _told(name, value).pool == pool


@given(name=st.text(max_size=30), value=st.text(max_size=300))
def test_no_text_breaks_it(name: str, value: str) -> None:
    """Names and values may be anything."""
    spec = {"env": [{"name": name, "value": value}], "args": [value]}
    (found,) = snapshot(workload("web")).workloads
    made = Container(name="app", role=found.template.containers[0].role, path="", owner=found.ref, spec=spec)
    told = Told(made)
    assert all(endpoint.host for endpoint in told.endpoints)
    assert told.pool is None or told.pool >= 0


def test_a_long_hostile_value_costs_little() -> None:
    """The patterns do not go back and forth over it."""
    for value in ("a" * 4096, "a://" * 1000, "host=a " * 580, "server=" * 580, "postgres://" + "a:" * 2000):
        assert len(_told("DATABASE_URL", value).endpoints) <= 1100
