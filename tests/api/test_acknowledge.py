"""People say that they deal with a finding, and take that back; on either database."""

from typing import Any

import pytest

from tests.api.conftest import Api, deployment, scan

FINDINGS = "/api/v1/findings"


def the_finding(api: Api, *, privileged: bool = True) -> str:
    """Scan one privileged workload and return its finding's id."""
    scan(api.engine, deployment("cart", privileged=privileged, tag="1"))
    return str(api.items(FINDINGS)[0]["id"])


def acknowledge(api: Api, id_: str, actor: str = "ann") -> Any:
    """Acknowledge a finding."""
    return api.call("POST", f"{FINDINGS}/{id_}/acknowledge", json={"actor": actor})


def events(api: Api, id_: str) -> list[tuple[str, str]]:
    """Return what happened to a finding, and by whom."""
    found = api.get(f"{FINDINGS}/{id_}").raise_for_status().json()["events"]
    return [(event["transition"], event["actor"]) for event in found]


def test_an_acknowledged_finding_is_still_listed_and_counted(api: Api) -> None:
    """Whoever deals with it has not ended it."""
    id_ = the_finding(api)
    before = api.get("/api/v1/summary").json()

    answer = acknowledge(api, id_)

    assert (answer.status_code, answer.json()["state"]) == (200, "acknowledged")
    assert [item["state"] for item in api.items(FINDINGS)] == ["acknowledged"]
    assert api.items(FINDINGS, state="open") == []
    assert [item["id"] for item in api.items(FINDINGS, state="acknowledged")] == [id_]
    assert api.get("/api/v1/summary").json() == before
    assert events(api, id_) == [("opened", "scan"), ("acknowledged", "ann")]


def test_to_acknowledge_twice_is_one_event(api: Api) -> None:
    """A request may be repeated."""
    id_ = the_finding(api)

    assert [acknowledge(api, id_).status_code for _ in range(2)] == [200, 200]
    assert events(api, id_) == [("opened", "scan"), ("acknowledged", "ann")]


def test_it_stays_acknowledged_over_scans_until_it_is_resolved(api: Api) -> None:
    """And when it comes back, it has regressed."""
    id_ = the_finding(api)
    acknowledge(api, id_)

    scan(api.engine, deployment("cart", tag="1"))
    assert api.get(f"{FINDINGS}/{id_}").json()["state"] == "acknowledged"
    scan(api.engine, deployment("cart", privileged=False, tag="1"))
    assert api.get(f"{FINDINGS}/{id_}").json()["state"] == "resolved"
    scan(api.engine, deployment("cart", tag="1"))
    assert api.get(f"{FINDINGS}/{id_}").json()["state"] == "regressed"


@pytest.mark.parametrize("state", ["open", "regressed"])
def test_taken_back_it_is_what_it_was(api: Api, state: str) -> None:
    """By whom is kept; taking back twice is one event."""
    id_ = the_finding(api)
    if state == "regressed":
        scan(api.engine, deployment("cart", privileged=False, tag="1"))
        scan(api.engine, deployment("cart", tag="1"))
    acknowledge(api, id_)

    answers = [api.call("DELETE", f"{FINDINGS}/{id_}/acknowledge", params={"actor": "bob"}) for _ in range(2)]

    assert [(answer.status_code, answer.json()["state"]) for answer in answers] == [(200, state)] * 2
    assert events(api, id_)[-2:] == [("acknowledged", "ann"), ("unacknowledged", "bob")]


def test_what_is_resolved_cannot_be_acknowledged(api: Api) -> None:
    """Nor taken back; nothing is written."""
    id_ = the_finding(api)
    scan(api.engine, deployment("cart", privileged=False, tag="1"))

    for answer in (
        acknowledge(api, id_),
        api.call("DELETE", f"{FINDINGS}/{id_}/acknowledge", params={"actor": "bob"}),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert [transition for transition, _ in events(api, id_)] == ["opened", "resolved"]


def test_a_finding_that_does_not_exist_is_not_found(api: Api) -> None:
    """As everywhere."""
    assert acknowledge(api, "nothing").status_code == 404


@pytest.mark.parametrize("body", [{}, {"actor": ""}, {"actor": "a\nb"}, {"actor": "a", "more": 1}, {"actor": 1}, None])
def test_who_does_it_must_be_said(api: Api, body: Any) -> None:
    """Anything else is refused, and nothing changes."""
    id_ = the_finding(api)

    answer = api.call("POST", f"{FINDINGS}/{id_}/acknowledge", json=body)

    assert answer.status_code == 422
    assert events(api, id_) == [("opened", "scan")]
