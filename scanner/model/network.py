"""NetworkPolicies, Services, Ingresses and what several ask of Gateways, as the API has them."""

import msgspec

from scanner.model.selectors import LabelSelector


class IPBlock(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Addresses outside the cluster, less some of them."""

    cidr: str
    except_: tuple[str, ...] | None = msgspec.field(default=None, name="except")


class NetworkPolicyPort(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A port, by number or name, or a range of ports; missing means every port of the protocol."""

    protocol: str = "TCP"
    port: int | str | None = None
    end_port: int | None = None


class NetworkPolicyPeer(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Pods by label (in the policy's namespace unless namespaces are selected), or addresses."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None


class IngressRule(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What may come in: empty or missing `from` is everyone, empty or missing `ports` is every port."""

    from_: tuple[NetworkPolicyPeer, ...] | None = msgspec.field(default=None, name="from")
    ports: tuple[NetworkPolicyPort, ...] | None = None


class EgressRule(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What may go out: empty or missing `to` is everywhere, empty or missing `ports` is every port."""

    to: tuple[NetworkPolicyPeer, ...] | None = None
    ports: tuple[NetworkPolicyPort, ...] | None = None


class NetworkPolicySpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The spec of a NetworkPolicy; a missing podSelector selects every pod of its namespace."""

    pod_selector: LabelSelector = LabelSelector()
    policy_types: tuple[str, ...] | None = None
    ingress: tuple[IngressRule, ...] | None = None
    egress: tuple[EgressRule, ...] | None = None

    @property
    def isolates_ingress(self) -> bool:
        """Tell whether selected pods are isolated for ingress; a policy without policyTypes always does that."""
        return "Ingress" in self.policy_types if self.policy_types else True

    @property
    def isolates_egress(self) -> bool:
        """Tell whether selected pods are isolated for egress; without policyTypes, if it has an egress rule."""
        return "Egress" in self.policy_types if self.policy_types else bool(self.egress)


class NetworkPolicyBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a NetworkPolicy on the wire."""

    spec: NetworkPolicySpec = NetworkPolicySpec()


class ServicePort(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A port that a Service listens on and the pod's port behind it."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    target_port: int | str | None = None
    node_port: int | None = None


class ServiceSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The spec of a Service."""

    type: str = "ClusterIP"
    selector: dict[str, str] | None = None
    ports: tuple[ServicePort, ...] | None = None
    external_ips: tuple[str, ...] | None = msgspec.field(default=None, name="externalIPs")
    external_name: str = ""
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    load_balancer_source_ranges: tuple[str, ...] | None = None
    #: `Local` leaves the address of the client as it is; `Cluster` may put that of a node in its place.
    external_traffic_policy: str = "Cluster"
    #: Whether a load balancer gets ports on the nodes as well.
    allocate_load_balancer_node_ports: bool = True
    #: Traffic is meant to come before the pod is ready: the peers of a database find each other by it.
    publish_not_ready_addresses: bool = False


class ServiceBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a Service on the wire."""

    spec: ServiceSpec = ServiceSpec()


class EndpointPort(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A port of endpoints; without a number it is every port."""

    name: str = ""
    protocol: str = "TCP"
    port: int | None = None


class EndpointTarget(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The object that an endpoint says it is."""

    kind: str = ""
    name: str = ""


class Endpoint(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One backend of a Service; all of its addresses are its own."""

    addresses: tuple[str, ...] | None = None
    target_ref: EndpointTarget | None = None


class EndpointSliceBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of an EndpointSlice on the wire."""

    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[EndpointPort, ...] | None = None


class EndpointAddress(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One address of an Endpoints object."""

    ip: str = ""
    target_ref: EndpointTarget | None = None


class EndpointSubset(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Addresses with the ports that all of them have."""

    addresses: tuple[EndpointAddress, ...] | None = None
    not_ready_addresses: tuple[EndpointAddress, ...] | None = None
    ports: tuple[EndpointPort, ...] | None = None


class EndpointsBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of an Endpoints object (core/v1) on the wire."""

    subsets: tuple[EndpointSubset, ...] | None = None


class ServiceBackendPort(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The port of a Service, by number or by name; exactly one of them is set."""

    name: str = ""
    number: int = 0


class IngressServiceBackend(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A Service of the Ingress's namespace."""

    name: str = ""
    port: ServiceBackendPort = ServiceBackendPort()


class IngressBackend(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Where traffic goes: a Service, or some other object that the controller knows (then `service` is None)."""

    service: IngressServiceBackend | None = None


class IngressPath(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One path of a host and its backend."""

    path: str = ""
    backend: IngressBackend = IngressBackend()


class IngressPaths(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The paths of a host."""

    paths: tuple[IngressPath, ...] | None = None


class IngressHost(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A rule of an Ingress: an empty host means every host; without paths all goes to the default backend."""

    host: str = ""
    http: IngressPaths | None = None


class IngressTLS(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Hosts that the controller serves by TLS, and the Secret with the certificate; empty means its default one."""

    hosts: tuple[str, ...] | None = None
    secret_name: str = ""


class IngressSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The spec of an Ingress."""

    ingress_class_name: str = ""
    default_backend: IngressBackend | None = None
    tls: tuple[IngressTLS, ...] | None = None
    rules: tuple[IngressHost, ...] | None = None


class IngressBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of an Ingress on the wire."""

    spec: IngressSpec = IngressSpec()


class Condition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a controller says of an object."""

    type: str = ""
    status: str = ""

    @property
    def is_refusal(self) -> bool:
        """Tell whether it says that a Gateway is not served."""
        return self.status == "False" and self.type in {"Accepted", "Programmed"}


class LoadBalancer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The addresses that a controller gave to an Ingress; what they are is not kept."""

    ingress: tuple[dict[str, object], ...] | None = None


class ServingStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Of the status of an Ingress or Gateway, what says whether a controller serves it."""

    conditions: tuple[Condition, ...] | None = None
    load_balancer: LoadBalancer | None = None

    @property
    def has_address(self) -> bool:
        """Tell whether a controller gave it an address."""
        return self.load_balancer is not None and bool(self.load_balancer.ingress)


class CertificateRef(msgspec.Struct):
    """What holds the certificate of a Gateway's listener; an empty namespace is the Gateway's."""

    name: str = ""
    namespace: str = ""
    kind: str = "Secret"
    group: str = ""


class ListenerTLS(msgspec.Struct, rename="camel"):
    """How a Gateway's listener ends TLS."""

    certificate_refs: tuple[CertificateRef, ...] = ()
