"""Runs scans in the background, one at a time, and stops them when the service ends."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy import Engine

from scanner.errors import ScannerError, ScanRunningError, ScanStoppedError
from scanner.model.policy import Policy
from scanner.model.refs import ClusterName
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.posture.news import Subscription
from scanner.service.scan import Clock, Progress, ScanResult, run_scan, start_scan
from scanner.store.scans import RunningScan
from scanner.telemetry import Metrics, log

_log = log(__name__)


class Source(Protocol):
    """Where snapshots come from."""

    @property
    def kind(self) -> SourceKind:
        """A live cluster, or manifests."""

    def cluster(self) -> ClusterName:
        """Return the name under which findings are kept; may have to ask the cluster."""

    def read(self, progress: Progress) -> Snapshot:
        """Read everything, and say how far it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSetup:
    """What every scan of this service is made of."""

    engine: Engine
    source: Source
    policies: Sequence[Policy]
    subscriptions: Sequence[Subscription]
    clock: Clock
    metrics: Metrics
    #: States of the cluster's connections that are kept to compare scans.
    network_states_kept: int = 20


class ScanRunner:
    """Starts scans, each in a thread of its own; knows the one that runs."""

    def __init__(self, setup: ScanSetup, *, on_end: Callable[[], object] = lambda: None) -> None:
        """Prepare; nothing runs yet. `on_end` is called after every scan, in its thread."""
        self._setup = setup
        self._on_end = on_end
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, trigger: str) -> RunningScan:
        """Start a scan and return while it runs.

        Raises:
            ScanRunningError: One is running, here or in another process.
            ScanStoppedError: The service is about to end.
            ClusterError: The cluster's name has to be asked for, and it does not answer.
            StoreError: The database does not answer.
        """
        with self._lock:
            if self._stopping.is_set():
                raise ScanStoppedError("the service is about to end")
            if self._thread is not None and self._thread.is_alive():
                raise ScanRunningError("a scan is running")
            setup = self._setup
            scan = start_scan(
                setup.engine,
                cluster=setup.source.cluster(),
                source=setup.source.kind,
                trigger=trigger,
                now=setup.clock(),
            )
            # A daemon: `stop` waits for it, and one that hangs beyond that grace must not keep the process.
            self._thread = threading.Thread(target=self._run, args=(scan,), name=f"scan {scan.id}", daemon=True)
            self._thread.start()
            return scan

    def try_start(self, trigger: str) -> None:
        """Start a scan as the scheduler does: what keeps it from starting is logged, and the next run comes anyway."""
        try:
            self.start(trigger)
        except ScanRunningError:
            _log.info("scan_skipped", trigger=trigger, reason="one is running")
        except ScannerError as error:
            self._setup.metrics.scans.labels("not started").inc()
            _log.error("scan_not_started", trigger=trigger, error=str(error))

    def stop(self, grace_seconds: float) -> bool:
        """Tell a running scan to stop at its next step, and tell whether it has ended within the grace."""
        self._stopping.set()
        thread = self._thread
        if thread is None:
            return True
        thread.join(max(0.0, grace_seconds))
        return not thread.is_alive()

    def _run(self, scan: RunningScan) -> None:
        setup = self._setup
        with structlog.contextvars.bound_contextvars(scan=scan.id, cluster=scan.cluster):
            _log.info("scan_started")
            setup.metrics.scan_running.set(1)
            started = time.monotonic()
            try:
                result = self._scan(scan)
            except ScannerError as error:
                setup.metrics.scans.labels("failed").inc()
                _log.error("scan_failed", error=str(error))
            except Exception:  # noqa: BLE001 - the top of the job; run_scan has recorded the failure
                setup.metrics.scans.labels("failed").inc()
                _log.exception("scan_failed")
            else:
                state = "complete" if result.is_complete else "partial"
                setup.metrics.scans.labels(state).inc()
                seconds = round(time.monotonic() - started, 3)
                _log.info("scan_ended", state=state, seconds=seconds, **result.summary)
            finally:
                setup.metrics.scan_running.set(0)
                self._on_end()

    def _scan(self, scan: RunningScan) -> ScanResult:
        setup = self._setup
        phases = setup.metrics.scan_phase_seconds
        started = time.monotonic()
        read_at = started

        def read(progress: Progress) -> Snapshot:
            nonlocal read_at
            with phases.labels("reading").time():
                snapshot = setup.source.read(progress)
            read_at = time.monotonic()
            return snapshot

        result = run_scan(
            setup.engine,
            scan,
            read=read,
            policies=setup.policies,
            subscriptions=setup.subscriptions,
            clock=setup.clock,
            is_stopping=self._stopping.is_set,
            network_states_kept=setup.network_states_kept,
        )
        phases.labels("judging and storing").observe(time.monotonic() - read_at)
        return result
