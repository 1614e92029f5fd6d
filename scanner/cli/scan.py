"""`plimsoll scan`: judges a cluster, manifests or a saved snapshot, once."""

import argparse
import datetime as dt
import gc
import sys
from collections.abc import Sequence

from scanner.cli.clock import now
from scanner.cli.sources import read_snapshot, register_sources
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import print_lines, progress_bar
from scanner.export.report import ScanReport, gaps, scan_report, summarise, to_json
from scanner.export.table import table
from scanner.model.change import Operation
from scanner.model.finding import Evaluation, Finding
from scanner.model.policy import Policy, Severity
from scanner.model.snapshot import Snapshot


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    register_sources(parser)
    register_selection(parser)
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print the report")
    parser.add_argument(
        "--fail-on",
        choices=[s.value for s in Severity],
        metavar="SEVERITY",
        help="exit with 1 if there is a finding of this severity or worse (low, medium, high, critical)",
    )
    parser.add_argument(
        "--patches",
        action="store_true",
        help="with -o json, add the smallest change that ends each finding, where one is known",
    )
    parser.add_argument("--all-outcomes", action="store_true", help="list what passed too")
    parser.add_argument(
        "--show-expected",
        action="store_true",
        help="list in the table what is as it should be too: grants of Kubernetes itself, unchanged",
    )
    parser.set_defaults(run=run)


def register_selection(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose policies by glob over their ids."""
    parser.add_argument("--policies", nargs="+", default=[], metavar="GLOB", help="only these, such as 'pods/*'")
    parser.add_argument("--skip", nargs="+", default=[], metavar="GLOB", help="all but these")


def run(arguments: argparse.Namespace) -> int:
    """Read, judge, print."""
    # What a scan builds has no cycles to speak of and lives to its end: looking for them costs a fifth of its time.
    gc.disable()
    from scanner.cli.judging import judge
    from scanner.policy.load import builtin_policies_root, load_policies

    policies = load_policies(
        builtin_policies_root(), only=tuple(arguments.policies) or ("*",), skip=tuple(arguments.skip)
    )
    started = now()
    with progress_bar("Scanning") as progress:
        snapshot = read_snapshot(arguments, started, progress)
    evaluation = judge(snapshot, policies, now=started, all_outcomes=arguments.all_outcomes)
    if arguments.output == "json":
        print(to_json(_report(snapshot, evaluation, policies, started, with_patches=arguments.patches)))
    else:
        by_id = {policy.id: policy for policy in policies}
        summary = summarise(snapshot, evaluation)
        print_lines(
            table(evaluation.findings, by_id, snapshot.coverage, summary, show_expected=arguments.show_expected)
        )
    return _status(snapshot, evaluation, arguments.fail_on)


def _report(
    snapshot: Snapshot,
    evaluation: Evaluation,
    policies: Sequence[Policy],
    started: dt.datetime,
    *,
    with_patches: bool,
) -> ScanReport:
    """Put the report together; each patch is tried on the snapshot, which takes longer than the whole scan."""
    if not with_patches:
        return scan_report(snapshot, evaluation)
    from scanner.policy.field_fixes import makes_anew
    from scanner.policy.fixes import fixes_of

    fixes = fixes_of(snapshot, policies, evaluation.findings, now=started)

    def patch_of(finding: Finding) -> tuple[Operation, ...]:
        operations = fixes.of(finding).operations
        # A report travels further than a manifest: a whole pod would take its literal environment along.
        return () if makes_anew(operations) else operations

    return scan_report(snapshot, evaluation, patch_of)


def _status(snapshot: Snapshot, evaluation: Evaluation, fail_on: str | None) -> ExitStatus:
    """Decide the exit status: a finding that was asked for outweighs what could not be read."""
    failed = (f.severity.rank for f in evaluation.findings if f.stands_out)
    if fail_on and max(failed, default=-1) >= Severity(fail_on).rank:
        return ExitStatus.FINDINGS
    missing = gaps(snapshot.coverage)
    if missing:
        print(f"plimsoll: the scan is incomplete: {len(missing)} reads failed, see coverage", file=sys.stderr)
        return ExitStatus.INCOMPLETE
    return ExitStatus.DONE
