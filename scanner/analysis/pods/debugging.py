"""Ephemeral containers: what people have added to running pods.

Only running pods have them; no template can. They stay in the pod's spec after they have ended, until the pod goes.
"""

import datetime as dt
from collections.abc import Iterator

from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Container, ContainerRole, Workload


def debug_containers(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which workloads have pods that carry ephemeral containers, and with which images."""
    del now  # nothing here depends on the time
    return (_answer(workload) for workload in snapshot.workloads)


def _answer(workload: Workload) -> Answer:
    added = [c for c in workload.containers if c.role is ContainerRole.EPHEMERAL]
    if not added:
        return Answer(resource=workload.ref, outcome=Outcome.PASS, message="No pod carries a debug container")
    names = ", ".join(sorted({f"{c.name} ({c.spec.get('image', 'no image')})" for c in added}))
    return Answer(
        resource=workload.ref,
        outcome=Outcome.FAIL,
        message=f"Debug containers were added to running pods: {names}",
        evidence=tuple(_fact(container, workload) for container in added),
    )


def _fact(container: Container, workload: Workload) -> Fact:
    return Fact(
        path=container.path,
        value=container.spec.get("image"),
        container=container.name,
        object=container.owner if container.owner != workload.ref else None,
    )
