"""Which workloads carry tokens that nothing needs."""

from collections.abc import Mapping
from typing import Any

import pytest

from scanner.analysis.secrets.tokens import default_accounts, granted_accounts, has_grants, useless_tokens
from scanner.model.answer import Answer
from scanner.model.coverage import Read, ReadState
from scanner.model.finding import Outcome
from scanner.model.policy import Severity
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import SourceKind
from tests.builders import NOW, RBAC_V1, binding, pod, snapshot, workload
from tests.policy.api_server import api_server
from tests.services import ControlPlane


def _account(name: str = "cart", automount: bool | None = None) -> dict[str, Any]:
    field = {} if automount is None else {"automountServiceAccountToken": automount}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "shop"}} | field


def _useless(*objects: Mapping[str, Any], **options: Any) -> list[Answer]:
    return list(useless_tokens(snapshot(*objects, **options), now=NOW))


def _outcome(*objects: Mapping[str, Any], **options: Any) -> Outcome:
    (answer,) = _useless(*objects, **options)
    return answer.outcome


@pytest.mark.parametrize(
    ("of_pod", "of_account", "mounted"),
    [
        (None, None, True),
        (None, True, True),
        (None, False, False),
        (True, None, True),
        (True, False, True),
        (False, None, False),
        (False, True, False),
    ],
)
def test_the_pod_decides_before_its_account(of_pod: bool | None, of_account: bool | None, mounted: bool) -> None:
    """Unset in both, the token is mounted."""
    field: dict[str, Any] = {} if of_pod is None else {"automountServiceAccountToken": of_pod}
    found = _outcome(_account(automount=of_account), workload(serviceAccountName="cart", **field))
    assert (found is Outcome.FAIL) is mounted


@pytest.mark.parametrize(
    ("role", "subject", "namespace", "useful"),
    [
        ("Role a", "ServiceAccount shop/cart", "shop", True),
        ("ClusterRole view", "ServiceAccount shop/cart", "payments", True),
        ("ClusterRole view", "User system:serviceaccount:shop:cart", "", True),
        ("ClusterRole view", "Group system:serviceaccounts:shop", "", True),
        ("ClusterRole view", "Group system:serviceaccounts", "", True),
        ("ClusterRole view", "Group system:authenticated", "", True),
        ("ClusterRole view", "ServiceAccount payments/cart", "", False),
        ("ClusterRole view", "Group system:serviceaccounts:payments", "", False),
        ("ClusterRole view", "User cart", "", False),
        ("ClusterRole system:discovery", "Group system:authenticated", "", False),
        ("ClusterRole system:basic-user", "Group system:authenticated", "", False),
    ],
)
def test_a_token_is_of_use_if_a_binding_means_its_account(
    role: str, subject: str, namespace: str, useful: bool
) -> None:
    """By name, as a user, or by a group; what everyone may do does not count."""
    found = _outcome(_account(), workload(serviceAccountName="cart"), binding(role, subject, namespace=namespace))
    assert (found is Outcome.PASS) is useful


@pytest.mark.control_plane
def test_what_a_fresh_cluster_binds_gives_a_pod_nothing(control_plane: ControlPlane) -> None:
    """What the API server binds to all service accounts is what everyone may do, and no use for a token."""
    with api_server(control_plane) as server:
        listed = server.client.get(f"/apis/{RBAC_V1}/clusterrolebindings").raise_for_status().json()["items"]
    own = [b for b in listed if b["metadata"].get("labels", {}).get("kubernetes.io/bootstrapping") == "rbac-defaults"]
    made = [{"apiVersion": RBAC_V1, "kind": "ClusterRoleBinding"} | b for b in own]
    granted = granted_accounts(snapshot(*made))
    assert (len(made) > 10, has_grants(granted, "shop", "cart")) == (True, False)


def test_a_subject_without_namespace_means_that_of_its_binding() -> None:
    """A RoleBinding may leave it out in files."""
    found = _outcome(
        _account(), workload(serviceAccountName="cart"), binding("Role a", "ServiceAccount cart", namespace="shop")
    )
    assert found is Outcome.PASS


def test_vaults_agent_needs_the_token() -> None:
    """It logs in to Vault with it."""
    injected = {"vault.hashicorp.com/agent-inject": "true"}
    assert _outcome(_account(), workload(serviceAccountName="cart", annotations=injected)) is Outcome.PASS


def test_unread_bindings_make_it_unknown() -> None:
    """A binding that could not be listed may give rights."""
    reads = [
        Read(resource=r.name, state=ReadState.FORBIDDEN if r.plural == "rolebindings" else ReadState.COMPLETE)
        for r in RESOURCES
    ]
    (answer,) = _useless(_account(), workload(serviceAccountName="cart"), coverage=reads)
    assert (answer.outcome, answer.missing) == (Outcome.UNKNOWN, ("list rolebindings.rbac.authorization.k8s.io",))


def test_in_files_an_account_that_is_not_there_is_unknown() -> None:
    """Its bindings lie where it lies."""
    assert _outcome(workload(serviceAccountName="cart"), source=SourceKind.MANIFESTS) is Outcome.UNKNOWN


def test_static_pods_have_no_token() -> None:
    """The API server lets their mirror pods have no service account."""
    mirror = pod("kube-proxy-n1", annotations={"kubernetes.io/config.mirror": "f00d"})
    assert not list(default_accounts(snapshot(mirror), now=NOW))


def test_rights_of_the_default_account_make_it_worse() -> None:
    """Every pod that names no account has them."""
    grant = binding("ClusterRole edit", "ServiceAccount shop/default", namespace="shop")
    severities = [
        answer.severity
        for objects in ((workload(),), (workload(), grant))
        for answer in default_accounts(snapshot(*objects), now=NOW)
    ]
    assert severities == [None, Severity.HIGH]


def test_the_default_account_may_keep_its_token_to_itself() -> None:
    """Then a pod that names no account carries none."""
    (answer,) = default_accounts(snapshot(_account("default", automount=False), workload()), now=NOW)
    assert answer.outcome is Outcome.PASS
