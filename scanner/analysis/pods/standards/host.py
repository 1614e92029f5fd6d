"""What a pod may share with its node: namespaces, ports, and hosts that the kubelet asks in its name."""

from collections.abc import Iterator

from scanner.analysis.pods.standards.judged import JudgedContainer, JudgedPod, Violation
from scanner.analysis.pods.standards.wording import named, names, plural, quoted
from scanner.model.finding import Fact

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")


def host_namespaces(pod: JudgedPod) -> Violation | None:
    """Forbid the node's network, processes and IPC."""
    shared = [field for field in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(field)]
    if not shared:
        return None
    detail = ", ".join(f"{field}=true" for field in shared)
    return Violation("host namespaces", detail, tuple(pod.fact(field, value=True) for field in shared))


def host_ports(pod: JudgedPod) -> Violation | None:
    """Forbid ports of the node. In a Pod on the node's network every port is one, by default."""
    found = [(c, index, port) for c in pod.containers for index, port in _host_ports(c, pod)]
    if not found:
        return None
    containers = list(dict.fromkeys(c.name for c, _, _ in found))
    ports = sorted({str(port) for _, _, port in found})
    uses, words = plural("uses", "use", len(containers)), plural("hostPort", "hostPorts", len(ports))
    return Violation(
        "hostPort",
        f"{named('container', containers)} {uses} {words} {', '.join(ports)}",
        tuple(c.fact(f"ports[{index}].hostPort", port) for c, index, port in found),
    )


def _host_ports(container: JudgedContainer, pod: JudgedPod) -> Iterator[tuple[int, int]]:
    defaulted = pod.is_pod and pod.spec.get("hostNetwork") and not container.path.startswith("spec.ephemeral")
    for index, port in enumerate(container.fields.get("ports") or ()):
        taken = port.get("hostPort") or (port.get("containerPort") if defaulted else 0)
        if taken:
            yield index, taken


def host_probes_and_lifecycle(pod: JudgedPod) -> Violation | None:
    """Forbid probes and hooks to name a host: the kubelet would ask it from the node's network."""
    found = [(c, fact) for c in pod.containers for fact in _asked_hosts(c)]
    if not found:
        return None
    containers = sorted(set(names(c for c, _ in found)))
    hosts = sorted({str(fact.value) for _, fact in found})
    words = plural("probe or lifecycle host", "probe or lifecycle hosts", len(hosts))
    detail = f"{named('container', containers)} {plural('uses', 'use', len(containers))} {words} {quoted(hosts)}"
    return Violation("probe or lifecycle host", detail, tuple(fact for _, fact in found))


def _asked_hosts(container: JudgedContainer) -> Iterator[Fact]:
    handlers = [(probe, container.fields[probe]) for probe in _PROBES if probe in container.fields]
    if "lifecycle" in container.fields:
        lifecycle = container.fields["lifecycle"]
        handlers += [(f"lifecycle.{hook}", lifecycle[hook]) for hook in _HOOKS if hook in lifecycle]
    for path, handler in handlers:
        for way in ("httpGet", "tcpSocket"):
            if way in handler and handler[way].get("host"):
                yield container.fact(f"{path}.{way}.host", handler[way]["host"])
