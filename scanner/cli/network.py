"""`plimsoll network`: answers what can connect to what, from a cluster, manifests or a saved snapshot."""

import argparse
import gc
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from scanner.cli.clock import now
from scanner.cli.network_diff import add_diff
from scanner.cli.network_graph import add_graph
from scanner.cli.network_propose import add_propose
from scanner.cli.sources import read_snapshot, register_source
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import print_lines, progress_bar
from scanner.errors import UsageError
from scanner.export.report import gaps, to_json
from scanner.model.refs import GroupKind
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import Snapshot
from scanner.model.workload import TEMPLATE_PATHS

if TYPE_CHECKING:
    from scanner.analysis.network.ports import Span

_POLICY_ONLY_HELP = (
    "by the policies that were read, alone: pods on the network of their node are like any other, an ipBlock means no "
    "pods, rules about nodes mean nobody. Without it, what depends on the network plugin is unknown"
)
_END_HELP = "a workload as namespace/name, with [Kind] where several have that name, one of its pods, or an address"
_NETWORK_KINDS = frozenset({"Namespace", "Node", "ServiceAccount"})


def register(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = commands.add_parser("connections", help="every connection that is allowed, and those nobody can decide")
    listing.add_argument(
        "-o", "--output", choices=("table", "json", "csv"), default="table", help="how to print the connections"
    )
    listing.set_defaults(run=_connections)
    one = commands.add_parser("explain", help="whether one may connect to another, and the rules that decide it")
    one.add_argument("src", metavar="SRC", help=_END_HELP)
    one.add_argument("dst", metavar="DST", help="likewise")
    one.add_argument("--port", type=int, metavar="P", help="on this port; without it, on all")
    one.add_argument("--protocol", choices=("TCP", "UDP", "SCTP"), metavar="T", help="TCP, UDP or SCTP")
    one.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print the answer")
    one.set_defaults(run=_explain)
    for command in (listing, one):
        command.add_argument("--policy-only", action="store_true", help=_POLICY_ONLY_HELP)
        register_source(command)
    exposed = commands.add_parser("exposure", help="who reaches each workload from outside, and what it reaches")
    exposed.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print the answer")
    exposed.set_defaults(run=_exposure)
    register_source(exposed)
    add_propose(commands)
    add_graph(commands, _POLICY_ONLY_HELP)
    add_diff(commands, _POLICY_ONLY_HELP)


def _connections(arguments: argparse.Namespace) -> int:
    from scanner.analysis.network.connections import rows
    from scanner.analysis.network.connectivity import connectivity
    from scanner.export.connections import csv_rows, json_rows, table_lines

    snapshot = _read(arguments)
    found = rows(connectivity(snapshot, policy_only=arguments.policy_only))
    if arguments.output == "table":
        print_lines(table_lines(found))
    else:
        _write(json_rows(found) if arguments.output == "json" else csv_rows(found))
    return _status(snapshot)


def _explain(arguments: argparse.Namespace) -> int:
    from scanner.analysis.network.connectivity import connectivity
    from scanner.analysis.network.explain import end_of, explain
    from scanner.export.connections import explanation_lines, reported_explanation

    asked = _asked(arguments)
    snapshot = _read(arguments)
    found = connectivity(snapshot, policy_only=arguments.policy_only)
    source, destination = (end_of(found, snapshot, text) for text in (arguments.src, arguments.dst))
    explanation = explain(found, source, destination, asked)
    if arguments.output == "json":
        print(to_json(reported_explanation(explanation)))
    else:
        print_lines(explanation_lines(explanation))
    return _status(snapshot)


def _exposure(arguments: argparse.Namespace) -> int:
    from scanner.analysis.network.classes import CLASS_KINDS
    from scanner.analysis.network.doors import DOOR_KINDS
    from scanner.analysis.network.exposure import exposures
    from scanner.export.exposure import exposure_lines, reported_exposure

    snapshot = _read(arguments, (*DOOR_KINDS, *CLASS_KINDS))
    found = exposures(snapshot)
    if arguments.output == "json":
        print(to_json([reported_exposure(one) for one in found]))
    else:
        print_lines(exposure_lines(found))
    return _status(snapshot)


def _asked(arguments: argparse.Namespace) -> "Span":
    """Return the ports in question; a port without a protocol is one of TCP."""
    from scanner.analysis.network.ports import EVERY_PORT, port_span

    if arguments.port is None:
        return port_span(arguments.protocol) if arguments.protocol else EVERY_PORT
    try:
        return port_span(arguments.protocol or "TCP", arguments.port, arguments.port)
    except ValueError as error:
        raise UsageError(f"--port {arguments.port}: ports are 1 to 65535") from error


def _write(parts: Iterable[str]) -> None:
    """Write as it comes: the connections of a large cluster are more than fit in memory."""
    for part in parts:
        sys.stdout.write(part)


def _read(arguments: argparse.Namespace, more: Iterable[GroupKind] = ()) -> Snapshot:
    # What is read lives to the end and has no cycles to speak of.
    gc.disable()
    from scanner.analysis.network.connectivity import POLICY_KINDS

    wanted = {*TEMPLATE_PATHS, *POLICY_KINDS, *more}
    resources = [r for r in RESOURCES if r.group_kind in wanted or (not r.group and r.kind in _NETWORK_KINDS)]
    with progress_bar("Reading") as progress:
        return read_snapshot(arguments, now(), progress, resources=resources)


def _status(snapshot: Snapshot) -> ExitStatus:
    unread = gaps(snapshot.coverage)
    if not unread:
        return ExitStatus.DONE
    names = sorted({read.missing for read in unread})
    print(f"plimsoll: the answer is incomplete: not read: {', '.join(names[:5])}", file=sys.stderr)
    return ExitStatus.INCOMPLETE
