"""Findings: written as a scan changes them, listed by key."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from scanner.model.finding import Evaluation, Fact, Outcome
from scanner.model.news import Transition
from scanner.model.policy import PolicyId, Severity
from scanner.model.refs import ObjectRef
from scanner.posture.diff import State
from scanner.posture.summary import Tally
from scanner.store.database import reading, writing
from scanner.store.findings import (
    FindingFilter,
    Position,
    changes_of_resolved,
    count_open_by_severity,
    get_finding,
    list_findings,
    tally_findings,
)
from scanner.store.resources import resource_id
from scanner.store.tables import FINDING_EVENTS, FindingEventRow, FindingRow
from tests.builders import NOW, cel_policy, evaluation, finding
from tests.store.seeds import CLUSTER, store

POLICY = cel_policy()
FAILING = finding()
ID = FAILING.fingerprint(CLUSTER)
HERE = FindingFilter(cluster=CLUSTER)
HOURS = [NOW + dt.timedelta(hours=hour) for hour in range(5)]


def read(engine: Engine, id_: str = ID) -> tuple[FindingRow, list[FindingEventRow]]:
    """Read one finding with its events."""
    with reading(engine) as session:
        found = get_finding(session, id_)
    assert found
    return found


def history(engine: Engine, *scans: Evaluation) -> tuple[FindingRow, list[FindingEventRow]]:
    """Store scans an hour apart and return what became of the one finding."""
    for judged, now in zip(scans, HOURS, strict=False):
        store(engine, judged, now=now, policies=[POLICY])
    return read(engine)


def listed(engine: Engine, wanted: FindingFilter) -> list[str]:
    """List names of what findings are about, sorted."""
    with reading(engine) as session:
        return sorted(row.name for row in list_findings(session, wanted, limit=100))


def test_a_finding_is_read_as_it_was_found(engine: Engine) -> None:
    """Every part of it is kept."""
    service = ObjectRef("v1", "Service", "shop", "cart")
    whole = replace(
        FAILING,
        evidence=(Fact(path="spec.x", value={"a": [1, None]}, container="app"), Fact(object=service, note="so")),
        fix="remove it",
        severity=Severity.CRITICAL,
    )
    store(engine, evaluation(whole))
    row, _ = read(engine)
    assert row.model_dump(exclude={"scan_id", "content"}) == {
        "id": ID,
        "cluster": "test",
        "policy": "pods/privileged-container",
        "area": "pods",
        "outcome": "fail",
        "state": "open",
        "is_open": True,
        "severity": "critical",
        "severity_rank": 3,
        "confidence": "certain",
        "resource_id": resource_id(CLUSTER, FAILING.resource),
        "api_version": "apps/v1",
        "kind": "Deployment",
        "namespace": "shop",
        "name": "cart",
        "message": "it is so",
        "evidence": [
            {"path": "spec.x", "value": {"a": [1, None]}, "container": "app"},
            {"object": {"apiVersion": "v1", "kind": "Service", "namespace": "shop", "name": "cart"}, "note": "so"},
        ],
        "missing": [],
        "fix": "remove it",
        "expected": "",
        "first_seen_at": NOW,
        "opened_at": NOW,
        "changed_at": NOW,
    }


def test_a_life_is_a_list_of_events(engine: Engine) -> None:
    """Opened, resolved, regressed, resolved: each with its time, under one id."""
    row, events = history(engine, *(evaluation(FAILING), evaluation()) * 2)
    assert [(e.transition, e.at) for e in events] == [
        ("opened", HOURS[0]),
        ("resolved", HOURS[1]),
        ("regressed", HOURS[2]),
        ("resolved", HOURS[3]),
    ]
    assert (row.state, row.is_open, row.first_seen_at, row.changed_at) == ("resolved", False, HOURS[0], HOURS[3])


EXPECTED = replace(FAILING, expected="Kubernetes' own, unchanged")


def test_the_reason_why_a_failure_is_expected_is_kept(engine: Engine) -> None:
    """It is part of the row, which has no event."""
    row, events = history(engine, evaluation(EXPECTED))
    assert (row.expected, row.state, row.opened_at, len(events)) == ("Kubernetes' own, unchanged", "open", None, 0)


def test_a_failure_that_is_expected_no_more_is_opened(engine: Engine) -> None:
    """Under its id, with its time."""
    row, events = history(engine, evaluation(EXPECTED), evaluation(FAILING))
    assert (row.expected, row.opened_at, [e.transition for e in events]) == ("", HOURS[1], ["opened"])


def test_a_failure_that_becomes_expected_ends_in_history_alone(engine: Engine) -> None:
    """Its row stays open, with the reason."""
    row, events = history(engine, evaluation(FAILING), evaluation(EXPECTED))
    assert (row.state, bool(row.expected), [e.transition for e in events]) == ("open", True, ["opened", "resolved"])


def test_an_expected_failure_that_is_gone_is_resolved_as_a_failure(engine: Engine) -> None:
    """What had stood out before is remembered as what it was."""
    row, _ = history(engine, evaluation(FAILING), evaluation(EXPECTED), evaluation())
    assert (row.state, row.is_open, row.expected) == ("resolved", False, "")


@pytest.mark.parametrize(("expected", "names"), [(False, ["cart"]), (True, ["own"]), (None, ["cart", "own"])])
def test_expected_failures_are_listed_when_asked_for(
    engine: Engine, *, expected: bool | None, names: list[str]
) -> None:
    """By default they are left out."""
    store(engine, evaluation(FAILING, finding(resource="Deployment shop/own", expected="so it is")))
    assert listed(engine, FindingFilter(cluster=CLUSTER, expected=expected)) == names


def test_expected_failures_are_counted_nowhere(engine: Engine) -> None:
    """Neither by severity nor in the tallies of the summary."""
    store(engine, evaluation(EXPECTED))
    with reading(engine) as session:
        tallies = tally_findings(session)
        counts = count_open_by_severity(session.connection(), CLUSTER)
    assert (tallies, sum(counts.values())) == ([], 0)


def test_an_unchanged_rescan_writes_no_row_and_no_event(engine: Engine) -> None:
    """The row still names the scan that wrote it."""
    scan, _ = store(engine, evaluation(FAILING))
    row, events = history(engine, evaluation(FAILING))
    assert (row.scan_id, len(events)) == (scan.id, 1)


def test_changed_content_is_written_without_an_event(engine: Engine) -> None:
    """The row is new, its history is not."""
    row, events = history(engine, evaluation(FAILING), evaluation(replace(FAILING, message="worse")))
    assert (row.message, row.changed_at, len(events)) == ("worse", HOURS[0], 1)


def test_unknown_is_kept_without_an_event_until_it_fails(engine: Engine) -> None:
    """It is listed from when it was first seen, and opened when it first failed."""
    unknown = replace(FAILING, outcome=Outcome.UNKNOWN, missing=("list pods",))
    row, events = history(engine, evaluation(unknown))
    assert (row.outcome, row.missing, row.opened_at, events) == ("unknown", ["list pods"], None, [])
    store(engine, evaluation(FAILING), now=HOURS[1])
    row, events = read(engine)
    assert (row.outcome, row.first_seen_at, row.opened_at, len(events)) == ("fail", HOURS[0], HOURS[1], 1)


def test_unknown_that_passes_leaves_no_row(engine: Engine) -> None:
    """It never was a finding."""
    store(engine, evaluation(replace(FAILING, outcome=Outcome.UNKNOWN)))
    store(engine, evaluation(), policies=[POLICY])
    with reading(engine) as session:
        assert get_finding(session, ID) is None


def test_resolved_then_unknown_then_fine_is_resolved_as_before(engine: Engine) -> None:
    """People see the failure that had been resolved, at the time when that was."""
    unknown = evaluation(replace(FAILING, outcome=Outcome.UNKNOWN))
    row, events = history(engine, evaluation(FAILING), evaluation(), unknown, evaluation())
    assert (row.state, row.outcome, row.changed_at, len(events)) == ("resolved", "fail", HOURS[1], 2)


def test_events_of_a_first_scan_are_one_each(engine: Engine) -> None:
    """Each finding is opened once."""
    store(engine, evaluation(*(finding(resource=f"Deployment shop/d{n}") for n in range(50))))
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(FINDING_EVENTS)) == 50


def test_clusters_do_not_touch_each_other(engine: Engine) -> None:
    """A scan of one cluster resolves nothing of another."""
    store(engine, evaluation(FAILING))
    _, changes = store(engine, evaluation(), cluster="other", policies=[POLICY])
    assert changes.resolved == ()


def test_text_with_a_nul_is_stored_and_not_rewritten(engine: Engine) -> None:
    """What a database cannot keep neither ends the scan nor makes every later one write the row again."""
    odd = replace(FAILING, message="a\0b", evidence=(Fact(path="x", value="c\0"),))
    store(engine, evaluation(odd))
    _, changes = store(engine, evaluation(odd), now=HOURS[1])
    assert (changes.updated, read(engine)[0].message) == ((), "a\ufffdb")


def test_what_was_resolved_is_described_as_last_seen(engine: Engine) -> None:
    """For those who are told."""
    store(engine, evaluation(FAILING))
    with writing(engine) as connection:
        (change,) = changes_of_resolved(connection, [ID], {POLICY.id: "Container runs privileged"})
    assert (change.transition, change.finding, change.title, change.severity, str(change.resource), change.message) == (
        Transition.RESOLVED,
        ID,
        "Container runs privileged",
        Severity.HIGH,
        "Deployment shop/cart",
        "it is so",
    )


def seed(engine: Engine) -> None:
    """Store findings that differ in all that can be asked for."""
    fallen = finding(resource="Deployment shop/fallen")
    store(engine, evaluation(fallen), policies=[POLICY])
    store(
        engine,
        evaluation(
            finding(resource="Deployment shop/cart"),
            finding(resource="Deployment bank/ledger", severity=Severity.MEDIUM),
            finding("rbac/wildcard", "ClusterRole admin", severity=Severity.CRITICAL),
            finding("pods/host-network", "Deployment shop/cartographer", severity=Severity.LOW),
            finding("pods/host-network", "Deployment shop/dim", outcome=Outcome.UNKNOWN),
        ),
        now=HOURS[1],
    )
    store(engine, evaluation(finding(resource="Deployment shop/elsewhere")), cluster="other")


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (FindingFilter(), ["admin", "cart", "cartographer", "dim", "elsewhere", "ledger"]),
        (FindingFilter(cluster="other"), ["elsewhere"]),
        (replace(HERE, namespace="shop"), ["cart", "cartographer", "dim"]),
        (replace(HERE, namespace=""), ["admin"]),
        (replace(HERE, minimum_severity=Severity.HIGH), ["admin", "cart", "dim"]),
        (replace(HERE, severities=frozenset({Severity.LOW, Severity.CRITICAL})), ["admin", "cartographer"]),
        (replace(HERE, area="rbac"), ["admin"]),
        (replace(HERE, policy="pods/host-network"), ["cartographer", "dim"]),
        (replace(HERE, policies=frozenset({"pods/host-network", "rbac/wildcard"})), ["admin", "cartographer", "dim"]),
        (replace(HERE, policies=frozenset()), []),
        (replace(HERE, states=frozenset({State.RESOLVED})), ["fallen"]),
        (replace(HERE, states=frozenset({State.REGRESSED})), []),
        (
            replace(HERE, states=frozenset({State.RESOLVED, State.OPEN}), namespace="shop"),
            ["cart", "cartographer", "dim", "fallen"],
        ),
        (replace(HERE, states=frozenset()), []),
        (replace(HERE, outcome=Outcome.UNKNOWN), ["dim"]),
        (replace(HERE, kind="ClusterRole"), ["admin"]),
        (replace(HERE, name_prefix="cart"), ["cart", "cartographer"]),
        (replace(HERE, name_prefix="%"), []),
        (FindingFilter(resource_id=resource_id(CLUSTER, FAILING.resource)), ["cart"]),
    ],
)
def test_findings_are_filtered(engine: Engine, wanted: FindingFilter, names: list[str]) -> None:
    """Each filter, and some together."""
    seed(engine)
    assert listed(engine, wanted) == names


def test_the_worst_come_first(engine: Engine) -> None:
    """Severity decides the order of a list."""
    seed(engine)
    with reading(engine) as session:
        rows = list_findings(session, FindingFilter(cluster="test"), limit=100)
    assert [row.severity for row in rows] == ["critical", "high", "high", "medium", "low"]


def test_pages_hold_each_finding_once_while_others_come_and_go(engine: Engine) -> None:
    """What is inserted or resolved between two pages moves no other finding."""
    first = [finding(resource=f"Deployment shop/d{n}", severity=list(Severity)[n % 4]) for n in range(20)]
    store(engine, evaluation(*first))
    seen: list[str] = []
    after: Position | None = None
    for page in range(20):
        with reading(engine) as session:
            rows = list_findings(session, FindingFilter(cluster="test"), after=after, limit=3)
        if not rows:
            break
        seen += [row.name for row in rows]
        after = Position(rows[-1].severity_rank, rows[-1].id)
        store(
            engine,
            evaluation(*first, finding(resource=f"Deployment shop/new{page}", severity=Severity.CRITICAL)),
            now=HOURS[1] + dt.timedelta(minutes=page),
        )
    assert sorted(name for name in seen if name.startswith("d")) == sorted(f.resource.name for f in first)


@given(
    limit=st.integers(1, 7),
    states=st.frozensets(st.sampled_from(State), min_size=1),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
def test_pages_joined_are_the_whole_list(paged_engine: Engine, limit: int, states: frozenset[State]) -> None:
    """Whatever the size of a page and the states asked for."""
    wanted = FindingFilter(cluster="test", states=states)
    with reading(paged_engine) as session:
        whole = [row.id for row in list_findings(session, wanted, limit=1000)]
        paged: list[str] = []
        after: Position | None = None
        while rows := list_findings(session, wanted, after=after, limit=limit):
            paged += [row.id for row in rows]
            after = Position(rows[-1].severity_rank, rows[-1].id)
    assert paged == whole


@pytest.fixture
def paged_engine(engine: Engine) -> Engine:
    """A database with open, resolved and regressed findings of each severity."""
    every = [finding(resource=f"Deployment shop/d{n}", severity=list(Severity)[n % 4]) for n in range(24)]
    for number, kept in enumerate((every, every[:10], every[:18])):
        store(engine, evaluation(*kept), now=HOURS[number])
    return engine


def test_open_findings_are_counted_by_what_they_share(engine: Engine) -> None:
    """Resolved ones and other clusters are left out."""
    seed(engine)
    with reading(engine) as session:
        assert sorted(tally_findings(session, "test")) == sorted(
            [
                Tally("", PolicyId("rbac/wildcard"), Severity.CRITICAL, Outcome.FAIL, 1),
                Tally("bank", POLICY.id, Severity.MEDIUM, Outcome.FAIL, 1),
                Tally("shop", POLICY.id, Severity.HIGH, Outcome.FAIL, 1),
                Tally("shop", PolicyId("pods/host-network"), Severity.HIGH, Outcome.UNKNOWN, 1),
                Tally("shop", PolicyId("pods/host-network"), Severity.LOW, Outcome.FAIL, 1),
            ]
        )


def test_open_failures_are_counted_by_severity(engine: Engine) -> None:
    """Unknown ones are left out; severities without any are 0."""
    seed(engine)
    with writing(engine) as connection:
        assert count_open_by_severity(connection, CLUSTER) == {
            Severity.CRITICAL: 1,
            Severity.HIGH: 1,
            Severity.MEDIUM: 1,
            Severity.LOW: 1,
        }
