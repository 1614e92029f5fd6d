"""Where workloads are that people deploy: in which namespace, and whether something starts their pods again."""

import datetime as dt
from collections.abc import Iterator, Sequence

from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.refs import GroupKind
from scanner.model.service_account import MIRROR
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Workload

_POD = GroupKind("", "Pod")

#: Labels that what Kubernetes, its installers and their add-ons put into the system namespaces carries.
#: Source: kubeadm and kubernetes/cluster/addons; managed services use the same.
_SYSTEM_LABELS = frozenset(
    {"k8s-app", "component", "tier", "kubernetes.io/cluster-service", "addonmanager.kubernetes.io/mode"}
)


def workloads_in_namespaces(
    snapshot: Snapshot, *, now: dt.datetime, namespaces: Sequence[str], leave_out_system: bool = False
) -> Iterator[Answer]:
    """Tell which workloads are in one of these namespaces.

    With `leave_out_system` what belongs to the cluster itself passes: what carries the labels of its components or
    a priority class of the system, and what a kubelet runs from a file.
    """
    del now  # nothing here depends on the time
    for workload in snapshot.workloads:
        is_there = workload.ref.namespace in namespaces
        fails = is_there and not (leave_out_system and _is_of_the_system(workload))
        yield Answer(
            resource=workload.ref,
            outcome=Outcome.FAIL if fails else Outcome.PASS,
            message=f"It is in the namespace {workload.ref.namespace}" if fails else "It is in a namespace for it",
            evidence=(Fact(path="metadata.namespace", value=workload.ref.namespace),) if fails else (),
        )


def bare_pods(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which pods nothing starts again when they, or their nodes, go.

    Static pods are started by their kubelet, and pods that have run to their end are over.
    """
    del now  # nothing here depends on the time
    for workload in snapshot.workloads:
        if workload.ref.group_kind != _POD:
            continue
        has_ended = bool(workload.pods) and all(pod.status.is_terminated for pod in workload.pods)
        fails = not _is_static(workload) and not has_ended
        yield Answer(
            resource=workload.ref,
            outcome=Outcome.FAIL if fails else Outcome.PASS,
            message="Nothing starts this pod again" if fails else "It runs from a file, or has ended",
            evidence=(Fact(path="metadata.ownerReferences"),) if fails else (),
        )


def _is_static(workload: Workload) -> bool:
    return MIRROR in (workload.meta.annotations or {})


def _is_of_the_system(workload: Workload) -> bool:
    labels = {*(workload.meta.labels or {}), *(label for template in workload.templates for label in template.labels)}
    return (
        _is_static(workload)
        or not labels.isdisjoint(_SYSTEM_LABELS)
        or any(str(t.spec.get("priorityClassName", "")).startswith("system-") for t in workload.templates)
    )
