"""The scan: what it stores, what it tells, and what it leaves alone."""

import datetime as dt
import threading
from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import Engine, select

from scanner.analysis.rbac.bootstrap import LABEL
from scanner.errors import ScannerError, ScanRunningError, ScanStoppedError, UnreachableError
from scanner.model.coverage import ReadState
from scanner.model.news import Announcement, Transition
from scanner.model.policy import PolicyId, Severity
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.policy.load import builtin_policies_root, load_policy
from scanner.posture.news import Subscription
from scanner.service import scan as module
from scanner.service.scan import Progress, run_scan, start_scan
from scanner.store.database import writing
from scanner.store.scans import LEASE, fail_abandoned_scans, finish_scan
from scanner.store.tables import DELIVERIES
from tests.builders import binding, cel_policy, cluster_role, rule, snapshot
from tests.service.worlds import (
    CLUSTER,
    POLICIES,
    at,
    before_and_after,
    coverage,
    deployment,
    remembered,
    rows,
    scan,
)

BEFORE, AFTER = before_and_after()
EMPTY = snapshot()
ADMINISTRATORS = PolicyId("rbac/cluster-admin-bound")


def findings(engine: Engine) -> list[tuple[str, ...]]:
    """Return name and state of every finding."""
    return rows(engine, "SELECT name, state FROM findings ORDER BY name")


def told(engine: Engine) -> list[Announcement]:
    """Return every announcement in the outbox, in its order."""
    with engine.connect() as connection:
        found = connection.scalars(select(DELIVERIES.c.announcement).order_by(DELIVERIES.c.id))
        return [msgspec.convert(announcement, Announcement) for announcement in found]


def attempt(engine: Engine, read: Callable[[Progress], Snapshot], *, hour: int = 0) -> None:
    """Start and run a scan that reads in its own way."""
    begun = start_scan(engine, cluster=CLUSTER, source=SourceKind.LIVE, trigger="api", now=at(hour))
    run_scan(engine, begun, read=read, policies=POLICIES, clock=lambda: at(hour))


def test_findings_are_remembered(engine: Engine) -> None:
    """Each failing workload has an open finding."""
    scan(engine, BEFORE)
    assert findings(engine) == [("cart", "open"), ("ledger", "open")]


def test_changes_are_remembered(engine: Engine) -> None:
    """What was fixed is resolved, what is new is opened, the rest stays."""
    scan(engine, BEFORE)
    scan(engine, AFTER, hour=1)
    assert findings(engine) == [("cart", "resolved"), ("ledger", "open"), ("mailer", "open")]


def test_a_scan_tells_its_caller_what_it_did(engine: Engine) -> None:
    """For the log and the metrics."""
    scan(engine, BEFORE)
    result = scan(engine, AFTER, hour=1)
    assert dict(result.summary) == {
        "resources": 3,
        "passed": 1,
        "failed": 2,
        "unknown": 0,
        "expected": 0,
        "opened": 1,
        "resolved": 1,
        "regressed": 0,
        "worsened": 0,
        "announcements": 1,
    }


def test_a_scan_that_read_everything_is_complete(engine: Engine) -> None:
    """Its row says so, with the version of the API server."""
    scan(engine, BEFORE)
    assert rows(engine, "SELECT state, progress, server_version, error FROM scans") == [
        ("complete", 100, "v1.37.2", "")
    ]


def test_what_is_skipped_by_design_is_no_gap(engine: Engine) -> None:
    """Without the right to read Secrets, which is the default, a scan is complete."""
    assert scan(engine, snapshot(coverage=coverage(secrets=ReadState.SKIPPED))).is_complete


def test_a_scan_with_a_gap_is_partial(engine: Engine) -> None:
    """Silence of what was not read means nothing."""
    scan(engine, snapshot(coverage=coverage(pods=ReadState.FORBIDDEN)))
    assert rows(engine, "SELECT state FROM scans") == [("partial",)]


def test_coverage_is_remembered(engine: Engine) -> None:
    """Each read with its state."""
    scan(engine, snapshot(coverage=coverage(pods=ReadState.FORBIDDEN)))
    found = rows(engine, "SELECT resource, state FROM coverage WHERE state <> 'complete'")
    assert found == [("pods", "forbidden")]


