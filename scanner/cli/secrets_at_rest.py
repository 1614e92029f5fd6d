"""`plimsoll secrets at-rest`: whether etcd keeps Secrets encrypted, as far as the cluster shows it."""

import argparse
from typing import TypeAlias

from scanner.cli.clock import now
from scanner.cli.sources import read_snapshot, register_source
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import print_lines, progress_bar
from scanner.export.report import gaps, to_json
from scanner.model.refs import GroupKind
from scanner.model.resources import RESOURCES
from scanner.model.workload import TEMPLATE_PATHS

#: What argparse returns for subcommands has no public name.
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def add_at_rest(commands: _Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("at-rest", help="whether Secrets are encrypted in etcd, and what keeps them elsewhere")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print the answer")
    register_source(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from scanner.analysis.readiness.at_rest import at_rest
    from scanner.export.at_rest import at_rest_lines, at_rest_report

    wanted = {GroupKind("", "Node"), *TEMPLATE_PATHS}
    with progress_bar("Reading") as progress:
        snapshot = read_snapshot(arguments, now(), progress, resources=[r for r in RESOURCES if r.group_kind in wanted])
    found = at_rest(snapshot)
    if arguments.output == "json":
        print(to_json(at_rest_report(snapshot.cluster, found)))
    else:
        print_lines(at_rest_lines(found))
    return ExitStatus.INCOMPLETE if gaps(snapshot.coverage) else ExitStatus.DONE
