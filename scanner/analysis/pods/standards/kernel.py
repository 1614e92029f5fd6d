"""What a pod may change of the kernel's behaviour, and see of it."""

from collections.abc import Iterable

from scanner.analysis.pods.standards.judged import Judge, JudgedPod, Violation
from scanner.analysis.pods.standards.wording import named, names, quoted

#: Since when a sysctl counts as safe, by minor version.
_SAFE_SINCE = {
    0: (
        *("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies"),
        *("net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start"),
    ),
    27: ("net.ipv4.ip_local_reserved_ports",),
    29: (
        *("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout"),
        *("net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes"),
    ),
    32: ("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"),
    37: ("net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat"),
}


def proc_mount(pod: JudgedPod) -> Violation | None:
    """Forbid a /proc that shows what runtimes hide."""
    found = [
        (c, c.security["procMount"]) for c in pod.containers if c.security.get("procMount", "Default") != "Default"
    ]
    if not found:
        return None
    values = sorted({value for _, value in found})
    return Violation(
        "procMount",
        f"{named('container', names(c for c, _ in found))} must not set securityContext.procMount to {quoted(values)}",
        tuple(c.fact("securityContext.procMount", value) for c, value in found),
    )


def _allowing(safe: Iterable[str]) -> Judge:
    allowed = frozenset(safe)

    def sysctls(pod: JudgedPod) -> Violation | None:
        wanted = enumerate(pod.security.get("sysctls") or ())
        found = [(index, s.get("name", "")) for index, s in wanted if s.get("name", "") not in allowed]
        if not found:
            return None
        facts = tuple(pod.fact(f"securityContext.sysctls[{index}].name", name) for index, name in found)
        return Violation("forbidden sysctls", ", ".join(name for _, name in found), facts)

    return sysctls


#: The revisions of the check: since which minor version it forbids every sysctl but those that are safe by then.
SYSCTLS = tuple(
    (since, _allowing(name for earlier, added in _SAFE_SINCE.items() if earlier <= since for name in added))
    for since in _SAFE_SINCE
)
