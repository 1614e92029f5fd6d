"""`plimsoll secrets`: answers about Secrets without reading one, and the rights for what needs more."""

import argparse

from scanner.cli.secrets_access import add_access
from scanner.cli.secrets_at_rest import add_at_rest
from scanner.cli.secrets_tls_rights import add_tls_rights


def register(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_access(commands)
    add_at_rest(commands)
    add_tls_rights(commands)
