"""What confines a container on its node: AppArmor, SELinux and seccomp."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from scanner.analysis.pods.standards.judged import Judge, JudgedContainer, JudgedPod, Violation
from scanner.analysis.pods.standards.wording import escaped, named, names, plural, quoted, setters
from scanner.model.finding import Fact

_CONFINING = frozenset({"RuntimeDefault", "Localhost"})
_APP_ARMOR_PREFIX = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_PREFIX = "container.seccomp.security.alpha.kubernetes.io/"
#: How annotations begin that a check reads: two pods that differ in no other are judged alike.
ANNOTATIONS = (_APP_ARMOR_PREFIX, _SECCOMP_POD, _SECCOMP_PREFIX)

_SECCOMP = "securityContext.seccompProfile.type"
_SE_LINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})


def app_armor_profile(pod: JudgedPod) -> Violation | None:
    """Forbid to go without AppArmor where the node has it; the field and the older annotations both count."""
    pod_wide, containers, values = _unconfined(pod, "appArmorProfile")
    annotations = [
        (key, value)
        for key, value in sorted(pod.annotations.items())
        if key.startswith(_APP_ARMOR_PREFIX) and not _app_armor_annotation_confines(value)
    ]
    if not (pod_wide or containers or annotations):
        return None
    shown = sorted(set(values)) + [f"{key}={escaped(value)}" for key, value in annotations]
    who = [setters(containers, pod=pod_wide)] if pod_wide or containers else []
    who += [plural("annotation", "annotations", len(annotations))] if annotations else []
    return Violation(
        plural("forbidden AppArmor profile", "forbidden AppArmor profiles", len(shown)),
        f"{' and '.join(who)} must not set AppArmor profile type to {quoted(shown)}",
        (*_profile_facts(pod, containers, "appArmorProfile", pod_wide=pod_wide), *map(_annotation_fact, annotations)),
    )


def seccomp_annotations(pod: JudgedPod) -> Violation | None:
    """Forbid to go without seccomp; before 1.19 only annotations could say so."""
    keys = [_SECCOMP_POD, *dict.fromkeys(f"{_SECCOMP_PREFIX}{container.name}" for container in pod.containers)]
    found = sorted(
        (key, pod.annotations[key])
        for key in keys
        if key in pod.annotations and not _seccomp_annotation_confines(pod.annotations[key])
    )
    if not found:
        return None
    shown = ", ".join(f"{key}={escaped(value)}" for key, value in found)
    detail = f"forbidden {plural('annotation', 'annotations', len(found))} {shown}"
    return Violation("seccompProfile", detail, tuple(map(_annotation_fact, found)))


def seccomp_baseline(pod: JudgedPod) -> Violation | None:
    """Forbid to go without seccomp explicitly."""
    pod_wide, containers, values = _unconfined(pod, "seccompProfile")
    if not (pod_wide or containers):
        return None
    detail = f"{setters(containers, pod=pod_wide)} must not set {_SECCOMP} to {quoted(sorted(set(values)))}"
    return Violation("seccompProfile", detail, _profile_facts(pod, containers, "seccompProfile", pod_wide=pod_wide))


def seccomp_restricted(pod: JudgedPod) -> Violation | None:
    """Have a seccomp profile set, for the pod or for each container."""
    unconfined = seccomp_baseline(pod)
    if unconfined or "seccompProfile" in pod.security:
        return unconfined
    silent = [c for c in pod.containers if "seccompProfile" not in c.security]
    if not silent:
        return None
    detail = f'pod or {named("container", names(silent))} must set {_SECCOMP} to "RuntimeDefault" or "Localhost"'
    return Violation("seccompProfile", detail, tuple(c.fact(_SECCOMP) for c in silent))


def se_linux_options(*more_types: str) -> Judge:
    """Make the check that forbids SELinux users, roles, and types that are not for containers."""
    types = _SE_LINUX_TYPES.union(more_types)

    def judge(pod: JudgedPod) -> Violation | None:
        own = _bad_options(pod.security, types)
        found = [(c, bad) for c in pod.containers if (bad := _bad_options(c.security, types))]
        if not own and not found:
            return None
        who = setters([c for c, _ in found], pod=bool(own))
        detail = f"{who} set forbidden securityContext.seLinuxOptions: {_said(own, *(bad for _, bad in found))}"
        facts = [*_option_facts(pod.fact, own), *(fact for c, bad in found for fact in _option_facts(c.fact, bad))]
        return Violation("seLinuxOptions", detail, tuple(facts))

    return judge


def _unconfined(pod: JudgedPod, field: str) -> tuple[bool, list[JudgedContainer], list[str]]:
    """Tell whether the pod, and which containers, set a profile that does not confine, and the types that they set."""
    pod_wide = _sets_unconfined(pod.security, field)
    containers = [c for c in pod.containers if _sets_unconfined(c.security, field)]
    setting = [pod.security] * pod_wide + [c.security for c in containers]
    return pod_wide, containers, [security[field].get("type", "") for security in setting]


def _sets_unconfined(security: Mapping[str, Any], field: str) -> bool:
    return field in security and security[field].get("type", "") not in _CONFINING


def _profile_facts(
    pod: JudgedPod, containers: Iterable[JudgedContainer], field: str, *, pod_wide: bool
) -> tuple[Fact, ...]:
    path = f"securityContext.{field}.type"
    own = [pod.fact(path, pod.security[field].get("type"))] if pod_wide else []
    return (*own, *(c.fact(path, c.security[field].get("type")) for c in containers))


def _app_armor_annotation_confines(value: str) -> bool:
    return value in {"", "runtime/default"} or value.startswith("localhost/")


def _seccomp_annotation_confines(value: str) -> bool:
    return value in {"runtime/default", "docker/default"} or value.startswith("localhost/")


def _annotation_fact(annotation: tuple[str, str]) -> Fact:
    key, value = annotation
    return Fact(path=f"metadata.annotations[{key}]", value=value)


def _bad_options(security: Mapping[str, Any], types: frozenset[str]) -> dict[str, str]:
    """Return the SELinux options that are forbidden, with their values."""
    options: Mapping[str, str] = security.get("seLinuxOptions") or {}
    bad = {"type": options["type"]} if options.get("type", "") not in types else {}
    return bad | {key: options[key] for key in ("user", "role") if options.get(key)}


def _said(*bad: Mapping[str, str]) -> str:
    types = sorted({options["type"] for options in bad if "type" in options})
    said = [named("type", types)] if types else []
    said += [f"{key} may not be set" for key in ("user", "role") if any(key in options for options in bad)]
    return "; ".join(said)


def _option_facts(fact: Callable[[str, str], Fact], bad: Mapping[str, str]) -> Iterator[Fact]:
    return (fact(f"securityContext.seLinuxOptions.{key}", value) for key, value in bad.items())
