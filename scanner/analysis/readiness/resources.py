"""What containers reserve and where they end: requests and limits, with what pod, namespace and API server fill in."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from scanner.analysis.readiness.doubt import doubted
from scanner.model.answer import Answer
from scanner.model.availability import LimitRangeBody, Quantities
from scanner.model.finding import Fact, Outcome
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Container, ContainerRole, PodTemplate, Workload

Section = Literal["requests", "limits"]

#: Its defaults reach containers that say nothing.
LIMIT_RANGE = GroupKind("", "LimitRange")

#: Roles that run as long as the pod does.
_LASTING = frozenset({ContainerRole.REGULAR, ContainerRole.SIDECAR})


def lasting_containers(template: PodTemplate) -> tuple[Container, ...]:
    """Return the containers that run as long as the pod: regular ones and sidecars."""
    return tuple(c for c in template.containers if c.role in _LASTING)


def containers_without(
    snapshot: Snapshot, *, now: dt.datetime, section: Section, resources: Sequence[str]
) -> Iterator[Answer]:
    """Tell which workloads have containers that neither set nor are given a request or limit of these resources.

    Init containers are left out: they end. A pod's own resources count for its containers, and so do the defaults of
    LimitRanges, which pods get when they are created.
    """
    del now  # nothing here depends on the time
    return (
        doubted(_answer(snapshot, workload, section, resources), snapshot, LIMIT_RANGE)
        for workload in snapshot.workloads
    )


def has(snapshot: Snapshot, template: PodTemplate, container: Container, section: Section, resource: str) -> bool:
    """Tell whether a container will run with a request or limit, its own, its pod's or its namespace's.

    A limit without a request is a request too: the API server copies it.
    """
    sections: tuple[Section, ...] = ("limits",) if section == "limits" else ("requests", "limits")
    holders = (container.spec, template.spec)
    if any(_is_set(_of(holder, part).get(resource)) for holder in holders for part in sections):
        return True
    return resource in snapshot.derive(defaults_by_namespace).get((template.owner.namespace, section), ())


def defaults_by_namespace(snapshot: Snapshot) -> Mapping[tuple[str, Section], frozenset[str]]:
    """Return the resources that LimitRanges give to every container of a namespace, as requests and as limits.

    Source: kubernetes/pkg/apis/core/v1/defaults.go, SetDefaults_LimitRangeItem.
    """
    found: dict[tuple[str, Section], set[str]] = defaultdict(set)
    for limit_range in snapshot.of(*LIMIT_RANGE):
        namespace = limit_range.meta.namespace
        for item in limit_range.decode(LimitRangeBody).spec.limits or ():
            if item.type == "Container":
                limits = {*(item.default or ()), *(item.max or ())}
                found[namespace, "limits"] |= limits
                found[namespace, "requests"] |= {*(item.default_request or ()), *limits, *(item.min or ())}
    return {key: frozenset(resources) for key, resources in found.items()}


def _answer(snapshot: Snapshot, workload: Workload, section: Section, resources: Sequence[str]) -> Answer:
    missing = [
        (container, resource)
        for template in workload.templates
        for container in lasting_containers(template)
        for resource in resources
        if not has(snapshot, template, container, section, resource)
    ]
    if not missing:
        return Answer(resource=workload.ref, outcome=Outcome.PASS, message=f"All {section} are set or given")
    names = ", ".join(sorted({container.name for container, _ in missing}))
    lacking = " and ".join(sorted({resource for _, resource in missing}))
    return Answer(
        resource=workload.ref,
        outcome=Outcome.FAIL,
        message=f"No {lacking} {section} for: {names}",
        evidence=tuple(
            _fact(workload, container, f"resources.{section}.{resource}") for container, resource in missing
        ),
    )


def _fact(workload: Workload, container: Container, field: str) -> Fact:
    holder = container.owner if container.owner != workload.ref else None
    return Fact(path=f"{container.path}.{field}", container=container.name, object=holder)


def _of(holder: Mapping[str, Any], section: Section) -> Quantities:
    amounts: Quantities = (holder.get("resources") or {}).get(section) or {}
    return amounts


def _is_set(amount: str | float | None) -> bool:
    """Tell whether an amount bounds anything: zero means none, for the kubelet."""
    return amount is not None and str(amount) not in {"", "0"}
