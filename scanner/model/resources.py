"""The kinds that a scan reads, and why: the one list that readers, ClusterRole and documentation are made from."""

from dataclasses import dataclass

from scanner.model.refs import GroupKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A kind of object as the API serves it."""

    group: str
    #: Preferred first; the first that the API server serves is read.
    versions: tuple[str, ...]
    plural: str
    kind: str
    namespaced: bool
    #: What needs it; it stands in the generated ClusterRole.
    reason: str
    #: Whether anything reads its status; otherwise that is dropped on arrival.
    keeps_status: bool = False
    #: The group that keeps the same objects, if any: where that is served, this is but another view of them, not read.
    view_of: str = ""
    #: Of a cluster only objects with such labels are read, as a LIST takes it; of files all are.
    label_selector: str = ""

    @property
    def group_kind(self) -> GroupKind:
        """Its kind without version."""
        return GroupKind(self.group, self.kind)

    @property
    def name(self) -> str:
        """Its name as coverage and RBAC write it: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _core(plural: str, kind: str, reason: str, *, namespaced: bool = True, keeps_status: bool = False) -> Resource:
    return Resource(
        group="",
        versions=("v1",),
        plural=plural,
        kind=kind,
        namespaced=namespaced,
        reason=reason,
        keeps_status=keeps_status,
    )


def _grouped(  # noqa: PLR0913 - a row of the table below
    group: str,
    plural: str,
    kind: str,
    reason: str,
    *,
    versions: tuple[str, ...] = ("v1",),
    namespaced: bool = True,
    keeps_status: bool = False,
    view_of: str = "",
    label_selector: str = "",
) -> Resource:
    return Resource(
        group=group,
        versions=versions,
        plural=plural,
        kind=kind,
        namespaced=namespaced,
        reason=reason,
        keeps_status=keeps_status,
        view_of=view_of,
        label_selector=label_selector,
    )


_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_GATEWAY = "gateway.networking.k8s.io"
_NETWORK = "networking.k8s.io"
_POLICY_API = "policy.networking.k8s.io"
_CALICO = "crd.projectcalico.org"
#: What Calico's own API server serves, and releases without one keep.
_CALICO_VIEW = "projectcalico.org"
_ANTREA = "crd.antrea.io"
_MONITORING = "monitoring.coreos.com"

_OTHER_POLICIES = "policies of the network plugin, which may isolate pods too"

#: Secrets are read only when the operator opts in, and then as metadata; see the design.
SECRETS = _core("secrets", "Secret", "opt-in: which Secrets exist, by metadata alone")

