"""Findings can be listed, filtered, paged through and looked at."""

import datetime as dt
from typing import Any

import pytest

from scanner.model.coverage import Read, ReadState
from scanner.model.policy import Confidence, Policy, PolicyId, Severity
from tests.api.conftest import Api, deployment, scan
from tests.builders import NOW, binding, cel_policy, cluster_role, rule, snapshot

HOSTILE = "a\"'><script>alert(1)</script>\\\u2028\x1b[2J%00{{7*7}}"


def named(items: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return policy and resource of each finding."""
    return [(item["policy"], item["resource"]["name"]) for item in items]


def test_worst_findings_come_first(api: Api) -> None:
    """A list begins with what matters most."""
    scan(api.engine, deployment("cart"), deployment("till"))
    severities = [item["severity"] for item in api.items("/api/v1/findings")]
    assert severities == ["high", "high", "low", "low"]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"severity": "low"}, {("readiness/unpinned-image", "cart"), ("readiness/unpinned-image", "till")}),
        ({"severity": ["low", "high"], "area": "pods", "name": "ca"}, {("pods/privileged-container", "cart")}),
        ({"min_severity": "high"}, {("pods/privileged-container", "cart"), ("pods/privileged-container", "till")}),
        ({"namespace": "bank", "area": "pods"}, {("pods/privileged-container", "till")}),
        ({"policy": "readiness/unpinned-image", "name": "till"}, {("readiness/unpinned-image", "till")}),
        ({"framework": "nsa-cisa", "namespace": "shop"}, {("readiness/unpinned-image", "cart")}),
        ({"framework": "cis-kubernetes", "control": "5.2.2", "name": "till"}, {("pods/privileged-container", "till")}),
        ({"control": "image-tag", "name": "till"}, {("readiness/unpinned-image", "till")}),
        ({"framework": "pci-dss"}, set()),
        ({"framework": "nsa-cisa", "control": "5.2.2"}, set()),
        ({"kind": "StatefulSet"}, set()),
        ({"cluster": "other"}, set()),
        ({"outcome": "unknown"}, set()),
        ({"state": "resolved"}, set()),
        ({"name": "' OR 1=1 --"}, set()),
    ],
)  # fmt: skip
def test_filters_choose(api: Api, params: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    """Each filter chooses what it names, several must all fit."""
    scan(api.engine, deployment("cart"), deployment("till", "bank"))
    assert set(named(api.items("/api/v1/findings", **params))) == expected


def test_findings_of_a_resource(api: Api) -> None:
    """The id of a resource chooses its findings."""
    scan(api.engine, deployment("cart"), deployment("till"))
    (resource,) = api.items("/api/v1/resources", name="cart")
    found = api.items("/api/v1/findings", resource=resource["id"])
    assert named(found) == [("pods/privileged-container", "cart"), ("readiness/unpinned-image", "cart")]


def test_resolved_findings_are_listed_on_request(api: Api) -> None:
    """What was fixed is history, not news."""
    scan(api.engine, deployment("cart"))
    scan(api.engine, deployment("cart", privileged=False), at=NOW + dt.timedelta(hours=1))
    assert named(api.items("/api/v1/findings", state="resolved")) == [("pods/privileged-container", "cart")]


def test_finding_shows_why_and_what_to_do(api: Api) -> None:
    """One finding has its evidence, its policy and its history."""
    scan_id = scan(api.engine, deployment("cart", tag="1"))
    (listed,) = api.items("/api/v1/findings")
    found = api.get(f"/api/v1/findings/{listed['id']}").raise_for_status().json()
    assert found["policyText"]["remediation"] == "Don't."
    assert [fact["path"] for fact in found["evidence"]] == ["spec.template.spec.containers[0]"]
    assert found["events"] == [{"transition": "opened", "at": "2026-11-23T12:00:00Z", "scan": scan_id, "actor": "scan"}]


def test_unknown_finding_names_what_was_missing(api: Api) -> None:
    """What could not be judged is listed with the reads that were missing."""
    reads = [Read(resource="pods", state=ReadState.FORBIDDEN, reason="grant list on pods")]
    scan(api.engine, taken=snapshot(coverage=reads))
    found = api.items("/api/v1/findings", outcome="unknown")
    details = [api.get(f"/api/v1/findings/{item['id']}").json()["missing"] for item in found]
    assert details
    assert all(details)


def test_pages_are_stable_while_findings_come_and_go(api: Api) -> None:
    """Whoever pages through sees each finding that stood all the time exactly once."""
    standing = [deployment(f"app-{n:02}", tag="1") for n in range(30)]
    going = [deployment(f"old-{n:02}", tag="1") for n in range(10)]
    coming = [deployment(f"new-{n:02}", tag="1") for n in range(10)]
    scan(api.engine, *standing, *going)
    first = api.get("/api/v1/findings", params={"limit": 7}).json()
    scan(api.engine, *standing, *coming, at=NOW + dt.timedelta(hours=1))
    rest = api.items("/api/v1/findings", limit=7, cursor=first["next"])
    seen = [name for _, name in named(first["items"] + rest)]
    assert len(seen) == len(set(seen))
    assert {f"app-{n:02}" for n in range(30)} <= set(seen)


def test_link_header_leads_through_all_pages(api: Api) -> None:
    """RFC 8288: a client that follows `next` needs to know nothing of cursors."""
    scan(api.engine, *(deployment(f"app-{n}") for n in range(5)))
    seen, path = [], "/api/v1/findings?limit=3&severity=high&severity=low"
    while path:
        answer = api.get(path).raise_for_status()
        seen += named(answer.json()["items"])
        path = answer.links.get("next", {}).get("url", "")
    assert len(set(seen)) == 10


def test_last_page_has_no_next(api: Api) -> None:
    """A full last page is known to be the last."""
    scan(api.engine, deployment("cart"))
    answer = api.get("/api/v1/findings", params={"limit": 2})
    assert answer.json()["next"] is None
    assert "link" not in answer.headers


@pytest.mark.parametrize("cursor", ["x", "====", "bnVsbA", "WzFd", "W10", "é", "\U0001f600", "A" * 2049])
def test_cursor_that_is_none_is_refused(sqlite_api: Api, cursor: str) -> None:
    """A cursor that this service never gave is named in the problem."""
    answer = sqlite_api.get("/api/v1/findings", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["errors"][0]["location"]) == (422, "query.cursor")


def test_cursor_of_other_filters_is_refused(api: Api) -> None:
    """A cursor that would skip findings is refused."""
    scan(api.engine, *(deployment(f"app-{n}") for n in range(5)))
    cursor = api.get("/api/v1/findings", params={"limit": 1}).json()["next"]
    answer = api.get("/api/v1/findings", params={"limit": 1, "cursor": cursor, "area": "pods"})
    assert answer.json()["detail"] == "the cursor belongs to a query with other filters"


def test_limit_may_change_between_pages(api: Api) -> None:
    """The size of a page is no filter."""
    scan(api.engine, *(deployment(f"app-{n}") for n in range(5)))
    cursor = api.get("/api/v1/findings", params={"limit": 1}).json()["next"]
    assert len(api.items("/api/v1/findings", cursor=cursor, limit=4)) == 9


@pytest.mark.parametrize(
    "params",
    [{"limit": 0}, {"limit": 501}, {"severty": "high"}, {"severity": "awful"}, {"name": "a\0b"}, {"state": "x"}],
)
def test_parameter_that_does_not_fit_is_named(sqlite_api: Api, params: dict[str, Any]) -> None:
    """No misspelt filter is without effect."""
    answer = sqlite_api.get("/api/v1/findings", params=params)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["location"].startswith(f"query.{next(iter(params))}")


def test_hostile_names_stay_names(api: Api) -> None:
    """A name from a cluster comes back as it was, as JSON."""
    scan(api.engine, deployment(HOSTILE, HOSTILE, tag="1"))
    (found,) = api.items("/api/v1/findings")
    assert found["resource"]["name"] == HOSTILE


def test_policy_that_is_gone_leaves_its_findings_readable(api: Api) -> None:
    """A finding outlives its policy's file."""
    scan(api.engine, deployment("cart", tag="1"), policies=[cel_policy("pods/of-yesterday")])
    (listed,) = api.items("/api/v1/findings")
    assert api.get(f"/api/v1/findings/{listed['id']}").json()["policyText"] is None


@pytest.mark.parametrize("finding_id", ["0", "f" * 32, "..%2f..", "%27", "a" * 253])
def test_unknown_id_is_not_found(sqlite_api: Api, finding_id: str) -> None:
    """An id that was never given is a 404."""
    answer = sqlite_api.get(f"/api/v1/findings/{finding_id}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


EVERYTHING = Policy(
    id=PolicyId("rbac/cluster-admin-bound"),
    title="Subject is cluster administrator",
    severity=Severity.CRITICAL,
    confidence=Confidence.CERTAIN,
    rationale="Because.",
    remediation="Don't.",
    frameworks={},
    sources=(),
    ask="rbac.subjects_who_can",
    arguments={"any_of": [{"verbs": ["*"], "resources": ["*.*"]}]},
)
LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}


def _administrators(*subjects: str) -> list[dict[str, Any]]:
    """Make the role and the binding that every cluster has, with these subjects."""
    role = cluster_role("cluster-admin", rule("*", "*", group="*"), rule("*", urls="*"), labels=LABELS)
    bound = binding("ClusterRole cluster-admin", *subjects, name="cluster-admin")
    bound["metadata"]["labels"] = LABELS
    return [role, bound]


def test_expected_failures_are_listed_when_asked_for(api: Api) -> None:
    """By default the list and the summary leave them out; each says why it is expected."""
    scan(api.engine, *_administrators("Group system:masters", "Group ops"), policies=[EVERYTHING])
    assert [item["resource"]["name"] for item in api.items("/api/v1/findings")] == ["ops"]
    assert api.get("/api/v1/summary").json()["total"]["failed"]["critical"] == 1
    (own,) = api.items("/api/v1/findings", expected=True)
    assert own["resource"]["name"] == "system:masters"
    detail = api.get(f"/api/v1/findings/{own['id']}").json()
    assert detail["expected"].startswith("Kubernetes' own ClusterRoleBinding cluster-admin, unchanged")


def test_a_scan_counts_what_is_expected_by_itself(api: Api) -> None:
    """Its summary says how many failures are as they should be."""
    id_ = scan(api.engine, *_administrators("Group system:masters"), policies=[EVERYTHING])
    summary = api.get(f"/api/v1/scans/{id_}").json()["summary"]
    assert (summary["failed"], summary["expected"], summary["opened"]) == (0, 1, 0)
