"""`plimsoll version`."""

import argparse

from scanner.cli.status import ExitStatus
from scanner.version import VERSION


def register(parser: argparse.ArgumentParser) -> None:
    """Take no arguments."""
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the version."""
    del arguments
    print(f"plimsoll {VERSION}")
    return ExitStatus.DONE
