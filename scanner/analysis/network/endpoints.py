"""Where Services without selector lead: to the endpoints that somebody wrote down, by their addresses.

A Service with a selector leads to pods, which its labels tell; those EndpointSlices are not looked at. A cluster
mirrors Endpoints objects as EndpointSlices, so that these are all; files may hold either. Where neither was seen, and
files or a read that was refused leave it open, what is behind the Service is not known.

Source: https://kubernetes.io/docs/concepts/services-networking/service/#services-without-selectors.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from scanner.analysis.network.addresses import address_place
from scanner.analysis.network.ports import Span, port_span
from scanner.analysis.network.references import ServiceName
from scanner.analysis.network.selection import missing_reads
from scanner.model.network import Endpoint, EndpointPort, EndpointsBody, EndpointSliceBody, EndpointSubset
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import Workload

ENDPOINT_SLICE = GroupKind("discovery.k8s.io", "EndpointSlice")
#: What files may hold in place of EndpointSlices, which a cluster makes of it.
ENDPOINTS = GroupKind("", "Endpoints")
#: Where every API server writes down its own addresses.
API_SERVER = ServiceName("default", "kubernetes")

_SERVICE_NAME = "kubernetes.io/service-name"
#: Endpoints that ask for it, or that hold the lock of a leader, are not mirrored.
#: Source: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#endpointslice-mirroring.
_NOT_MIRRORED = "endpointslice.kubernetes.io/skip-mirror"
_LOCK = "control-plane.alpha.kubernetes.io/leader"

_ELSEWHERE = "no endpoints of its Service are among the files: which pods are behind it is not known"
_UNREAD = "the endpoints of its Service were not read: which pods are behind it is not known"


@dataclass(frozen=True, slots=True)
class _Slice:
    endpoints: tuple[Endpoint, ...]
    ports: tuple[EndpointPort, ...]


class Endpoints:
    """The endpoints of a snapshot that are written down, and the workloads among them; for `Snapshot.derive`."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Read the EndpointSlices, and look for the pods that they name."""
        self._slices: dict[ServiceName, list[_Slice]] = defaultdict(list)
        for o in snapshot.of(*ENDPOINT_SLICE):
            service = (o.meta.labels or {}).get(_SERVICE_NAME)
            if service:
                body = o.decode(EndpointSliceBody)
                name = ServiceName(o.meta.namespace, service)
                self._slices[name].append(_Slice(body.endpoints or (), body.ports or ()))
        self._snapshot = snapshot
        for o in filter(_is_mirrored, snapshot.of(*ENDPOINTS)):
            self._slices[ServiceName(o.meta.namespace, o.meta.name)] += _subsets(o)
        self._workloads = _owners(snapshot, self._slices)

    def behind(self, service: ServiceName, port_name: str) -> Iterator[tuple[Workload, str, Span]]:
        """Yield workload, protocol and ports of each endpoint that is a pod, for a port of a Service by its name."""
        for one in self._slices.get(service, ()):
            chosen = [port for port in one.ports if port.name == port_name]
            for workload in self._among(service.namespace, one.endpoints):
                for port in chosen:
                    for span in _span(port):
                        yield workload, port.protocol, span

    def doubt(self, service: ServiceName) -> str:
        """Return why pods may be behind a Service without selector that were not seen; empty if none are."""
        if service in self._slices:
            return ""
        if self._snapshot.source is SourceKind.MANIFESTS:
            return _ELSEWHERE
        return _UNREAD if missing_reads(self._snapshot, (ENDPOINT_SLICE,), service.namespace) else ""

    def places(self, service: ServiceName) -> tuple[tuple[int, Span], ...]:
        """Return the addresses behind a Service with the ports of each, whatever they belong to."""
        return tuple(
            (place, span)
            for one in self._slices.get(service, ())
            for endpoint in one.endpoints
            for place in _places(endpoint)
            for port in one.ports
            for span in _span(port)
        )

    def all_places(self) -> Iterator[int]:
        """Yield every address that is written down."""
        for several in self._slices.values():
            for one in several:
                for endpoint in one.endpoints:
                    yield from _places(endpoint)

    def _among(self, namespace: str, endpoints: tuple[Endpoint, ...]) -> tuple[Workload, ...]:
        found = (self._workloads.get(key) for e in endpoints for key in _keys(namespace, e))
        return tuple({w.ref: w for w in found if w is not None}.values())


def _is_mirrored(endpoints: KubeObject) -> bool:
    is_lock = _LOCK in (endpoints.meta.annotations or {})
    return not is_lock and (endpoints.meta.labels or {}).get(_NOT_MIRRORED) != "true"


def _subsets(endpoints: KubeObject) -> Iterator[_Slice]:
    """Yield the parts of an Endpoints object as the slices that a cluster makes of them."""
    try:
        subsets = endpoints.decode(EndpointsBody).subsets or ()
    except msgspec.ValidationError:  # only a file can hold what the API refuses
        return
    for subset in subsets:
        yield _Slice(tuple(_addresses(subset)), subset.ports or ())


def _addresses(subset: EndpointSubset) -> Iterator[Endpoint]:
    for address in (*(subset.addresses or ()), *(subset.not_ready_addresses or ())):
        yield Endpoint(addresses=(address.ip,), target_ref=address.target_ref)


def _owners(snapshot: Snapshot, slices: Mapping[ServiceName, list[_Slice]]) -> Mapping[int | tuple[str, str], Workload]:
    """Return the workload of each pod that an endpoint names, by address or else by name; pods are gone over once."""
    wanted = {
        key
        for name, several in slices.items()
        for one in several
        for endpoint in one.endpoints
        for key in _keys(name.namespace, endpoint)
    }
    found: dict[int | tuple[str, str], Workload] = {}
    for workload in snapshot.workloads if wanted else ():
        # Pods on the network of a node share its address with whatever else runs there.
        is_on_node = workload.template.spec.get("hostNetwork") is True
        for pod in workload.pods:
            if pod.status.is_terminated:
                continue
            addresses = () if is_on_node else (p for text in pod.status.pod_ips or () for p in _place(text))
            for key in (*addresses, (pod.ref.namespace, pod.ref.name)):
                if key in wanted:
                    found.setdefault(key, workload)
    return found


def _keys(namespace: str, endpoint: Endpoint) -> Iterator[int | tuple[str, str]]:
    yield from _places(endpoint)
    target = endpoint.target_ref
    if target is not None and target.kind == "Pod":
        yield namespace, target.name


def _places(endpoint: Endpoint) -> Iterator[int]:
    for text in endpoint.addresses or ():
        yield from _place(text)


def _place(text: str) -> Iterator[int]:
    try:
        yield address_place(text)
    except ValueError:  # names (addressType FQDN), and what only a file can hold
        return


def _span(port: EndpointPort) -> Iterator[Span]:
    try:
        yield port_span(port.protocol) if port.port is None else port_span(port.protocol, port.port, port.port)
    except ValueError:  # only a file can hold what is no port
        return
