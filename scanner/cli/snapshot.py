"""`plimsoll snapshot`: saves what a scan would read, to be judged elsewhere or later."""

import argparse
import sys
from pathlib import Path

from scanner.cli.clock import now
from scanner.cli.sources import read_snapshot, register_sources
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import progress_bar
from scanner.export.report import gaps


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    register_sources(parser)
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="where to save it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read and save."""
    from scanner.cluster.saved import save_snapshot

    with progress_bar("Reading") as progress:
        snapshot = read_snapshot(arguments, now(), progress)
    save_snapshot(snapshot, arguments.output)
    objects = sum(len(found) for found in snapshot.objects.values())
    print(f"plimsoll: saved {objects:,} objects of {snapshot.cluster} to {arguments.output}", file=sys.stderr)
    return ExitStatus.INCOMPLETE if gaps(snapshot.coverage) else ExitStatus.DONE
