"""`plimsoll network propose`: NetworkPolicies that keep what a cluster declares it needs and cut the rest."""

import argparse
import gc
from typing import TypeAlias

from scanner.cli.clock import now
from scanner.cli.sources import read_snapshot, register_source
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import progress_bar
from scanner.errors import InputError
from scanner.export.report import gaps, to_json
from scanner.model.resources import RESOURCES
from scanner.model.workload import TEMPLATE_PATHS

#: What argparse returns for subcommands has no public name.
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def add_propose(commands: _Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "propose", help="NetworkPolicies that deny everything but what the cluster declares it needs"
    )
    parser.add_argument(
        "-n",
        "--namespace",
        action="append",
        default=[],
        metavar="NS",
        help="for this namespace (repeatable); without it, for all with workloads but those of the cluster itself",
    )
    parser.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml", help="how to print the proposal")
    register_source(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    # What is read lives to the end and has no cycles to speak of.
    gc.disable()
    from scanner.analysis.network.connectivity import POLICY_KINDS
    from scanner.analysis.network.needs import NEED_KINDS
    from scanner.analysis.network.proposals import propose
    from scanner.export.proposals import proposal_manifests, proposal_report

    wanted = {*TEMPLATE_PATHS, *POLICY_KINDS, *NEED_KINDS}
    with progress_bar("Reading") as progress:
        snapshot = read_snapshot(
            arguments, now(), progress, resources=[r for r in RESOURCES if r.group_kind in wanted or r.kind == "Node"]
        )
    for namespace in arguments.namespace:
        if namespace not in snapshot.namespaces:
            raise InputError(f"{namespace}: no such namespace was read")
    proposal = propose(snapshot, arguments.namespace)
    if proposal.broken:
        raise InputError(f"the proposal does not hold, please report this: {proposal.broken[0]}")
    if arguments.output == "json":
        print(to_json(proposal_report(snapshot.cluster, proposal)))
    else:
        print(proposal_manifests(proposal), end="")
    return ExitStatus.INCOMPLETE if gaps(snapshot.coverage) else ExitStatus.DONE
