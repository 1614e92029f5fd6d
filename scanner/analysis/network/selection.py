"""Which pods a selector means: those that run, and those that a template will make.

A running pod shows all its labels. A template shows only those that a person wrote: controllers add some when they make
the pod, and programs such as Vault or Patroni label their own pod while they run. So a template answers yes, no, or
that it cannot tell.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.resources import BY_KIND
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import TEMPLATE_PATHS, Pod, PodTemplate, Workload

POD = GroupKind("", "Pod")
JOB = GroupKind("batch", "Job")

#: Labels that built-in controllers, or Argo Rollouts, add to the pods that they make.
GENERATED_LABELS = frozenset(
    {
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/job-name",
        "controller-revision-hash",
        "controller-uid",
        "job-name",
        "pod-template-generation",
        "pod-template-hash",
        "rollouts-pod-template-hash",
        "statefulset.kubernetes.io/pod-name",
    }
)

#: Of this group a Prometheus makes pods, and monitors do not.
_MONITORING = "monitoring.coreos.com"
#: Custom kinds that stand beside workloads and make no pods; any other custom resource may be an operator's order.
_WITHOUT_PODS = frozenset(
    {
        "bitnami.com",  # SealedSecret
        "cert-manager.io",
        "external-secrets.io",
        "secrets-store.csi.x-k8s.io",
        "traefik.io",
        "networking.istio.io",
        "security.istio.io",
        *(kind.group for kind in BY_KIND if kind.group != _MONITORING),
    }
)
_MONITORS = frozenset({"ServiceMonitor", "PodMonitor", "PrometheusRule", "Probe", "ScrapeConfig"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PodLabels:
    """The labels of pods that are alike, and where they stand."""

    labels: Mapping[str, str]
    #: Whether pods with them run, so that no label is hidden.
    is_running: bool
    #: The object that holds them.
    holder: ObjectRef
    #: Path of the labels in it.
    path: str

    def fact(self, about: ObjectRef) -> Fact:
        """Return the labels as evidence for a finding about an object."""
        return Fact(path=self.path, value=dict(self.labels), object=None if self.holder == about else self.holder)


def pods_of(workload: Workload, source: SourceKind) -> tuple[PodLabels, ...]:
    """Return the distinct labels of a workload's running pods, or of its templates if none runs.

    Empty for a pod that has ended, and for a live Job that runs no pod: neither has a network, nor will it have one.
    """
    running = [p for p in workload.pods if not p.status.is_terminated]
    if not running:
        is_over = workload.ref.group_kind in {POD, JOB} and (workload.pods or source is SourceKind.LIVE)
        return () if is_over else tuple(_of_template(t) for t in workload.templates)
    return tuple(_of_pod(pod, workload.template) for pod in _distinct(running))


def labels_at(workload: Workload, index: int) -> PodLabels:
    """Return the labels of one of a workload's running pods, or of its templates if none runs, by its place."""
    running = [p for p in workload.pods if not p.status.is_terminated]
    return _of_pod(running[index], workload.template) if running else _of_template(workload.templates[index])