@pytest.mark.parametrize("state", [ReadState.FORBIDDEN, ReadState.FAILED, ReadState.PARTIAL])
def test_a_partial_scan_resolves_nothing_that_it_could_not_see(engine: Engine, state: ReadState) -> None:
    """Deployments that could not be read are not taken for fixed ones."""
    scan(engine, BEFORE)
    scan(engine, snapshot(coverage=coverage(deployments=state)), hour=1)
    fails = rows(engine, "SELECT name, state FROM findings WHERE outcome = 'fail' ORDER BY name")
    assert fails == [("cart", "open"), ("ledger", "open")]


def test_a_regressed_finding_keeps_its_id(engine: Engine) -> None:
    """Its whole history stands under one id."""
    for hour, seen in enumerate((BEFORE, EMPTY, BEFORE)):
        scan(engine, seen, hour=hour)
    events = rows(
        engine,
        "SELECT transition FROM finding_events JOIN findings ON findings.id = finding_id"
        " WHERE name = 'cart' ORDER BY finding_events.id",
    )
    assert events == [("opened",), ("resolved",), ("regressed",)]


def test_an_unchanged_rescan_adds_nothing_but_its_own_row(engine: Engine) -> None:
    """No finding is written, no event, no resource, no news."""
    scan(engine, BEFORE)
    before = remembered(engine)
    scan(engine, BEFORE, hour=1)
    after = remembered(engine)
    assert {k: v for k, v in after.items() if k != "coverage"} == {k: v for k, v in before.items() if k != "coverage"}


def test_a_policy_that_is_left_out_resolves_nothing(engine: Engine) -> None:
    """A scan by other policies says nothing of it."""
    scan(engine, BEFORE)
    scan(engine, EMPTY, hour=1, policies=[cel_policy("pods/other")])
    assert findings(engine) == [("cart", "open"), ("ledger", "open")]


# Resources.


def test_workloads_are_remembered_with_their_pods(engine: Engine) -> None:
    """Whether or not a finding is about them."""
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"mailer-{n}",
                "namespace": "shop",
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "Deployment", "name": "mailer", "uid": "1", "controller": True}
                ],
            },
            "spec": {"containers": [{"name": "app", "image": "shop/app:1.0"}]},
        }
        for n in range(3)
    ]
    scan(engine, snapshot(deployment("mailer", is_privileged=False), *pods))
    assert rows(engine, "SELECT kind, name, pods FROM resources") == [("Deployment", "mailer", 3)]


def test_a_workload_that_was_deleted_is_gone(engine: Engine) -> None:
    """A complete read no longer showed it."""
    scan(engine, BEFORE)
    scan(engine, EMPTY, hour=1)
    assert rows(engine, "SELECT count(*) FROM resources WHERE gone_at IS NOT NULL") == [(2,)]


def test_a_workload_that_could_not_be_read_is_not_gone(engine: Engine) -> None:
    """Its findings stay, and so does it."""
    scan(engine, BEFORE)
    scan(engine, snapshot(coverage=coverage(deployments=ReadState.FORBIDDEN)), hour=1)
    assert rows(engine, "SELECT count(*) FROM resources WHERE gone_at IS NOT NULL") == [(0,)]


# News.


def test_the_first_scan_is_told_as_one_summary(engine: Engine) -> None:
    """Nobody is flooded by what was always there."""
    scan(engine, BEFORE)
    (news,) = told(engine)
    assert (news.is_summary, news.changes, news.open_by_severity[Severity.HIGH]) == (True, (), 2)


def test_a_first_scan_that_failed_does_not_take_the_summary(engine: Engine) -> None:
    """The first that is stored is the first that is told."""
    with pytest.raises(UnreachableError):
        attempt(engine, unreachable)
    scan(engine, BEFORE, hour=1)
    assert [news.is_summary for news in told(engine)] == [True]


