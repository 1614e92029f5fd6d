"""Chooses the command. Only the chosen command's module is imported, so that a scan never pays for the service.

Each module has `register(parser)`, which adds its arguments and sets `run`, the function that takes what was parsed and
returns the exit status.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from scanner.cli.status import ExitStatus
from scanner.errors import ScannerError


@dataclass(frozen=True, slots=True)
class Command:
    """A command: the module that registers its arguments and runs it, and one line of help."""

    module: str
    help: str


#: In the order of the help.
COMMANDS: Mapping[str, Command] = {
    "scan": Command("scanner.cli.scan", "judge a cluster, manifests or a saved snapshot"),
    "serve": Command("scanner.cli.serve", "run the service: scheduled scans, API, notifications"),
    "snapshot": Command("scanner.cli.snapshot", "save what a scan would read to a file"),
    "rbac": Command("scanner.cli.rbac", "answer who may do what, as the API server would"),
    "fix": Command("scanner.cli.fix", "print the smallest changes that end findings; nothing is carried out"),
    "pss": Command("scanner.cli.pss", "judge workloads by a Pod Security Standard, as the admission plugin would"),
    "readiness": Command("scanner.cli.readiness", "say in six chapters which applications are ready for Kubernetes"),
    "network": Command("scanner.cli.network", "answer what can connect to what, and why"),
    "secrets": Command("scanner.cli.secrets", "answer about Secrets without reading one"),
    "policies": Command("scanner.cli.policies", "list, explain, export and test policies"),
    "db": Command("scanner.cli.db", "bring the database to this release's schema"),
    "version": Command("scanner.cli.version", "print the version"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; errors of ours become one line on stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(arguments)
    parsed = parser.parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except ScannerError as error:
        print(f"plimsoll: {error}", file=sys.stderr)
        return ExitStatus.BAD_INPUT
    except BrokenPipeError:
        # The reader (`| head`) has gone; nothing is left to say, not even by Python at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.DONE
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    return status


class _Parser(argparse.ArgumentParser):
    """Complains in one line, as every other error here does."""

    def error(self, message: str) -> NoReturn:
        self.exit(ExitStatus.BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="plimsoll", description="Security posture and migration readiness of a Kubernetes cluster.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.help, description=command.help)
        if name == chosen:
            importlib.import_module(command.module).register(sub)
    return parser
