"""What we say that admission keeps out is what the real API server refuses."""

from typing import Any

import pytest

from scanner.model.finding import Outcome
from scanner.policy.evaluate import evaluate
from scanner.policy.load import builtin_policies_root, load_policies
from tests.builders import NOW, container, snapshot, workload
from tests.kube import kube
from tests.policy.api_server import api_server, namespace, policy, policy_binding
from tests.services import ControlPlane

PREFIX = "pod-security.kubernetes.io/"
BY_POLICY = "blocked-by-policy"
SPACES = {
    "blocked-by-nothing": {},
    "blocked-privileged": {"enforce": "privileged"},
    "blocked-warned": {"warn": "restricted", "audit": "restricted"},
    "blocked-baseline": {"enforce": "baseline"},
    "blocked-restricted-old": {"enforce": "restricted", "enforce-version": "v1.7"},
    "blocked-restricted": {"enforce": "restricted", "enforce-version": "v1.37"},
    "blocked-future": {"enforce": "baseline", "enforce-version": "v1.99"},
    BY_POLICY: {},
    "blocked-by-policy-not": {},
}
#: Fields of the container with which a pod meets restricted.
GOOD = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
#: What one pod does amiss, and the policy that finds it.
RISKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "pods/privileged-container": ({}, {"privileged": True, "allowPrivilegeEscalation": True}),
    "pods/host-pid-namespace": ({"hostPID": True}, {}),
    "pods/privilege-escalation-allowed": ({}, {"allowPrivilegeEscalation": True}),
    "pods/capabilities-not-dropped": ({}, {"capabilities": {}}),
}


@pytest.mark.control_plane
def test_new_pods_are_refused_where_we_say_so(control_plane: ControlPlane) -> None:
    """By level, version, mode and policy, for each of some risks."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    only = {"matchLabels": {"kubernetes.io/metadata.name": BY_POLICY}}
    spec = {
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": only},
        "validations": [{"expression": "!object.spec.?hostPID.orValue(false)"}],
    }
    stops = policy(BY_POLICY, spec)
    bound = policy_binding(BY_POLICY, {"policyName": BY_POLICY, "validationActions": ["Deny"]})
    spaces = [namespace(n, {PREFIX + k: v for k, v in labels.items()}) for n, labels in SPACES.items()]
    refused, said = set(), set()
    with kube(control_plane) as server, api_server(control_plane) as admission:
        server.install([*spaces, stops, bound])
        try:
            admission.wait_until_policies_are_active()
            for space in SPACES:
                for risk, (pod_spec, security) in RISKS.items():
                    app = container("app", securityContext=GOOD | security)
                    template = workload("risky", app, namespace=space, **pod_spec)["spec"]["template"]
                    named = {"name": "risky", "namespace": space}
                    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": named, "spec": template["spec"]}
                    if server.create(pod, dry_run=True).is_error:
                        refused.add((space, risk))
        finally:
            for thing in (bound, stops):
                server.client.delete(f"{server.path(thing)}/{BY_POLICY}").raise_for_status()
    for space in SPACES:
        for risk, (pod_spec, security) in RISKS.items():
            cart = workload("risky", container("app", securityContext=GOOD | security), namespace=space, **pod_spec)
            rules = load_policies(builtin_policies_root(), only=(risk,))
            (finding,) = evaluate(snapshot(*spaces, stops, bound, cart), rules, now=NOW).findings
            assert finding.outcome is Outcome.FAIL
            if "new pods of it are refused" in finding.message:
                said.add((space, risk))
    assert said == refused
