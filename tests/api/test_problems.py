"""Every error is a problem document that says what it is, and nothing that it should not."""

import pytest
from sqlalchemy import Engine

from scanner.api.middleware import Limits
from scanner.api.problems import PROBLEMS
from scanner.errors import ClusterError
from scanner.store.database import open_database
from tests.api.conftest import Api, api_over


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/api/v1/nothing", 404, "not-found"),
        ("GET", "/api/v1/findings/", 404, "not-found"),
        ("GET", "/docs", 404, "not-found"),
        ("GET", "/problems/none", 404, "not-found"),
        ("DELETE", "/api/v1/findings", 405, "method-not-allowed"),
        ("TRACE", "/api/v1/findings", 405, "method-not-allowed"),
        ("BREW", "/api/v1/findings", 405, "method-not-allowed"),
        ("GET", "/api/v1/findings?limit=many", 422, "invalid-request"),
    ],
)
def test_every_error_is_a_problem(sqlite_api: Api, method: str, path: str, status: int, kind: str) -> None:
    """What the framework refuses has the same shape as what we refuse."""
    answer = sqlite_api.call(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (answer.json()["status"], answer.json()["type"]) == (status, f"/problems/{kind}")


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/findings"])
def test_instance_is_the_id_of_the_request(sqlite_api: Api, path: str) -> None:
    """A problem can be found in the log."""
    answer = sqlite_api.call("PUT", path)
    assert answer.json()["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"


def test_405_names_the_methods_that_there_are(sqlite_api: Api) -> None:
    """RFC 9110 asks for Allow."""
    allowed = sqlite_api.call("DELETE", "/api/v1/scans").headers["allow"]
    assert allowed == "GET, POST"


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_every_type_leads_to_its_description(sqlite_api: Api, name: str) -> None:
    """The `type` of a problem resolves, wherever the service runs."""
    answer = sqlite_api.get(PROBLEMS[name].uri)
    assert PROBLEMS[name].meaning in answer.text


def test_large_body_is_refused(sqlite_api: Api) -> None:
    """A body beyond the limit is a problem, not a lot of memory."""
    answer = sqlite_api.call("POST", "/api/v1/scans", content=b"x" * 1001)
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/content-too-large")


def test_unexpected_error_says_nothing_of_its_cause(sqlite_api: Api) -> None:
    """A bug is a 500 without a stack trace."""
    sqlite_api.app.state.services = None
    answer = sqlite_api.get("/api/v1/findings")
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal-error")
    assert "NoneType" not in answer.text


@pytest.mark.parametrize(
    "path", ["/api/v1/findings", "/api/v1/findings/x", "/api/v1/scans", "/api/v1/resources", "/api/v1/summary"]
)
def test_database_that_is_down_is_said_so(path: str) -> None:
    """Reads fail clearly, without the database's address."""
    engine = open_database("postgresql://plimsoll:s3cret@127.0.0.1:1/none")
    answer = api_over(engine).get(path)
    engine.dispose()
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database-unavailable")
    assert answer.headers["retry-after"] == "5"
    assert "127.0.0.1" not in answer.text


def test_cluster_that_is_down_is_said_so(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that cannot start says that it is the cluster."""

    def unreachable() -> str:
        raise ClusterError("https://10.0.0.1: no answer")

    monkeypatch.setattr(sqlite_api.shelf, "cluster", unreachable)
    answer = sqlite_api.call("POST", "/api/v1/scans")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/cluster-unavailable")


def test_more_requests_than_allowed_are_refused(engine: Engine) -> None:
    """Overload is told at once."""
    answer = api_over(engine, Limits(concurrency=0)).get("/api/v1/findings")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/overloaded")


def test_health_checks_are_answered_under_overload(engine: Engine) -> None:
    """Overload must not restart the process."""
    assert api_over(engine, Limits(concurrency=0)).get("/livez").status_code == 200
