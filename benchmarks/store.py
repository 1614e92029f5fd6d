"""How long 150,000 findings take to store, and an unchanged rescan of them, on PostgreSQL and SQLite.

Run it as `python -m benchmarks.store [--findings N] [--rounds N]`; PostgreSQL's programs must be installed. Each figure
is the median of its rounds. Times depend on the machine, so each also stands as a ratio to a floor measured in the same
round: a bare COPY of the same rows into a table without indexes, and a bare SELECT of the ids and contents.

"Stored" is everything between an evaluation and the end of the commit: ids and hashes, comparison, rows, events,
resources. The server runs with PostgreSQL's own defaults, so a commit is on the disk.
"""

import argparse
import contextlib
import datetime as dt
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from sqlalchemy import Engine, text

from scanner.model.finding import Evaluation, Fact, Finding, Outcome
from scanner.model.objects import KubeObject, ObjectMeta
from scanner.model.policy import Confidence, Policy, PolicyId, Severity
from scanner.model.refs import ClusterName, GroupKind
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.posture.diff import judgements_of
from scanner.service import scan as service
from scanner.service.networks import packed_network
from scanner.store.database import open_database, upgrade, writing
from tests import services

CLUSTER = ClusterName("bench")
START = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
POLICIES = 40
#: What the figures are promised for.
STORED_SECONDS, RESCAN_SECONDS = 15.0, 3.0


def policies() -> list[Policy]:
    """Make as many policies as a scan has, of all severities."""
    return [
        Policy(
            id=PolicyId(f"{area}/policy-{number}"),
            title=f"Policy {number}",
            severity=list(Severity)[number % 4],
            confidence=Confidence.CERTAIN,
            rationale="",
            remediation="",
            frameworks={"cis-kubernetes": ("5.2.2",)},
            sources=(),
            subject="container",
            forbid="true",
        )
        for number in range(POLICIES)
        for area in (("pods", "rbac", "network", "secrets", "readiness")[number % 5],)
    ]


def deployments(number: int) -> tuple[KubeObject, ...]:
    """Make root owners that findings are about, in namespaces of fifty."""
    return tuple(
        KubeObject(
            "apps/v1", "Deployment", ObjectMeta(name=f"service-{i}", namespace=f"team-{i // 50}", uid=f"uid-{i:032}")
        )
        for i in range(number)
    )


def findings(objects: tuple[KubeObject, ...], ran: list[Policy]) -> Iterator[Finding]:
    """Make one finding of each policy for each root owner, with evidence as pod policies give it."""
    for policy in ran:
        for thing in objects:
            yield Finding(
                policy=policy.id,
                outcome=Outcome.FAIL,
                severity=policy.severity,
                confidence=policy.confidence,
                resource=thing.ref,
                message=f"Container app of {thing.meta.name} does what {policy.title} forbids",
                evidence=tuple(
                    Fact(
                        path=f"spec.template.spec.containers[{i}].securityContext.privileged",
                        value=True,
                        container=name,
                    )
                    for i, name in enumerate(("app", "proxy"))
                ),
                frameworks=policy.frameworks,
                fix="Remove `privileged: true` and add the one capability that the workload needs.",
            )


def store(engine: Engine, snapshot: Snapshot, evaluation: Evaluation, ran: list[Policy], now: dt.datetime) -> float:
    """Store one scan as the service does, and return how many seconds that took."""
    scan = service.start_scan(engine, cluster=CLUSTER, source=SourceKind.LIVE, trigger="api", now=now)
    began = time.perf_counter()
    judgements = judgements_of(evaluation.findings, CLUSTER, ran)
    network = packed_network(snapshot)
    with writing(engine) as connection:
        service._store(  # noqa: SLF001 - the part of a scan that is measured
            connection,
            scan,
            snapshot=snapshot,
            evaluation=evaluation,
            judgements=judgements,
            grants=b"",
            secrets=b"",
            network=network,
            network_states_kept=20,
            policies=ran,
            subscriptions=(),
            now=now,
        )
    return time.perf_counter() - began


def copy_floor(engine: Engine) -> float:
    """Time a bare COPY of the stored rows, as they are, into a table without an index."""
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        with cursor.copy("COPY findings TO STDOUT") as out:
            data = b"".join(bytes(block) for block in out)
        cursor.execute("CREATE TEMPORARY TABLE floor (LIKE findings) ON COMMIT DROP")
        began = time.perf_counter()
        with cursor.copy("COPY floor FROM STDIN") as into:
            into.write(data)
        return time.perf_counter() - began
    finally:
        raw.rollback()
        raw.close()


