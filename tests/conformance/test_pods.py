"""Published pods against the policies on pods: what the official library forbids, a policy of ours names."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from scanner.model.finding import Outcome
from scanner.model.policy import Policy
from scanner.policy.evaluate import evaluate
from scanner.policy.load import load_policies
from tests.builders import NOW, snapshot
from tests.policies.fixtures import ROOT

#: What the library says of each setting that makes a pod of badpods bad, and the policy that names it.
BAD_SETTINGS = {
    "hostIPC=true": "pods/host-ipc-namespace",
    "hostNetwork=true": "pods/host-network",
    "hostPID=true": "pods/host-pid-namespace",
    'volume "noderoot"': "pods/sensitive-host-path",
    "securityContext.privileged=true": "pods/privileged-container",
}

#: Checks of Pod Security, as the fixtures' files are named, and the policies of which one must name a pod that violates
#: them. Left out: restrictedvolumes (a volume type is no risk by itself) and procmount (without `hostUsers: false` the
#: API server takes no unmasked /proc any more).
CHECKS = {
    "allowprivilegeescalation": {"pods/privilege-escalation-allowed"},
    "apparmorprofile": {"pods/apparmor-disabled"},
    "capabilities_baseline": {"pods/capabilities-beyond-baseline"},
    "capabilities_restricted": {"pods/capabilities-beyond-baseline", "pods/capabilities-not-dropped"},
    "hostnamespaces": {"pods/host-ipc-namespace", "pods/host-network", "pods/host-pid-namespace"},
    "hostpathvolumes": {"pods/host-path-volume"},
    "hostports": {"pods/host-port"},
    "hostprobesandhostlifecycle": {"pods/probe-of-other-host"},
    "privileged": {"pods/privileged-container"},
    "runasnonroot": {"pods/runs-as-root"},
    "runasuser": {"pods/runs-as-root"},
    "seccompprofile_baseline": {"pods/seccomp-unconfined"},
    "seccompprofile_restricted": {"pods/seccomp-missing", "pods/seccomp-unconfined"},
    "selinuxoptions": {"pods/selinux-replaced"},
    "sysctls": {"pods/unsafe-sysctls"},
    "windowshostprocess": {"pods/windows-host-process"},
}

#: Where we differ on purpose. One drops all capabilities and adds ordinary ones back, which is good practice. In the
#: others each container replaces the pod's SELinux options, so that nothing runs with them.
ON_PURPOSE = {"capabilities_restricted3", "selinuxoptions0", "selinuxoptions3", "selinuxoptions4"}


def test_each_bad_setting_is_named_and_no_other(corpus: Path) -> None:
    """Eight kinds of pods in eight kinds of workloads: the policies fail for exactly the settings that a pod has."""
    policies = load_policies(ROOT, only=tuple(BAD_SETTINGS.values()))
    cases = [json.loads(line) for line in (corpus / "badpods" / "cases.jsonl").read_text().splitlines()]
    wrong = {
        case["id"]: found
        for case in cases
        if (found := _failing(corpus / "badpods" / case["input"][0], policies)) != _named(case["pss_baseline"])
    }
    assert (len(cases), wrong) == (128, {})


def test_each_violation_of_pod_security_is_named(corpus: Path) -> None:
    """A pod that the library of Kubernetes 1.37 refuses fails a policy that is about the violated check."""
    policies = load_policies(ROOT, only=("pods/*",))
    files = [file for file in _fixtures(corpus, "fail") if file.stem.rstrip("0123456789") in CHECKS]
    missed = [f for f in files if not _failing(f, policies) & CHECKS[f.stem.rstrip("0123456789")]]
    assert (len(files), {file.stem for file in missed}) == (84, ON_PURPOSE)


def test_no_pod_that_pod_security_admits_is_accused_of_a_violation(corpus: Path) -> None:
    """A pod that the library admits at a level fails no policy that claims to be part of that level."""
    policies = load_policies(ROOT, only=("pods/*",))
    files = _fixtures(corpus, "pass")
    wrong = {
        str(file.relative_to(corpus)): accused
        for file in files
        if (accused := _failing(file, [p for p in policies if _levels(file) & {*p.frameworks.get("pod-security", ())}]))
    }
    assert (len(files), wrong) == (38, {})


def _named(violations: Sequence[Mapping[str, str]]) -> set[str]:
    """Return the policies that must name what the library says of a pod; upstream's own labels are partly wrong."""
    details = " ".join(violation["detail"] for violation in violations)
    return {policy for words, policy in BAD_SETTINGS.items() if words in details}


def _fixtures(corpus: Path, verdict: str) -> list[Path]:
    return sorted((corpus / "pss" / "testdata").glob(f"*/v1.37/{verdict}/*.yaml"))


def _levels(file: Path) -> set[str]:
    """Return the level of a fixture, and those that it includes."""
    return {"baseline"} if "baseline" in file.parts else {"baseline", "restricted"}


def _failing(file: Path, policies: Sequence[Policy]) -> set[str]:
    """Return the policies that fail for what is in a file."""
    objects: list[Mapping[str, Any]] = [o for o in yaml.safe_load_all(file.read_text()) if o]
    found = evaluate(snapshot(*objects), policies, now=NOW).findings
    return {finding.policy for finding in found if finding.outcome is Outcome.FAIL}
