"""`plimsoll fix`: the changes that end findings, one for each object. They are printed, never carried out."""

import argparse
import sys
from typing import TYPE_CHECKING

from scanner.cli.clock import now
from scanner.cli.sources import read_snapshot, register_source
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import print_lines, progress_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanner.model.finding import Finding
    from scanner.model.policy import Policy
    from scanner.model.refs import ClusterName
    from scanner.model.snapshot import Snapshot
    from scanner.policy.fixes import Repair


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "policies", nargs="*", metavar="POLICY_GLOB", help="findings of these policies, such as 'pods/*'; default: all"
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=("diff", "yaml", "json"),
        default="diff",
        help="a diff, YAML for `kubectl apply --server-side`, or JSON Patches with the reasons where there is none",
    )
    register_source(parser)
    parser.add_argument(
        "-n",
        "--namespace",
        action="append",
        default=[],
        metavar="NS",
        dest="only_namespaces",
        help="only findings of this namespace (repeatable); the rest of the cluster is read all the same",
    )
    parser.add_argument(
        "--workload",
        metavar="NAME",
        help="only findings of objects with this name, or of KIND/NAME, such as Deployment/checkout",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, judge, fix, print. That something has no fix is an answer: it is told on stderr and in JSON."""
    from scanner.policy.blame import with_setters
    from scanner.policy.evaluate import evaluate
    from scanner.policy.fixes import repair_of
    from scanner.policy.load import builtin_policies_root, load_policies

    policies = load_policies(builtin_policies_root(), only=tuple(arguments.policies) or ("*",))
    started = now()
    with progress_bar("Reading") as progress:
        snapshot = read_snapshot(arguments, started, progress)
    spaces, (name, _, kind) = set(arguments.only_namespaces), (arguments.workload or "").rpartition("/")[::-1]

    def chosen(seen: "Snapshot", some: "Sequence[Policy]") -> "list[Finding]":
        return [
            finding
            for finding in with_setters(seen, evaluate(seen, some, now=started)).findings
            if finding.stands_out
            and (not spaces or finding.resource.namespace in spaces)
            and (not name or finding.resource.name == name)
            and (not kind or finding.resource.kind.lower() == kind.lower())
        ]

    found = chosen(snapshot, policies)
    repair = repair_of(snapshot, policies, found, now=started)
    # A worse fault hides lesser ones: what a privileged container may do needs no seccomp profile to be said of it.
    known = {(finding.policy, str(finding.resource)) for finding in found}
    again = chosen(repair.after, [policy for policy in policies if policy.fix and policy.forbid])
    hidden = [finding for finding in again if (finding.policy, str(finding.resource)) not in known]
    if hidden:
        repair = repair_of(snapshot, policies, [*found, *hidden], now=started)
    print_repair(repair, snapshot.cluster, arguments.output)
    return ExitStatus.DONE


def print_repair(repair: "Repair", cluster: "ClusterName", output: str) -> None:
    """Print what a repair changes, and on stderr what it does not."""
    from scanner.export.fixes import fix_diff, fix_yaml, notes, reasons, reported_fixes
    from scanner.export.report import to_json

    if output == "json":
        print(to_json(reported_fixes(repair.steps, cluster)))
    elif output == "yaml":
        for note in notes(repair.steps):
            print(f"# {note}")
        print(fix_yaml(repair), end="")
    else:
        print_lines(fix_diff(repair))
    for reason in reasons(repair.steps):
        print(f"plimsoll: {reason}", file=sys.stderr)
