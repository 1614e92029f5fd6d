"""Metrics that stand in the database, counted when they are read."""

import threading

from prometheus_client import generate_latest
from sqlalchemy import Engine
from sqlmodel import Session

from scanner.errors import StoreError
from scanner.model.coverage import ReadState
from scanner.store.database import reading
from scanner.store.deliveries import count_by_state
from scanner.store.findings import tally_findings
from scanner.store.scans import get_scan, list_scans
from scanner.telemetry import Metrics

#: States of scans whose findings were stored.
_STORED = ("complete", "partial")


#: Two who read at a time would count everything twice.
_TURN = threading.Lock()


def exposition(engine: Engine, metrics: Metrics) -> bytes:
    """Return all metrics as Prometheus reads them, those of the database as they are now."""
    with _TURN:
        _refresh(engine, metrics)
        return generate_latest(metrics.registry)


def _refresh(engine: Engine, metrics: Metrics) -> None:
    """Count what the database holds; if it does not answer, say that and leave out what is not known."""
    _clear(metrics)
    try:
        with reading(engine) as session:
            _count(session, metrics)
    except StoreError:
        _clear(metrics)
        metrics.database_up.set(0)
    else:
        metrics.database_up.set(1)


def _clear(metrics: Metrics) -> None:
    for gauge in (metrics.open_findings, metrics.outbox, metrics.coverage_reads):
        gauge.clear()


def _count(session: Session, metrics: Metrics) -> None:
    for tally in tally_findings(session):
        area = tally.policy.partition("/")[0]
        metrics.open_findings.labels(tally.severity, area, tally.outcome).inc(tally.number)
    for state, number in count_by_state(session.connection()).items():
        metrics.outbox.labels(state).set(number)
    stored = [scan for state in _STORED for scan in list_scans(session, state=state, limit=1)]
    if not stored:
        return
    last = max(stored, key=lambda scan: scan.id)
    if last.finished_at is not None:
        metrics.last_success.set(last.finished_at.timestamp())
    for read_state in ReadState:
        metrics.coverage_reads.labels(read_state).set(0)
    _, coverage = get_scan(session, last.id) or (last, [])
    for read in coverage:
        metrics.coverage_reads.labels(read.state).inc()
