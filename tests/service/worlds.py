"""A small cluster that changes from scan to scan, and the use case that scans it."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, text

from scanner.model.coverage import Read, ReadState
from scanner.model.policy import Policy, Severity
from scanner.model.refs import ClusterName
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.posture.news import Subscription
from scanner.service.scan import ScanResult, run_scan, start_scan
from tests.builders import NOW, cel_policy, snapshot

CLUSTER = ClusterName("test")
POLICIES = (cel_policy(),)
EVERYONE = (Subscription("slack", Severity.LOW),)


def deployment(name: str, *, is_privileged: bool = True) -> dict[str, Any]:
    """Make a Deployment that breaks the one policy, or does not."""
    container = {"name": "app", "image": "shop/app:1.0", "securityContext": {"privileged": is_privileged}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid of {name}"},
        "spec": {"selector": {}, "template": {"metadata": {}, "spec": {"containers": [container]}}},
    }


def coverage(**states: ReadState) -> tuple[Read, ...]:
    """Say that every kind was read wholly but those named, `deployments=ReadState.FORBIDDEN`."""
    return tuple(Read(resource=r.name, state=states.get(r.plural, ReadState.COMPLETE)) for r in RESOURCES)


def scan(
    engine: Engine,
    seen: Snapshot,
    *,
    hour: int = 0,
    policies: Sequence[Policy] = POLICIES,
    subscriptions: Sequence[Subscription] = EVERYONE,
) -> ScanResult:
    """Scan the cluster as it is, some hours after noon."""
    now = at(hour)
    begun = start_scan(engine, cluster=CLUSTER, source=SourceKind.LIVE, trigger="api", now=now)
    return run_scan(
        engine, begun, read=lambda _: seen, policies=policies, subscriptions=subscriptions, clock=lambda: now
    )


def at(hour: int) -> dt.datetime:
    """Return a time some hours after noon."""
    return NOW + dt.timedelta(hours=hour)


def before_and_after() -> tuple[Snapshot, Snapshot]:
    """Make a cluster before and after changes of every sort: one is fixed, one is new, one stays."""
    return (
        snapshot(deployment("cart"), deployment("ledger")),
        snapshot(deployment("cart", is_privileged=False), deployment("ledger"), deployment("mailer")),
    )


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    """Return what a query finds."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def remembered(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything that a stored scan leaves behind, but its own row."""
    return {
        table: rows(engine, f"SELECT * FROM {table} ORDER BY 1, 2, 3")  # noqa: S608 - names of our own
        for table in ("findings", "finding_events", "resources", "coverage", "deliveries")
    }
