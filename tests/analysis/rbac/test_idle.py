"""Rights that no pod can use are told where nothing was left unread, and only there."""

from typing import Any

import pytest

from scanner.analysis.rbac.idle import idle_accounts
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Outcome
from scanner.model.snapshot import SourceKind
from tests.builders import NOW, binding, cluster_role, rule, snapshot, workload


def account(name: str = "cart") -> dict[str, Any]:
    """Make a service account."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "shop"}}


def granted(name: str = "cart") -> list[dict[str, Any]]:
    """Make a service account with a right."""
    return [
        account(name),
        cluster_role("reader", rule("get", "pods")),
        binding("ClusterRole reader", f"ServiceAccount shop/{name}"),
    ]


def outcomes(*objects: dict[str, Any], **options: Any) -> list[Outcome]:
    """Return what is said of each account."""
    return [answer.outcome for answer in idle_accounts(snapshot(*objects, **options), now=NOW)]


def test_account_that_nothing_runs_as_fails() -> None:
    """Its rights wait for whoever gets its token."""
    assert outcomes(*granted()) == [Outcome.FAIL]


def test_account_whose_token_is_carried_passes() -> None:
    """What runs may use it."""
    assert outcomes(*granted(), workload(serviceAccountName="cart")) == [Outcome.PASS]


def test_account_whose_token_is_not_mounted_fails() -> None:
    """Who runs as it without its token can use nothing of it."""
    pods = workload(serviceAccountName="cart", automountServiceAccountToken=False)
    assert outcomes(*granted(), pods) == [Outcome.FAIL]


def test_account_with_a_token_in_a_secret_passes() -> None:
    """Someone made it for use elsewhere."""
    metadata = {"name": "t", "namespace": "shop", "annotations": {"kubernetes.io/service-account.name": "cart"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    assert outcomes(*granted(), secret) == [Outcome.PASS]


@pytest.mark.parametrize("objects", [granted("default"), granted()[1:], [account()]])
def test_what_other_policies_say_is_not_said_twice(objects: list[dict[str, Any]]) -> None:
    """Default accounts, accounts that don't exist, and accounts without rights are left out."""
    assert outcomes(*objects) == []


def test_files_prove_nothing() -> None:
    """What runs may be elsewhere."""
    assert outcomes(*granted(), source=SourceKind.MANIFESTS) == [Outcome.UNKNOWN]


def test_pods_that_were_not_read_leave_it_unknown() -> None:
    """Never wrong by ignorance."""
    reads = [Read(resource="pods", state=ReadState.FORBIDDEN, reason="grant list on pods")]
    assert outcomes(*granted(), coverage=reads) == [Outcome.UNKNOWN]
