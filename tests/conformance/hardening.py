"""Where published cases of other scanners and our policies on pods differ, and why; and the page that says so.

The cases are those of controls that `docs/coverage/` maps to policies on pods.
"""

from collections.abc import Mapping

#: Cases of each source with a mapped control.
COUNTS = {"polaris": 74, "regolibrary": 116}

#: Why, and the cases in which we fail where the peer passes, or the other way round.
DIFFERENCES: Mapping[str, tuple[str, ...]] = {
    "one of several default capabilities is dropped; `drop: [ALL]` is what Pod Security asks for": (
        "polaris/insecureCapabilities/success.all",
        "polaris/insecureCapabilities/success.case",
        "polaris/insecureCapabilities/success.pod",
        "polaris/insecureCapabilities/success",
    ),
    "for the peer one of AppArmor, seccomp, SELinux and dropped capabilities is enough; here each counts": (
        "polaris/linuxHardening/success.apparmor_2_containers",
        "polaris/linuxHardening/success.drop_capabilities",
        "polaris/linuxHardening/success.seccomp_profile_container",
        "polaris/linuxHardening/success.seccomp_profile_pod",
        "polaris/linuxHardening/success.seccomp_profile_unconfined_for_pod_but_set_for_container",
        "polaris/linuxHardening/success.selinux_container",
        "polaris/linuxHardening/success.selinux_pod",
    ),
    "`procMount: Other`, a value that the API server refuses": ("polaris/procMount/failure",),
    "no policy is written, and the API server fills in `Always` where there is no tag": (
        "polaris/pullPolicyNotAlways/failure.cron-job",
        "polaris/pullPolicyNotAlways/failure",
    ),
    "a Deployment of `apiVersion: v1`, which does not exist": ("polaris/runAsRootAllowed/failure",),
    "credentials of a cloud in `/.aws`, where no user of a node has a home; homes are found": (
        "regolibrary/alert-mount-potential-credentials-paths/deployment_eks_failed",
        "regolibrary/alert-mount-potential-credentials-paths/pod_eks_failed",
    ),
    "the peer's own list of patterns, tried against images of Docker Hub": (
        "regolibrary/container-image-repository/cronjob-failed",
        "regolibrary/container-image-repository/pod-failed",
        "regolibrary/container-image-repository/workload-failed",
    ),
    "a volume that no container mounts gives nothing to anyone": (
        "regolibrary/containers-mounting-docker-socket/workloads",
        "regolibrary/containers-mounting-docker-socket/workloads-containerd",
        "regolibrary/containers-mounting-docker-socket/workloads-crio",
    ),
    "other kinds of objects in `default` than workloads; what they serve is there": (
        "regolibrary/endpointslice-in-default-namespace/endpointslice",
        "regolibrary/endpointslice-in-default-namespace/spoofed-kubernetes-both-labels",
        "regolibrary/endpointslice-in-default-namespace/spoofed-kubernetes-managed-by",
        "regolibrary/endpointslice-in-default-namespace/spoofed-kubernetes-service-name",
        "regolibrary/horizontalpodautoscaler-in-default-namespace/horizontalpodautoscaler",
        "regolibrary/persistentvolumeclaim-in-default-namespace/persistentvolumeclaim",
        "regolibrary/role-in-default-namespace/role",
        "regolibrary/service-in-default-namespace/service",
    ),
    "runs as no root, and lacks the other settings that the control asks for elsewhere": (
        "regolibrary/non-root-containers/deployment-pass",
    ),
    "about namespaces and webhooks, which no pod is part of: pods/namespace-without-pod-security": (
        "regolibrary/pod-security-admission-baseline-applied-2/test",
        "regolibrary/pod-security-admission-baseline-applied-2/test2",
    ),
    "PodSecurityPolicies, which Kubernetes 1.25 removed": (
        "regolibrary/psp-deny-hostnetwork/fail-many-true",
        "regolibrary/psp-deny-hostnetwork/fail-only-one-true",
        "regolibrary/psp-deny-hostpid/fail-many-true",
        "regolibrary/psp-deny-hostpid/fail-only-one-true",
        "regolibrary/psp-deny-privileged-container/fail-many-true",
        "regolibrary/psp-deny-privileged-container/fail-only-one-true",
    ),
    "names of accounts and bindings; the image tells that it is the Dashboard": (
        "regolibrary/rule-access-dashboard-subject-v1/clusterrole-clusterrolebinding",
        "regolibrary/rule-access-dashboard-subject-v1/clusterrole-rolebinding",
        "regolibrary/rule-access-dashboard-subject-v1/role-rolebinding",
        "regolibrary/rule-access-dashboard-wl-v1/cronjob",
        "regolibrary/rule-access-dashboard-wl-v1/pod",
        "regolibrary/rule-access-dashboard-wl-v1/workload",
    ),
    "a Service with port 22 or 2222; network/admin-port-exposed tells of those that are exposed": (
        "regolibrary/rule-can-ssh-to-pod-v1/pod",
        "regolibrary/rule-can-ssh-to-pod-v1/workloads",
    ),
    "the peer's own list of registries: another one than ours": (
        "regolibrary/rule-identify-blocklisted-image-registries/pod",
        "regolibrary/rule-identify-blocklisted-image-registries/workloads",
    ),
}

_HEAD = """\
# Pods: published cases of other scanners

{total} published cases of Polaris ({polaris}) and of Kubescape's regolibrary ({regolibrary}) belong to controls that
[coverage](../coverage.md) maps to policies on pods. Each is judged by the mapped policies: it fails if one of them
does. {agree} agree; in the others we differ on purpose. `tests/conformance/test_hardening.py` compares every one and
this list, and `make docs` writes the page. The fixtures of the Pod Security Standards and of badPods are compared in
`tests/conformance/test_pods.py`.

| Cases | Why we differ |
|---|---|
"""


def page() -> str:
    """Write the page."""
    total = sum(COUNTS.values())
    differing = sum(map(len, DIFFERENCES.values()))
    rows = "".join(f"| {'<br>'.join(f'`{case}`' for case in cases)} | {why} |\n" for why, cases in DIFFERENCES.items())
    return _HEAD.format(total=total, agree=total - differing, **COUNTS) + rows
