"""Credentials that stand in the open in a pod template; evidence names their place, never what they are.

Everyone who may read workloads may read them: that is far more people, tools and repositories than may read Secrets.
"""

import datetime as dt
from collections.abc import Callable, Iterator

from scanner.analysis.secrets.credentials import why_command, why_environment
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot
from scanner.model.workload import TEMPLATE_PATHS, Container, Workload

#: What the answers rest on.
READS: tuple[GroupKind, ...] = tuple(TEMPLATE_PATHS)


def literal_environment(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each workload whether an environment variable of a container holds a credential as a literal."""
    del now  # nothing here depends on the time
    return _answers(snapshot, _in_environment, "An environment variable holds")


def literal_commands(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each workload whether a command or argument of a container gives away a credential."""
    del now  # nothing here depends on the time
    return _answers(snapshot, _in_command, "The command line holds")


def _answers(snapshot: Snapshot, find: Callable[[Container], Iterator[tuple[str, str]]], what: str) -> Iterator[Answer]:
    for workload in snapshot.workloads:
        found = [(c, path, why) for c in workload.containers for path, why in find(c)]
        reasons = sorted({why for _, _, why in found})
        yield Answer(
            resource=workload.ref,
            outcome=Outcome.FAIL if found else Outcome.PASS,
            message=f"{what} {', '.join(reasons)}" if found else "No credential seen",
            evidence=tuple(_fact(workload, container, path, why) for container, path, why in found),
        )


def _fact(workload: Workload, container: Container, path: str, why: str) -> Fact:
    """Name the place; the fact has no value, which would be the credential."""
    holder = None if container.owner == workload.ref else container.owner
    return Fact(path=f"{container.path}.{path}", container=container.name, object=holder, note=f"holds {why}")


def _in_environment(container: Container) -> Iterator[tuple[str, str]]:
    for index, variable in enumerate(container.spec.get("env") or ()):
        why = why_environment(str(variable.get("name") or ""), str(variable.get("value") or ""))
        if why:
            yield f"env[{index}].value", why


def _in_command(container: Container) -> Iterator[tuple[str, str]]:
    """Look at command and arguments as the one line that they are, so that an option finds its value."""
    command, args = tuple(container.spec.get("command") or ()), tuple(container.spec.get("args") or ())
    for index, why in why_command((*command, *args)):
        at = f"command[{index}]" if index < len(command) else f"args[{index - len(command)}]"
        yield at, why
