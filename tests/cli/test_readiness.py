"""`plimsoll readiness`: six chapters for each workload and application, as text, JSON and a page."""

import json
from pathlib import Path

import pytest

from scanner.model.policy import Chapter
from tests.cli.running import EXAMPLE, plimsoll

CHAPTERS = ["high-availability", "performance", "security", "monitoring", "logging", "operations"]

HOSTILE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  labels: {app.kubernetes.io/part-of: '<script>alert(1)</script>'}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: '"><img src=x onerror=alert(1)>', image: "registry.example.com/a\\e[31m:1"}]
"""


def test_every_workload_has_six_chapters_in_their_order() -> None:
    """Each with a verdict, and with a reason, evidence and a fix where it is not ready."""
    report = plimsoll("readiness", "--manifests", EXAMPLE, "-o", "json").json
    assert (report["apiVersion"], report["kind"]) == ("plimsoll.dev/v1", "ReadinessReport")
    workloads = [w for a in report["applications"] for w in a["workloads"]]
    assert len(workloads) > 8
    for workload in workloads:
        assert [c["chapter"] for c in workload["chapters"]] == CHAPTERS == list(Chapter)
        for chapter in workload["chapters"]:
            assert chapter["verdict"] in {"ready", "not-ready", "unknown"}
            assert all(f["message"] and f["fix"] and f["id"] for f in chapter["failures"])
            if chapter["failures"]:
                assert chapter["verdict"] == "not-ready"


def test_everything_that_it_says_is_a_finding_of_a_scan() -> None:
    """By the ids that the service keeps."""
    report = plimsoll("readiness", "--manifests", EXAMPLE, "-o", "json").json
    found = {r["id"] for r in plimsoll("scan", "--manifests", EXAMPLE, "-o", "json").json["results"]}
    said = {
        reason["id"]
        for holder in (*report["surroundings"], *(w for a in report["applications"] for w in a["workloads"]))
        for chapter in holder["chapters"]
        for reason in (*chapter["failures"], *chapter["unknowns"])
    } | {reason["id"] for reason in report["others"]}
    assert len(said) > 50
    assert said <= found


def test_an_application_is_as_ready_as_its_least_ready_workload() -> None:
    """In each chapter."""
    order = ["not-ready", "unknown", "ready"]
    for application in plimsoll("readiness", "--manifests", EXAMPLE, "-o", "json").json["applications"]:
        for place, chapter in enumerate(CHAPTERS):
            verdicts = [w["chapters"][place]["verdict"] for w in application["workloads"]]
            assert application["verdicts"][chapter] == min(verdicts, key=order.index)


def test_a_namespace_can_be_asked_for_alone() -> None:
    """Of files too; what concerns the whole cluster is still said."""
    report = plimsoll("readiness", "-n", "shop", "--manifests", EXAMPLE, "-o", "json").json
    assert {a["namespace"] for a in report["applications"]} == {"shop"}
    assert {s["namespace"] for s in report["surroundings"]} == {"", "shop"}


def test_a_chapter_that_no_policy_was_asked_about_is_unknown() -> None:
    """Silence is no pass."""
    asked = ("readiness", "--manifests", EXAMPLE, "--policies", "readiness/no-spread", "-o", "json")
    for application in plimsoll(*asked).json["applications"]:
        verdicts = application["verdicts"]
        assert {verdicts[chapter] for chapter in CHAPTERS[1:]} == {"unknown"}
        assert verdicts["high-availability"] in {"ready", "not-ready"}


def test_the_table_names_verdict_and_reason() -> None:
    """In words."""
    ended = plimsoll("readiness", "--manifests", EXAMPLE)
    assert (ended.status, ended.err) == (0, "")
    assert "    High availability            not ready\n" in ended.out
    assert "[readiness/no-readiness-probe]" in ended.out


@pytest.mark.parametrize("output", ["table", "json", "html"])
def test_a_hostile_manifest_forges_nothing(tmp_path: Path, output: str) -> None:
    """No markup and no control character of an object reaches the page or the terminal."""
    (tmp_path / "web.yaml").write_text(HOSTILE)
    shown = plimsoll("readiness", "--manifests", tmp_path, "-o", output).out
    assert "\x1b" not in shown
    if output == "html":
        assert "<script" not in shown
        assert "<img" not in shown
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    if output == "json":
        json.loads(shown)


def test_the_page_needs_nothing_but_itself() -> None:
    """One file with a policy that forbids the rest."""
    page = plimsoll("readiness", "--manifests", EXAMPLE, "-o", "html").out
    assert 'Content-Security-Policy" content="default-src &#x27;none&#x27;' in page
    for foreign in ("src=", 'http-equiv="refresh"', "@import", "url(", "<script", "<link", "style="):
        assert foreign not in page.split("</style>")[1].replace("default-src=", "")
    assert page.count("<h1>") == 1
    assert '<html lang="en">' in page
