"""`plimsoll scan`: judges a cluster, manifests or a saved snapshot, once."""

import argparse
import datetime as dt
import gc
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from scanner.cli.clock import now
from scanner.cli.sources import read_snapshot, register_sources
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import print_lines, progress_bar
from scanner.errors import InputError, UsageError
from scanner.export.report import ScanReport, gaps, scan_report, summarise, to_json, to_look_at
from scanner.export.table import table
from scanner.model.change import Operation
from scanner.model.exception import PolicyException
from scanner.model.finding import Evaluation, Finding
from scanner.model.policy import Policy, Severity
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.posture.exempt import Marked, mark

#: A century: beyond it a date is a slip.
_MOST_DAYS = 36_500


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
    parser.add_argument(
        "--exceptions", metavar="FILE", type=Path, help="a file of findings that people accept for a while"
    )
    parser.add_argument(
        "--exception-max-days",
        type=int,
        default=365,
        metavar="DAYS",
        help="refuse exceptions that end later than so many days from now (default: %(default)s)",
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
    from scanner.policy.blame import with_setters
    from scanner.policy.load import builtin_policies_root, load_policies

    policies = load_policies(
        builtin_policies_root(), only=tuple(arguments.policies) or ("*",), skip=tuple(arguments.skip)
    )
    started = now()
    exceptions = _exceptions(arguments, started)
    with progress_bar("Scanning") as progress:
        snapshot = read_snapshot(arguments, started, progress)
    evaluation = judge(snapshot, policies, now=started, all_outcomes=arguments.all_outcomes)
    if arguments.output == "json":  # a table has no room for it
        evaluation = with_setters(snapshot, evaluation)
    marked = _marked(snapshot, evaluation, policies, exceptions, started) if arguments.exceptions else None
    if marked:
        evaluation = replace(evaluation, findings=marked.findings)
    if arguments.output == "json":
        print(to_json(_report(snapshot, evaluation, policies, started, marked, with_patches=arguments.patches)))
    else:
        by_id = {policy.id: policy for policy in policies}
        summary = summarise(snapshot, evaluation)
        print_lines(
            table(
                evaluation.findings,
                by_id,
                snapshot.coverage,
                summary,
                show_expected=arguments.show_expected,
                exceptions=to_look_at(marked) if marked else (),
            )
        )
    return _status(snapshot, evaluation, arguments.fail_on)


def _exceptions(arguments: argparse.Namespace, started: dt.datetime) -> tuple[PolicyException, ...]:
    """Read the file of exceptions before anything else, so that what is wrong with it is told at once."""
    file: Path | None = arguments.exceptions
    if file is None:
        return ()
    if not 1 <= arguments.exception_max_days <= _MOST_DAYS:
        raise UsageError(f"--exception-max-days: must be from 1 to {_MOST_DAYS:,}")
    from scanner.posture.exception_file import MAX_FILE_BYTES, read_exceptions

    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    longest = dt.timedelta(days=arguments.exception_max_days)
    return read_exceptions(text, str(file), now=started, longest=longest)


def _marked(
    snapshot: Snapshot,
    evaluation: Evaluation,
    policies: Sequence[Policy],
    exceptions: Sequence[PolicyException],
    started: dt.datetime,
) -> Marked:
    """Mark what is accepted."""

    def labels_of(ref: ObjectRef) -> Mapping[str, str] | None:
        found = snapshot.find(ref.group, ref.kind, ref.namespace, ref.name)
        return (found.meta.labels or {}) if found else None

    return mark(
        evaluation.findings,
        exceptions,
        now=started,
        cluster=snapshot.cluster,
        policies=policies,
        labels_of=labels_of,
    )


def _report(  # noqa: PLR0913 - what a report is made of
    snapshot: Snapshot,
    evaluation: Evaluation,
    policies: Sequence[Policy],
    started: dt.datetime,
    marked: Marked | None,
    *,
    with_patches: bool,
) -> ScanReport:
    """Put the report together; each patch is tried on the snapshot, which takes longer than the whole scan."""
    if not with_patches:
        return scan_report(snapshot, evaluation, exceptions=marked)
    from scanner.policy.field_fixes import makes_anew
    from scanner.policy.fixes import fixes_of

    fixes = fixes_of(snapshot, policies, evaluation.findings, now=started)

    def patch_of(finding: Finding) -> tuple[Operation, ...]:
        operations = fixes.of(finding).operations
        # A report travels further than a manifest: a whole pod would take its literal environment along.
        return () if makes_anew(operations) else operations

    return scan_report(snapshot, evaluation, patch_of, marked)


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
