"""`plimsoll scan`: the report that scripts depend on."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from scanner.model.policy import Severity
from tests.cli.running import EXAMPLE, REPOSITORY, plimsoll

HOSTILE = """\
apiVersion: v1
kind: Pod
metadata: {name: evil, namespace: default, labels: {app: evil}}
spec:
  containers:
    - name: "c\\e[31m\\u202eevil\\nforged line"
      image: "img\\e]0;title\\a"
      securityContext: {privileged: true}
"""


def test_the_json_report_has_the_contracted_shape() -> None:
    """Every field that the contract names, with its type."""
    report = plimsoll("scan", "--manifests", EXAMPLE, "-o", "json").json
    assert (report["apiVersion"], report["kind"], report["cluster"]) == (
        "plimsoll.dev/v1",
        "ScanReport",
        "manifests",
    )
    assert {"startedAt", "coverage", "summary", "results"} <= report.keys()
    assert all(read["state"] == "complete" for read in report["coverage"])
    for result in report["results"]:
        assert {"policy", "outcome", "severity", "confidence", "resource", "message", "evidence", "frameworks"} <= (
            result.keys()
        )
        assert result["resource"].keys() == {"apiVersion", "kind", "namespace", "name", "uid"}
        assert result["outcome"] in {"fail", "unknown"}
        assert isinstance(result["evidence"], list)
    order = [(r["policy"], r["resource"]["kind"], r["resource"]["namespace"]) for r in report["results"]]
    assert [policy for policy, *_ in order] == sorted(policy for policy, *_ in order)


def test_one_result_per_root_owner_points_at_the_container() -> None:
    """The container and the path in the object that a person edits."""
    report = plimsoll("scan", "--manifests", EXAMPLE, "-o", "json", "--policies", "pods/privileged-container").json
    (result,) = report["results"]
    assert result["resource"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "namespace": "warehouse",
        "name": "label-printer",
        "uid": "",
    }
    assert result["container"] == "printer"
    assert result["path"] == "spec.template.spec.containers[0].securityContext.privileged"
    assert report["summary"]["failed"] == 1


def test_all_outcomes_lists_passes() -> None:
    """One for every other workload."""
    chosen = ("scan", "--manifests", EXAMPLE, "-o", "json", "--policies", "pods/privileged-container")
    every = plimsoll(*chosen, "--all-outcomes").json
    passes = [r for r in every["results"] if r["outcome"] == "pass"]
    assert len(passes) == every["summary"]["passed"] == plimsoll(*chosen).json["summary"]["passed"] > 5


@pytest.mark.parametrize("severity", list(Severity))
def test_fail_on_exits_with_1_at_or_above_a_severity(severity: Severity) -> None:
    """`pods/privileged-container` is high: critical lets it pass."""
    chosen = ("scan", "--manifests", EXAMPLE, "--policies", "pods/privileged-container", "--fail-on", severity)
    assert plimsoll(*chosen).status == (0 if severity is Severity.CRITICAL else 1)


def test_skip_leaves_policies_out() -> None:
    """By glob."""
    report = plimsoll("scan", "--manifests", EXAMPLE, "-o", "json", "--skip", "pods/*", "network/*").json
    areas = {result["policy"].partition("/")[0] for result in report["results"]}
    assert areas
    assert not areas & {"pods", "network"}


def test_a_broken_document_is_named_and_the_rest_is_scanned(tmp_path: Path) -> None:
    """Status 3, with file, document and line in the coverage."""
    good = (EXAMPLE / "warehouse.yaml").read_text()
    (tmp_path / "mixed.yaml").write_text("a: [1\n---\n" + good)
    ended = plimsoll("scan", "--manifests", tmp_path, "-o", "json", "--policies", "pods/privileged-container")
    assert ended.status == 3
    reasons = [read["reason"] for read in ended.json["coverage"] if read["resource"] == "manifests"]
    assert len(reasons) == 1
    assert "mixed.yaml" in reasons[0]
    assert "line" in reasons[0]
    assert any(r["resource"]["name"] == "label-printer" for r in ended.json["results"])


def test_standard_input_is_scanned() -> None:
    """As Helm renders it."""
    rendered = b"---\n# Source: chart/templates/x.yaml\n" + (EXAMPLE / "warehouse.yaml").read_bytes()
    ended = plimsoll("scan", "--manifests", "-", "-o", "json", stdin=rendered)
    assert any(r["policy"] == "pods/privileged-container" for r in ended.json["results"])


def test_a_saved_snapshot_gives_the_same_results(tmp_path: Path) -> None:
    """Judged elsewhere or later."""
    saved = tmp_path / "company.snapshot"
    assert plimsoll("snapshot", "--manifests", EXAMPLE, "-o", saved).status == 0
    direct = plimsoll("scan", "--manifests", EXAMPLE, "-o", "json").json
    later = plimsoll("scan", "--snapshot", saved, "-o", "json").json
    assert later["results"] == direct["results"]
    assert later["summary"] == direct["summary"]


def test_the_table_is_for_people_and_forges_nothing(tmp_path: Path) -> None:
    """No control character of an object reaches the terminal."""
    (tmp_path / "evil.yaml").write_text(HOSTILE)
    shown = plimsoll("scan", "--manifests", tmp_path, "--policies", "pods/privileged-container")
    assert "HIGH     Container runs privileged  (1 resource)" in shown.out
    assert "\x1b" not in shown.out
    assert "\u202e" not in shown.out
    assert "\nforged line" not in shown.out
    assert msgspec.json.decode(plimsoll("scan", "--manifests", tmp_path, "-o", "json").out)


def test_nothing_of_the_service_is_imported_for_a_scan(tmp_path: Path) -> None:
    """A scan of one small file must start at once."""
    (tmp_path / "pod.yaml").write_text(HOSTILE)
    program = (
        "import sys\nfrom scanner.cli.main import main\n"
        f"main(['scan', '--manifests', {str(tmp_path)!r}, '-o', 'json'])\n"
        "heavy = {'fastapi', 'sqlalchemy', 'sqlmodel', 'pydantic', 'kubernetes', 'apscheduler', 'alembic', 'rich'}\n"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert ended.stderr.splitlines()[-1] == "[]"


def test_expected_failures_fail_no_build() -> None:
    """Kubernetes' own cluster administrators are in the report, and neither counted nor fatal."""
    own = REPOSITORY / "policies" / "rbac" / "cluster-admin-bound" / "pass.yaml"
    chosen = ("scan", "--manifests", own, "--policies", "rbac/cluster-admin-bound", "--fail-on", "low")
    ended = plimsoll(*chosen, "-o", "json")
    assert (ended.status, ended.json["summary"]["failed"], ended.json["summary"]["expected"]) == (0, 0, 1)
    assert "Group system:masters" in plimsoll(*chosen, "--show-expected").out
    assert "Group system:masters" not in plimsoll(*chosen).out
