"""Scans stored as the service stores them, without reading and judging."""

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import Engine

from scanner.model.finding import Evaluation
from scanner.model.policy import Policy
from scanner.model.refs import ClusterName
from scanner.posture.diff import Changes, diff, judgements_of
from scanner.store.database import writing
from scanner.store.findings import known_findings, write_changes
from scanner.store.scans import RunningScan, begin_scan, finish_scan
from tests.builders import NOW, cel_policy

CLUSTER = ClusterName("test")


def store(
    engine: Engine,
    judged: Evaluation,
    *,
    cluster: str = CLUSTER,
    now: dt.datetime = NOW,
    policies: Sequence[Policy] | None = None,
) -> tuple[RunningScan, Changes]:
    """Store one scan's findings; by default, the policies that the findings are of have run."""
    ran = policies or [cel_policy(policy) for policy in sorted({f.policy for f in judged.findings})]
    name = ClusterName(cluster)
    with writing(engine) as connection:
        scan = begin_scan(connection, cluster=name, source="live", trigger="api", now=now)
        judgements = judgements_of(judged.findings, name, ran)
        known = known_findings(connection, name, (id_ for j in judgements for id_ in (j.id, *j.former)))
        changes = diff(known, judgements, judged, ran)
        write_changes(connection, scan, changes, now)
        finish_scan(connection, scan, is_complete=True, server_version="", summary={}, coverage=(), now=now)
    return scan, changes
