"""As which user a container may run."""

from scanner.analysis.pods.standards.judged import JudgedPod, Violation
from scanner.analysis.pods.standards.wording import named, names, setters

_NON_ROOT = "securityContext.runAsNonRoot"
_USER = "securityContext.runAsUser"


def run_as_non_root(pod: JudgedPod) -> Violation | None:
    """Have it said, of the pod or of each container, that nothing runs as root."""
    pod_wide = pod.security.get("runAsNonRoot")
    denying = [c for c in pod.containers if c.security.get("runAsNonRoot") is False]
    if pod_wide is False or denying:
        facts = [pod.fact(_NON_ROOT, value=False)] * (pod_wide is False)
        facts += [c.fact(_NON_ROOT, value=False) for c in denying]
        detail = f"{setters(denying, pod=pod_wide is False)} must not set {_NON_ROOT}=false"
        return Violation("runAsNonRoot != true", detail, tuple(facts))
    silent = [] if pod_wide else [c for c in pod.containers if c.security.get("runAsNonRoot") is None]
    if not silent:
        return None
    detail = f"pod or {named('container', names(silent))} must set {_NON_ROOT}=true"
    return Violation("runAsNonRoot != true", detail, tuple(c.fact(_NON_ROOT) for c in silent))


def run_as_user(pod: JudgedPod) -> Violation | None:
    """Forbid to ask for root by number."""
    is_pod_wide = pod.security.get("runAsUser") == 0
    found = [c for c in pod.containers if c.security.get("runAsUser") == 0]
    if not is_pod_wide and not found:
        return None
    facts = [pod.fact(_USER, 0)] * is_pod_wide + [c.fact(_USER, 0) for c in found]
    return Violation("runAsUser=0", f"{setters(found, pod=is_pod_wide)} must not set runAsUser=0", tuple(facts))
