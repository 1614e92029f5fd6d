"""`plimsoll secrets tls-rights`: the Roles by which a scan may read certificates, made from what serves them."""

import argparse
from typing import TypeAlias

from scanner.cli.clock import now
from scanner.cli.sources import read_snapshot, register_source
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import progress_bar
from scanner.errors import UsageError
from scanner.export.report import gaps
from scanner.model.resources import RESOURCES

#: What argparse returns for subcommands has no public name.
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def add_tls_rights(commands: _Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "tls-rights",
        help="Roles that give a scan `get` on the TLS Secrets that Ingresses and Gateways name, and on no other",
    )
    parser.add_argument(
        "--service-account",
        default="plimsoll/plimsoll",
        metavar="NS/NAME",
        help="who is to hold the right (default: %(default)s)",
    )
    register_source(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from scanner.analysis.secrets.served import GATEWAY, INGRESS, served_in
    from scanner.export.tls_rights import tls_rights

    namespace, slash, account = arguments.service_account.partition("/")
    if not (namespace and slash and account):
        raise UsageError("--service-account takes NAMESPACE/NAME")
    with progress_bar("Reading") as progress:
        snapshot = read_snapshot(
            arguments, now(), progress, resources=[r for r in RESOURCES if r.group_kind in {INGRESS, GATEWAY}]
        )
    print(tls_rights(served_in(snapshot), namespace=namespace, account=account), end="")
    return ExitStatus.INCOMPLETE if gaps(snapshot.coverage) else ExitStatus.DONE
