"""References to Secrets that do not exist, and tokens that never expire."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from scanner.analysis.secrets.references import legacy_tokens, missing_references
from scanner.cluster.decode import decode_secret_metadata
from scanner.model.answer import Answer
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Outcome
from scanner.model.policy import Severity
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import SourceKind
from tests.builders import NOW, binding, cluster_role, container, rule, snapshot, workload

SECRETS_UNREAD = [
    Read(resource=r.name, state=ReadState.SKIPPED if r.name == "secrets" else ReadState.COMPLETE) for r in RESOURCES
]


def _secret(name: str = "db", *keys: str, **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": dict.fromkeys(keys, "eA==")} | fields


def _using(key: str = "password", **more: Any) -> dict[str, Any]:
    reference = {"name": "db", "key": key} | more
    return workload("cart", container(env=[{"name": "P", "valueFrom": {"secretKeyRef": reference}}]))


def _answers(*objects: Mapping[str, Any], **options: Any) -> list[tuple[str, Outcome, Sequence[str]]]:
    found: list[Answer] = list(missing_references(snapshot(*objects, **options), now=NOW))
    return [(str(a.resource), a.outcome, a.missing) for a in found]


def test_a_secret_that_does_not_exist_fails_where_secrets_were_read() -> None:
    """A live cluster of which all Secrets are known proves absence."""
    assert _answers(_using()) == [("Deployment shop/cart", Outcome.FAIL, ())]


def test_a_key_that_its_secret_lacks_fails() -> None:
    """The container would not start."""
    assert _answers(_using(), _secret("db", "user")) == [("Deployment shop/cart", Outcome.FAIL, ())]


def test_a_secret_with_the_key_passes() -> None:
    """Everything that is needed is there."""
    assert _answers(_using(), _secret("db", "password")) == [("Deployment shop/cart", Outcome.PASS, ())]


def test_a_secret_of_another_namespace_does_not_count() -> None:
    """Pods read the Secrets of their own namespace."""
    other = _secret("db", "password") | {"metadata": {"name": "db", "namespace": "payments"}}
    assert _answers(_using(), other) == [("Deployment shop/cart", Outcome.FAIL, ())]


def test_an_optional_reference_is_not_needed() -> None:
    """The pod starts without it."""
    assert _answers(_using(optional=True)) == []


def test_unread_secrets_are_unknown_once_for_a_namespace() -> None:
    """A thousand workloads give one answer that names the read."""
    objects = [_using() | {"metadata": {"name": f"w{i}", "namespace": "shop"}} for i in range(3)]
    assert _answers(*objects, coverage=SECRETS_UNREAD) == [("Namespace shop", Outcome.UNKNOWN, ("list secrets",))]


def test_in_files_a_secret_that_was_not_seen_is_unknown() -> None:
    """Secrets are seldom kept beside the manifests."""
    assert _answers(_using(), source=SourceKind.MANIFESTS) == [("Namespace shop", Outcome.UNKNOWN, ("list secrets",))]


@pytest.mark.parametrize(
    ("api_version", "kind", "name", "spec"),
    [
        ("bitnami.com/v1alpha1", "SealedSecret", "db", {}),
        ("external-secrets.io/v1", "ExternalSecret", "from-vault", {"target": {"name": "db"}}),
        ("external-secrets.io/v1", "ExternalSecret", "db", {}),
        ("cert-manager.io/v1", "Certificate", "front", {"secretName": "db"}),
    ],
)
def test_a_secret_that_a_controller_makes_is_there(
    api_version: str, kind: str, name: str, spec: dict[str, Any]
) -> None:
    """Its custom resource names it."""
    maker = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec}
    assert _answers(_using(), maker, source=SourceKind.MANIFESTS) == [("Deployment shop/cart", Outcome.PASS, ())]


def _legacy(*objects: Mapping[str, Any]) -> list[Outcome]:
    return [a.outcome for a in legacy_tokens(snapshot(*objects), now=NOW)]


def test_a_secret_of_the_token_type_fails() -> None:
    """Such a token is valid until it is deleted."""
    assert _legacy(_secret("t", type="kubernetes.io/service-account-token")) == [Outcome.FAIL]


def test_another_secret_with_the_annotation_is_no_token() -> None:
    """Only the type makes the token controller fill a Secret."""
    annotated = _secret("t")
    annotated["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "cart"}
    assert _legacy(annotated) == [Outcome.PASS]


@pytest.mark.parametrize(
    ("key", "account", "outcome"),
    [("token", "cart", Outcome.FAIL), (".dockercfg", "cart", Outcome.PASS), ("token", "", Outcome.PASS)],
)
def test_metadata_alone_tells_a_token_by_annotation_and_key(key: str, account: str, outcome: Outcome) -> None:
    """OpenShift's registry logins name their service account as well."""
    metadata = {
        "name": "t",
        "namespace": "shop",
        "annotations": {"kubernetes.io/service-account.name": account} if account else {},
        "managedFields": [{"manager": "x", "fieldsV1": {"f:data": {f"f:{key}": {}}}}],
    }
    read = decode_secret_metadata(msgspec.json.encode({"metadata": metadata}))
    world = replace(snapshot(), objects={read.group_kind: (read,)})
    assert [a.outcome for a in legacy_tokens(world, now=NOW)] == [outcome]


_EVERYTHING = cluster_role("owner", rule("*", "*", group="*"))
_ANYTHING = cluster_role("reader", rule("get", "pods"))


@pytest.mark.parametrize(
    ("granted", "severity"),
    [
        ((), Severity.LOW),
        ((binding("ClusterRole system:basic-user", "Group system:authenticated"),), Severity.LOW),
        ((_ANYTHING, binding("ClusterRole reader", "ServiceAccount shop/cart", namespace="shop")), None),
        ((_ANYTHING, binding("ClusterRole reader", "ServiceAccount shop/cart")), Severity.HIGH),
        ((_ANYTHING, binding("ClusterRole reader", "Group system:serviceaccounts:shop")), Severity.HIGH),
        ((_EVERYTHING, binding("ClusterRole owner", "ServiceAccount shop/cart", namespace="shop")), None),
        ((_EVERYTHING, binding("ClusterRole owner", "ServiceAccount shop/cart")), Severity.CRITICAL),
    ],
)
def test_a_lasting_token_weighs_what_its_account_may_do(
    granted: tuple[dict[str, Any], ...], severity: Severity | None
) -> None:
    """Everything, anything in the whole cluster, something in a namespace, nothing."""
    token = _secret("t", type="kubernetes.io/service-account-token")
    token["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "cart"}
    (answer,) = legacy_tokens(snapshot(token, *granted), now=NOW)
    assert answer.severity is severity


def test_a_lasting_token_weighs_no_less_where_bindings_were_not_read() -> None:
    """What is not known makes nothing milder."""
    token = _secret("t", type="kubernetes.io/service-account-token")
    token["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "cart"}
    (answer,) = legacy_tokens(snapshot(token, source=SourceKind.MANIFESTS), now=NOW)
    assert answer.severity is None