#: In the order in which they are read: what others are joined to comes first.
RESOURCES: tuple[Resource, ...] = (
    _core("namespaces", "Namespace", "Pod Security labels and selectors", namespaced=False),
    _core("nodes", "Node", "versions, and where pods run", namespaced=False, keeps_status=True),
    _core("serviceaccounts", "ServiceAccount", "identities and token mounting"),
    SECRETS,
    _grouped("apps", "deployments", "Deployment", "workloads"),
    _grouped("apps", "statefulsets", "StatefulSet", "workloads"),
    _grouped("apps", "daemonsets", "DaemonSet", "workloads"),
    _grouped("apps", "replicasets", "ReplicaSet", "owners of pods"),
    _core("replicationcontrollers", "ReplicationController", "workloads"),
    _grouped("batch", "cronjobs", "CronJob", "workloads"),
    _grouped("batch", "jobs", "Job", "workloads"),
    _core("pods", "Pod", "what really runs, ephemeral containers included", keeps_status=True),
    _core("services", "Service", "exposure and missing backends"),
    # Of Services with selector the pods tell the same, and they are many more: those are left on the server.
    _grouped(
        "discovery.k8s.io",
        "endpointslices",
        "EndpointSlice",
        "where Services without selector lead, and where the API server is: those that people made",
        label_selector="endpointslice.kubernetes.io/managed-by!=endpointslice-controller.k8s.io",
    ),
    _core("resourcequotas", "ResourceQuota", "limits of a namespace"),
    _core("limitranges", "LimitRange", "defaults of a namespace"),
    _core("persistentvolumes", "PersistentVolume", "host paths behind claims", namespaced=False),
    _core("persistentvolumeclaims", "PersistentVolumeClaim", "access modes of claims"),
    _grouped("storage.k8s.io", "storageclasses", "StorageClass", "how claims are bound", namespaced=False),
    _grouped(_RBAC, "clusterroles", "ClusterRole", "who may do what", namespaced=False),
    _grouped(_RBAC, "clusterrolebindings", "ClusterRoleBinding", "who may do what", namespaced=False),
    _grouped(_RBAC, "roles", "Role", "who may do what"),
    _grouped(_RBAC, "rolebindings", "RoleBinding", "who may do what"),
    _grouped(_NETWORK, "networkpolicies", "NetworkPolicy", "which pods are isolated"),
    _grouped(_NETWORK, "ingresses", "Ingress", "exposure and TLS", keeps_status=True),
    _grouped(_NETWORK, "ingressclasses", "IngressClass", "which Ingresses nobody serves", namespaced=False),
    _grouped(_GATEWAY, "gateways", "Gateway", "exposure and TLS", keeps_status=True),
    _grouped(
        _GATEWAY,
        "gatewayclasses",
        "GatewayClass",
        "which Gateways nobody serves",
        versions=("v1", "v1beta1"),
        namespaced=False,
    ),
    _grouped(_GATEWAY, "httproutes", "HTTPRoute", "exposure"),
    _grouped(_GATEWAY, "grpcroutes", "GRPCRoute", "exposure"),
    _grouped(_GATEWAY, "tlsroutes", "TLSRoute", "exposure", versions=("v1", "v1alpha3", "v1alpha2")),
    _grouped(_GATEWAY, "tcproutes", "TCPRoute", "exposure", versions=("v1", "v1alpha2")),
    _grouped(_GATEWAY, "udproutes", "UDPRoute", "exposure", versions=("v1", "v1alpha2")),
    _grouped(
        _GATEWAY,
        "referencegrants",
        "ReferenceGrant",
        "which routes may use Services, and Gateways certificates, of other namespaces",
        versions=("v1", "v1beta1"),
    ),
    *(
        _grouped(group, plural, kind, _OTHER_POLICIES, versions=versions, namespaced=namespaced)
        for group, plural, kind, versions, namespaced in (
            (_POLICY_API, "adminnetworkpolicies", "AdminNetworkPolicy", ("v1alpha1",), False),
            (_POLICY_API, "baselineadminnetworkpolicies", "BaselineAdminNetworkPolicy", ("v1alpha1",), False),
            (_POLICY_API, "clusternetworkpolicies", "ClusterNetworkPolicy", ("v1alpha2",), False),
            ("cilium.io", "ciliumnetworkpolicies", "CiliumNetworkPolicy", ("v2",), True),
            ("cilium.io", "ciliumclusterwidenetworkpolicies", "CiliumClusterwideNetworkPolicy", ("v2",), False),
            (_ANTREA, "networkpolicies", "NetworkPolicy", ("v1beta1",), True),
            (_ANTREA, "clusternetworkpolicies", "ClusterNetworkPolicy", ("v1beta1",), False),
        )
    ),
    _grouped("scheduling.k8s.io", "priorityclasses", "PriorityClass", "which pods go first", namespaced=False),
    *(
        _grouped(group, plural, kind, reason, versions=versions, namespaced=namespaced, view_of=view_of)
        for group, versions, view_of in ((_CALICO, ("v1",), ""), (_CALICO_VIEW, ("v3",), _CALICO))
        for plural, kind, namespaced, reason in (
            ("networkpolicies", "NetworkPolicy", True, _OTHER_POLICIES),
            ("globalnetworkpolicies", "GlobalNetworkPolicy", False, _OTHER_POLICIES),
            ("tiers", "Tier", False, "the order of Calico's policies"),
            ("networksets", "NetworkSet", True, "addresses that Calico's policies name"),
            ("globalnetworksets", "GlobalNetworkSet", False, "addresses that Calico's policies name"),
            ("hostendpoints", "HostEndpoint", False, "whether Calico's policies are for nodes too"),
        )
    ),
    _grouped(
        "cilium.io",
        "ciliumcidrgroups",
        "CiliumCIDRGroup",
        "addresses that Cilium's policies name",
        versions=("v2", "v2alpha1"),
        namespaced=False,
    ),
    *(
        _grouped(_MONITORING, plural, kind, "who scrapes what, for proposed NetworkPolicies and readiness")
        for plural, kind in (
            ("servicemonitors", "ServiceMonitor"),
            ("podmonitors", "PodMonitor"),
            ("prometheuses", "Prometheus"),
        )
    ),
    _grouped("velero.io", "schedules", "Schedule", "whether backups are made"),
    _grouped(_MONITORING, "prometheusrules", "PrometheusRule", "which workloads alerts are about"),
    _grouped(
        "apiregistration.k8s.io",
        "apiservices",
        "APIService",
        "which pods the API server calls, for proposed NetworkPolicies, and which metrics it serves",
        namespaced=False,
    ),
    *(
        _grouped("cert-manager.io", plural, kind, reason, namespaced=namespaced, keeps_status=True)
        for plural, kind, namespaced, reason in (
            ("certificates", "Certificate", True, "which certificates run out, without reading Secrets"),
            ("issuers", "Issuer", True, "who cannot issue certificates"),
            ("clusterissuers", "ClusterIssuer", False, "who cannot issue certificates"),
        )
    ),
    *(
        _grouped("external-secrets.io", plural, kind, reason, versions=versions, namespaced=namespaced)
        for plural, kind, versions, namespaced, reason in (
            ("externalsecrets", "ExternalSecret", ("v1", "v1beta1"), True, "which Secrets come from outside"),
            ("secretstores", "SecretStore", ("v1", "v1beta1"), True, "which Secrets open stores outside"),
            (
                "clustersecretstores",
                "ClusterSecretStore",
                ("v1", "v1beta1"),
                False,
                "which Secrets open stores outside",
            ),
            ("pushsecrets", "PushSecret", ("v1", "v1alpha1"), True, "which Secrets are copied to stores outside"),
        )
    ),
    _grouped(
        "secrets-store.csi.x-k8s.io",
        "secretproviderclasses",
        "SecretProviderClass",
        "which Secrets are copies of what a driver mounts",
    ),
    _grouped("policy", "poddisruptionbudgets", "PodDisruptionBudget", "availability during drains"),
    _grouped("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "scaling", versions=("v2", "v1")),
    _grouped(
        _ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", "what admission stops", namespaced=False
    ),
    _grouped(
        _ADMISSION,
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        "what admission stops",
        namespaced=False,
    ),
    _grouped(
        _ADMISSION,
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        "what admission stops, and what fails open",
        namespaced=False,
    ),
    _grouped(
        _ADMISSION,
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        "what admission changes, and what fails open",
        namespaced=False,
    ),
    *(
        _grouped(
            _ADMISSION,
            plural,
            kind,
            "what admission changes",
            versions=("v1", "v1beta1", "v1alpha1"),
            namespaced=False,
        )
        for plural, kind in (
            ("mutatingadmissionpolicies", "MutatingAdmissionPolicy"),
            ("mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding"),
        )
    ),
)

BY_KIND: dict[GroupKind, Resource] = {r.group_kind: r for r in RESOURCES}


def plural_of(kind: GroupKind) -> str:
    """Return the plural resource of a kind; for kinds that a scan does not read, the API machinery's guess.

    Source: k8s.io/apimachinery/pkg/api/meta/restmapper.go, UnsafeGuessKindToResource.
    """
    if kind in BY_KIND:
        return BY_KIND[kind].plural
    name = kind.kind.lower()
    if name.endswith("endpoints"):
        return name
    if name.endswith(("s", "x")):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
