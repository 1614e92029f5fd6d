"""Secrets that lie wider or longer than they need to."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from scanner.analysis.secrets.width import given_wider, helm_histories, mutable_secrets
from scanner.cluster.decode import decode_secret_metadata
from scanner.model.finding import Outcome
from scanner.model.secret import SecretBody
from tests.builders import NOW, container, pod, snapshot, workload

CHANGED = "2026-01-02T10:00:00Z"


def wide(*objects: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return which containers have too much, with the Secret."""
    answers = given_wider(snapshot(*objects), now=NOW)
    return [(f.container, str(f.value)) for a in answers if a.outcome is Outcome.FAIL for f in a.evidence]


TAKES_ALL = {"envFrom": [{"secretRef": {"name": "db"}}]}
TAKES_ONE = {"env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}}]}
MOUNTS = {"volumeMounts": [{"name": "tls", "mountPath": "/tls/"}]}
TLS = {"name": "tls", "secret": {"secretName": "web-tls"}}


def test_a_secret_in_several_containers_is_too_wide_where_single_keys_are_named_too() -> None:
    """An injected or added container counts as those of the template do."""
    added = pod("cart-0", owner="Deployment cart", ephemeralContainers=[container("debug", **TAKES_ALL)])
    assert wide(workload("cart", container("app", **TAKES_ALL), container("job", **TAKES_ONE)), added) == [
        ("app", "db"),
        ("debug", "db"),
    ]


def test_all_of_a_secret_in_one_image_is_not_too_wide() -> None:
    """What one program needs, its init container may need as well."""
    app = container("app", **TAKES_ALL)
    assert not wide(workload("cart", app, container("job", **TAKES_ONE), initContainers=[app | {"name": "init"}]))


@pytest.mark.parametrize(
    ("sidecar", "expected"),
    [
        (container("log", args=["--all"], **MOUNTS), [("log", "web-tls")]),
        (container("log", args=["--all", "/tls2/x"], **MOUNTS), [("log", "web-tls")]),
        (container("log", args=["--in=/tls/tls.crt"], **MOUNTS), []),
        (container("log", args=["--all"], env=[{"name": "TLS", "value": "/tls"}], **MOUNTS), []),
        (container("log", **MOUNTS), []),
        (container("log", args=["--all"], envFrom=[{"configMapRef": {"name": "c"}}], **MOUNTS), []),
        (
            container(
                "log",
                args=["-c", "/etc/c"],
                volumeMounts=[*MOUNTS["volumeMounts"], {"name": "c", "mountPath": "/etc/c"}],
            ),
            [],
        ),
        (
            container(
                "log", args=["--all"], volumeMounts=[{"name": "tls", "mountPath": "/tls/a", "subPath": "ca.crt"}]
            ),
            [],
        ),
    ],
)
def test_a_mounted_secret_is_too_wide_where_only_another_container_names_its_folder(
    sidecar: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """Unless its image or a ConfigMap may tell it where to look."""
    volumes = [TLS, {"name": "c", "projected": {"sources": [{"configMap": {"name": "c"}}]}}]
    web = container("web", args=["--tls-folder", "/tls"], **MOUNTS)
    assert wide(workload("cart", web, sidecar, volumes=volumes)) == expected


def test_a_storage_drivers_credentials_are_in_no_container() -> None:
    """Only what a volume shows counts."""
    volume = {"name": "tls", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "db"}}}
    web = container("web", args=["/tls"], **MOUNTS)
    assert not wide(workload("cart", web, container("log", args=["x"], **MOUNTS), volumes=[volume]))


def test_metadata_tells_whether_a_secret_is_immutable_and_when_it_changed() -> None:
    """By what its managers wrote, and when."""
    managed = [
        {"time": "2026-01-01T10:00:00Z", "fieldsV1": {"f:data": {"f:p": {}}, "f:immutable": {}}},
        {"time": CHANGED, "fieldsV1": {"f:metadata": {}}},
    ]
    found = decode_secret_metadata(_metadata(managed)).decode(SecretBody)
    assert found.immutable
    assert found.changed_at == dt.datetime(2026, 1, 2, 10, tzinfo=dt.UTC)


@pytest.mark.parametrize("time", ["yesterday", "2026-01-01T10:00:00", None])
def test_a_time_that_cannot_be_read_is_no_time(time: str | None) -> None:
    """Nothing says then when it changed."""
    found = decode_secret_metadata(_metadata([{"time": time, "fieldsV1": {}}]))
    assert found.decode(SecretBody).changed_at is None


def _metadata(managed: list[dict[str, Any]]) -> bytes:
    return msgspec.json.encode({"metadata": {"name": "db", "namespace": "shop", "managedFields": managed}})


TAKING = workload("cart", container(envFrom=[{"secretRef": {"name": "db"}}]))


def mutable(**metadata: Any) -> Iterator[tuple[str, str]]:
    """Judge one Secret that a container is given."""
    thing = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"} | metadata}
    for answer in mutable_secrets(snapshot(thing, TAKING), now=NOW, days=90):
        yield answer.outcome, str(answer.resource)


def test_a_secret_without_managed_fields_is_unknown() -> None:
    """Nothing tells whether it was changed."""
    assert list(mutable(creationTimestamp=CHANGED)) == [("unknown", "Secret shop/db")]


def test_what_another_object_owns_is_its_controllers_to_change() -> None:
    """Such as a Secret that External Secrets renews."""
    owner = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "db", "uid": "1"}
    assert list(mutable(creationTimestamp=CHANGED, ownerReferences=[owner])) == [("pass", "Secret shop/db")]


def test_revisions_are_counted_by_release_and_namespace() -> None:
    """Names of releases may hold dots; other Secrets are none."""
    names = [f"sh.helm.release.v1.a.v1.v{n}" for n in range(3)] + ["sh.helm.release.v1.a.v1", "sh.helm.release.v1.b"]
    names.append(f"sh.helm.release.v1.a.v1.v{'9' * 5000}")
    things = [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": n, "namespace": "shop"}} for n in names]
    found = list(helm_histories(snapshot(*things), now=NOW, revisions=2))
    assert [(a.outcome, str(a.resource), a.key) for a in found] == [("fail", "Namespace shop", "a.v1")]
