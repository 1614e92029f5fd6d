"""`plimsoll rbac fix`, and the patches in a scan's report."""

from pathlib import Path

import pytest
import yaml

from tests.cli.running import plimsoll

MANIFESTS = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
  - {verbs: [get, list], apiGroups: [""], resources: [pods, secrets]}
  - {verbs: [create], apiGroups: [""], resources: [pods/exec]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: readers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: owners}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: User, name: "joe; reboot", apiGroup: rbac.authorization.k8s.io}]
"""


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """A file with three findings."""
    file = tmp_path / "rbac.yaml"
    file.write_text(MANIFESTS)
    return file


def test_a_report_holds_patches(manifests: Path) -> None:
    """Each finding about RBAC has its own."""
    report = plimsoll(
        "scan", "--manifests", manifests, "--policies", "rbac/read-secrets", "-o", "json", "--patches"
    ).json
    (patch,) = report["results"][0]["patch"]
    assert (patch["action"], patch["resource"]["name"]) == ("patch", "reader")


def test_a_finding_is_fixed_by_its_id(manifests: Path) -> None:
    """The id is that of the report."""
    report = plimsoll(
        "scan", "--manifests", manifests, "--policies", "rbac/read-secrets", "-o", "json", "--patches"
    ).json
    (finding,) = report["results"]
    (fixed,) = plimsoll("rbac", "fix", finding["id"], "--manifests", manifests, "-o", "json").json
    assert (fixed["finding"], fixed["operations"]) == (finding["id"], finding["patch"])


def test_a_diff_shows_what_changes(manifests: Path) -> None:
    """Line by line, each object under its name."""
    shown = plimsoll("rbac", "fix", "--policy", "rbac/read-secrets", "--manifests", manifests)
    assert [line for line in shown.out.splitlines() if line.startswith(("-", "+"))] == [
        "--- a/ClusterRole/reader",
        "+++ b/ClusterRole/reader",
        "-  - secrets",
    ]


def test_what_was_applied_has_no_finding_any_more(manifests: Path, tmp_path: Path) -> None:
    """The YAML of several fixes holds all of them: what it writes is clean."""
    policies = ("rbac/read-secrets", "rbac/exec-into-pods")
    asked = [word for policy in policies for word in ("--policy", policy)]
    text = plimsoll("rbac", "fix", *asked, "--manifests", manifests, "-o", "yaml").out
    after = [*yaml.safe_load_all(text), *list(yaml.safe_load_all(MANIFESTS))[1:2]]
    (tmp_path / "after.yaml").write_text(yaml.safe_dump_all(after))
    scanned = plimsoll("scan", "--manifests", tmp_path / "after.yaml", "--policies", *policies, "-o", "json").json
    assert scanned["results"] == []


def test_deletions_are_commands(manifests: Path) -> None:
    """`kubectl apply` deletes nothing; in the stream they are comments."""
    text = plimsoll("rbac", "fix", "--policy", "rbac/cluster-admin-bound", "--manifests", manifests, "-o", "yaml").out
    assert text.splitlines()[-1] == "# kubectl delete clusterrolebindings.rbac.authorization.k8s.io owners"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "name findings by their id, or policies with --policy"),
        (["0" * 32], "no finding of rbac/* has the id"),
        (["--policy", "pods/*"], "only findings of rbac/* have fixes"),
        (["--policy", "rbac/nothing"], "no policy is named"),
    ],
)
def test_what_cannot_be_meant_is_refused(manifests: Path, arguments: list[str], complaint: str) -> None:
    """With one line and status 2."""
    ended = plimsoll("rbac", "fix", *arguments, "--manifests", manifests)
    assert ended.status == 2
    assert complaint in ended.err
