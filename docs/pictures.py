"""Draws the README's picture with the program itself."""

import datetime as dt
import io
from pathlib import Path

from rich.console import Console
from rich.text import Text

from scanner.cli.terminal import STYLES
from scanner.cluster.manifests import read_manifests
from scanner.export.report import summarise
from scanner.export.table import table
from scanner.model.refs import ClusterName
from scanner.policy.evaluate import evaluate
from scanner.policy.load import builtin_policies_root, load_policies

ROOT = Path(__file__).parents[1]
#: A picture of everything would be a poster; this is what a first look shows.
SHOWN = (
    "rbac/cluster-admin-bound",
    "pods/privileged-container",
    "rbac/anonymous-grant",
    "secrets/*",
    "readiness/*replica*",
)
NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def scan_picture() -> str:
    """Return the example company's scan, by some of the policies, as SVG."""
    snapshot = read_manifests([str(ROOT / "examples" / "company")], cluster=ClusterName("example"), now=NOW)
    policies = load_policies(builtin_policies_root(), only=SHOWN)
    evaluation = evaluate(snapshot, policies, now=NOW)
    lines = table(evaluation.findings, {p.id: p for p in policies}, snapshot.coverage, summarise(snapshot, evaluation))
    console = Console(record=True, width=110, file=io.StringIO(), force_terminal=True, highlight=False)
    for line in lines:
        console.print(Text(line.text, style=STYLES.get(line.style, "")), no_wrap=True, overflow="ellipsis")
    return console.export_svg(title="plimsoll scan --manifests examples/company", unique_id="plimsoll")
