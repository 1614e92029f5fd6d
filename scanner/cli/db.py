"""`plimsoll db`: the database's schema."""

import argparse
import sys

from scanner.cli.status import ExitStatus


def register(parser: argparse.ArgumentParser) -> None:
    """Add `upgrade`, the only subcommand so far."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    upgrade = commands.add_parser("upgrade", help="bring the schema of PLIMSOLL_DATABASE_URL to this release's")
    upgrade.set_defaults(run=run_upgrade)


def run_upgrade(arguments: argparse.Namespace) -> int:
    """Apply the migrations that are missing; several at once wait for each other."""
    del arguments
    from scanner.settings import load_settings
    from scanner.store.database import open_database, upgrade

    engine = open_database(load_settings().database_url.get_secret_value())
    try:
        upgrade(engine)
    finally:
        engine.dispose()
    print("plimsoll: the database is at this release's schema", file=sys.stderr)
    return ExitStatus.DONE
