"""What belongs together: the application that a workload is part of, and the objects that are about a workload."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scanner.analysis.readiness.disruption import budgets_by_namespace
from scanner.analysis.readiness.scale import AUTOSCALER
from scanner.analysis.readiness.serving import services_by_namespace
from scanner.model.availability import AutoscalerBody
from scanner.model.network import IngressBackend, IngressBody, NetworkPolicyBody
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Workload

INGRESS = GroupKind("networking.k8s.io", "Ingress")
NETWORK_POLICY = GroupKind("networking.k8s.io", "NetworkPolicy")
_SERVICE = GroupKind("", "Service")
_SERVICE_ACCOUNT = GroupKind("", "ServiceAccount")
#: The most that an annotation's value is trusted to be a name: that of a Kubernetes object.
_LONGEST_NAME = 253

#: Object → workloads that it is about, by kind, namespace and name.
_Key = tuple[GroupKind, str, str]
_Pair = tuple[_Key, ObjectRef]
Related = Mapping[_Key, Sequence[ObjectRef]]


@dataclass(frozen=True, slots=True, order=True)
class Application:
    """Workloads that people install, upgrade and talk of as one; within one namespace."""

    namespace: str
    name: str
    #: What says so: a label or annotation; empty for a workload that stands for itself.
    told_by: str


#: Labels and annotations that name an application, the first that is there counts. Labels of
#: https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/; those of Argo CD and Helm by their
#: documentation of resource tracking and of what `helm install` writes.
_LABELS = ("app.kubernetes.io/part-of", "app.kubernetes.io/instance", "argocd.argoproj.io/instance")
_TRACKING_ID = "argocd.argoproj.io/tracking-id"
_RELEASE = "meta.helm.sh/release-name"


def application_of(workload: Workload) -> Application:
    """Tell which application a workload is part of; itself, as `Kind/name`, where nothing tells.

    Labels of the workload come before those of its pods. Equal names in two namespaces are two applications: most often
    they are two installations of one.
    """
    labels: Mapping[str, str] = {**workload.template.labels, **(workload.meta.labels or {})}
    annotations = workload.meta.annotations or {}
    named = [(key, labels.get(key, "")) for key in _LABELS]
    named.append((_TRACKING_ID, annotations.get(_TRACKING_ID, "").partition(":")[0]))
    named.append((_RELEASE, annotations.get(_RELEASE, "")))
    for key, name in named:
        if name and len(name) <= _LONGEST_NAME:
            return Application(workload.ref.namespace, name, key)
    return Application(workload.ref.namespace, f"{workload.ref.kind}/{workload.ref.name}", "")


def related_workloads(snapshot: Snapshot) -> Related:
    """Return the workloads that each autoscaler, budget, Service, Ingress, NetworkPolicy and account is about."""
    by_namespace: dict[str, list[Workload]] = defaultdict(list)
    for workload in snapshot.workloads:
        by_namespace[workload.ref.namespace].append(workload)
    found: dict[_Key, list[ObjectRef]] = defaultdict(list)
    for pairs in (_scaled(snapshot), _running_as(snapshot), _selected(snapshot, by_namespace)):
        for key, ref in pairs:
            found[key].append(ref)
    for ingress in snapshot.of(*INGRESS):
        for name in _backends(ingress.decode(IngressBody)):
            found[_key(ingress.ref)] += found.get((_SERVICE, ingress.meta.namespace, name), ())
    return found


def _scaled(snapshot: Snapshot) -> Iterator[_Pair]:
    known = {_key(workload.ref): workload.ref for workload in snapshot.workloads}
    for autoscaler in snapshot.of(*AUTOSCALER):
        target = autoscaler.decode(AutoscalerBody).spec.scale_target_ref
        scaled = known.get((target.group_kind, autoscaler.meta.namespace, target.name))
        if scaled is not None:
            yield _key(autoscaler.ref), scaled


def _running_as(snapshot: Snapshot) -> Iterator[_Pair]:
    for workload in snapshot.workloads:
        yield (_SERVICE_ACCOUNT, workload.ref.namespace, workload.template.service_account), workload.ref


def _selected(snapshot: Snapshot, by_namespace: Mapping[str, Sequence[Workload]]) -> Iterator[_Pair]:
    selectors = [
        *((b.ref, b.spec.selector) for budgets in snapshot.derive(budgets_by_namespace).values() for b in budgets),
        *(
            (s.ref, LabelSelector(match_labels=s.spec.selector))
            for services in snapshot.derive(services_by_namespace).values()
            for s in services
        ),
        *((p.ref, p.decode(NetworkPolicyBody).spec.pod_selector) for p in snapshot.of(*NETWORK_POLICY)),
    ]
    for ref, selector in selectors:
        if selector is not None:
            for workload in by_namespace.get(ref.namespace, ()):
                if selector.matches(workload.template.labels):
                    yield _key(ref), workload.ref


def _backends(ingress: IngressBody) -> Iterator[str]:
    """Yield the names of the Services that an Ingress leads to, each once."""
    backends: list[IngressBackend | None] = [ingress.spec.default_backend]
    backends += [path.backend for rule in ingress.spec.rules or () if rule.http for path in rule.http.paths or ()]
    return iter(sorted({b.service.name for b in backends if b and b.service}))


def _key(ref: ObjectRef) -> _Key:
    return (ref.group_kind, ref.namespace, ref.name)
