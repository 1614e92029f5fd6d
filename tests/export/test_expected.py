"""Failures that are as they should be: told apart in the report, and out of the way in the table."""

from dataclasses import replace

from scanner.export.report import scan_report, summarise, to_json
from scanner.export.table import table
from scanner.model.finding import Finding
from tests.builders import cel_policy, evaluation, finding, snapshot

POLICY = cel_policy()
FAILING = finding()
EXPECTED = finding(resource="Deployment shop/own", expected="Kubernetes' own ClusterRoleBinding own, unchanged")


def _table(*findings: Finding, show_expected: bool = False) -> str:
    seen, judged = snapshot(), evaluation(*findings)
    lines = table(findings, {POLICY.id: POLICY}, seen.coverage, summarise(seen, judged), show_expected=show_expected)
    return "\n".join(line.text for line in lines)


def test_expected_failures_count_by_themselves_alone() -> None:
    """Neither as failed nor by severity, area or namespace."""
    summary = summarise(snapshot(), evaluation(FAILING, EXPECTED))
    assert (summary.failed, summary.expected, sum(summary.failed_by_severity.values())) == (1, 1, 1)
    assert (summary.failed_by_area, summary.failed_by_namespace) == ({"pods": 1}, {"shop": 1})


def test_the_json_report_says_why() -> None:
    """In the result; others lack the field."""
    report = scan_report(snapshot(), evaluation(FAILING, EXPECTED))
    assert [result.expected for result in report.results][1] == EXPECTED.expected
    assert to_json(report).count('"expected": "Kubernetes') == 1


def test_the_table_counts_them_in_one_line() -> None:
    """Their resources are not listed."""
    shown = _table(FAILING, EXPECTED, replace(EXPECTED, key="other"))
    assert "2 expected: grants of Kubernetes itself" in shown
    assert "shop/own" not in shown


def test_the_table_lists_them_on_demand() -> None:
    """With the reason, after what stands out."""
    shown = _table(FAILING, EXPECTED, show_expected=True)
    assert "EXPECTED Title of pods/privileged-container  (1 resource)" in shown
    assert f"expected: {EXPECTED.expected}" in shown
    assert shown.index("shop/cart") < shown.index("shop/own")


def test_a_table_without_them_does_not_mention_the_option() -> None:
    """Nothing is said of nothing."""
    assert "--show-expected" not in _table(FAILING)