def _distinct(pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """Return one pod for each set of labels; what tells the pods of one template apart does not count."""
    found: dict[frozenset[tuple[str, str]], Pod] = {}
    for pod in pods:
        found.setdefault(frozenset((pod.object.meta.labels or {}).items()), pod)
    return tuple(found.values())


def _of_template(template: PodTemplate) -> PodLabels:
    return PodLabels(
        labels=template.labels,
        is_running=template.owner.group_kind == POD,
        holder=template.owner,
        path=template.path.removesuffix("spec") + "metadata.labels",
    )


def _of_pod(pod: Pod, template: PodTemplate) -> PodLabels:
    """Point at the template where the pod has no other labels than it says: that is what a person can change."""
    labels = pod.object.meta.labels or {}
    written = {k: v for k, v in labels.items() if k not in GENERATED_LABELS}
    if written == template.labels:
        shown = _of_template(template)
        return PodLabels(labels=labels, is_running=True, holder=shown.holder, path=shown.path)
    return PodLabels(labels=labels, is_running=True, holder=pod.ref, path="metadata.labels")


def selects(selector: LabelSelector, pod: PodLabels) -> bool | None:
    """Tell whether a selector selects a pod; None if that depends on a label that its controller will add."""
    if pod.is_running:
        return selector.matches(pod.labels)
    known = _without_keys(selector, GENERATED_LABELS - pod.labels.keys())
    if not known.matches(pod.labels):
        return False
    return True if known == selector else None


def may_select(selector: LabelSelector, pod: PodLabels) -> bool:
    """Tell whether pods of a template would be selected if they got the labels that they lack.

    That is so if one requirement holds for a label that is there, and none is contradicted.
    """
    if pod.is_running:
        return selector.matches(pod.labels)
    known = _without_keys(selector, _keys(selector) - pod.labels.keys())
    return not known.is_empty and known.matches(pod.labels)


def _keys(selector: LabelSelector) -> frozenset[str]:
    return frozenset(selector.match_labels or {}) | {r.key for r in selector.match_expressions or ()}


def _without_keys(selector: LabelSelector, keys: frozenset[str]) -> LabelSelector:
    """Return the part of a selector that is about other keys; itself if that is all."""
    if not _keys(selector) & keys:
        return selector
    return LabelSelector(
        match_labels={k: v for k, v in (selector.match_labels or {}).items() if k not in keys},
        match_expressions=tuple(r for r in selector.match_expressions or () if r.key not in keys),
    )


def pods_by_namespace(snapshot: Snapshot) -> Mapping[str, tuple[PodLabels, ...]]:
    """Return the labels of all pods that run or will be made, by namespace."""
    found: dict[str, list[PodLabels]] = {}
    for workload in snapshot.workloads:
        found.setdefault(workload.ref.namespace, []).extend(pods_of(workload, snapshot.source))
    return {namespace: tuple(pods) for namespace, pods in found.items()}


def is_described(snapshot: Snapshot, namespace: str) -> bool:
    """Tell whether what is missing in a namespace does not exist, as far as pods go.

    A live cluster that was read shows its pods. Files are taken as the whole of a namespace if they hold workloads for
    it and no custom resource of which an operator may make more.
    """
    if snapshot.source is SourceKind.LIVE:
        return True
    return namespace in snapshot.derive(pods_by_namespace) and not snapshot.derive(_namespaces_of_operators) & {
        namespace,
        "",
    }


def _namespaces_of_operators(snapshot: Snapshot) -> frozenset[str]:
    """Return the namespaces with a custom resource that may stand for pods."""
    return frozenset(
        o.meta.namespace
        for kind, objects in snapshot.objects.items()
        if _is_custom(kind) and kind.group not in _WITHOUT_PODS and kind.kind not in _MONITORS
        for o in objects
    )


def _is_custom(kind: GroupKind) -> bool:
    """Tell whether a kind is none of Kubernetes' own, whose groups are short words or end in .k8s.io."""
    return "." in kind.group and not kind.group.endswith(".k8s.io")


def missing_reads(snapshot: Snapshot, kinds: Iterable[GroupKind], namespace: str) -> tuple[str, ...]:
    """Return the reads without which nothing is known to be absent; none are missing for files."""
    if snapshot.source is not SourceKind.LIVE:
        return ()
    return tuple(read.missing for read in snapshot.inconclusive(kinds, namespace))


def unread_pods(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the read that would show running pods, where the snapshot has none because it was made of files."""
    return () if snapshot.source is SourceKind.LIVE else ("list pods",)


#: What shows which pods there are.
WORKLOAD_KINDS: tuple[GroupKind, ...] = tuple(TEMPLATE_PATHS)


def judge_selection(  # noqa: PLR0913 - a selector, what it may find, and the words for either outcome
    snapshot: Snapshot,
    selector: LabelSelector,
    pods: tuple[PodLabels, ...],
    *,
    resource: ObjectRef,
    shown: Fact,
    nothing: str,
) -> Answer:
    """Answer whether a resource's selector finds one of the pods of its namespace; an empty one finds all to come.

    `shown` is the selector as evidence, `nothing` the message where it is certain that nothing is found.
    """
    if selector.is_empty or any(selects(selector, pod) is not False for pod in pods):
        return Answer(resource=resource, outcome=Outcome.PASS, message="Its selector matches pods")
    missing = missing_reads(snapshot, WORKLOAD_KINDS, resource.namespace)
    if any(may_select(selector, pod) for pod in pods):
        message = "Its selector needs a label that no template has; only running pods would tell"
    elif missing or not is_described(snapshot, resource.namespace):
        message = "Its selector matches no pod that was read"
    else:
        return Answer(resource=resource, outcome=Outcome.FAIL, message=nothing, evidence=(shown,))
    return Answer(
        resource=resource,
        outcome=Outcome.UNKNOWN,
        message=message,
        evidence=(shown,),
        missing=missing or unread_pods(snapshot),
    )