def test_later_scans_tell_their_changes(engine: Engine) -> None:
    """What is new and what is resolved, with the counts as they are then."""
    scan(engine, BEFORE)
    scan(engine, AFTER, hour=1)
    news = told(engine)[-1]
    assert [(c.transition, str(c.resource), c.title) for c in news.changes] == [
        (Transition.OPENED, "Deployment shop/mailer", POLICIES[0].title),
        (Transition.RESOLVED, "Deployment shop/cart", POLICIES[0].title),
    ]
    assert news.open_by_severity[Severity.HIGH] == 2


def test_changes_below_a_subscription_are_not_enqueued(engine: Engine) -> None:
    """The finding is of high severity; who asked for critical ones hears nothing."""
    subscriptions = (Subscription("pager", Severity.CRITICAL), Subscription("slack", Severity.HIGH))
    scan(engine, BEFORE, subscriptions=subscriptions)
    scan(engine, AFTER, hour=1, subscriptions=subscriptions)
    found = rows(engine, "SELECT destination, count(*) FROM deliveries GROUP BY destination ORDER BY destination")
    assert found == [("pager", 1), ("slack", 2)]


def test_unknown_outcomes_are_not_told(engine: Engine) -> None:
    """Not being allowed to look is no change of the cluster."""
    scan(engine, BEFORE)
    scan(engine, snapshot(coverage=coverage(deployments=ReadState.FORBIDDEN)), hour=1)
    assert len(told(engine)) == 1


def test_expected_failures_are_not_told(engine: Engine) -> None:
    """They are no news when they appear; what stands out is, and so is that it was put back."""
    policy = load_policy(builtin_policies_root() / "rbac" / "cluster-admin-bound" / "policy.yaml", ADMINISTRATORS)
    labels = dict([LABEL])
    role = cluster_role("cluster-admin", rule("*", "*", group="*"), rule("*", urls="*"), labels=labels)
    bound = binding("ClusterRole cluster-admin", "Group system:masters", name="cluster-admin")
    own = snapshot(role, bound | {"metadata": bound["metadata"] | {"labels": labels}})
    told = [
        scan(engine, seen, hour=hour, policies=[policy]).summary["announcements"]
        for hour, seen in enumerate((snapshot(), own, snapshot(role, bound), own))
    ]
    events = rows(engine, "SELECT transition FROM finding_events ORDER BY id")
    assert (told, events) == ([1, 0, 1, 1], [("opened",), ("resolved",)])


def test_news_of_a_partial_scan_say_so(engine: Engine) -> None:
    """Who reads them must know that silence means little."""
    scan(engine, EMPTY)
    seen = snapshot(deployment("cart"), coverage=coverage(pods=ReadState.FORBIDDEN))
    scan(engine, seen, hour=1)
    assert [news.is_complete for news in told(engine)] == [True, False]


# What goes wrong.


def unreachable(_: Progress) -> Snapshot:
    """Fail as a cluster that does not answer."""
    raise UnreachableError("https://10.0.0.1 does not answer")


def test_a_scan_that_cannot_read_fails_with_one_line(engine: Engine) -> None:
    """The line is the error's own; its caller gets the error."""
    with pytest.raises(UnreachableError):
        attempt(engine, unreachable)
    assert rows(engine, "SELECT state, error FROM scans") == [("failed", "https://10.0.0.1 does not answer")]


def test_a_failed_scan_resolves_nothing(engine: Engine) -> None:
    """What is remembered stays byte for byte."""
    scan(engine, BEFORE)
    before = remembered(engine)
    with pytest.raises(UnreachableError):
        attempt(engine, unreachable, hour=1)
    assert remembered(engine) == before


def test_an_error_of_our_own_does_not_show_its_insides(engine: Engine) -> None:
    """What went wrong stands in the log; the row is read by anyone."""

    def broken(_: Progress) -> Snapshot:
        raise KeyError("hunter2")

    with pytest.raises(KeyError):
        attempt(engine, broken)
    assert rows(engine, "SELECT error FROM scans") == [("internal error (KeyError); the log has the details",)]


