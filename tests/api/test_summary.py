"""The summary counts what is known, and names what is not."""

import datetime as dt
from typing import Any

from scanner.model.coverage import Read, ReadState
from scanner.model.refs import ClusterName
from scanner.model.snapshot import SourceKind
from scanner.service.scan import start_scan
from scanner.store.database import writing
from scanner.store.scans import fail_scan
from tests.api.conftest import Api, deployment, scan
from tests.builders import NOW, snapshot


def summary(api: Api, **params: Any) -> dict[str, Any]:
    """Return the summary."""
    found: dict[str, Any] = api.get("/api/v1/summary", params=params).raise_for_status().json()
    return found


def test_summary_adds_up_by_each_part(api: Api) -> None:
    """Namespaces, pillars, policies and frameworks each have their counts, the worst severity first."""
    scan(api.engine, deployment("cart"), deployment("till", "bank", tag="1"))
    found = summary(api)
    assert found["total"] == {"failed": {"critical": 0, "high": 2, "medium": 0, "low": 1}, "unknown": 0}
    assert {name: part["failed"]["high"] for name, part in found["byNamespace"].items()} == {"bank": 1, "shop": 1}
    assert sorted(found["byPillar"]) == ["pods", "readiness"]
    assert sorted(found["byFramework"]) == ["cis-kubernetes", "nsa-cisa", "pod-security"]
    assert found["byPolicy"]["readiness/unpinned-image"]["failed"]["low"] == 1


def test_summary_without_a_scan_claims_nothing(api: Api) -> None:
    """No cluster, no figures, no green."""
    assert summary(api)["clusters"] == []


def test_summary_of_a_cluster_whose_scans_failed_is_not_conclusive(api: Api) -> None:
    """Where no scan was ever stored, no findings means nothing."""
    started = start_scan(api.engine, cluster=ClusterName("test"), source=SourceKind.LIVE, trigger="api", now=NOW)
    with writing(api.engine) as connection:
        fail_scan(connection, started, error="no answer", now=NOW)
    (found,) = summary(api)["clusters"]
    assert (found["lastScan"], found["isConclusive"], found["lastAttempt"]["error"]) == (None, False, "no answer")


def test_summary_names_gaps(api: Api) -> None:
    """What could not be read stands beside the counts."""
    reads = [Read(resource="pods", state=ReadState.FORBIDDEN, reason="grant list on pods")]
    scan(api.engine, taken=snapshot(coverage=reads))
    (found,) = summary(api)["clusters"]
    assert [gap["resource"] for gap in found["gaps"]] == ["pods"]
    assert not found["isConclusive"]


def test_unknown_outcomes_are_counted_apart(api: Api) -> None:
    """What could not be judged is neither failed nor left out."""
    reads = [Read(resource="pods", state=ReadState.FORBIDDEN, reason="grant list on pods")]
    scan(api.engine, taken=snapshot(coverage=reads))
    assert summary(api)["total"]["unknown"] == 2


def test_summary_tells_its_age(api: Api) -> None:
    """Figures have the age of the scan that they are from."""
    scan(api.engine, deployment("cart"))
    assert summary(api)["clusters"][0]["ageSeconds"] == 300


def test_complete_scan_is_conclusive(api: Api) -> None:
    """A scan that read everything makes an absence of findings mean something."""
    scan(api.engine)
    assert summary(api)["clusters"][0]["isConclusive"]


def test_failed_attempt_makes_figures_inconclusive(api: Api) -> None:
    """Figures of before a failure are shown as what they are."""
    scan(api.engine)
    later = NOW + dt.timedelta(hours=1)
    started = start_scan(api.engine, cluster=ClusterName("test"), source=SourceKind.LIVE, trigger="api", now=later)
    with writing(api.engine) as connection:
        fail_scan(connection, started, error="no answer", now=later)
    (found,) = summary(api)["clusters"]
    assert (found["lastScan"]["state"], found["isConclusive"]) == ("complete", False)


def test_summary_of_one_cluster(api: Api) -> None:
    """Clusters can be told apart."""
    scan(api.engine, deployment("cart"))
    scan(api.engine, deployment("cart"), deployment("till"), cluster="other")
    assert summary(api, cluster="other")["total"]["failed"]["high"] == 2


def test_summary_of_an_unknown_cluster_is_not_found(api: Api) -> None:
    """A misspelt name is no clean cluster."""
    assert api.get("/api/v1/summary", params={"cluster": "tset"}).status_code == 404
