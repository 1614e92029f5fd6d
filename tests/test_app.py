"""The service as a whole: it starts, scans, answers, stops in good order and remembers."""

import base64
import datetime as dt
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scanner.app import built, first_scan, policies_of, source_of, subscriptions_of
from scanner.errors import PolicyError, SchemaError, SettingsError
from scanner.model.snapshot import SourceKind
from scanner.policy.load import builtin_policies_root
from scanner.settings import Settings, load_settings
from scanner.telemetry import Metrics
from tests.builders import NOW
from tests.services import ControlPlane
from tests.serving import Start


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test without any of our variables."""
    for variable in [name for name in os.environ if name.startswith("PLIMSOLL_")]:
        monkeypatch.delenv(variable)


def test_first_start_scans_and_answers_every_address(start: Start) -> None:
    """Out of the box there is a scan, and everything that it found can be asked for."""
    service = start()
    service.wait_for("scan_ended")
    finding = service.get("/api/v1/findings?policy=pods/privileged-container").json()["items"][0]
    paths = [
        "/livez",
        "/readyz",
        "/metrics",
        "/api/v1/openapi.json",
        "/api/v1/scans",
        f"/api/v1/scans/{finding['scan']}",
        "/api/v1/findings",
        f"/api/v1/findings/{finding['id']}",
        "/api/v1/resources",
        f"/api/v1/resources/{finding['resource']['id']}",
        "/api/v1/policies",
        f"/api/v1/policies/{finding['policy']}",
        "/api/v1/summary",
        "/problems/not-found",
    ]
    assert {path: service.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)


def test_signal_ends_it_with_status_0_and_nothing_is_lost(start: Start) -> None:
    """After a restart, findings and scans are those of before, and none is made before its time."""
    service = start()
    service.wait_for("scan_ended")
    before = [service.get(path).json() for path in ("/api/v1/findings", "/api/v1/scans")]
    assert service.stop() == 0
    again = start()
    assert [again.get(path).json() for path in ("/api/v1/findings", "/api/v1/scans")] == before
    assert again.stop(signal.SIGINT) == 0


def test_posted_scan_is_made(start: Start) -> None:
    """A scan that is asked for over HTTP runs and is logged under its id."""
    service = start(schedule="off")
    posted = httpx.post(f"{service.url}/api/v1/scans").raise_for_status().json()
    assert service.wait_for("scan_ended")["scan"] == posted["id"]


def test_schedule_is_kept(start: Start) -> None:
    """Scans follow each other as the schedule says."""
    service = start(schedule="1s", schedule_jitter="0s")
    ended = [service.wait_for("scan_ended")["scan"] for _ in range(2)]
    triggers = {scan["id"]: scan["trigger"] for scan in service.get("/api/v1/scans").json()["items"]}
    assert [triggers[scan] for scan in ended] == ["start", "schedule"]


@pytest.fixture
def silent_cluster(tmp_path: Path) -> Iterator[str]:
    """The kubeconfig of an API server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "silent",
            "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "nobody"}}],
            "clusters": [{"name": "silent", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "nobody", "user": {"token": "t0ken"}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(config))
        yield str(path)


def test_kill_in_the_middle_leaves_a_database_that_serves(start: Start, silent_cluster: str) -> None:
    """A process that is killed during a scan is no obstacle to the next."""
    service = start(manifests="", kubeconfig=silent_cluster)
    service.wait_for("scan_started")
    service.stop(signal.SIGKILL)
    again = start()
    again.wait_for("scan_ended")
    states = [scan["state"] for scan in again.get("/api/v1/scans").json()["items"]]
    assert states == ["complete", "failed"]


def test_scan_that_hangs_does_not_keep_the_service(start: Start, silent_cluster: str) -> None:
    """Beyond its grace a scan is abandoned, and the service still ends with status 0."""
    service = start(manifests="", kubeconfig=silent_cluster, shutdown_grace="1s")
    service.wait_for("scan_started")
    assert service.stop() == 0
    assert service.wait_for("work_abandoned")["level"] == "warning"


def test_service_answers_and_is_not_ready_while_it_ends(start: Start, silent_cluster: str) -> None:
    """Until the running scan has ended, requests are answered and readiness sends new ones elsewhere."""
    service = start(manifests="", kubeconfig=silent_cluster)
    service.wait_for("scan_started")
    service.process.send_signal(signal.SIGTERM)
    service.wait_for("stopping")
    assert (service.get("/readyz").status_code, service.get("/livez").status_code) == (503, 200)


def test_second_signal_ends_it_at_once(start: Start, silent_cluster: str) -> None:
    """Who insists does not wait for the grace."""
    service = start(manifests="", kubeconfig=silent_cluster, shutdown_grace="1h")
    service.wait_for("scan_started")
    service.process.send_signal(signal.SIGTERM)
    service.wait_for("stopping")
    assert service.stop() == 128 + signal.SIGTERM


def test_log_has_no_token(start: Start, silent_cluster: str) -> None:
    """Credentials of the cluster are not logged."""
    service = start(manifests="", kubeconfig=silent_cluster, shutdown_grace="1s")
    service.wait_for("scan_started")
    service.stop()
    service.wait_for("stopped")
    assert "t0ken" not in json.dumps(service.lines)


def test_listening_to_others_is_warned_of(start: Start) -> None:
    """Without authentication, an address that others can reach is worth a warning."""
    service = start(listen_host="0.0.0.0", schedule="off")  # noqa: S104 - that is the claim
    assert service.wait_for("listening_without_authentication")["level"] == "warning"


@pytest.mark.control_plane
def test_live_cluster_is_scanned(start: Start, control_plane: ControlPlane) -> None:
    """With a kubeconfig, the cluster that it names is read, and its own roles are judged."""
    service = start(manifests="", kubeconfig=control_plane.kubeconfig, cluster="")
    ended = service.wait_for("scan_ended")
    (freshness,) = service.get("/api/v1/summary").json()["clusters"]
    assert freshness["lastScan"]["source"] == "live"
    assert ended["passed"] > 0
    assert 'plimsoll_cluster_requests_total{status="2xx"}' in service.get("/metrics").text


@pytest.mark.postgres
def test_postgresql_is_not_upgraded_unasked(postgres_url: str) -> None:
    """An operator decides when a shared database changes."""
    settings = load_settings(database_url=postgres_url, manifests=[__file__], listen_port=0)
    with pytest.raises(SchemaError, match="plimsoll db upgrade"), built(settings):
        pass


@pytest.mark.postgres
def test_postgresql_is_upgraded_on_request(postgres_url: str) -> None:
    """With the setting, the service brings the schema itself."""
    settings = load_settings(database_url=postgres_url, database_upgrade=True, manifests=[__file__], schedule="off")
    with built(settings) as service:
        assert service.first_scan == ""


def test_port_that_is_taken_is_one_line(tmp_path: Path, manifests: Path) -> None:
    """A usage error, told on stderr, ends with status 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "scanner", "serve"],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PLIMSOLL_MANIFESTS": str(manifests),
                "PLIMSOLL_STATE_DIRECTORY": str(tmp_path),
                "PLIMSOLL_LISTEN_PORT": str(port),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr == f"plimsoll: cannot listen on 127.0.0.1 port {port}: Address already in use\n"


@pytest.mark.parametrize(
    ("settings", "last", "reason"),
    [
        ({"schedule": "1h"}, None, "start"),
        ({"schedule": "1h"}, NOW - dt.timedelta(hours=2), "catch-up"),
        ({"schedule": "1h"}, NOW - dt.timedelta(minutes=2), ""),
        ({"schedule": "1h", "scan_at_start": True}, NOW - dt.timedelta(minutes=2), "start"),
        ({"schedule": "off"}, None, ""),
        ({"schedule": "off", "scan_at_start": True}, None, "start"),
    ],
)
def test_first_scan_has_a_reason(settings: dict[str, Any], last: dt.datetime | None, reason: str) -> None:
    """A scan at start is asked for, the first ever, or one that was missed."""
    assert first_scan(Settings(**settings), last, NOW) == reason


def test_all_policies_are_chosen_by_default() -> None:
    """Without a choice, everything that comes with the product is judged by."""
    assert len(policies_of(Settings())) == len(list(Path(str(builtin_policies_root())).glob("*/*/policy.yaml")))


def test_policies_are_chosen_by_globs() -> None:
    """Some can be chosen, and some of those left out."""
    chosen = policies_of(Settings(policies=("pods/host-*",), skip_policies=("*-port",)))
    assert {policy.id for policy in chosen} >= {"pods/host-network"}
    assert "pods/host-port" not in {policy.id for policy in chosen}


def test_own_policies_are_added(tmp_path: Path) -> None:
    """A folder of one's own is laid out as ours."""
    source = Path(str(builtin_policies_root())) / "pods" / "host-network"
    shutil.copytree(source, tmp_path / "pods" / "our-own-rule")
    chosen = policies_of(Settings(policy_directories=(tmp_path,), policies=("pods/our-*",)))
    assert [policy.id for policy in chosen] == ["pods/our-own-rule"]


def test_own_policy_cannot_take_the_id_of_ours(tmp_path: Path) -> None:
    """Two policies of one id would share their findings."""
    source = Path(str(builtin_policies_root())) / "pods" / "host-network"
    shutil.copytree(source, tmp_path / "pods" / "host-network")
    with pytest.raises(PolicyError, match="pods/host-network"):
        policies_of(Settings(policy_directories=(tmp_path,)))


@pytest.mark.parametrize("settings", [{"policies": ("pods/no-such-*",)}, {"policy_directories": (Path("/nowhere"),)}])
def test_choice_of_nothing_is_refused(settings: dict[str, Any]) -> None:
    """A glob or a folder that names nothing is a misspelling."""
    with pytest.raises(SettingsError):
        policies_of(Settings(**settings))


def test_manifests_are_read_in_place_of_a_cluster(manifests: Path) -> None:
    """Manifests that are set are what is scanned."""
    assert source_of(Settings(manifests=(str(manifests),)), Metrics("")).kind is SourceKind.MANIFESTS


def test_manifests_that_are_not_there_are_refused() -> None:
    """A wrong path is told at start."""
    with pytest.raises(SettingsError, match="/nowhere: no such file or folder"):
        source_of(Settings(manifests=("/nowhere",)), Metrics(""))


def test_destinations_subscribe_to_their_severity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each destination is told what it asked for."""
    monkeypatch.setenv("PLIMSOLL_WEBHOOK_URL", "https://alerts.example.com")
    monkeypatch.setenv("PLIMSOLL_WEBHOOK_SECRET", "whsec_" + base64.b64encode(bytes(32)).decode())
    monkeypatch.setenv("PLIMSOLL_NOTIFY_MIN_SEVERITY", "critical")
    assert [(s.destination, s.minimum.value) for s in subscriptions_of(load_settings())] == [("webhook", "critical")]
