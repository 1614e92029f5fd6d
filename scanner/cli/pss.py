"""`plimsoll pss`: judges every workload by a Pod Security Standard, as the admission plugin would its pods."""

import argparse
import gc
import sys

import msgspec

from scanner.analysis.pods.standards.versions import NEWEST, Level, Minor, minor_of
from scanner.cli.clock import now
from scanner.cli.sources import read_snapshot, register_source
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import print_lines, progress_bar
from scanner.errors import InputError, UsageError
from scanner.export.report import gaps, to_json
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import Snapshot
from scanner.model.workload import TEMPLATE_PATHS

_HOLDERS = tuple(resource for resource in RESOURCES if resource.group_kind in TEMPLATE_PATHS)


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--level", choices=[level.value for level in Level], help="the standard; restricted is stricter"
    )
    parser.add_argument(
        "--enforced",
        action="store_true",
        help="say instead what is enforced in each namespace today, and what is unknown",
    )
    parser.add_argument(
        "--version",
        type=_minor,
        default="latest",
        metavar="vX.Y",
        help=f"as Kubernetes of this version has it, v1.0 to v1.{NEWEST}; or latest, the default",
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print the verdicts")
    register_source(parser)
    parser.add_argument(
        "-n",
        "--namespace",
        action="append",
        default=[],
        metavar="NS",
        dest="namespaces",
        help="only workloads of this namespace (repeatable)",
    )
    parser.set_defaults(run=run)


def _minor(version: str) -> Minor:
    """Read a version; one that is newer than what is known here may forbid more, so it is none."""
    minor = minor_of(version)
    if minor is None or minor > NEWEST:
        raise argparse.ArgumentTypeError(f"{version!r} is not latest or one of v1.0 to v1.{NEWEST}")
    return minor


def run(arguments: argparse.Namespace) -> int:
    """Read, judge, print. That something is forbidden is an answer like any other: it ends with status 0."""
    if bool(arguments.level) == arguments.enforced:
        raise UsageError("pss needs either --level or --enforced")
    if arguments.enforced:
        return _enforced(arguments)
    # What this builds lives to its end: looking for cycles in it is time lost.
    gc.disable()
    from scanner.analysis.pods.standards.verdicts import verdicts
    from scanner.export.standards import reported_verdict, verdict_lines

    level, minor = Level(arguments.level), arguments.version
    with progress_bar("Reading") as progress:
        snapshot = read_snapshot(arguments, now(), progress, resources=_HOLDERS)
    wanted = set(arguments.namespaces)
    chosen = (w for w in snapshot.workloads if not wanted or w.ref.namespace in wanted)
    judged = list(verdicts(chosen, level, minor))
    if arguments.output == "json":
        print(to_json([reported_verdict(verdict) for verdict in judged]))
    else:
        print_lines(verdict_lines(judged, f"{level} v1.{minor}"))
    return _status(snapshot)


def _enforced(arguments: argparse.Namespace) -> int:
    """Say what admission enforces on the pods of each namespace."""
    from scanner.analysis.pods.admission import enforced
    from scanner.export.standards import enforced_lines, reported_enforced

    with progress_bar("Reading") as progress:
        snapshot = read_snapshot(arguments, now(), progress)
    wanted = set(arguments.namespaces)
    try:
        found = [e for e in enforced(snapshot) if not wanted or e.namespace in wanted]
    except msgspec.ValidationError as error:
        raise InputError(
            f"a webhook, admission policy or binding has a shape that Kubernetes has not: {error}"
        ) from error
    if arguments.output == "json":
        print(to_json([reported_enforced(e) for e in found]))
    else:
        print_lines(enforced_lines(found))
    return _status(snapshot)


def _status(snapshot: Snapshot) -> ExitStatus:
    """Decide the exit status: incomplete where workloads, or who owns them, could not be read."""
    others = {resource.name for resource in RESOURCES} - {resource.name for resource in _HOLDERS}
    missing = sorted({read.missing for read in gaps(snapshot.coverage) if read.resource not in others})
    if not missing:
        return ExitStatus.DONE
    print(f"plimsoll: the answer is incomplete: not read: {', '.join(missing[:5])}", file=sys.stderr)
    return ExitStatus.INCOMPLETE
