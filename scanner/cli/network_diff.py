"""`plimsoll network diff`: what changed between two snapshots or folders of manifests in who can connect to whom."""

import argparse
import gc
import sys
from pathlib import Path
from typing import TypeAlias

from scanner.cli.clock import now
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import print_lines
from scanner.errors import UsageError
from scanner.export.report import gaps, to_json
from scanner.model.refs import ClusterName
from scanner.model.snapshot import Snapshot

#: What argparse returns for subcommands has no public name.
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001

_SOURCE_HELP = "a file that `plimsoll snapshot` saved, or a folder or file of manifests"
_GZIP = b"\x1f\x8b"
#: What a snapshot file begins with when unpacked; manifests may be packed too.
_SNAPSHOT = b'{"format":"plimsoll-snapshot"'


def add_diff(commands: _Commands, policy_only_help: str) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("diff", help="connections opened, closed or no longer decided between two snapshots")
    parser.add_argument("before", metavar="BEFORE", type=Path, help=_SOURCE_HELP)
    parser.add_argument("after", metavar="AFTER", type=Path, help="likewise")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print the answer")
    parser.add_argument("--policy-only", action="store_true", help=policy_only_help)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    # What is read lives to the end and has no cycles to speak of.
    gc.disable()
    from scanner.analysis.network.changes import changes
    from scanner.export.network_changes import changes_lines, reported_changes

    before, after = _read(arguments.before), _read(arguments.after)
    found = changes(before, after, policy_only=arguments.policy_only)
    if arguments.output == "json":
        print(to_json(reported_changes(found)))
    else:
        print_lines(changes_lines(found))
    return _status(before, after)


def _read(path: Path) -> Snapshot:
    """Read a snapshot file, or whatever else is there as manifests."""
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    if path.is_file() and _is_snapshot(path):
        from scanner.cluster.saved import load_snapshot

        return load_snapshot(path)
    from scanner.cluster.manifests import read_manifests

    return read_manifests([str(path)], stdin=sys.stdin.buffer, cluster=ClusterName("manifests"), now=now())


def _is_snapshot(path: Path) -> bool:
    import gzip
    import zlib

    try:
        with path.open("rb") as file:
            if file.read(len(_GZIP)) != _GZIP:
                return False
        with gzip.open(path, "rb") as packed:
            return packed.read(len(_SNAPSHOT)) == _SNAPSHOT
    except (OSError, EOFError, zlib.error):
        # Whoever reads it says what is wrong.
        return True


def _status(*snapshots: Snapshot) -> ExitStatus:
    names = sorted({read.missing for snapshot in snapshots for read in gaps(snapshot.coverage)})
    if not names:
        return ExitStatus.DONE
    print(f"plimsoll: the answer is incomplete: not read: {', '.join(names[:5])}", file=sys.stderr)
    return ExitStatus.INCOMPLETE