def select_floor(engine: Engine) -> float:
    """Time a bare SELECT of what a comparison needs, through the driver alone."""
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        began = time.perf_counter()
        cursor.execute("SELECT id, content FROM findings WHERE is_open")
        cursor.fetchall()
        return time.perf_counter() - began
    finally:
        raw.rollback()
        raw.close()


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[tuple[str, int]]:
    """Run a server with the defaults of its installation; gives its address."""
    programs = services.postgres_programs()
    if programs is None:
        raise SystemExit("no PostgreSQL server: install Debian's package postgresql")
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    if user:
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    control = [str(programs / "pg_ctl"), "-D", str(folder / "data"), "-s", "-w"]
    initialise = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "--auth=trust", "-E", "UTF8"]
    subprocess.run(initialise, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL)
    options = f"-p {port} -h 127.0.0.1 -k {folder}"
    start = [*control, "-l", str(folder / "log"), "-o", options, "start"]
    subprocess.run(start, check=True, user=user, cwd="/")
    try:
        yield "127.0.0.1", port
    finally:
        subprocess.run([*control, "-m", "fast", "stop"], check=True, user=user, cwd="/")


def measure(make: Callable[[], Engine], number: int, rounds: int) -> dict[str, list[float]]:
    """Run all rounds on fresh databases; seconds by name."""
    ran = policies()
    objects = deployments(number // POLICIES)
    kind = GroupKind("apps", "Deployment")
    snapshot = Snapshot(cluster=CLUSTER, source=SourceKind.LIVE, taken_at=START, objects={kind: objects}, coverage=())
    _ = (snapshot.workloads, snapshot.by_name)  # judging has made them by then
    evaluation = Evaluation(findings=tuple(findings(objects, ran)), passed={}, inconclusive={})
    found: dict[str, list[float]] = {"stored": [], "rescan": [], "copy floor": [], "select floor": []}
    for _ in range(rounds):
        engine = make()
        upgrade(engine)
        found["stored"].append(store(engine, snapshot, evaluation, ran, START))
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM findings")) == len(evaluation.findings)  # noqa: S101 - else the figure is of something else
        found["rescan"].append(store(engine, snapshot, evaluation, ran, START + dt.timedelta(hours=1)))
        found["select floor"].append(select_floor(engine))
        if engine.dialect.name == "postgresql":
            found["copy floor"].append(copy_floor(engine))
        engine.dispose()
    return found


def report(name: str, found: dict[str, list[float]]) -> bool:
    """Print the medians and the ratios, and tell whether the promises hold."""
    median = {key: statistics.median(values) for key, values in found.items() if values}
    stored = f"{name}: stored in {median['stored']:.1f} s"
    if "copy floor" in median:
        stored += f" ({median['stored'] / median['copy floor']:.1f} times a bare COPY, {median['copy floor']:.2f} s)"
    ratio = median["rescan"] / median["select floor"]
    print(stored)
    print(
        f"{name}: unchanged rescan in {median['rescan']:.1f} s"
        f" ({ratio:.1f} times a bare SELECT, {median['select floor']:.2f} s)"
    )
    return median["stored"] < STORED_SECONDS and median["rescan"] < RESCAN_SECONDS


def main() -> int:
    """Measure both databases; fails if PostgreSQL misses what is promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--findings", type=int, default=150_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="plimsoll-bench-"))
    folder.chmod(0o755)
    try:
        with postgresql(folder) as (host, port):
            names = iter(range(arguments.rounds))

            def postgres() -> Engine:
                name = f"bench_{next(names)}"
                with psycopg.connect(host=host, port=port, user="postgres", autocommit=True) as admin:
                    admin.execute(f"CREATE DATABASE {name}".encode())
                return open_database(f"postgresql://postgres@{host}:{port}/{name}")

            holds = report("PostgreSQL", measure(postgres, arguments.findings, arguments.rounds))
        files = iter(range(arguments.rounds))
        report(
            "SQLite",
            measure(
                lambda: open_database(f"sqlite:///{folder}/bench_{next(files)}.sqlite"),
                arguments.findings,
                arguments.rounds,
            ),
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
