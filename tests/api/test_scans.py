"""Scans can be started, followed and looked at."""

import datetime as dt
import threading

import pytest

from scanner.errors import ClusterError
from scanner.model.coverage import Read, ReadState
from scanner.model.refs import ClusterName
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.service.runner import ScanRunner
from scanner.service.scan import Progress, start_scan
from tests.api.conftest import Api, Shelf, deployment, scan
from tests.builders import NOW, snapshot


class Gate(Shelf):
    """A source that waits in the middle of reading until it is opened."""

    def __init__(self) -> None:
        """Start closed."""
        super().__init__()
        self.reached = threading.Event()
        self.opened = threading.Event()

    def read(self, progress: Progress) -> Snapshot:
        """Read half, wait, and go on."""
        progress(1, 2)
        self.reached.set()
        assert self.opened.wait(30)
        progress(2, 2)
        return snapshot(*self.objects)


def gate(api: Api) -> Gate:
    """Put a gate before the API's cluster."""
    closed = Gate()
    object.__setattr__(api.runner._setup, "source", closed)
    return closed


def test_post_starts_a_scan(api: Api) -> None:
    """A started scan can be followed at the address that the answer names, to its findings."""
    api.shelf.objects = [deployment("cart", tag="1")]
    answer = api.call("POST", "/api/v1/scans")
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/scans/{answer.json()['id']}"
    wait_for_end(api.runner)
    found = api.get(answer.headers["location"]).json()
    assert (found["state"], found["trigger"], found["summary"]["failed"]) == ("complete", "api", 1)


def wait_for_end(runner: ScanRunner) -> None:
    """Wait until the running scan has ended."""
    assert runner._thread is not None
    runner._thread.join(30)
    assert not runner._thread.is_alive()


def test_second_scan_is_refused_while_one_runs(api: Api) -> None:
    """Two scans of a cluster never overlap."""
    closed = gate(api)
    api.call("POST", "/api/v1/scans")
    assert closed.reached.wait(30)
    answer = api.call("POST", "/api/v1/scans")
    closed.opened.set()
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/scan-running")


def test_scan_of_another_process_is_respected(api: Api) -> None:
    """The database knows of scans that this process did not start."""
    start_scan(api.engine, cluster=ClusterName("test"), source=SourceKind.LIVE, trigger="schedule", now=NOW)
    assert api.call("POST", "/api/v1/scans").status_code == 409


def test_running_scan_is_listed_as_such(api: Api) -> None:
    """While it runs, a scan has a phase and no end."""
    closed = gate(api)
    api.call("POST", "/api/v1/scans")
    assert closed.reached.wait(30)
    (running,) = api.items("/api/v1/scans", state="running")
    closed.opened.set()
    assert (running["phase"], running["finishedAt"]) == ("reading", None)


def test_stopped_scan_counts_as_failed(api: Api) -> None:
    """A service that ends stores nothing half-done."""
    closed = gate(api)
    api.call("POST", "/api/v1/scans")
    assert closed.reached.wait(30)
    api.runner._stopping.set()
    closed.opened.set()
    wait_for_end(api.runner)
    (found,) = api.items("/api/v1/scans")
    assert (found["state"], found["error"]) == ("failed", "the service was told to stop")


def test_no_scan_starts_when_the_service_ends(sqlite_api: Api) -> None:
    """Who asks too late is told to ask again."""
    sqlite_api.runner.stop(0)
    answer = sqlite_api.call("POST", "/api/v1/scans")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-ready")


def test_scan_shows_what_it_could_not_read(api: Api) -> None:
    """Coverage is part of a scan."""
    reads = [Read(resource="pods", state=ReadState.FORBIDDEN, reason="grant list on pods")]
    scan_id = scan(api.engine, taken=snapshot(coverage=reads))
    found = api.get(f"/api/v1/scans/{scan_id}").json()
    assert found["state"] == "partial"
    assert found["coverage"] == [
        {"resource": "pods", "namespace": "", "state": "forbidden", "reason": "grant list on pods", "count": 0}
    ]


def test_scans_are_paged_youngest_first(api: Api) -> None:
    """Pages of scans go back in time."""
    ids = [scan(api.engine, at=NOW + dt.timedelta(minutes=n)) for n in range(5)]
    assert [found["id"] for found in api.items("/api/v1/scans", limit=2)] == ids[::-1]


@pytest.mark.parametrize("scan_id", ["0", "019aab3e-52c0-7000-8000-3f1e0c9d2a71", "latest"])
def test_unknown_scan_is_not_found(sqlite_api: Api, scan_id: str) -> None:
    """An id that was never given is a 404."""
    assert sqlite_api.get(f"/api/v1/scans/{scan_id}").status_code == 404


def test_metrics_count_scans(sqlite_api: Api) -> None:
    """A scan's end and its phases are counted."""
    sqlite_api.call("POST", "/api/v1/scans")
    wait_for_end(sqlite_api.runner)
    text = sqlite_api.get("/metrics").text
    assert 'plimsoll_scans_total{state="complete"} 1.0' in text
    assert 'plimsoll_scan_phase_seconds_count{phase="reading"} 1.0' in text


def test_scheduled_scan_that_cannot_start_is_no_error(sqlite_api: Api) -> None:
    """The scheduler's next turn comes, whatever kept this one."""
    start_scan(sqlite_api.engine, cluster=ClusterName("test"), source=SourceKind.LIVE, trigger="api", now=NOW)
    sqlite_api.runner.try_start("schedule")
    assert len(sqlite_api.items("/api/v1/scans")) == 1


def test_scan_that_cannot_start_is_counted(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that does not answer shows in the metrics even though no scan begins."""

    def unreachable() -> str:
        raise ClusterError("https://10.0.0.1: no answer")

    monkeypatch.setattr(sqlite_api.shelf, "cluster", unreachable)
    sqlite_api.runner.try_start("schedule")
    assert 'plimsoll_scans_total{state="not started"} 1.0' in sqlite_api.get("/metrics").text
