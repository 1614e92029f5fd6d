"""Secrets, what uses them and who reaches them, as of the last scan."""

from typing import Any

import pytest

from scanner.api.problems import MEDIA_TYPE
from tests.analysis.paths.builders import pod, secret
from tests.api.conftest import Api, scan
from tests.builders import binding, role, rule

OBJECTS = (
    pod(),
    secret("idle"),
    role("reader", rule("get", "secrets", names="db")),
    binding("Role reader", "ServiceAccount shop/reader", namespace="shop", name="reader"),
    role("exec", rule("create", "pods/exec")),
    binding("Role exec", "User eve", namespace="shop", name="exec"),
)


@pytest.fixture
def scanned(api: Api) -> Api:
    """An API whose cluster was scanned once."""
    scan(api.engine, *OBJECTS)
    return api


def listed(api: Api, **params: Any) -> Any:
    """Return one page of Secrets."""
    return api.get("/api/v1/secrets", params=params).raise_for_status().json()


def test_secrets_are_listed_with_counts(scanned: Api) -> None:
    """One that only a pod tells of is there, marked; who reaches it is counted."""
    rows = listed(scanned)["items"]
    assert [(r["name"], r["isSeen"], r["consumers"], r["direct"], r["indirect"]) for r in rows] == [
        ("db", False, 1, 1, 1),
        ("idle", True, 0, 0, 0),
    ]


def test_pages_follow_each_other(scanned: Api) -> None:
    """A cursor goes on after the last name."""
    first = listed(scanned, limit=1)
    second = listed(scanned, limit=1, cursor=first["next"])
    assert [first["items"][0]["name"], second["items"][0]["name"], second["next"]] == ["db", "idle", None]


def test_one_secret_says_who_reaches_it_and_how(scanned: Api) -> None:
    """Each route has its steps and chains; uses are named with their place."""
    id_ = listed(scanned)["items"][0]["id"]
    found = scanned.get(f"/api/v1/secrets/{id_}/access").raise_for_status().json()
    routes = {r["subject"]["name"]: [x["means"] for x in r["routes"]] for r in found["reaches"]}
    assert routes == {"reader": ["get"], "eve": ["exec"]}
    (chain,) = found["reaches"][0]["routes"][0]["steps"][0]["chains"]
    assert (chain["binding"]["name"], chain["rule"]["resourceNames"]) == ("reader", ["db"])
    assert [(u["kind"], u["path"]) for u in found["uses"]] == [
        ("env", "spec.containers[0].env[0].valueFrom.secretKeyRef")
    ]
    assert found["kubelets"] == {"n1": ["Pod shop/web-0"]}


def test_the_last_scan_counts(scanned: Api) -> None:
    """A Secret that nothing refers to any more is gone."""
    scan(scanned.engine, secret("idle"))
    assert [row["name"] for row in listed(scanned)["items"]] == ["idle"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/secrets/nothing/access", 404),
        ("/api/v1/secrets?cluster=elsewhere", 404),
        ("/api/v1/secrets?limit=0", 422),
        ("/api/v1/secrets?cursor=x", 422),
        ("/api/v1/secrets?nothing=1", 422),
    ],
)
def test_what_cannot_be_answered_is_a_problem(scanned: Api, path: str, status: int) -> None:
    """Each refusal is problem+json."""
    answer = scanned.get(path)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (status, MEDIA_TYPE)


def test_without_a_scan_there_is_no_answer(api: Api) -> None:
    """An empty list would say that there are no Secrets."""
    assert api.get("/api/v1/secrets").json()["type"].endswith("not-scanned")
