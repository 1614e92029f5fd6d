"""A service account reads the node's files where it may read logs, and its own pods write them."""

from typing import Any

import pytest

from scanner.analysis.rbac.log_links import accounts_that_read_node_files
from scanner.model.finding import Outcome
from scanner.model.snapshot import SourceKind
from tests.builders import NOW, binding, cluster_role, container, rule, snapshot, workload

LOGS = cluster_role("logs", rule("get", "pods/log"))
ACCOUNT = "ServiceAccount shop/agent"
BOUND = binding("ClusterRole logs", ACCOUNT)


def _agent(folder: str, **mount: Any) -> dict[str, Any]:
    mounts = [{"name": "logs", "mountPath": "/host"} | mount]
    volumes = [{"name": "logs", "hostPath": {"path": folder}}]
    return workload("agent", container(volumeMounts=mounts), serviceAccountName="agent", volumes=volumes)


def _outcomes(*objects: dict[str, Any], source: SourceKind = SourceKind.LIVE) -> list[Outcome]:
    answers = accounts_that_read_node_files(snapshot(*objects, source=source), now=NOW)
    return [answer.outcome for answer in answers]


@pytest.mark.parametrize("folder", ["/", "/var", "/var/log", "/var/log/", "/var/log/pods", "/var/log/pods/shop"])
def test_folders_that_hold_logs_fail(folder: str) -> None:
    """Whoever writes above, at or below the logs can put a link there."""
    assert _outcomes(LOGS, BOUND, _agent(folder)) == [Outcome.FAIL]


@pytest.mark.parametrize("folder", ["/var/lib", "/var/logs", "/var/log/nginx", "/etc"])
def test_other_folders_are_not_judged(folder: str) -> None:
    """The kubelet reads no log there."""
    assert _outcomes(LOGS, BOUND, _agent(folder)) == []


def test_a_part_of_a_folder_counts_by_itself() -> None:
    """`subPath` narrows down what of the volume is mounted."""
    assert _outcomes(LOGS, BOUND, _agent("/var", subPath="lib/cache")) == []


def test_a_mount_for_reading_is_not_judged() -> None:
    """No link can be made there."""
    assert _outcomes(LOGS, BOUND, _agent("/var/log", readOnly=True)) == []


def test_who_cannot_read_logs_passes() -> None:
    """A link that nobody follows shows nothing."""
    assert _outcomes(_agent("/var/log")) == [Outcome.PASS]


def test_a_right_of_the_namespaces_accounts_counts() -> None:
    """What a group gives is held by the account as well."""
    given = binding("ClusterRole logs", "Group system:serviceaccounts:shop", namespace="shop")
    assert _outcomes(LOGS, given, _agent("/var/log")) == [Outcome.FAIL]


def test_who_may_do_everything_is_not_judged() -> None:
    """That is the finding of another policy."""
    everything = cluster_role("owner", rule("*", "*", group="*"))
    assert _outcomes(everything, binding("ClusterRole owner", ACCOUNT), _agent("/var/log")) == []


def test_a_role_outside_the_files_leaves_it_unknown() -> None:
    """A ClusterRole that the cluster may have already could hold the right."""
    elsewhere = binding("ClusterRole elsewhere", ACCOUNT)
    assert _outcomes(elsewhere, _agent("/var/log"), source=SourceKind.MANIFESTS) == [Outcome.UNKNOWN]
