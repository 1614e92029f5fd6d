"""Findings over their whole life: what is known before a scan, what a scan changes, and the lists that people read."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, select, tuple_, update
from sqlmodel import Session

from scanner.model.finding import Fingerprint, Outcome
from scanner.model.news import Change, Transition
from scanner.model.policy import PolicyId, Severity
from scanner.model.refs import ClusterName, ObjectRef
from scanner.posture.diff import Changes, Known, State, Written
from scanner.posture.summary import Tally
from scanner.store.bulk import insert_rows, is_among, json_text, moment, plain_text, starts_with, update_rows
from scanner.store.resources import resource_id
from scanner.store.scans import RunningScan, list_clusters
from scanner.store.tables import FINDING_EVENTS, FINDINGS, SCANS, FindingEventRow, FindingRow

#: Looked up once a row when many are written.
_RANKS = {severity: severity.rank for severity in Severity}

_KNOWN = (
    FINDINGS.c.id,
    FINDINGS.c.policy,
    FINDINGS.c.namespace,
    FINDINGS.c.state,
    FINDINGS.c.outcome,
    FINDINGS.c.content,
    FINDINGS.c.opened_at.is_not(None),
    FINDINGS.c.severity,
    FINDINGS.c.expected != "",
)


def known_findings(
    connection: Connection, cluster: ClusterName, ids: Iterable[Fingerprint]
) -> dict[Fingerprint, Known]:
    """Return what a comparison needs: every open finding of the cluster, and the resolved ones among some ids."""
    of_cluster = FINDINGS.c.cluster == cluster
    found = _known(connection, of_cluster & FINDINGS.c.is_open)
    others = [id_ for id_ in ids if id_ not in found]
    if others:
        found |= _known(connection, of_cluster & is_among(connection, FINDINGS.c.id, others))
    return found


def _known(connection: Connection, condition: ColumnElement[bool]) -> dict[Fingerprint, Known]:
    states, outcomes = {s.value: s for s in State}, {o.value: o for o in Outcome}
    severities = {s.value: s for s in Severity}
    # All at once: row by row takes three times as long.
    rows = connection.execute(select(*_KNOWN).where(condition)).all()
    return {
        Fingerprint(id_): Known(
            policy,
            namespace,
            states[state],
            outcomes[outcome],
            content,
            bool(opened),
            severities[severity],
            bool(expected),
        )
        for id_, policy, namespace, state, outcome, content, opened, severity, expected in rows
    }


#: What a scan may change of a row, in the order of `_content`.
_CONTENT_COLUMNS = (
    *("policy", "area", "outcome", "state", "is_open", "severity", "severity_rank", "confidence", "api_version"),
    *("message", "evidence", "missing", "fix", "expected", "content", "scan_id"),
)
#: What stays of a row.
_IDENTITY_COLUMNS = ("id", "cluster", "resource_id", "kind", "namespace", "name", "first_seen_at")


def write_changes(connection: Connection, scan: RunningScan, changes: Changes, now: dt.datetime) -> None:
    """Write what a scan changed, and the events of it, in a handful of statements however many there are."""
    _insert(connection, scan, changes.inserted, now)
    _update(connection, scan, changes.updated, now)
    _end(connection, scan, changes, now)
    at = moment(connection, now)
    insert_rows(
        connection,
        FINDING_EVENTS,
        ("finding_id", "cluster", "transition", "at", "scan_id", "actor"),
        [(id_, scan.cluster, transition.value, at, scan.id, "scan") for id_, transition in changes.transitions],
    )


def _content(scan: RunningScan, written: Written) -> tuple[Any, ...]:
    finding = written.finding
    return (
        finding.policy,
        finding.policy.partition("/")[0],
        str(finding.outcome),
        str(written.state),
        written.state.is_open,
        str(finding.severity),
        _RANKS[finding.severity],
        str(finding.confidence),
        plain_text(finding.resource.api_version),
        plain_text(finding.message),
        json_text(finding.evidence),
        json_text(finding.missing),
        plain_text(finding.fix),
        plain_text(finding.expected),
        written.content,
        scan.id,
    )


def _insert(connection: Connection, scan: RunningScan, written: Iterable[Written], now: dt.datetime) -> None:
    at = moment(connection, now)
    insert_rows(
        connection,
        FINDINGS,
        (*_CONTENT_COLUMNS, *_IDENTITY_COLUMNS, "opened_at", "changed_at"),
        (
            (
                *_content(scan, w),
                w.id,
                scan.cluster,
                resource_id(scan.cluster, w.finding.resource),
                plain_text(w.finding.resource.kind),
                plain_text(w.finding.resource.namespace),
                plain_text(w.finding.resource.name),
                at,
                at if w.transition else None,
                at,
            )
            # In the order of the lists: their index then grows at its ends, and a page's rows lie close together.
            for w in sorted(written, key=lambda w: (_RANKS[w.finding.severity], w.id))
        ),
    )


def _update(connection: Connection, scan: RunningScan, written: Iterable[Written], now: dt.datetime) -> None:
    """Update rows; the times of those that make news are moved as well."""
    moved = [w for w in written if w.transition]
    update_rows(connection, FINDINGS, _CONTENT_COLUMNS, ((*_content(scan, w), w.id) for w in written))
    at = moment(connection, now)
    update_rows(connection, FINDINGS, ("changed_at",), ((at, w.id) for w in moved))
    opened = (w.id for w in moved if w.transition is Transition.OPENED)
    update_rows(connection, FINDINGS, ("opened_at",), ((at, id_) for id_ in opened))


def _end(connection: Connection, scan: RunningScan, changes: Changes, now: dt.datetime) -> None:
    if changes.resolved:
        connection.execute(
            update(FINDINGS).where(is_among(connection, FINDINGS.c.id, changes.resolved)).values(changed_at=now)
        )
    ended = (*changes.resolved, *changes.settled)
    if ended:
        connection.execute(
            update(FINDINGS)
            .where(is_among(connection, FINDINGS.c.id, ended))
            # One that was unknown or expected for a while goes back to what had been resolved: a failure.
            .values(state="resolved", is_open=False, outcome="fail", expected="", scan_id=scan.id)
        )
    if changes.forgotten:
        connection.execute(delete(FINDINGS).where(is_among(connection, FINDINGS.c.id, changes.forgotten)))


def changes_of_resolved(
    connection: Connection, ids: Iterable[Fingerprint], titles: Mapping[PolicyId, str]
) -> tuple[Change, ...]:
    """Describe findings that were resolved, as they were last seen failing."""
    listed = list(ids)
    if not listed:
        return ()
    columns = (
        *(FINDINGS.c.id, FINDINGS.c.policy, FINDINGS.c.severity, FINDINGS.c.api_version, FINDINGS.c.kind),
        *(FINDINGS.c.namespace, FINDINGS.c.name, FINDINGS.c.message),
    )
    rows = connection.execute(select(*columns).where(is_among(connection, FINDINGS.c.id, listed)))
    return tuple(
        Change(
            transition=Transition.RESOLVED,
            finding=Fingerprint(id_),
            policy=PolicyId(policy),
            title=titles.get(PolicyId(policy), policy),
            severity=Severity(severity),
            resource=ObjectRef(api_version, kind, namespace, name),
            message=message,
        )
        for id_, policy, severity, api_version, kind, namespace, name, message in rows
    )


def acknowledge(connection: Connection, finding_id: str, *, actor: str, now: dt.datetime) -> bool:
    """Note that somebody deals with an open failure; tell whether it is acknowledged now.

    One that was acknowledged before stays as it is. What is resolved, unknown or expected cannot be.
    """
    found = _locked(connection, finding_id)
    if found is None or not found.stands_out:
        return False
    if found.state is not State.ACKNOWLEDGED:
        _move(connection, finding_id, State.ACKNOWLEDGED, Transition.ACKNOWLEDGED, actor=actor, now=now)
    return True


def unacknowledge(connection: Connection, finding_id: str, *, actor: str, now: dt.datetime) -> bool:
    """Take an acknowledgement back; tell whether the finding is one that is open.

    It is again what it was: regressed if it had been resolved before, else open.
    """
    found = _locked(connection, finding_id)
    if found is None or not found.stands_out:
        return False
    if found.state is State.ACKNOWLEDGED:
        begun = (Transition.OPENED, Transition.REGRESSED)
        last = connection.scalar(
            select(FINDING_EVENTS.c.transition)
            .where(FINDING_EVENTS.c.finding_id == finding_id, FINDING_EVENTS.c.transition.in_(begun))
            .order_by(FINDING_EVENTS.c.id.desc())
            .limit(1)
        )
        state = State.REGRESSED if last == Transition.REGRESSED else State.OPEN
        _move(connection, finding_id, state, Transition.UNACKNOWLEDGED, actor=actor, now=now)
    return True


def _locked(connection: Connection, finding_id: str) -> Known | None:
    """Return what is known of a finding that nobody else changes until the transaction ends.

    A scan that is being stored has read the states that it writes: it holds its own row, so that is waited for.
    """
    cluster = connection.scalar(select(FINDINGS.c.cluster).where(FINDINGS.c.id == finding_id))
    running = select(SCANS.c.id).where(SCANS.c.cluster == cluster, SCANS.c.state == "running")
    connection.execute(running.with_for_update())
    connection.execute(select(FINDINGS.c.id).where(FINDINGS.c.id == finding_id).with_for_update())
    return _known(connection, FINDINGS.c.id == finding_id).get(Fingerprint(finding_id))


def _move(  # noqa: PLR0913 - a state and the event of it
    connection: Connection, finding_id: str, state: State, transition: Transition, *, actor: str, now: dt.datetime
) -> None:
    moved = update(FINDINGS).where(FINDINGS.c.id == finding_id).values(state=state.value, changed_at=now)
    cluster, scan_id = connection.execute(moved.returning(FINDINGS.c.cluster, FINDINGS.c.scan_id)).one()
    event = {"finding_id": finding_id, "cluster": cluster, "transition": transition.value, "at": now}
    connection.execute(insert(FINDING_EVENTS).values(**event, scan_id=scan_id, actor=actor))


class Position(NamedTuple):
    """Where a page of findings ended: the key that lists are sorted by, both descending."""

    severity_rank: int
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFilter:
    """Which findings to list; what is None or empty filters nothing. By default: what concerns people now."""

    cluster: str | None = None
    #: The empty name is what belongs to no namespace.
    namespace: str | None = None
    minimum_severity: Severity | None = None
    severities: frozenset[Severity] = frozenset()
    area: str | None = None
    policy: str | None = None
    #: Any of these policies: how a framework is asked for. An empty set matches none.
    policies: frozenset[str] | None = None
    states: frozenset[State] = frozenset(state for state in State if state.is_open)
    outcome: Outcome | None = None
    #: Expected failures alone, or everything else; None for both.
    expected: bool | None = False
    kind: str | None = None
    resource_id: str | None = None
    name_prefix: str = ""


def list_findings(
    session: Session, wanted: FindingFilter, *, after: Position | None = None, limit: int
) -> list[FindingRow]:
    """Return findings, the worst first, those that sort after a position.

    Findings that come or go meanwhile move no other to another page: the position is a key, not a number of rows.
    """
    # Within one cluster and either of open and ended, an index is in the order of the list; a page of all is merged.
    clusters = [wanted.cluster] if wanted.cluster is not None or wanted.resource_id else list_clusters(session)
    pages = [
        list(session.scalars(_page(session, replace(wanted, cluster=cluster), is_open, after).limit(limit)))
        for cluster in clusters
        for is_open in sorted({state.is_open for state in wanted.states})
    ]
    merged = sorted((row for page in pages for row in page), key=lambda row: (row.severity_rank, row.id), reverse=True)
    return merged[:limit]


def _page(session: Session, wanted: FindingFilter, is_open: bool, after: Position | None) -> Select[FindingRow]:
    key = (FINDINGS.c.severity_rank, FINDINGS.c.id)
    query = select(FindingRow).where(FINDINGS.c.is_open == is_open, *_conditions(session.connection(), wanted))
    if after is not None:
        query = query.where(tuple_(*key) < after)
    return query.order_by(*(column.desc() for column in key))


def _conditions(connection: Connection, wanted: FindingFilter) -> Iterable[ColumnElement[bool]]:
    columns = FINDINGS.c
    equal = {
        columns.cluster: wanted.cluster,
        columns.namespace: wanted.namespace,
        columns.policy: wanted.policy,
        columns.outcome: wanted.outcome,
        columns.kind: wanted.kind,
        columns.resource_id: wanted.resource_id,
    }
    yield from (column == value for column, value in equal.items() if value is not None)
    if wanted.expected is not None:
        yield columns.expected != "" if wanted.expected else columns.expected == ""
    if wanted.minimum_severity is not None:
        yield columns.severity_rank >= wanted.minimum_severity.rank
    if wanted.severities:
        yield columns.severity_rank.in_(sorted(severity.rank for severity in wanted.severities))
    if wanted.policies is not None:
        yield is_among(connection, columns.policy, sorted(wanted.policies))
    if wanted.area is not None:
        yield from starts_with(columns.policy, wanted.area + "/")
    if wanted.name_prefix:
        yield from starts_with(columns.name, wanted.name_prefix)
    for is_open in (True, False):
        states = [state for state in State if state.is_open == is_open]
        chosen = sorted(wanted.states.intersection(states))
        if chosen and len(chosen) < len(states):
            yield (columns.is_open != is_open) | columns.state.in_(chosen)


def get_finding(session: Session, finding_id: str) -> tuple[FindingRow, list[FindingEventRow]] | None:
    """Return one finding with its events, the oldest first, or None."""
    finding = session.get(FindingRow, finding_id)
    if finding is None:
        return None
    query = select(FindingEventRow).where(FINDING_EVENTS.c.finding_id == finding_id).order_by(FINDING_EVENTS.c.id)
    return finding, list(session.scalars(query))


def count_open_by_severity(connection: Connection, cluster: ClusterName) -> dict[Severity, int]:
    """Count the failing open findings of a cluster that nobody expects, every severity named, worst first."""
    query = (
        select(FINDINGS.c.severity, func.count())
        .where(FINDINGS.c.cluster == cluster, FINDINGS.c.is_open, FINDINGS.c.outcome == Outcome.FAIL.value)
        .where(FINDINGS.c.expected == "")
        .group_by(FINDINGS.c.severity)
    )
    found = {severity: number for severity, number in connection.execute(query)}  # noqa: C416 - a Row is no pair to mypy
    return {severity: found.get(severity.value, 0) for severity in reversed(Severity)}


def tally_findings(session: Session, cluster: str | None = None) -> list[Tally]:
    """Count open findings by namespace, policy, severity and outcome: what `posture.summary.summarise` adds up.

    Expected failures are left out.
    """
    groups = (FINDINGS.c.namespace, FINDINGS.c.policy, FINDINGS.c.severity, FINDINGS.c.outcome)
    query = select(*groups, func.count()).where(FINDINGS.c.is_open, FINDINGS.c.expected == "")
    if cluster is not None:
        query = query.where(FINDINGS.c.cluster == cluster)
    rows = session.execute(query.group_by(*groups))
    return [
        Tally(namespace, PolicyId(policy), Severity(severity), Outcome(outcome), count)
        for namespace, policy, severity, outcome, count in rows
    ]


class Count(NamedTuple):
    """How many open findings of one policy and outcome are about one resource."""

    resource_id: str
    api_version: str
    kind: str
    name: str
    policy: str
    outcome: Outcome
    number: int


def count_by_resource(
    session: Session, cluster: str, *, resources: Iterable[str] = (), without_namespace: bool = False
) -> list[Count]:
    """Count open findings of these resources, or of all that belong to no namespace; expected failures are left out."""
    columns = (
        FINDINGS.c.resource_id,
        FINDINGS.c.api_version,
        FINDINGS.c.kind,
        FINDINGS.c.name,
        FINDINGS.c.policy,
        FINDINGS.c.outcome,
    )
    query = select(*columns, func.count()).where(
        FINDINGS.c.cluster == cluster, FINDINGS.c.is_open, FINDINGS.c.expected == ""
    )
    if without_namespace:
        query = query.where(FINDINGS.c.namespace == "")
    else:
        query = query.where(is_among(session.connection(), FINDINGS.c.resource_id, sorted(resources)))
    rows = session.execute(query.group_by(*columns))
    return [
        Count(about, api_version, kind, name, policy, Outcome(outcome), number)
        for about, api_version, kind, name, policy, outcome, number in rows
    ]
