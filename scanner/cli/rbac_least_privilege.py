"""`plimsoll rbac least-privilege`: from an audit log, which grants are used, and the roles that would have sufficed."""

import argparse
import sys
from typing import TYPE_CHECKING, TypeAlias

from scanner.cli.clock import now
from scanner.cli.sources import read_snapshot, register_source
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import print_lines, progress_bar
from scanner.errors import InputError
from scanner.export.report import gaps, to_json
from scanner.model.rbac import RBAC_GROUP, Subject
from scanner.model.resources import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanner.analysis.rbac.least_privilege import Proposal
    from scanner.analysis.rbac.requests import Identity
    from scanner.analysis.rbac.usage import Recorder
    from scanner.export.least_privilege import LogRead

#: What argparse returns for subcommands has no public name.
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001

_RBAC_RESOURCES = tuple(resource for resource in RESOURCES if resource.group == RBAC_GROUP)


def add_least_privilege(commands: _Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "least-privilege",
        help="compare what identities are granted with what an audit log shows that they used, and propose roles",
    )
    parser.add_argument(
        "logs", nargs="+", metavar="AUDIT.log", help="audit events, one JSON object a line (also .gz, - for stdin)"
    )
    parser.add_argument(
        "--identity",
        action="append",
        default=[],
        metavar="USER",
        help="only this user, as authentication gives it: jane, system:serviceaccount:NAMESPACE:NAME (repeatable)",
    )
    parser.add_argument(
        "--group", action="append", default=[], metavar="G", help="only this group and its members (repeatable)"
    )
    parser.add_argument(
        "--resource-names",
        action="store_true",
        help="limit roles to the names of objects, where they are few and don't come and go",
    )
    parser.add_argument(
        "-o", "--output", choices=("table", "yaml", "json"), default="table", help="how to print proposals"
    )
    register_source(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from scanner.analysis.rbac.least_privilege import proposals
    from scanner.analysis.rbac.proof import prove
    from scanner.export.least_privilege import (
        least_privilege_lines,
        least_privilege_manifests,
        least_privilege_report,
    )

    recorder, log = _record(arguments)
    usages = recorder.usages()
    with progress_bar("Reading") as progress:
        snapshot = read_snapshot(arguments, now(), progress, resources=_RBAC_RESOURCES)
    found = proposals(snapshot, usages, subjects=_subjects(arguments), with_names=arguments.resource_names)
    proof = prove(snapshot, usages, found)
    if proof.failures:
        raise InputError(f"the proposals do not hold, please report this: {proof.failures[0]}")
    if arguments.output == "json":
        print(to_json(least_privilege_report(snapshot.cluster, found, log, proof)))
    elif arguments.output == "yaml":
        print(least_privilege_manifests(found, proof), end="")
    else:
        print_lines(least_privilege_lines(found, proof))
    return _status(found, log, len(gaps(snapshot.coverage)))


def _subjects(arguments: argparse.Namespace) -> frozenset[Subject] | None:
    from scanner.analysis.rbac.requests import canonical_subject

    named = [Subject("User", name) for name in arguments.identity] + [Subject("Group", g) for g in arguments.group]
    return frozenset(s for one in named for s in (canonical_subject(one, ""),) if s) or None


def _record(arguments: argparse.Namespace) -> "tuple[Recorder, LogRead]":
    """Read the logs, and say once how much of them was no audit event, and where that begins."""
    from scanner.analysis.rbac.audit import observed
    from scanner.analysis.rbac.usage import Recorder
    from scanner.cluster.audit_log import read_audit_log
    from scanner.export.least_privilege import LogRead

    users, groups = frozenset(arguments.identity), frozenset(arguments.group)

    def is_wanted(identity: "Identity") -> bool:
        return not (users or groups) or identity.user in users or not groups.isdisjoint(identity.groups)

    recorder = Recorder(is_wanted=is_wanted)
    events, malformed, first = 0, 0, ""
    for path in arguments.logs:
        for number, event in read_audit_log(path, sys.stdin.buffer):
            if event is None:
                malformed, first = malformed + 1, first or f"{path}: line {number}"
                continue
            events += 1
            for one in observed(event):
                recorder.record(one)
    if not events:
        raise InputError(f"{' '.join(arguments.logs)}: no audit event in there")
    if malformed:
        print(f"plimsoll: {malformed:,} lines are no audit events and were passed over, first {first}", file=sys.stderr)
    return recorder, LogRead(events, malformed, recorder.left_out)


def _status(found: "Sequence[Proposal]", log: "LogRead", unread: int) -> ExitStatus:
    partial = sum(proposal.is_partial for proposal in found)
    if partial or log.left_out:
        print(
            f"plimsoll: the log holds more than is kept: {partial:,} subjects get no proposal, and {log.left_out:,} "
            "requests were passed over; name identities with --identity",
            file=sys.stderr,
        )
    if unread:
        print(f"plimsoll: the answer is incomplete: {unread:,} reads of roles and bindings failed", file=sys.stderr)
    return ExitStatus.INCOMPLETE if partial or log.left_out or log.malformed or unread else ExitStatus.DONE
