"""`plimsoll scan --exceptions`: what people accept is marked and ends no pipeline; what is wrong is told."""

from pathlib import Path
from typing import Any

from tests.cli.running import EXAMPLE, Run, plimsoll

POLICY = "pods/host-port"
ACCEPTED = f"""
- policy: {POLICY}
  scope: {{namespace: warehouse, kind: Deployment, name: stock-keeper, container: stock}}
  owner: team-warehouse
  reason: moves to a Service in spring
  ticket: WH-7
  expires: 2100-01-01
"""


def scan(folder: Path, text: str, *arguments: str) -> Run:
    """Scan the example company with a file of exceptions."""
    file = folder / "exceptions.yaml"
    file.write_text(text)
    days = ("--exception-max-days", "36500")
    return plimsoll("scan", "--manifests", EXAMPLE, "--policies", POLICY, "--exceptions", file, *days, *arguments)


def only(run: Run) -> dict[str, Any]:
    """Return the one result."""
    (result,) = run.json["results"]
    return dict(result)


def test_an_accepted_finding_is_marked_and_does_not_fail_the_run(tmp_path: Path) -> None:
    """The JSON report says who accepts it, why and until when."""
    run = scan(tmp_path, ACCEPTED, "-o", "json", "--fail-on", "low")

    assert run.status == 0, run.err
    assert (
        only(run)["excepted"].items()
        >= {
            "owner": "team-warehouse",
            "reason": "moves to a Service in spring",
            "ticket": "WH-7",
            "expiresAt": "2100-01-01T00:00:00Z",
        }.items()
    )
    assert (run.json["summary"]["failed"], run.json["summary"]["excepted"]) == (0, 1)
    assert run.json["exceptions"] == []


def test_the_table_says_why_and_until_when(tmp_path: Path) -> None:
    """A person sees it without another command."""
    out = scan(tmp_path, ACCEPTED).out

    assert "excepted: moves to a Service in spring (team-warehouse, WH-7), until 2100-01-01 00:00 UTC" in out
    assert "0 failed" in out
    assert "1 excepted" in out


def test_digests_of_the_report_hold_an_exception_to_what_was_seen(tmp_path: Path) -> None:
    """With them the finding is covered; with another it has grown, and fails the run."""
    digests = only(scan(tmp_path, ACCEPTED, "-o", "json"))["excepted"]["evidence"]

    same = scan(tmp_path, f"{ACCEPTED}  evidence: {digests}\n", "--fail-on", "low")
    grown = scan(tmp_path, f"{ACCEPTED}  evidence: ['{'0' * 16}']\n", "--fail-on", "low")

    assert (same.status, grown.status) == (0, 1)
    assert "is more than it accepts: 2 facts more than what was accepted" in grown.out


def test_what_is_expired_unused_or_broad_is_listed_at_the_end(tmp_path: Path) -> None:
    """And an expired one covers nothing."""
    entry = "- {{policy: {}, owner: o, reason: r, expires: {}, scope: {}}}\n"
    text = entry.format(POLICY, "2020-01-01", "{namespace: warehouse}")
    text += entry.format(POLICY, "2100-01-01", "{namespace: nowhere}")
    run = scan(tmp_path, text, "-o", "json", "--fail-on", "low")

    assert run.status == 1
    assert [use["why"] for use in run.json["exceptions"]] == ["it has expired", "it accepts nothing that was found"]
    broad = scan(tmp_path, entry.format("'*'", "2100-01-01", "{}"))
    assert "it has no scope, so it accepts what is to come anywhere" in broad.out


def test_a_file_that_is_wrong_ends_with_one_line_before_the_scan(tmp_path: Path) -> None:
    """File, entry and field are named."""
    run = scan(tmp_path, ACCEPTED + "  until: 2027-01-01\n")

    assert run.status == 2
    assert "exceptions.yaml: entry 1: 'until': unknown" in run.err
    assert run.err.count("\n") == 1


def test_a_file_that_is_not_there_ends_with_one_line() -> None:
    """As every other input."""
    run = plimsoll("scan", "--manifests", EXAMPLE, "--exceptions", "/nowhere.yaml")

    assert (run.status, run.err) == (2, "plimsoll: /nowhere.yaml: No such file or directory\n")
