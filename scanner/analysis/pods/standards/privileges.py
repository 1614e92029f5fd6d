"""Which containers are as mighty as their node, or may become so."""

from scanner.analysis.pods.standards.judged import JudgedPod, Violation
from scanner.analysis.pods.standards.wording import named, names, setters


def privileged(pod: JudgedPod) -> Violation | None:
    """Forbid privileged containers."""
    found = [c for c in pod.containers if c.security.get("privileged")]
    if not found:
        return None
    detail = f"{named('container', names(found))} must not set securityContext.privileged=true"
    return Violation("privileged", detail, tuple(c.fact("securityContext.privileged", value=True) for c in found))


def allow_privilege_escalation(pod: JudgedPod) -> Violation | None:
    """Have each container say that no process may gain more rights than its parent."""
    found = [c for c in pod.containers if c.security.get("allowPrivilegeEscalation") is not False]
    if not found:
        return None
    return Violation(
        "allowPrivilegeEscalation != false",
        f"{named('container', names(found))} must set securityContext.allowPrivilegeEscalation=false",
        tuple(
            c.fact("securityContext.allowPrivilegeEscalation", c.security.get("allowPrivilegeEscalation"))
            for c in found
        ),
    )


def windows_host_process(pod: JudgedPod) -> Violation | None:
    """Forbid processes of a Windows node."""
    is_pod_wide = _is_host_process(pod.security)
    found = [c for c in pod.containers if _is_host_process(c.security)]
    if not is_pod_wide and not found:
        return None
    path = "securityContext.windowsOptions.hostProcess"
    facts = [pod.fact(path, value=True)] * is_pod_wide + [c.fact(path, value=True) for c in found]
    return Violation("hostProcess", f"{setters(found, pod=is_pod_wide)} must not set {path}=true", tuple(facts))


def _is_host_process(security: object) -> bool:
    match security:
        case {"windowsOptions": {"hostProcess": True}}:
            return True
        case _:
            return False
