"""`plimsoll secrets access` and `usage`: what uses Secrets and who reaches them, without reading one.

Whose metadata matters is told with `--read-secrets`; without it Secrets are known by what refers to them.
"""

import argparse
import sys
from typing import TypeAlias

from scanner.cli.clock import now
from scanner.cli.sources import read_snapshot, register_sources
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import print_lines, progress_bar
from scanner.errors import InputError, UsageError
from scanner.export.report import gaps, to_json
from scanner.model.snapshot import Snapshot

#: What argparse returns for subcommands has no public name.
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def add_access(commands: _Commands) -> None:
    """Add the subcommands."""
    access = commands.add_parser("access", help="who reaches a Secret, and how; without a name, a summary of all")
    access.add_argument("name", nargs="?", metavar="NAME", help="of a Secret in the namespace of -n")
    usage = commands.add_parser("usage", help="everything that refers to a Secret")
    for command, run in ((access, _access), (usage, _usage)):
        command.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: table")
        register_sources(command)
        command.set_defaults(run=run)


def _access(arguments: argparse.Namespace) -> int:
    from scanner.analysis.paths.secret_access import secret_paths
    from scanner.analysis.paths.secret_world import KnownSecret
    from scanner.export.secrets import access_lines, reported_access, reported_summary, summary_lines
    from scanner.model.secret import SecretRef

    if arguments.name and len(arguments.namespaces) != 1:
        raise UsageError("name the one namespace of the Secret: -n NS")
    snapshot = _read(arguments)
    paths = secret_paths(snapshot)
    is_json = arguments.output == "json"
    if not arguments.name:
        if is_json:
            print(to_json(reported_summary(paths)))
        else:
            print_lines(summary_lines(paths))
        return _status(snapshot)
    (namespace,) = arguments.namespaces
    secret = paths.by_name.get(SecretRef(namespace, arguments.name))
    if (
        secret is None
        and snapshot.find("", "Namespace", "", namespace) is None
        and namespace not in snapshot.namespaces
    ):
        raise InputError(f"there is no namespace {namespace}")
    # One that nothing refers to may be there all the same, and rights on it are the same.
    access = paths.access(secret or KnownSecret(namespace, arguments.name))
    if is_json:
        print(to_json(reported_access(paths, access)))
    else:
        print_lines(access_lines(paths, access))
    return _status(snapshot)


def _usage(arguments: argparse.Namespace) -> int:
    from scanner.analysis.secrets.usage import secret_uses
    from scanner.export.secrets import reported_uses, usage_lines

    snapshot = _read(arguments)
    wanted = set(arguments.namespaces)
    uses = [use for use in secret_uses(snapshot) if not wanted or use.secret.namespace in wanted]
    if arguments.output == "json":
        print(to_json(reported_uses(uses)))
    else:
        print_lines(usage_lines(uses))
    return _status(snapshot)


def _read(arguments: argparse.Namespace) -> Snapshot:
    with progress_bar("Reading") as progress:
        return read_snapshot(arguments, now(), progress)


def _status(snapshot: Snapshot) -> ExitStatus:
    """Decide the exit status: incomplete if something that was asked for could not be read."""
    unread = sorted({read.missing for read in gaps(snapshot.coverage)})
    if not unread:
        return ExitStatus.DONE
    print(f"plimsoll: the answer may be incomplete: not read: {', '.join(unread[:5])}", file=sys.stderr)
    return ExitStatus.INCOMPLETE
