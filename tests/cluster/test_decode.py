"""Bytes to objects: trimmed, checked, shared; whatever comes in, an object or one clear error comes out."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanner.cluster.decode import MalformedError, decode_object
from scanner.model.objects import LAST_APPLIED, KubeObject
from scanner.model.resources import BY_KIND
from scanner.model.snapshot import Snapshot, SourceKind
from tests.builders import NOW
from tests.builders import snapshot as snapshot_of


def encoded(value: Any) -> bytes:
    """Write JSON."""
    return msgspec.json.encode(value)


def decoded(kind: str, **fields: Any) -> KubeObject:
    """Decode an object of a kind of ours, named `web`."""
    resource = next(r for r in BY_KIND.values() if r.kind == kind)
    version = f"{resource.group}/{resource.versions[0]}".lstrip("/")
    whole = {"apiVersion": version, "kind": kind, "metadata": {"name": "web", "namespace": "shop"}} | fields
    return decode_object(encoded(whole))


def test_an_object_is_named_in_its_error_with_the_field() -> None:
    """One line says which object, and where in it."""
    with pytest.raises(
        MalformedError, match=r"^Deployment shop/web: .* at spec\.template\.spec\.containers\[0\]\.env$"
    ):
        decoded("Deployment", spec={"template": {"spec": {"containers": [{"env": "A=1"}]}}})


def test_managed_fields_are_no_part_of_the_metadata() -> None:
    """Policies judge what is there, whoever set it."""
    got = decoded("Pod", metadata={"name": "web", "managedFields": [{"manager": "kubectl"}]})
    assert "managedFields" not in got.metadata_dict()
    assert [m.manager for m in got.field_managers] == ["kubectl"]


def test_of_what_a_controller_made_no_manager_is_kept() -> None:
    """It is half of a live pod, and says nothing of people."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1", "controller": True}
    metadata = {"name": "web", "managedFields": [{"manager": "kubelet"}], "ownerReferences": [owner]}
    assert not decoded("Pod", metadata=metadata).managers


def test_of_a_secret_no_manager_is_kept() -> None:
    """The names of its keys are known already."""
    assert not decoded("Secret", metadata={"name": "web", "managedFields": [{"manager": "kubectl"}]}).managers


def test_managed_fields_of_another_shape_are_an_error_with_their_place() -> None:
    """As anything else that no API server would take."""
    with pytest.raises(MalformedError, match=r"^Pod web: .* at metadata\.managedFields\[0\]\.manager$"):
        decoded("Pod", metadata={"name": "web", "managedFields": [{"manager": 1}]})


def test_the_last_applied_annotation_is_dropped() -> None:
    """It repeats the whole object, values of Secrets included."""
    got = decoded("Pod", metadata={"name": "web", "annotations": {LAST_APPLIED: "{}", "a": "b"}})
    assert got.meta.annotations == {"a": "b"}


def test_a_status_that_nothing_reads_is_dropped() -> None:
    """Only pods and nodes keep a part of theirs."""
    assert decoded("Deployment", status={"replicas": 3}).status == b""


def test_an_object_of_an_unknown_kind_keeps_its_body() -> None:
    """Policies may ask anything of it."""
    raw = encoded(
        {"apiVersion": "a.b/v1", "kind": "C", "metadata": {"name": "x"}, "spec": None, "data": [1], "status": 1}
    )
    got = decode_object(raw)
    assert (msgspec.json.decode(got.body), got.status) == ({"spec": None, "data": [1]}, b"")


def test_a_null_field_is_a_field_that_is_not_set() -> None:
    """Templates render nulls, and the API server drops them."""
    got = decoded("Deployment", spec={"replicas": None, "template": {"spec": {"securityContext": None}}})
    assert got.as_dict()["spec"] == {"template": {"spec": {}}}


def test_a_null_in_a_map_of_strings_is_empty() -> None:
    """Dropping it would make the selector match more than it does."""
    got = decoded("NetworkPolicy", spec={"podSelector": {"matchLabels": {"app": None}}})
    assert got.as_dict()["spec"] == {"podSelector": {"matchLabels": {"app": ""}}}


