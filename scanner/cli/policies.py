"""`plimsoll policies`: lists, explains, exports and tests policies."""

import argparse
import sys
from pathlib import Path
from typing import TypeAlias

from scanner.cli.clock import now
from scanner.cli.sources import read_snapshot, register_sources
from scanner.cli.status import ExitStatus
from scanner.cli.terminal import print_lines
from scanner.errors import UsageError
from scanner.export.report import gaps, to_json
from scanner.model.policy import Policy
from scanner.model.refs import ClusterName

ADMISSION_GROUP = "admissionregistration.k8s.io"


#: What argparse returns for subcommands has no public name.
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def register(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_list(commands)
    _add_show(commands)
    _add_docs(commands)
    _add_export(commands)
    _add_test(commands)


def _add_list(commands: _Commands) -> None:
    parser = commands.add_parser("list", help="list policies")
    parser.add_argument("globs", nargs="*", metavar="GLOB", help="over their ids, such as 'pods/*'")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.set_defaults(run=_list)


def _add_show(commands: _Commands) -> None:
    parser = commands.add_parser("show", help="explain one policy")
    parser.add_argument("id", metavar="ID", help="such as pods/privileged-container")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    parser.set_defaults(run=_show)


def _add_docs(commands: _Commands) -> None:
    parser = commands.add_parser("docs", help="print the reference of all policies as Markdown")
    parser.set_defaults(run=_docs)


def _add_export(commands: _Commands) -> None:
    parser = commands.add_parser("export", help="print CEL policies as ValidatingAdmissionPolicies with bindings")
    parser.add_argument("globs", nargs="*", metavar="GLOB", help="over their ids, such as 'pods/*'")
    parser.set_defaults(run=_export)


def _add_test(commands: _Commands) -> None:
    parser = commands.add_parser(
        "test", help="judge existing objects by anyone's ValidatingAdmissionPolicies, with their bindings and params"
    )
    parser.add_argument("files", nargs="+", metavar="VAP.yaml", help="files with the policies, bindings and params")
    register_sources(parser)
    parser.add_argument(
        "--as", dest="user", metavar="USER", help="who creates the objects, for request.userInfo and authorizer"
    )
    parser.add_argument("--as-group", dest="groups", action="append", default=[], metavar="GROUP", help="(repeatable)")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.set_defaults(run=_test)


def _loaded(globs: list[str]) -> tuple[Policy, ...]:
    from scanner.policy.load import builtin_policies_root, load_policies

    return load_policies(builtin_policies_root(), only=tuple(globs) or ("*",))


def _list(arguments: argparse.Namespace) -> int:
    from scanner.export.reference import described

    policies = _loaded(arguments.globs)
    if arguments.output == "json":
        print(to_json([described(policy) for policy in policies]))
        return ExitStatus.DONE
    width = max(len(policy.id) for policy in policies)
    for policy in policies:
        print(f"{policy.severity:<9} {policy.id:<{width}}  {policy.title}")
    return ExitStatus.DONE


def _show(arguments: argparse.Namespace) -> int:
    from scanner.export.reference import described, policy_text

    (policy, *_) = _loaded([arguments.id])
    print(to_json(described(policy)) if arguments.output == "json" else policy_text(policy))
    return ExitStatus.DONE


def _docs(arguments: argparse.Namespace) -> int:
    del arguments
    from scanner.export.reference import policy_reference

    print(policy_reference(_loaded([])), end="")
    return ExitStatus.DONE


def _export(arguments: argparse.Namespace) -> int:
    from scanner.export.admission import admission_manifests
    from scanner.policy.generate import to_admission

    policies = [policy for policy in _loaded(arguments.globs) if policy.forbid]
    if not policies:
        raise UsageError("none of these policies is CEL over one object, which is what admission can ask")
    print(admission_manifests(to_admission(policy) for policy in policies), end="")
    return ExitStatus.DONE


def _test(arguments: argparse.Namespace) -> int:
    from scanner.analysis.rbac.requests import identity_of
    from scanner.cluster.manifests import read_manifests
    from scanner.export.admission import admission_lines, admission_report
    from scanner.policy.admission import audit

    for file in arguments.files:
        if file != "-" and not Path(file).exists():
            raise UsageError(f"{file}: no such file or folder")
    started = now()
    tested = read_manifests(arguments.files, stdin=sys.stdin.buffer, cluster=ClusterName("policies"), now=started)
    policies = tested.of(ADMISSION_GROUP, "ValidatingAdmissionPolicy")
    if not policies:
        raise UsageError(f"{' '.join(arguments.files)}: no ValidatingAdmissionPolicy in there")
    bindings = tested.of(ADMISSION_GROUP, "ValidatingAdmissionPolicyBinding")
    params = [thing for kind, things in tested.objects.items() if kind.group != ADMISSION_GROUP for thing in things]
    snapshot = read_snapshot(arguments, started)
    if arguments.groups and not arguments.user:
        raise UsageError("--as-group needs --as")
    identity = identity_of(arguments.user, frozenset(arguments.groups)) if arguments.user else None
    outcomes = audit(policies, bindings, params, snapshot, identity)
    if arguments.output == "json":
        print(to_json(admission_report(snapshot, outcomes)))
    else:
        print_lines(admission_lines(outcomes))
    return ExitStatus.INCOMPLETE if gaps(snapshot.coverage) or gaps(tested.coverage) else ExitStatus.DONE
