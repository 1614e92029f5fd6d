"""Resources: as last seen, written only when something changed."""

import datetime as dt
from collections.abc import Collection, Mapping

from sqlalchemy import Engine, event

from scanner.model.refs import ObjectRef
from scanner.store.database import reading, writing
from scanner.store.resources import (
    ResourceFilter,
    ResourcePosition,
    get_resource,
    known_resources,
    list_resources,
    resource_id,
    write_resources,
)
from scanner.store.tables import ResourceRow
from tests.builders import NOW, evaluation, finding
from tests.store.seeds import CLUSTER, store

LATER = NOW + dt.timedelta(hours=1)
CART = ObjectRef("apps/v1", "Deployment", "shop", "cart", "uid-1")
ID = resource_id(CLUSTER, CART)


def write(engine: Engine, seen: Mapping[ObjectRef, int], *, gone: Collection[str] = (), now: dt.datetime = NOW) -> None:
    """Store the resources of a scan with their numbers of pods."""
    with writing(engine) as connection:
        write_resources(
            connection,
            CLUSTER,
            known=known_resources(connection, CLUSTER),
            seen={resource_id(CLUSTER, ref): (ref, pods) for ref, pods in seen.items()},
            gone=gone,
            now=now,
        )


def read(engine: Engine) -> ResourceRow:
    """Read the one resource."""
    with reading(engine) as session:
        found = get_resource(session, ID)
    assert found
    return found


def test_a_resource_is_read_as_it_was_seen(engine: Engine) -> None:
    """With its pods, and since when it is known."""
    write(engine, {CART: 3})
    row = read(engine)
    assert (row.api_version, row.api_group, row.kind, row.namespace, row.name, row.uid) == (
        *("apps/v1", "apps", "Deployment", "shop", "cart", "uid-1"),
    )
    assert (row.pods, row.first_seen_at, row.gone_at) == (3, NOW, None)


def test_an_id_does_not_depend_on_version_and_uid() -> None:
    """A newer API or a re-created object is the same resource."""
    assert resource_id(CLUSTER, ObjectRef("apps/v1beta1", "Deployment", "shop", "cart", "uid-2")) == ID


def test_what_changed_is_written(engine: Engine) -> None:
    """Pods come and go, objects are re-created."""
    write(engine, {CART: 3})
    write(engine, {ObjectRef("apps/v1", "Deployment", "shop", "cart", "uid-2"): 5}, now=LATER)
    row = read(engine)
    assert (row.pods, row.uid, row.first_seen_at) == (5, "uid-2", NOW)


def test_what_did_not_change_is_not_written(engine: Engine) -> None:
    """A rescan of the same cluster sends no statement that writes resources."""
    write(engine, {CART: 3})
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cur, statement, *_: statements.append(statement))
    write(engine, {CART: 3}, now=LATER)
    assert not [s for s in statements if not s.startswith(("SELECT", "BEGIN"))]


def test_a_resource_that_is_gone_is_kept_with_the_time(engine: Engine) -> None:
    """Its history stays readable."""
    write(engine, {CART: 3})
    write(engine, {}, gone=[ID], now=LATER)
    assert read(engine).gone_at == LATER


def test_a_resource_that_comes_back_is_not_gone(engine: Engine) -> None:
    """It keeps since when it is known."""
    write(engine, {CART: 3})
    write(engine, {}, gone=[ID])
    write(engine, {CART: 3}, now=LATER)
    assert (read(engine).gone_at, read(engine).first_seen_at) == (None, NOW)


def test_a_resource_with_an_open_finding_is_not_gone(engine: Engine) -> None:
    """As long as a finding could not be resolved, what it is about is listed."""
    write(engine, {CART: 3})
    store(engine, evaluation(finding(resource="Deployment shop/cart")))
    write(engine, {}, gone=[ID], now=LATER)
    assert read(engine).gone_at is None


EVERYTHING = {
    CART: 3,
    ObjectRef("apps/v1", "Deployment", "bank", "ledger"): 1,
    ObjectRef("batch/v1", "CronJob", "shop", "cartwheel"): 0,
    ObjectRef("v1", "Node", "", "n1"): 0,
}


def listed(engine: Engine, wanted: ResourceFilter) -> list[str]:
    """List names in the order of the list."""
    with reading(engine) as session:
        return [row.name for row in list_resources(session, wanted, limit=100)]


def test_resources_are_sorted_by_namespace_kind_and_name(engine: Engine) -> None:
    """What belongs to no namespace comes first."""
    write(engine, EVERYTHING)
    assert listed(engine, ResourceFilter()) == ["n1", "ledger", "cartwheel", "cart"]


def test_resources_are_filtered(engine: Engine) -> None:
    """By namespace, kind, beginning of the name, and cluster."""
    write(engine, EVERYTHING)
    assert listed(engine, ResourceFilter(cluster=CLUSTER, namespace="shop")) == ["cartwheel", "cart"]
    assert listed(engine, ResourceFilter(cluster=CLUSTER, kind="Deployment")) == ["ledger", "cart"]
    assert listed(engine, ResourceFilter(cluster=CLUSTER, name_prefix="cart")) == ["cartwheel", "cart"]
    assert listed(engine, ResourceFilter(cluster="other")) == []


def test_resources_that_are_gone_are_listed_on_demand(engine: Engine) -> None:
    """By default a list shows what exists."""
    write(engine, EVERYTHING)
    write(engine, {}, gone=[ID])
    assert "cart" not in listed(engine, ResourceFilter())
    assert "cart" in listed(engine, ResourceFilter(with_gone=True))


def test_pages_joined_are_the_whole_list(engine: Engine) -> None:
    """One by one, each once and in order."""
    write(engine, EVERYTHING)
    seen: list[str] = []
    after: ResourcePosition | None = None
    with reading(engine) as session:
        while rows := list_resources(session, ResourceFilter(), after=after, limit=1):
            (row,) = rows
            seen.append(row.name)
            after = ResourcePosition(row.cluster, row.namespace, row.kind, row.name, row.id)
    assert seen == ["n1", "ledger", "cartwheel", "cart"]


def test_an_unknown_resource_is_none(engine: Engine) -> None:
    """No error: the caller says 404."""
    with reading(engine) as session:
        assert get_resource(session, "no-such-resource") is None
