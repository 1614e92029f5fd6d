"""A page of a list: every good object of it, a line for each broken one, and how to go on."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanner.cluster.decode import Interner, MalformedError, decode_object
from scanner.cluster.pages import decode_page
from scanner.model.resources import RESOURCES, SECRETS, Resource

PODS = next(r for r in RESOURCES if r.plural == "pods")
NAMESPACES = next(r for r in RESOURCES if r.plural == "namespaces")


def encoded(value: Any) -> bytes:
    """Write JSON."""
    return msgspec.json.encode(value)


def page(resource: Resource, *items: Any, kind: str = "", meta: Mapping[str, Any] | None = None) -> bytes:
    """Make one page of a list as the API server writes it: its items lack kind and apiVersion."""
    version = resource.versions[0]
    api_version = f"{resource.group}/{version}" if resource.group else version
    return encoded(
        {"kind": kind or f"{resource.kind}List", "apiVersion": api_version, "metadata": meta or {}, "items": items}
    )


def pod(name: str = "web-1", **spec: Any) -> dict[str, Any]:
    """Make a pod as the API server writes it in a list."""
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def test_items_of_a_list_get_its_kind_and_version() -> None:
    """The API server leaves both out of the items."""
    (item,) = decode_page(page(PODS, pod()), PODS).items
    assert (item.api_version, item.kind) == ("v1", "Pod")


def test_a_page_tells_how_to_go_on() -> None:
    """The continue token and the number of what is to come are kept."""
    got = decode_page(page(PODS, pod(), meta={"continue": "abc", "remainingItemCount": 7}), PODS)
    assert (got.continue_token, got.remaining) == ("abc", 7)


def test_the_last_page_has_no_continue_token() -> None:
    """Missing means that the list is complete."""
    assert decode_page(page(PODS, pod()), PODS).continue_token == ""


def test_a_list_without_items_is_empty() -> None:
    """Go writes an empty list as null."""
    raw = encoded({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": None})
    assert decode_page(raw, PODS).items == ()


def test_one_broken_object_leaves_the_rest_of_its_page() -> None:
    """It is set aside, and named."""
    got = decode_page(page(PODS, pod("good"), pod("bad", containers={}), pod("better")), PODS)
    assert [o.meta.name for o in got.items] == ["good", "better"]
    assert got.broken == ("Pod shop/bad: Expected `array`, got `object` at spec.containers",)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[]", b"null", b'{"kind":"PodList"', b"<html>", encoded({"kind": "Status", "apiVersion": "v1"})],
)
def test_what_is_no_list_is_refused(raw: bytes) -> None:
    """An empty 200, half an answer, a login page and a Status are not empty lists."""
    with pytest.raises(MalformedError, match=r"^pods: "):
        decode_page(raw, PODS)


def test_a_list_of_another_kind_is_refused() -> None:
    """A proxy that mixes up answers must not make a kind look empty."""
    with pytest.raises(MalformedError, match="kind 'NamespaceList'"):
        decode_page(page(NAMESPACES), PODS)


def test_equal_bodies_are_one() -> None:
    """That is what lets a snapshot of many pods fit in memory."""
    interner = Interner()
    first, second = decode_page(
        page(PODS, pod("a", hostPID=True), pod("b", hostPID=True)), PODS, interner=interner
    ).items
    assert first.body is second.body


def test_metadata_of_secrets_gives_their_keys_from_who_manages_them() -> None:
    """The names of managed fields tell the names of the keys; the type stays unknown."""
    fields: dict[str, Any] = {"f:data": {".": {}, "f:password": {}, "f:user": {}}, "f:type": {}}
    item = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"} | {
        "metadata": {"name": "db", "namespace": "shop", "managedFields": [{"fieldsV1": fields}]}
    }
    (got,) = decode_page(page(SECRETS, item, kind="PartialObjectMetadataList"), SECRETS).items
    assert got.ref == msgspec.structs.replace(got.ref, api_version="v1", kind="Secret", namespace="shop", name="db")
    assert msgspec.json.decode(got.body) == {"type": "", "keys": ["password", "user"]}


#: A busy machine is no failure.
PROPERTY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
PODS_AS_WRITTEN: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {"name": st.sampled_from(["a", "b"])}, optional={"labels": st.none() | st.just({})}
        )
    },
    optional={
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "nodeName": st.sampled_from(["n1", "", None]),
                "hostname": st.sampled_from(["a", "x", None, 1]),
                "containers": st.sampled_from([[], [{"name": "app"}], None, {}, [None]]),
                "volumes": st.sampled_from([[{"name": "kube-api-access-abcde"}], [{"name": "data"}]]),
            },
        ),
        "status": st.sampled_from([None, {}, {"phase": "Running"}, {"podIP": "10.0.0.1"}, {"podIPs": None}, []]),
    },
)


@PROPERTY
@given(st.lists(PODS_AS_WRITTEN, max_size=5))
def test_a_page_of_pods_is_its_pods(pods: list[dict[str, Any]]) -> None:
    """The fast way over a page gives what each pod alone gives."""
    objects = []
    broken = []
    for one in pods:
        try:
            objects.append(decode_object(encoded(one), api_version="v1", kind="Pod"))
        except MalformedError as error:
            broken.append(str(error))
    got = decode_page(page(PODS, *pods), PODS)
    assert (got.items, got.broken) == (tuple(objects), tuple(broken))
