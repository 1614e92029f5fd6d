"""How PostgreSQL finds what is listed: by an index, whatever is asked for."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, text
from sqlmodel import Session

from scanner.model.finding import Outcome
from scanner.model.policy import Severity
from scanner.posture.diff import State
from scanner.store.database import open_database, reading, upgrade, writing
from scanner.store.findings import FindingFilter, Position, list_findings
from scanner.store.resources import ResourceFilter, ResourcePosition, list_resources
from scanner.store.scans import list_scans
from tests.builders import evaluation, finding
from tests.services import Postgres
from tests.store.seeds import store

pytestmark = pytest.mark.postgres

ROWS = 40_000
HERE = FindingFilter(cluster="c1")

#: Two clusters, 40 policies, 200 namespaces, a few kinds of which one is rare, half of it resolved.
SEED = f"""
INSERT INTO findings SELECT made.*
FROM findings AS template,
     (SELECT n, (ARRAY['pods', 'rbac', 'network', 'readiness'])[1 + n % 4] AS subject
      FROM generate_series(1, {ROWS}) AS n) AS numbered,
     LATERAL jsonb_populate_record(template, jsonb_build_object(
       'id', md5(n::text), 'cluster', 'c' || n % 2, 'policy', subject || '/p' || n % 40, 'area', subject,
       'outcome', CASE n % 10 WHEN 0 THEN 'unknown' ELSE 'fail' END,
       'state', CASE n % 4 WHEN 0 THEN 'open' WHEN 1 THEN 'regressed' ELSE 'resolved' END, 'is_open', n % 4 < 2,
       'severity_rank', n % 3, 'resource_id', md5((n / 40)::text),
       'kind', CASE WHEN n % 1000 = 0 THEN 'ClusterRole' ELSE 'Deployment' END,
       'namespace', 'team-' || n / 40 % 200, 'name', 'service-' || n / 40)) AS made;
INSERT INTO resources (id, cluster, api_version, api_group, kind, namespace, name, uid, pods, first_seen_at)
SELECT md5(n::text), 'c' || n % 2, 'apps/v1', 'apps', CASE WHEN n % 500 = 0 THEN 'Node' ELSE 'Deployment' END,
       'team-' || n % 200, 'service-' || n, '', 3, now()
FROM generate_series(1, 10000) AS n;
INSERT INTO scans (id, cluster, source, trigger, state, started_at, alive_at, phase, progress, server_version, error,
                   summary)
SELECT 'scan-' || n, 'c' || n % 2, 'live', 'schedule', 'complete', now(), now(), '', 100, '', '', '{{}}'
FROM generate_series(1, 5000) AS n;
ANALYZE;
"""  # noqa: S608 - a number of our own


@pytest.fixture(scope="module")
def seeded(postgres_server: Postgres) -> Iterator[Engine]:
    """A database with as many rows as a large cluster has after some time."""
    name = f"plans_{uuid.uuid4().hex}"
    with psycopg.connect(
        host=postgres_server.host, port=postgres_server.port, user="postgres", autocommit=True
    ) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
        engine = open_database(postgres_server.url(name))
        try:
            upgrade(engine)
            # What the others are made from: it has every column.
            store(engine, evaluation(finding()), cluster="template")
            with writing(engine) as connection:
                connection.execute(text(SEED))
            yield engine
        finally:
            engine.dispose()
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def plans(engine: Engine, table: str, read: Callable[[Session], object]) -> list[str]:
    """Return PostgreSQL's plan of each query of a table that a reader sends."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if f"FROM {table}" in statement:
            sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        with reading(engine) as session:
            read(session)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        return [
            "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
            for statement, parameters in sent
        ]


@pytest.mark.parametrize("after", [None, Position(1, "8")], ids=["first", "later"])
@pytest.mark.parametrize(
    "wanted",
    [
        FindingFilter(),
        HERE,
        replace(HERE, namespace="team-7"),
        replace(HERE, namespace="no-such-team"),
        replace(HERE, minimum_severity=Severity.HIGH),
        replace(HERE, severities=frozenset({Severity.LOW, Severity.HIGH})),
        replace(HERE, area="pods"),
        replace(HERE, area="paths"),
        replace(HERE, policy="rbac/p1"),
        replace(HERE, policies=frozenset({"rbac/p1", "pods/p3", "network/p2"})),
        replace(HERE, policies=frozenset({"no/such"})),
        replace(HERE, states=frozenset({State.RESOLVED})),
        replace(HERE, states=frozenset(State)),
        replace(HERE, states=frozenset({State.OPEN})),
        replace(HERE, outcome=Outcome.UNKNOWN),
        replace(HERE, kind="Deployment"),
        replace(HERE, kind="ClusterRole"),
        replace(HERE, name_prefix="service-77"),
        replace(HERE, name_prefix="s"),
        FindingFilter(resource_id="c4ca4238a0b923820dcc509a6f75849b"),
        replace(HERE, namespace="team-7", policy="rbac/p1", minimum_severity=Severity.MEDIUM),
    ],
)
def test_a_page_of_findings_is_found_by_an_index(seeded: Engine, wanted: FindingFilter, after: Position | None) -> None:
    """Common values and rare ones, first pages and later ones."""
    found = plans(seeded, "findings", lambda session: list_findings(session, wanted, after=after, limit=50))
    assert found
    assert not [plan for plan in found if "Seq Scan on findings" in plan]


@pytest.mark.parametrize(
    "wanted",
    [
        ResourceFilter(cluster="c1"),
        ResourceFilter(cluster="c1", namespace="team-7"),
        ResourceFilter(cluster="c1", kind="Node"),
        ResourceFilter(cluster="c1", kind="Deployment"),
        ResourceFilter(cluster="c1", name_prefix="service-77"),
    ],
)
def test_a_page_of_resources_is_found_by_an_index(seeded: Engine, wanted: ResourceFilter) -> None:
    """A later page, in the order of the list."""
    after = ResourcePosition("c1", "team-1", "Deployment", "service-1", "8")
    found = plans(seeded, "resources", lambda session: list_resources(session, wanted, after=after, limit=50))
    assert found
    assert not [plan for plan in found if "Seq Scan on resources" in plan]


def test_a_page_of_scans_is_found_by_an_index(seeded: Engine) -> None:
    """The youngest of a cluster, however many there were."""
    (plan,) = plans(seeded, "scans", lambda session: list_scans(session, cluster="c1", before="scan-9", limit=50))
    assert "Seq Scan" not in plan
