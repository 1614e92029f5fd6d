"""An API over a real database with findings in it."""

import asyncio
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from scanner.api.application import create_app
from scanner.api.dependencies import Services
from scanner.api.middleware import Limits
from scanner.model.policy import Policy, PolicyId, Severity
from scanner.model.refs import ClusterName
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.service.runner import ScanRunner, ScanSetup
from scanner.service.scan import Progress, run_scan, start_scan
from scanner.store.database import open_database, require_head, upgrade
from scanner.telemetry import Metrics
from tests.builders import NOW, cel_policy, snapshot

PRIVILEGED = cel_policy(frameworks={"cis-kubernetes": ("5.2.2",), "pod-security": ("baseline",)})
UNPINNED = cel_policy(
    "readiness/unpinned-image",
    severity=Severity.LOW,
    forbid="container.image.endsWith(':latest')",
    frameworks={"nsa-cisa": ("image-tag",)},
)
POLICIES: tuple[Policy, ...] = (PRIVILEGED, UNPINNED)


def deployment(name: str, namespace: str = "shop", *, privileged: bool = True, tag: str = "latest") -> dict[str, Any]:
    """Make a Deployment of one container."""
    container = {"name": "app", "image": f"example.com/app:{tag}", "securityContext": {"privileged": privileged}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    }


def scan(
    engine: Engine,
    *objects: Mapping[str, Any],
    cluster: str = "test",
    policies: Sequence[Policy] = POLICIES,
    at: dt.datetime = NOW,
    taken: Snapshot | None = None,
) -> str:
    """Scan these objects, as if they were a cluster, and return the scan's id."""
    started = start_scan(engine, cluster=ClusterName(cluster), source=SourceKind.LIVE, trigger="schedule", now=at)
    run_scan(engine, started, read=lambda _: taken or snapshot(*objects), policies=policies, clock=lambda: at)
    return started.id


@dataclass
class Shelf:
    """A source of snapshots whose objects a test chooses."""

    objects: list[Mapping[str, Any]] = field(default_factory=list)
    kind: SourceKind = SourceKind.LIVE

    def cluster(self) -> ClusterName:
        """Return the name of the tests' cluster."""
        return ClusterName("test")

    def read(self, progress: Progress) -> Snapshot:
        """Read the objects."""
        progress(1, 1)
        return snapshot(*self.objects)


@dataclass
class Api:
    """The application, called without a network, with what is behind it."""

    app: FastAPI
    engine: Engine
    runner: ScanRunner
    shelf: Shelf
    metrics: Metrics
    draining: list[bool]

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Send a GET."""
        return self.call("GET", path, **options)

    def items(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Return every item of a list, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.get(path, params=params).raise_for_status().json()
            found += page["items"]
            if page["next"] is None:
                return found
            params = params | {"cursor": page["next"]}


def api_over(engine: Engine, limits: Limits | None = None, policies: Sequence[Policy] = POLICIES) -> Api:
    """Make an API over a database."""
    metrics, shelf, draining = Metrics("1.2.3"), Shelf(), [False]
    runner = ScanRunner(
        ScanSetup(engine=engine, source=shelf, policies=policies, subscriptions=(), clock=lambda: NOW, metrics=metrics)
    )
    services = Services(
        engine=engine,
        policies={PolicyId(policy.id): policy for policy in policies},
        start_scan=lambda: runner.start("api"),
        check_ready=lambda: require_head(engine),
        is_draining=lambda: draining[0],
        clock=lambda: NOW + dt.timedelta(minutes=5),
        metrics=metrics,
    )
    app = create_app(
        services, limits or Limits(body_bytes=1000, larger_bodies={"/api/v1/audit": 2**20}), version="1.2.3"
    )
    return Api(app, engine, runner, shelf, metrics, draining)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database at this release's schema, of either kind."""
    url = (
        f"sqlite:///{tmp_path / 'test.sqlite'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    made = open_database(url)
    upgrade(made)
    yield made
    made.dispose()


@pytest.fixture
def api(engine: Engine) -> Iterator[Api]:
    """An API over an empty database."""
    made = api_over(engine)
    yield made
    assert made.runner.stop(30)


@pytest.fixture
def sqlite_api(tmp_path: Path) -> Iterator[Api]:
    """An API over an empty SQLite database, for what does not depend on the database."""
    engine = open_database(f"sqlite:///{tmp_path / 'test.sqlite'}")
    upgrade(engine)
    made = api_over(engine)
    yield made
    assert made.runner.stop(30)
    engine.dispose()
