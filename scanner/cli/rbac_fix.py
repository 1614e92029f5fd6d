"""`plimsoll rbac fix`: the change of roles and bindings that ends a finding. It is printed, never carried out."""

import argparse
from typing import TYPE_CHECKING, TypeAlias

from scanner.cli.clock import now
from scanner.cli.fix import print_repair
from scanner.cli.sources import read_snapshot, register_sources
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import progress_bar
from scanner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanner.model.finding import Finding
    from scanner.model.snapshot import Snapshot

#: What argparse returns for subcommands has no public name.
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def add_fix(commands: _Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "fix", help="print the smallest change of roles and bindings that ends findings; nothing is carried out"
    )
    parser.add_argument("findings", nargs="*", metavar="FINDING_ID", help="as `plimsoll scan -o json` gives it")
    parser.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="GLOB",
        dest="policies",
        help="all findings of these policies, such as 'rbac/read-*' (repeatable)",
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=("diff", "yaml", "json"),
        default="diff",
        help="a diff, objects for `kubectl apply -f -` with commands for what is deleted, or JSON Patches",
    )
    register_sources(parser)
    parser.set_defaults(run=_fix)


def _fix(arguments: argparse.Namespace) -> int:
    from scanner.policy.evaluate import evaluate
    from scanner.policy.fixes import AREA, repair_of
    from scanner.policy.load import builtin_policies_root, load_policies

    if not arguments.findings and not arguments.policies:
        raise UsageError("name findings by their id, or policies with --policy")
    only = (f"{AREA}*",) if arguments.findings else tuple(arguments.policies)
    policies = [p for p in load_policies(builtin_policies_root(), only=only) if p.id.startswith(AREA)]
    if not policies:
        raise UsageError(f"only findings of {AREA}* have fixes: none of these policies is one")
    started = now()
    with progress_bar("Reading") as progress:
        snapshot = read_snapshot(arguments, started, progress)
    found = evaluate(snapshot, policies, now=started).findings
    chosen = _named(found, arguments.findings, snapshot) if arguments.findings else [f for f in found if f.stands_out]
    print_repair(repair_of(snapshot, policies, chosen, now=started), snapshot.cluster, arguments.output)
    return ExitStatus.DONE


def _named(findings: "Sequence[Finding]", ids: "Sequence[str]", snapshot: "Snapshot") -> "list[Finding]":
    """Return the findings with these ids, in their order."""
    by_id: dict[str, Finding] = {finding.fingerprint(snapshot.cluster): finding for finding in findings}
    unknown = [id_ for id_ in ids if id_ not in by_id]
    if unknown:
        raise UsageError(f"no finding of rbac/* has the id {unknown[0]} (the name of the cluster is part of it)")
    return [by_id[id_] for id_ in dict.fromkeys(ids)]
