"""The scan: read a cluster, judge it, and remember in one transaction what is new, with what people are to be told.

Reading and judging take minutes and hold no transaction; the row of the running scan is kept alive meanwhile. What a
scan found is then compared and stored at once, or not at all: whoever kills the process leaves the findings as the scan
before left them, and the next scan finds the same changes again.
"""

import contextlib
import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection, Engine

from scanner.errors import ScannerError, ScanStoppedError, StoreError
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Evaluation, Finding, Outcome
from scanner.model.news import FOUND_BY_SCANS, Announcement, Change
from scanner.model.policy import Policy, PolicyId
from scanner.model.refs import ClusterName, ObjectRef
from scanner.model.resources import BY_KIND
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import TEMPLATE_PATHS
from scanner.policy.blame import with_setters
from scanner.policy.evaluate import evaluate
from scanner.posture.diff import Changes, Judgement, diff, judgements_of
from scanner.posture.news import Subscription, announcements_for
from scanner.service.grants import packed_grants
from scanner.service.networks import PackedNetwork, packed_network
from scanner.service.secret_paths import packed_secret_world
from scanner.store.database import writing
from scanner.store.findings import changes_of_resolved, count_open_by_severity, known_findings, write_changes
from scanner.store.grants import write_grants
from scanner.store.networks import write_network
from scanner.store.outbox import enqueue
from scanner.store.resources import KnownResource, known_resources, resource_id, write_resources
from scanner.store.scans import (
    LEASE,
    RunningScan,
    begin_scan,
    claim_scan,
    fail_scan,
    finish_scan,
    has_succeeded,
    record_progress,
)
from scanner.store.secret_worlds import write_secret_world

#: Told how many steps of how many are done; raises `ScanStoppedError` when the scan is to stop.
Progress = Callable[[int, int], None]
Clock = Callable[[], dt.datetime]

#: People watch a progress bar; more often than this they can't tell the difference.
_PROGRESS_INTERVAL_SECONDS = 1.0
#: Without progress, a sign of life this often: several may fail before the lease is lost.
_ALIVE_INTERVAL = LEASE / 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """What a stored scan has to say to its caller's log."""

    scan: RunningScan
    is_complete: bool
    #: Resources, passed, failed, unknown, expected, opened, resolved, regressed, and announcements that were enqueued.
    summary: Mapping[str, int]


def start_scan(
    engine: Engine, *, cluster: ClusterName, source: SourceKind, trigger: str, now: dt.datetime
) -> RunningScan:
    """Record that a scan begins; `run_scan` then does it, at once or in another thread.

    Raises:
        ScanRunningError: A scan of this cluster is under way, here or in another process.
    """
    with writing(engine) as connection:
        return begin_scan(connection, cluster=cluster, source=source.value, trigger=trigger, now=now)


def run_scan(  # noqa: PLR0913 - the parts that the composition root joins
    engine: Engine,
    scan: RunningScan,
    *,
    read: Callable[[Progress], Snapshot],
    policies: Sequence[Policy],
    subscriptions: Iterable[Subscription] = (),
    clock: Clock,
    is_stopping: Callable[[], bool] = lambda: False,
    network_states_kept: int = 20,
) -> ScanResult:
    """Do a scan that was started: read, judge, compare, and store everything in one transaction.

    Whatever goes wrong ends the scan as failed with one line, resolves nothing, and is raised for the caller to log.

    Args:
        engine: The database.
        scan: As `start_scan` returned it.
        read: Reads the cluster or its manifests; it reports its progress to the function that it is given.
        policies: Those to judge by; findings of any other stay as they are.
        subscriptions: Who is to be told what.
        clock: Tells the time.
        is_stopping: Asked at every step; once true, the scan ends as failed.
        network_states_kept: How many states of each cluster's connections are kept to compare scans.
    """
    try:
        with _Pulse(engine, scan, clock, is_stopping) as pulse:
            snapshot = read(pulse.phase("reading"))
            judged = evaluate(snapshot, policies, now=snapshot.taken_at, progress=pulse.phase("judging"))
            evaluation = with_setters(snapshot, judged)
            judgements = judgements_of(evaluation.findings, scan.cluster, policies)
            grants = packed_grants(snapshot)
            secrets = packed_secret_world(snapshot)
            network = packed_network(snapshot)
        # The pulse has ended: from here on the transaction itself holds the scan's row.
        with writing(engine) as connection:
            record_progress(connection, scan, phase="storing", progress=0, now=clock())
        with writing(engine) as connection:
            return _store(
                connection,
                scan,
                snapshot=snapshot,
                evaluation=evaluation,
                judgements=judgements,
                grants=grants,
                secrets=secrets,
                network=network,
                network_states_kept=network_states_kept,
                policies=policies,
                subscriptions=subscriptions,
                now=clock(),
            )
    except BaseException as error:  # the top of the job: whatever it was, the scan's row says so
        # If the database is what failed, the row's lease runs out and the next scan marks it.
        with contextlib.suppress(StoreError), writing(engine) as connection:
            fail_scan(connection, scan, error=_line(error), now=clock())
        raise


