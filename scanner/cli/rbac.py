"""`plimsoll rbac`: answers who may do what, from a cluster, manifests or a saved snapshot.

The answers are those of the API server's RBAC authorizer. Other authorizers that a cluster may have (webhooks, ABAC)
are not asked. "no" ends with status 0, as any answer does: it is in the output.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from scanner.cli.clock import now
from scanner.cli.rbac_fix import add_fix
from scanner.cli.rbac_least_privilege import add_least_privilege
from scanner.cli.sources import read_snapshot, register_source
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import print_lines, progress_bar
from scanner.errors import InputError
from scanner.export.report import gaps, to_json
from scanner.model.rbac import RBAC_GROUP
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import Snapshot

if TYPE_CHECKING:
    from scanner.analysis.rbac.requests import Identity, Request

#: What argparse returns for subcommands has no public name.
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001

_RBAC_RESOURCES = tuple(resource for resource in RESOURCES if resource.group == RBAC_GROUP)

_USER_HELP = (
    "the whole name, as authentication gives it: jane, or system:serviceaccount:NAMESPACE:NAME for a service account. "
    "There is no short form: shop:cart is a user of that name"
)
_RESOURCE_HELP = "as kubectl writes it: pods, pods/exec, deployments.apps, deployments.apps/scale, or a path: /metrics"


def register(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_can(commands)
    _add_who_can(commands)
    _add_what_can(commands)
    _add_batch(commands)
    add_least_privilege(commands)
    add_fix(commands)


def _add_can(commands: _Commands) -> None:
    parser = commands.add_parser(
        "can", help="may this user do that? With the groups that authentication adds by itself, and the reason"
    )
    parser.add_argument("user", metavar="USER", help=_USER_HELP)
    _add_request(parser)
    _add_groups(parser)
    _add_output(parser)
    parser.set_defaults(run=_can)


def _add_who_can(commands: _Commands) -> None:
    parser = commands.add_parser("who-can", help="which users, groups and service accounts may do that, and why")
    _add_request(parser)
    _add_output(parser)
    parser.set_defaults(run=_who_can)


def _add_what_can(commands: _Commands) -> None:
    parser = commands.add_parser("what-can", help="all that bindings give a user and its groups, and through what")
    parser.add_argument("user", metavar="USER", help=_USER_HELP)
    _add_groups(parser)
    _add_output(parser)
    parser.set_defaults(run=_what_can)


def _add_batch(commands: _Commands) -> None:
    parser = commands.add_parser("batch", help="answer many SubjectAccessReviews, in order")
    parser.add_argument(
        "questions",
        metavar="QUESTIONS.jsonl",
        help="one JSON object a line, - for standard input: a SubjectAccessReview or its spec; user and groups are "
        "taken as they stand there, as the API server does",
    )
    _add_output(parser)
    parser.set_defaults(run=_batch)


def _add_request(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("verb", metavar="VERB", help="of RBAC: get, list, create, impersonate, …")
    parser.add_argument("resource", metavar="RESOURCE[/SUB]", help=_RESOURCE_HELP)
    parser.add_argument("--api-group", metavar="G", help="the resource's API group, if its name does not say it")
    parser.add_argument("--name", default="", metavar="N", help="of one object; without it, of all of them")
    parser.add_argument(
        "-n", "--namespace", default="", metavar="NS", help="in this namespace; without it, in the whole cluster"
    )


def _add_groups(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as-group",
        action="append",
        default=[],
        metavar="G",
        dest="groups",
        help="the user is in this group as well (repeatable)",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print the answer")
    register_source(parser)


def _can(arguments: argparse.Namespace) -> int:
    from scanner.analysis.rbac.answers import can
    from scanner.export.access import decision_lines, reported_answer

    identity, request = _identity(arguments), _request(arguments)
    snapshot = _read(arguments, [request.namespace])
    decision = can(snapshot, identity, request)
    if arguments.output == "json":
        print(to_json(reported_answer(identity, request, decision)))
    else:
        print_lines(decision_lines(identity, request, decision))
    return _status(snapshot, decision.missing)


def _who_can(arguments: argparse.Namespace) -> int:
    from scanner.analysis.rbac.answers import who_can
    from scanner.export.access import holder_lines, reported_holders

    request = _request(arguments)
    snapshot = _read(arguments, [request.namespace])
    found = who_can(snapshot, request)
    if arguments.output == "json":
        print(to_json(reported_holders(request, found)))
    else:
        print_lines(holder_lines(request, found))
    return _status(snapshot, found.missing)


def _what_can(arguments: argparse.Namespace) -> int:
    from scanner.analysis.rbac.answers import what_can
    from scanner.export.access import reported_rights, rights_lines

    identity = _identity(arguments)
    snapshot = _read(arguments, [])
    rights = what_can(snapshot, identity)
    if arguments.output == "json":
        print(to_json(reported_rights(identity, rights)))
    else:
        print_lines(rights_lines(identity, rights))
    return _status(snapshot, rights.missing)


def _batch(arguments: argparse.Namespace) -> int:
    from scanner.analysis.rbac.answers import can
    from scanner.export.access import batch_lines, reported_decision

    questions = list(_questions(arguments.questions))
    snapshot = _read(arguments, [request.namespace for _, request in questions])
    decisions = [can(snapshot, identity, request) for identity, request in questions]
    if arguments.output == "json":
        _print_rows(reported_decision(decision) for decision in decisions)
    else:
        answers = zip(questions, decisions, strict=True)
        print_lines(batch_lines((identity, request, decision) for (identity, request), decision in answers))
    return _status(snapshot, [what for decision in decisions for what in decision.missing])


def _print_rows(rows: Iterable[object]) -> None:
    """Print a JSON array, one line a row: a person finds a row by its number, as in the file of questions."""
    import msgspec

    print("[" + ",".join("\n" + msgspec.json.encode(row).decode() for row in rows) + "\n]")


def _questions(path: str) -> Iterator[tuple["Identity", "Request"]]:
    """Read a file of SubjectAccessReviews; empty lines are none."""
    from scanner.analysis.rbac.reviews import parse_review

    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            try:
                yield parse_review(line)
            except InputError as error:
                raise InputError(f"{path}: line {number}: {error}") from error


def _lines(path: str) -> list[bytes]:
    if path == "-":
        return sys.stdin.buffer.read().split(b"\n")
    try:
        return Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'cannot be read'}") from error


def _identity(arguments: argparse.Namespace) -> "Identity":
    from scanner.analysis.rbac.requests import identity_of

    return identity_of(arguments.user, frozenset(arguments.groups))


def _request(arguments: argparse.Namespace) -> "Request":
    """Say what is asked; a person who left out the API group is told."""
    from scanner.analysis.rbac.requests import request_of

    request = request_of(
        arguments.verb,
        arguments.resource,
        api_group=arguments.api_group,
        name=arguments.name,
        namespace=arguments.namespace,
    )
    if arguments.api_group is None and not request.group:
        _warn_of_group(request.resource)
    return request


def _warn_of_group(plural: str) -> None:
    """Tell a person who left out the API group of a resource that the core group does not have."""
    groups = sorted({resource.group for resource in RESOURCES if resource.plural == plural})
    if groups and "" not in groups:
        print(
            f"plimsoll: {plural} are asked for in the core group; did you mean {plural}.{groups[0]}?", file=sys.stderr
        )


def _read(arguments: argparse.Namespace, namespaces: Iterable[str]) -> Snapshot:
    """Read the chosen source; where a cluster may not be listed as a whole, these namespaces of it."""
    arguments.namespaces = sorted(set(namespaces) - {""})
    with progress_bar("Reading") as progress:
        return read_snapshot(arguments, now(), progress, resources=_RBAC_RESOURCES)


def _status(snapshot: Snapshot, missing: Iterable[str]) -> ExitStatus:
    """Decide the exit status: incomplete if an answer lacks something that could not be read."""
    unread = {read.missing for read in gaps(snapshot.coverage)} & set(missing)
    if not unread:
        return ExitStatus.DONE
    print(f"plimsoll: the answer is incomplete: not read: {', '.join(sorted(unread)[:5])}", file=sys.stderr)
    return ExitStatus.INCOMPLETE
