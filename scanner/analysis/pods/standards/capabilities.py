"""Which Linux capabilities a container may have."""

from collections.abc import Iterable

from scanner.analysis.pods.standards.judged import JudgedContainer, JudgedPod, Violation
from scanner.analysis.pods.standards.wording import named, names, quoted
from scanner.model.finding import Fact

_BASELINE_ALLOWS = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)
_RESTRICTED_ALLOWS = frozenset({"NET_BIND_SERVICE"})


def baseline(pod: JudgedPod) -> Violation | None:
    """Allow no capability but those that container runtimes give by default."""
    added = _added(pod, _BASELINE_ALLOWS)
    return Violation("non-default capabilities", _adding(added), _facts(added)) if added else None


def restricted(pod: JudgedPod) -> Violation | None:
    """Have every capability dropped; only the one for low ports may come back."""
    keeping = [c for c in pod.containers if "ALL" not in _listed(c, "drop")]
    added = _added(pod, _RESTRICTED_ALLOWS)
    details = []
    if keeping:
        details.append(f'{named("container", names(keeping))} must set securityContext.capabilities.drop=["ALL"]')
    if added:
        details.append(_adding(added))
    if not details:
        return None
    kept = tuple(c.fact("securityContext.capabilities.drop", _listed(c, "drop") or None) for c in keeping)
    return Violation("unrestricted capabilities", "; ".join(details), kept + _facts(added))


def _listed(container: JudgedContainer, field: str) -> list[str]:
    return (container.security.get("capabilities") or {}).get(field) or []


def _added(pod: JudgedPod, allowed: Iterable[str]) -> list[tuple[JudgedContainer, list[tuple[int, str]]]]:
    """Return the containers that add what is not allowed, with its places in the list."""
    found = [
        (c, [(i, name) for i, name in enumerate(_listed(c, "add")) if name not in allowed]) for c in pod.containers
    ]
    return [(container, added) for container, added in found if added]


def _adding(added: list[tuple[JudgedContainer, list[tuple[int, str]]]]) -> str:
    forbidden = sorted({name for _, places in added for _, name in places})
    containers = named("container", names(c for c, _ in added))
    return f"{containers} must not include {quoted(forbidden)} in securityContext.capabilities.add"


def _facts(added: list[tuple[JudgedContainer, list[tuple[int, str]]]]) -> tuple[Fact, ...]:
    return tuple(
        container.fact(f"securityContext.capabilities.add[{index}]", name)
        for container, places in added
        for index, name in places
    )