def _line(error: BaseException) -> str:
    if isinstance(error, ScannerError):
        return str(error)
    if isinstance(error, Exception):
        return f"internal error ({type(error).__name__}); the log has the details"
    return "the process was told to end"


class _Pulse:
    """Keeps a scan's row alive and its progress fresh, from a thread of its own: reading may pause for long."""

    def __init__(self, engine: Engine, scan: RunningScan, clock: Clock, is_stopping: Callable[[], bool]) -> None:
        self._engine = engine
        self._scan = scan
        self._clock = clock
        self._is_stopping = is_stopping
        self._state = ("reading", 0)
        self._is_given_up = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"pulse of scan {scan.id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def phase(self, name: str) -> Progress:
        """Begin a phase, and return what its steps report to."""
        self._state = (name, 0)

        def report(done: int, total: int) -> None:
            if self._is_stopping():
                raise ScanStoppedError("the service was told to stop")
            if self._is_given_up:
                raise ScanStoppedError("the scan was given up as dead by another process; nothing of it was stored")
            self._state = (name, min(100, 100 * done // total) if total else 100)

        return report

    def _beat(self) -> None:
        written: tuple[str, int] | None = None
        written_at = self._scan.started_at
        while not self._ended.wait(_PROGRESS_INTERVAL_SECONDS):
            state, now = self._state, self._clock()
            if state == written and now - written_at < _ALIVE_INTERVAL:
                continue
            # A database that is away for a moment must not end the scan; the transaction that stores it decides.
            with contextlib.suppress(StoreError), writing(self._engine) as connection:
                self._is_given_up = not record_progress(
                    connection, self._scan, phase=state[0], progress=state[1], now=now
                )
                written, written_at = state, now


def _store(  # noqa: PLR0913 - everything that one transaction joins
    connection: Connection,
    scan: RunningScan,
    *,
    snapshot: Snapshot,
    evaluation: Evaluation,
    judgements: Sequence[Judgement],
    grants: bytes,
    secrets: bytes,
    network: PackedNetwork,
    network_states_kept: int,
    policies: Sequence[Policy],
    subscriptions: Iterable[Subscription],
    now: dt.datetime,
) -> ScanResult:
    claim_scan(connection, scan, now=now)
    is_first = not has_succeeded(connection, scan.cluster)
    known = known_findings(connection, scan.cluster, (id_ for j in judgements for id_ in (j.id, *j.former)))
    changes = diff(known, judgements, evaluation, policies)
    write_changes(connection, scan, changes, now)
    resources = _store_resources(connection, scan.cluster, snapshot, evaluation.findings, now)
    write_grants(connection, scan, grants)
    write_secret_world(connection, scan, secrets)
    write_network(
        connection,
        scan,
        digest=network.digest,
        snapshot=network.snapshot,
        taken_at=network.taken_at,
        states_kept=network_states_kept,
    )
    is_complete = is_coverage_complete(snapshot.coverage)
    news = Announcement(
        cluster=scan.cluster,
        scan=scan.id,
        at=now,
        open_by_severity=count_open_by_severity(connection, scan.cluster),
        is_summary=is_first,
        is_complete=is_complete,
    )
    told = _enqueue(connection, news, changes, policies, subscriptions)
    summary = _summary(evaluation, judgements, changes) | {"resources": resources}
    finish_scan(
        connection,
        scan,
        is_complete=is_complete,
        server_version=snapshot.server_version,
        summary=summary,
        coverage=snapshot.coverage,
        now=now,
    )
    return ScanResult(scan=scan, is_complete=is_complete, summary=summary | {"announcements": told})


def is_coverage_complete(coverage: Iterable[Read]) -> bool:
    """Tell whether everything that was asked for was read; what is skipped by design is no gap."""
    return all(read.is_conclusive or read.state is ReadState.SKIPPED for read in coverage)


def _summary(evaluation: Evaluation, judgements: Iterable[Judgement], changes: Changes) -> dict[str, int]:
    found = [j.finding for j in judgements]
    transitions = Counter(transition for _, transition in changes.transitions)
    return {
        "passed": sum(evaluation.passed.values()),
        "failed": sum(finding.stands_out for finding in found),
        "unknown": sum(finding.outcome is Outcome.UNKNOWN for finding in found),
        "expected": sum(bool(finding.expected) for finding in found),
        **{transition.value: transitions[transition] for transition in FOUND_BY_SCANS},
    }


def _enqueue(
    connection: Connection,
    news: Announcement,
    changes: Changes,
    policies: Iterable[Policy],
    subscriptions: Iterable[Subscription],
) -> int:
    listening = tuple(subscriptions)
    if not listening:
        return 0
    told = () if news.is_summary else tuple(_changes(connection, changes, {p.id: p.title for p in policies}))
    return enqueue(
        connection,
        ((s.destination, announcement) for s in listening for announcement in announcements_for(s, news, told)),
        news.at,
    )


def _changes(connection: Connection, changes: Changes, titles: Mapping[PolicyId, str]) -> Iterator[Change]:
    for written in (*changes.inserted, *changes.updated):
        if written.transition:
            finding = written.finding
            yield Change(
                transition=written.transition,
                finding=written.id,
                policy=finding.policy,
                title=titles[finding.policy],
                severity=finding.severity,
                resource=finding.resource,
                message=finding.message,
            )
    yield from changes_of_resolved(connection, changes.resolved, titles)


def _store_resources(
    connection: Connection, cluster: ClusterName, snapshot: Snapshot, findings: Iterable[Finding], now: dt.datetime
) -> int:
    """Write the root owners with their pods and whatever else findings are about; return how many there are."""
    # Sorted, so that of two that differ in their uid alone the one that has it stands.
    seen = {resource_id(cluster, ref): (ref, 0) for ref in sorted({finding.resource for finding in findings})}
    seen |= {resource_id(cluster, w.ref): (w.ref, len(w.pods)) for w in snapshot.workloads}
    known = known_resources(connection, cluster)
    # One that findings were about before and that still exists is not gone when they end.
    for id_, resource in known.items():
        if id_ not in seen and (found := _still_there(snapshot, resource)):
            seen[id_] = (found, 0)
    absent = [id_ for id_, resource in known.items() if id_ not in seen and not resource.is_gone]
    gone = {id_ for id_ in absent if _is_absence_proven(snapshot, known[id_].ref)}
    write_resources(connection, cluster, known=known, seen=seen, gone=gone, now=now)
    return len(seen)


def _still_there(snapshot: Snapshot, resource: KnownResource) -> ObjectRef | None:
    found = snapshot.find(resource.ref.group, resource.ref.kind, resource.ref.namespace, resource.ref.name)
    return found.ref if found else None


def _is_absence_proven(snapshot: Snapshot, ref: ObjectRef) -> bool:
    """Tell whether a resource that the scan did not show is gone.

    Kinds that are not read (custom controllers) are known by the pods that they own.
    """
    kinds = (ref.group_kind,) if ref.group_kind in BY_KIND else tuple(TEMPLATE_PATHS)
    return not snapshot.inconclusive(kinds, ref.namespace)
