"""`plimsoll readiness`: is each workload and application ready to live on Kubernetes, in six chapters."""

import argparse
import gc
import sys

from scanner.cli.clock import now
from scanner.cli.scan import register_selection
from scanner.cli.sources import read_snapshot, register_source
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import print_lines, progress_bar
from scanner.export.report import gaps, to_json


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    source = register_source(parser)
    source.add_argument(
        "-n",
        "--namespace",
        action="append",
        default=[],
        metavar="NS",
        dest="namespaces",
        help="only workloads of this namespace (repeatable)",
    )
    source.add_argument("--read-secrets", action="store_true", help="also list Secrets, as metadata only")
    register_selection(parser)
    parser.add_argument(
        "-o", "--output", choices=("table", "json", "html"), default="table", help="how to write the report"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, judge, sum up, print. That something is not ready is an answer like any other: it ends with status 0."""
    # What this builds lives to its end: looking for cycles in it is time lost.
    gc.disable()
    from scanner.cli.judging import judge
    from scanner.export.readiness import readiness_lines, readiness_report
    from scanner.export.readiness_html import readiness_html
    from scanner.policy.load import builtin_policies_root, load_policies
    from scanner.posture.readiness import readiness

    chosen = load_policies(builtin_policies_root(), only=tuple(arguments.policies) or ("*",), skip=arguments.skip)
    policies = [policy for policy in chosen if policy.chapter is not None]
    started = now()
    with progress_bar("Reading") as progress:
        snapshot = read_snapshot(arguments, started, progress)
    evaluation = judge(snapshot, policies, now=started)
    found = readiness(snapshot, evaluation, policies, namespaces=frozenset(arguments.namespaces))
    match arguments.output:
        case "json":
            print(to_json(readiness_report(snapshot, found)))
        case "html":
            print(readiness_html(snapshot, found, {policy.id: policy for policy in policies}), end="")
        case _:
            print_lines(readiness_lines(found, snapshot.coverage))
    missing = gaps(snapshot.coverage)
    if not missing:
        return ExitStatus.DONE
    print(f"plimsoll: the report is incomplete: {len(missing)} reads failed, see coverage", file=sys.stderr)
    return ExitStatus.INCOMPLETE
