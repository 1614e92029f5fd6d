"""What the API server's audit webhook posts, joined with what is known of each identity; one transaction a post."""

from dataclasses import dataclass

from sqlalchemy import Engine

from scanner.analysis.rbac.audit import events_of, observed
from scanner.analysis.rbac.usage import Recorder
from scanner.errors import InputError
from scanner.model.refs import ClusterName
from scanner.store.database import writing
from scanner.store.usage import record_usage


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of a post."""

    events: int
    #: Items that are no audit events.
    malformed: int
    #: Kinds of things that were left out, as there are too many.
    left_out: int


def record_post(engine: Engine, cluster: ClusterName, body: bytes) -> Posted:
    """Keep what a post tells of who used which right; no request's and no answer's body is looked at.

    Raises:
        InputError: It is no list of audit events.
        StoreError: The database does not answer; the API server posts again.
    """
    events = events_of(body)
    if events is None:
        raise InputError("not an audit.k8s.io/v1 EventList")
    recorder = Recorder()
    for event in events:
        if event is not None:
            for one in observed(event):
                recorder.record(one)
    malformed = events.count(None)
    usages = recorder.usages()
    if not usages:
        return Posted(len(events), malformed, 0)
    with writing(engine) as connection:
        done = record_usage(connection, cluster, usages)
    return Posted(len(events), malformed, done.left_out)
