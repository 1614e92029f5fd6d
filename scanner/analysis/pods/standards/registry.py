"""Every check by its id: at which level, since which version, and what it takes the place of."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from scanner.analysis.pods.standards import capabilities, host, kernel, privileges, profiles, users, volumes
from scanner.analysis.pods.standards.judged import Judge, JudgedPod, Violation
from scanner.analysis.pods.standards.versions import NEWEST, Level, Minor


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a level, with its revisions by the minor version that each begins with."""

    id: str
    level: Level
    revisions: tuple[tuple[int, Judge], ...]
    #: The baseline check that a restricted one is a stricter form of, and replaces where it applies.
    replaces: str = ""

    def at(self, minor: Minor) -> Judge | None:
        """Return the revision that a version has, None if it has none yet."""
        return next((judge for since, judge in reversed(self.revisions) if since <= minor), None)


def _unless_windows(judge: Judge) -> Judge:
    """Relax a check for pods for Windows, which cannot set what it asks for."""

    def relaxed(pod: JudgedPod) -> Violation | None:
        return None if pod.is_windows else judge(pod)

    return relaxed


def _unless_user_namespace(judge: Judge) -> Judge:
    """Relax a check for pods with users of their own, where root is nobody on the node (KEP-127)."""

    def relaxed(pod: JudgedPod) -> Violation | None:
        return None if pod.has_user_namespace else judge(pod)

    return relaxed


#: In the order in which the admission plugin reports: baseline first, each level by id.
CHECKS: tuple[Check, ...] = (
    Check("appArmorProfile", Level.BASELINE, ((0, profiles.app_armor_profile),)),
    Check("capabilities_baseline", Level.BASELINE, ((0, capabilities.baseline),)),
    Check("hostNamespaces", Level.BASELINE, ((0, host.host_namespaces),)),
    Check("hostPathVolumes", Level.BASELINE, ((0, volumes.host_path_volumes),)),
    Check("hostPorts", Level.BASELINE, ((0, host.host_ports),)),
    Check("hostProbesAndHostLifecycle", Level.BASELINE, ((34, host.host_probes_and_lifecycle),)),
    Check("privileged", Level.BASELINE, ((0, privileges.privileged),)),
    Check(
        "procMount",
        Level.BASELINE,
        ((0, kernel.proc_mount), (35, _unless_user_namespace(kernel.proc_mount))),
    ),
    Check(
        "seLinuxOptions",
        Level.BASELINE,
        ((0, profiles.se_linux_options()), (31, profiles.se_linux_options("container_engine_t"))),
    ),
    Check(
        "seccompProfile_baseline",
        Level.BASELINE,
        ((0, profiles.seccomp_annotations), (19, profiles.seccomp_baseline)),
    ),
    Check("sysctls", Level.BASELINE, kernel.SYSCTLS),
    Check("windowsHostProcess", Level.BASELINE, ((0, privileges.windows_host_process),)),
    Check(
        "allowPrivilegeEscalation",
        Level.RESTRICTED,
        (
            (8, privileges.allow_privilege_escalation),
            (25, _unless_windows(privileges.allow_privilege_escalation)),
        ),
    ),
    Check(
        "capabilities_restricted",
        Level.RESTRICTED,
        ((22, capabilities.restricted), (25, _unless_windows(capabilities.restricted))),
        replaces="capabilities_baseline",
    ),
    Check("procMount_restricted", Level.RESTRICTED, ((35, kernel.proc_mount),), replaces="procMount"),
    Check("restrictedVolumes", Level.RESTRICTED, ((0, volumes.restricted_volumes),), replaces="hostPathVolumes"),
    Check(
        "runAsNonRoot",
        Level.RESTRICTED,
        ((0, users.run_as_non_root), (35, _unless_user_namespace(users.run_as_non_root))),
    ),
    Check(
        "runAsUser",
        Level.RESTRICTED,
        ((23, users.run_as_user), (35, _unless_user_namespace(users.run_as_user))),
    ),
    Check(
        "seccompProfile_restricted",
        Level.RESTRICTED,
        ((19, profiles.seccomp_restricted), (25, _unless_windows(profiles.seccomp_restricted))),
        replaces="seccompProfile_baseline",
    ),
)


@cache
def checks_of(level: Level, minor: Minor = NEWEST) -> Sequence[tuple[str, Judge]]:
    """Return the checks of a level as a version has them, with their ids, in the order of the report."""
    found = [
        (check, judge)
        for check in CHECKS
        if check.level in {level, Level.BASELINE} and (judge := check.at(minor)) is not None
    ]
    replaced = {check.replaces for check, _ in found}
    return tuple((check.id, judge) for check, judge in found if check.id not in replaced)
