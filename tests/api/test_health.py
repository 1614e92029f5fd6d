"""Health checks tell machines what to do; metrics tell people what happened."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from scanner.model.coverage import Read, ReadState
from scanner.store.database import open_database
from scanner.telemetry import Metrics, metric_name
from tests.api.conftest import Api, api_over, deployment, scan
from tests.builders import snapshot

DOWN = "postgresql://plimsoll:s3cret@127.0.0.1:1/none"


def test_process_is_alive_without_its_database() -> None:
    """A database that is down is no reason to restart."""
    assert api_over(open_database(DOWN)).get("/livez").status_code == 200


def test_service_is_ready_with_its_database(api: Api) -> None:
    """With the schema of this release, requests can be answered."""
    assert api.get("/readyz").json() == {"status": "ok"}


def test_service_is_not_ready_without_its_database() -> None:
    """Without a database, requests go elsewhere."""
    answer = api_over(open_database(DOWN)).get("/readyz")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-ready")


def test_service_is_not_ready_at_another_schema(tmp_path: Path) -> None:
    """An empty database is told from one that is at the schema."""
    engine = open_database(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    answer = api_over(engine).get("/readyz")
    engine.dispose()
    assert "plimsoll db upgrade" in answer.json()["detail"]


def test_service_that_ends_is_not_ready(sqlite_api: Api) -> None:
    """Who is about to end gets no new requests."""
    sqlite_api.draining[0] = True
    assert sqlite_api.get("/readyz").status_code == 503


def test_open_findings_are_counted_by_severity_area_and_outcome(api: Api) -> None:
    """The figures of the database are those of this moment."""
    reads = [Read(resource="pods", state=ReadState.FORBIDDEN, reason="no")]
    scan(api.engine, taken=snapshot(deployment("cart", tag="1"), coverage=reads))
    text = api.get("/metrics").text
    assert 'plimsoll_open_findings{area="pods",outcome="fail",severity="high"} 1.0' in text
    assert 'outcome="unknown"' in text
    assert 'plimsoll_coverage_reads{state="forbidden"} 1.0' in text


def test_metrics_are_served_without_the_database() -> None:
    """What the process knows itself is still told, and that the database is down."""
    text = api_over(open_database(DOWN)).get("/metrics").text
    assert "plimsoll_database_up 0.0" in text
    assert "plimsoll_open_findings{" not in text


def test_metrics_have_few_series(api: Api) -> None:
    """Names from the cluster are no labels: 60 workloads make no more series than one."""
    scan(api.engine, deployment("cart"))
    before = series(api)
    scan(api.engine, *(deployment(f"app-{n}", f"team-{n}") for n in range(60)))
    assert series(api) == before


def series(api: Api) -> set[tuple[str, str]]:
    """Return the names and labels of all series of ours but those of the requests for metrics themselves."""
    families = text_string_to_metric_families(api.get("/metrics").text)
    return {
        (sample.name, str(sorted(sample.labels.items())))
        for family in families
        for sample in family.samples
        if sample.name.startswith("plimsoll_") and not sample.name.startswith("plimsoll_api_")
    }


def test_reference_names_every_metric(sqlite_api: Api) -> None:
    """The committed list is that of what is served."""
    page = Path("docs/reference/metrics.md").read_text()
    assert all(f"`{metric_name(metric)}`" in page for metric in Metrics("").all())
    assert sqlite_api.get("/metrics").headers["content-type"].startswith("text/plain")