def test_a_null_rule_of_a_network_policy_allows_everything() -> None:
    """Go reads `- ` with nothing behind it as an empty rule, which lets everyone in."""
    got = decoded("NetworkPolicy", spec={"podSelector": {}, "ingress": [None]})
    assert got.as_dict()["spec"]["ingress"] == [{}]


def test_a_name_that_the_server_is_to_make_is_its_prefix() -> None:
    """Files have such objects; they need some name."""
    assert decode_object(b'{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"job-"}}').meta.name == "job-"


def test_the_order_of_top_level_fields_makes_no_difference() -> None:
    """Two writers of one object agree."""
    one = decode_object(b'{"apiVersion":"a/v1","kind":"C","metadata":{"name":"x"},"b":1,"a":2}')
    other = decode_object(b'{"a":2,"b":1,"kind":"C","metadata":{"name":"x"},"apiVersion":"a/v1"}')
    assert one == other


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"1",
        b"\xff",
        b'{"apiVersion":"v1","kind":"Pod"}',
        b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"\xff"}}',
        b'{"apiVersion":"v1","kind":"C","metadata":{"name":"x"},"spec":"\xff"}',
        b'{"apiVersion":"v1","kind":"C","metadata":{"name":"x"},"spec":1e999}',
        b'{"apiVersion":"v1","kind":"C","metadata":{"name":"x"},"spec":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","creationTimestamp":"2026-01-01T00:00:00"}}',
        b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","ownerReferences":[{"controller":true}]}}',
        b'{"apiVersion":1,"kind":"Pod","metadata":{"name":"x"}}',
    ],
)
def test_what_is_no_object_is_refused_in_one_line(raw: bytes) -> None:
    """Whatever is wrong with it, the error is ours."""
    with pytest.raises(MalformedError, match=r"^[^\n]{1,300}$"):
        decode_object(raw)


#: A busy machine is no failure.
PROPERTY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
_KEYS = (
    "name namespace labels annotations ownerReferences uid kind apiVersion controller spec template metadata status "
    "containers initContainers volumes nodeName hostname affinity nodeAffinity securityContext rules verbs subjects "
    "roleRef ingress egress podSelector matchLabels selector ports jobTemplate replicas "
    "data type env value phase"
)
KEYS = st.sampled_from(_KEYS.split())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=30,
)
METADATA = st.fixed_dictionaries(
    {"name": st.just("x")},
    optional={"namespace": st.just("shop"), "ownerReferences": VALUES, "annotations": VALUES, "labels": VALUES},
)
OBJECTS = st.builds(
    lambda kind, meta, rest: rest | {"apiVersion": f"{kind.group}/v1".lstrip("/"), "kind": kind.kind, "metadata": meta},
    st.sampled_from(sorted(BY_KIND)),
    METADATA | VALUES,
    st.dictionaries(KEYS, VALUES, max_size=5),
)


@PROPERTY
@given(st.binary(max_size=60) | VALUES.map(encoded) | OBJECTS.map(encoded))
def test_decoding_is_total(raw: bytes) -> None:
    """An object or one clear error, never anything else."""
    try:
        got = decode_object(raw)
    except MalformedError as error:
        assert str(error).count("\n") == 0  # noqa: PT017 - both outcomes are right
    else:
        msgspec.json.decode(got.body)


@PROPERTY
@given(st.lists(OBJECTS, max_size=4))
def test_indexes_of_a_snapshot_hold_whatever_was_decoded(raws: list[dict[str, Any]]) -> None:
    """Nothing behind the decoder has to check again."""
    objects = []
    for raw in raws:
        try:
            objects.append(decode_object(encoded(raw)))
        except MalformedError:
            continue
    seen = Snapshot(
        cluster=snapshot_of().cluster,
        source=SourceKind.MANIFESTS,
        taken_at=NOW,
        objects={kind: tuple(o for o in objects if o.group_kind == kind) for kind in {o.group_kind for o in objects}},
        coverage=(),
    )
    containers = [w.containers for w in seen.workloads]
    statuses = [p.status for w in seen.workloads for p in w.pods]
    whole = [o.as_dict() for o in objects]
    assert (seen.roles, seen.bindings, seen.namespaces, containers, statuses, whole) is not None