def test_a_scan_can_follow_one_that_failed(engine: Engine) -> None:
    """The failed one does not stand in the way."""
    with pytest.raises(UnreachableError):
        attempt(engine, unreachable)
    assert scan(engine, BEFORE, hour=1).is_complete


def test_a_second_scan_is_refused_while_one_runs(engine: Engine) -> None:
    """Whoever asks, in whatever process."""
    start_scan(engine, cluster=CLUSTER, source=SourceKind.LIVE, trigger="schedule", now=at(0))
    with pytest.raises(ScanRunningError):
        start_scan(engine, cluster=CLUSTER, source=SourceKind.LIVE, trigger="api", now=at(0))


def test_of_scans_started_at_once_one_runs(engine: Engine) -> None:
    """The database decides which."""
    refused: list[ScannerError] = []
    barrier = threading.Barrier(4)

    def start() -> None:
        barrier.wait()
        try:
            start_scan(engine, cluster=CLUSTER, source=SourceKind.LIVE, trigger="api", now=at(0))
        except ScanRunningError as error:
            refused.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), rows(engine, "SELECT count(*) FROM scans")) == (3, [(1,)])


def test_a_scan_that_was_given_up_stores_nothing(engine: Engine) -> None:
    """Its process slept too long; another may have scanned since."""

    def slow(_: Progress) -> Snapshot:
        with writing(engine) as connection:
            fail_abandoned_scans(connection, at(0) + LEASE)
        return BEFORE

    with pytest.raises(ScanStoppedError):
        attempt(engine, slow)
    assert findings(engine) == []


def test_a_service_that_stops_ends_its_scan(engine: Engine) -> None:
    """At the next step; the row says why."""
    begun = start_scan(engine, cluster=CLUSTER, source=SourceKind.LIVE, trigger="api", now=at(0))

    def read(progress: Progress) -> Snapshot:
        progress(1, 2)
        return BEFORE

    with pytest.raises(ScanStoppedError):
        run_scan(engine, begun, read=read, policies=POLICIES, clock=lambda: at(0), is_stopping=lambda: True)
    assert rows(engine, "SELECT state, error FROM scans") == [("failed", "the service was told to stop")]


# Progress.


def test_progress_is_seen_while_a_scan_runs(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Phase and percentage stand in the row before the scan has ended."""
    monkeypatch.setattr(module, "_PROGRESS_INTERVAL_SECONDS", 0.01)

    def read(progress: Progress) -> Snapshot:
        progress(30, 40)
        wait_until(lambda: rows(engine, "SELECT phase, progress FROM scans") == [("reading", 75)])
        return BEFORE

    attempt(engine, read)
    assert rows(engine, "SELECT state FROM scans") == [("complete",)]


def test_a_scan_that_reads_for_long_stays_alive(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any progress, its row still gives signs of life."""
    monkeypatch.setattr(module, "_PROGRESS_INTERVAL_SECONDS", 0.01)
    now = [at(0)]

    def read(_: Progress) -> Snapshot:
        now[0] = at(5)
        wait_until(lambda: rows(engine, "SELECT count(*) FROM scans WHERE alive_at > started_at") == [(1,)])
        with writing(engine) as connection:
            assert fail_abandoned_scans(connection, at(5) + dt.timedelta(seconds=1)) == 0
        return BEFORE

    begun = start_scan(engine, cluster=CLUSTER, source=SourceKind.LIVE, trigger="api", now=at(0))
    assert run_scan(engine, begun, read=read, policies=POLICIES, clock=lambda: now[0]).is_complete


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for another thread to make it so."""
    pause = threading.Event()
    for _ in range(2000):
        if holds():
            return
        pause.wait(0.01)
    raise TimeoutError


# Readers.


def test_readers_see_the_last_scan_while_the_next_is_stored(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit under way neither blocks them nor shows half of itself."""
    scan(engine, BEFORE)
    seen: list[list[tuple[str, ...]]] = []

    def observed(*arguments: object, **named: object) -> None:
        seen.append(findings(engine))
        finish_scan(*arguments, **named)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(module, "finish_scan", observed)
    scan(engine, AFTER, hour=1)
    assert seen == [[("cart", "open"), ("ledger", "open")]]
