"""`plimsoll network graph`: a picture of what can connect to what."""

import argparse
import gc
from typing import TypeAlias

from scanner.cli.clock import now
from scanner.cli.sources import read_snapshot, register_source
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import progress_bar
from scanner.errors import InputError
from scanner.export.report import gaps
from scanner.model.resources import RESOURCES
from scanner.model.workload import TEMPLATE_PATHS

#: What argparse returns for subcommands has no public name.
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def add_graph(commands: _Commands, policy_only_help: str) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("graph", help="a picture of what can connect to what")
    parser.add_argument(
        "-n", "--namespace", default="", metavar="NS", help="only connections from and to pods of this namespace"
    )
    parser.add_argument(
        "-o", "--output", choices=("mermaid", "dot", "svg"), default="mermaid", help="the language of the picture"
    )
    parser.add_argument("--policy-only", action="store_true", help=policy_only_help)
    register_source(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    # What is read lives to the end and has no cycles to speak of.
    gc.disable()
    from scanner.analysis.network.connectivity import POLICY_KINDS, connectivity
    from scanner.export.graph import dot, graph_of, mermaid
    from scanner.export.graph_svg import svg

    wanted = {*TEMPLATE_PATHS, *POLICY_KINDS}
    beside = {"Namespace", "Node", "ServiceAccount"}
    resources = [r for r in RESOURCES if r.group_kind in wanted or (not r.group and r.kind in beside)]
    with progress_bar("Reading") as progress:
        snapshot = read_snapshot(arguments, now(), progress, resources=resources)
    if arguments.namespace and arguments.namespace not in snapshot.namespaces:
        raise InputError(f"{arguments.namespace}: no such namespace was read")
    graph = graph_of(connectivity(snapshot, policy_only=arguments.policy_only), arguments.namespace)
    print({"mermaid": mermaid, "dot": dot, "svg": svg}[arguments.output](graph), end="")
    return ExitStatus.INCOMPLETE if gaps(snapshot.coverage) else ExitStatus.DONE
