"""What identities used is kept once for each kind of thing, on both databases, within bounds."""

import datetime as dt
import threading

import pytest
from sqlalchemy import Engine

from scanner.analysis.rbac.requests import Identity, Request
from scanner.analysis.rbac.usage import MAX_NAMES, Observed, Usage, usages_of
from scanner.model.refs import ClusterName
from scanner.store import usage as store
from scanner.store.database import reading, writing
from scanner.store.usage import Recorded, StoredUse, UseFilter, UsePosition, list_uses, record_usage, usages_of_cluster
from tests.builders import NOW

HERE = ClusterName("test")


def seen(
    *names: str, user: str = "jane", resource: str = "secrets", minutes: int = 0, allowed: bool = True
) -> list[Observed]:
    """Make requests for objects of these names."""
    return [
        Observed(
            identity=Identity(user, frozenset({"ops"})),
            request=Request(verb="get", resource=resource, namespace="shop", name=name),
            is_allowed=allowed,
            at=NOW + dt.timedelta(minutes=minutes),
        )
        for name in names
    ]


def record(engine: Engine, *observed: Observed, cluster: ClusterName = HERE) -> Recorded:
    """Record requests as one post."""
    with writing(engine) as connection:
        return record_usage(connection, cluster, usages_of(observed))


def kept(engine: Engine, cluster: str = HERE) -> tuple[Usage, ...]:
    """Return what is kept."""
    with reading(engine) as session:
        return usages_of_cluster(session, cluster)


def listed(engine: Engine, limit: int = 100, after: UsePosition | None = None, **wanted: str) -> tuple[StoredUse, ...]:
    """List uses."""
    with reading(engine) as session:
        return list_uses(session, UseFilter(cluster=HERE, **wanted), after=after, limit=limit)


def test_what_is_recorded_is_kept(engine: Engine) -> None:
    """Nothing of it is lost on the way to the database and back."""
    observed = [*seen("db", "mail"), *seen("", resource="pods"), *seen("x", allowed=False)]
    record(engine, *observed)
    assert kept(engine) == usages_of(observed)


def test_posts_are_joined(engine: Engine) -> None:
    """Two posts say what one of both would have said."""
    first, second = seen("db"), [*seen("mail", minutes=5), *seen("", resource="pods")]
    record(engine, *first)
    record(engine, *second)
    assert kept(engine) == usages_of([*first, *second])


def test_equal_uses_are_one_row(engine: Engine) -> None:
    """The table grows with what is done, not with how often."""
    for _ in range(3):
        record(engine, *seen("db"))
    (row,) = listed(engine)
    assert row.use.count == 3


def test_path_is_kept(engine: Engine) -> None:
    """A request for no resource is for a path."""
    observed = Observed(
        identity=Identity("jane"), request=Request(verb="get", path="/metrics"), is_allowed=True, at=NOW
    )
    record(engine, observed)
    assert kept(engine) == usages_of([observed])


def test_names_beyond_the_limit_are_one_mark(engine: Engine) -> None:
    """Names are kept up to a limit, over all posts."""
    for number in range(MAX_NAMES + 2):
        record(engine, *seen(f"secret-{number:03}"))
    (row,) = listed(engine)
    assert (len(row.use.names), row.use.has_more_names) == (MAX_NAMES, True)


def test_clusters_are_kept_apart(engine: Engine) -> None:
    """The same user of another cluster is another."""
    record(engine, *seen("db"))
    record(engine, *seen("mail"), cluster=ClusterName("other"))
    assert kept(engine, "other") == usages_of(seen("mail"))


def test_nul_is_kept_out(engine: Engine) -> None:
    """What PostgreSQL cannot keep is replaced."""
    record(engine, *seen("a\0b"))
    (row,) = listed(engine)
    assert row.use.names == {"a\N{REPLACEMENT CHARACTER}b"}


def test_identity_that_does_too_much_is_marked(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not kept is told."""
    monkeypatch.setattr(store, "MAX_USES", 1)
    done = record(engine, *seen("db"), *seen("", resource="pods"))
    assert (done, kept(engine)[0].is_partial) == (Recorded(1, 1), True)


def test_cluster_that_does_too_much_is_marked(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """All identities together have a limit too."""
    monkeypatch.setattr(store, "MAX_ALL_USES", 1)
    record(engine, *seen("db"))
    record(engine, *seen("db", user="joe"))
    assert [(each.identity.user, each.is_partial) for each in kept(engine)] == [("jane", False), ("joe", True)]


def test_known_uses_need_no_room(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit, what is known still counts."""
    monkeypatch.setattr(store, "MAX_ALL_USES", 1)
    record(engine, *seen("db"))
    record(engine, *seen("db"))
    assert not kept(engine)[0].is_partial


def test_identities_beyond_the_limit_are_left_out(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody fills the database with made-up users."""
    monkeypatch.setattr(store, "MAX_IDENTITIES", 1)
    record(engine, *seen("db"))
    assert record(engine, *seen("db", user="joe")) == Recorded(0, 1)


def test_overlong_paths_are_left_out(engine: Engine) -> None:
    """A path may be as long as its sender likes."""
    request = Request(verb="get", path="/" + "x" * 5000)
    done = record(engine, Observed(identity=Identity("jane"), request=request, is_allowed=True, at=NOW))
    assert done == Recorded(0, 1)


def test_uses_are_paged_by_user(engine: Engine) -> None:
    """Page by page, each use comes once."""
    record(engine, *seen("a", user="joe"), *seen("a"), *seen("", resource="pods"))
    found: list[StoredUse] = []
    while page := listed(engine, 1, UsePosition(found[-1].username, found[-1].id) if found else None):
        found += page
    assert [row.username for row in found] == ["jane", "jane", "joe"]


def test_uses_are_filtered(engine: Engine) -> None:
    """By user and by resource."""
    record(engine, *seen("a", user="joe"), *seen("a"), *seen("", resource="pods"))
    assert [row.use.request.resource for row in listed(engine, username="jane", resource="pods")] == ["pods"]


def test_posts_at_the_same_time_lose_nothing(engine: Engine) -> None:
    """Several API servers tell of one identity at once."""
    threads = [threading.Thread(target=record, args=(engine, *seen(f"s{number}", "db"))) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (row,) = listed(engine)
    assert (row.use.count, len(row.use.names)) == (12, 7)
