"""Who can change parameters follows what the bindings of admission policies refer to, and nothing else."""

from collections.abc import Mapping
from typing import Any

import pytest

from scanner.analysis.rbac.parameters import subjects_who_can_change_parameters
from scanner.model.finding import Outcome
from tests.builders import NOW, binding, role, rule, snapshot

ADMISSION = "admissionregistration.k8s.io/v1"


def _policy(**spec: Any) -> dict[str, Any]:
    kind = "ValidatingAdmissionPolicy"
    return {"apiVersion": ADMISSION, "kind": kind, "metadata": {"name": "registries"}, "spec": spec}


def _binding(param_ref: Mapping[str, Any] | None) -> dict[str, Any]:
    spec = {"policyName": "registries"} | ({"paramRef": dict(param_ref)} if param_ref else {})
    kind = "ValidatingAdmissionPolicyBinding"
    return {"apiVersion": ADMISSION, "kind": kind, "metadata": {"name": "registries"}, "spec": spec}


CONFIG_MAPS = _policy(paramKind={"apiVersion": "v1", "kind": "ConfigMap"})
BY_NAME = _binding({"name": "allowed", "namespace": "shop", "parameterNotFoundAction": "Deny"})
BY_SELECTOR = _binding({"selector": {}, "namespace": "shop", "parameterNotFoundAction": "Deny"})
OPTIONAL = _binding({"name": "allowed", "namespace": "shop", "parameterNotFoundAction": "Allow"})
OF_EACH = _binding({"name": "allowed", "parameterNotFoundAction": "Deny"})
PATCH = rule("patch", "configmaps")


def _fails(policy: Mapping[str, Any], bound: Mapping[str, Any], given: Mapping[str, Any], namespace: str) -> bool:
    granted = role("writer", given, namespace=namespace)
    to = binding("Role writer", "User jane", namespace=namespace)
    answers = subjects_who_can_change_parameters(snapshot(policy, bound, granted, to), now=NOW)
    return any(a.outcome is Outcome.FAIL for a in answers)


@pytest.mark.parametrize(
    ("bound", "given", "namespace", "fails"),
    [
        pytest.param(BY_NAME, PATCH, "shop", True, id="the object by its name"),
        pytest.param(BY_NAME, rule("patch", "configmaps", names="allowed"), "shop", True, id="a rule with its name"),
        pytest.param(BY_NAME, rule("patch", "configmaps", names="theme"), "shop", False, id="a rule with another name"),
        pytest.param(BY_NAME, PATCH, "staging", False, id="another namespace"),
        pytest.param(BY_NAME, rule("create", "configmaps"), "shop", False, id="create, where a name is referred to"),
        pytest.param(BY_SELECTOR, rule("create", "configmaps"), "shop", True, id="create, where a selector finds it"),
        pytest.param(BY_SELECTOR, rule("patch", "configmaps", names="x"), "shop", True, id="any name, by a selector"),
        pytest.param(BY_NAME, rule("delete", "configmaps"), "shop", False, id="delete, which denies all"),
        pytest.param(OPTIONAL, rule("delete", "configmaps"), "shop", True, id="delete, which allows all"),
        pytest.param(OF_EACH, PATCH, "staging", True, id="the namespace of what is judged"),
        pytest.param(_binding(None), PATCH, "shop", False, id="a binding without parameters"),
    ],
)
def test_who_writes_what_a_binding_refers_to_fails(
    bound: Mapping[str, Any], given: Mapping[str, Any], namespace: str, *, fails: bool
) -> None:
    """A subject fails exactly if it can make the policy read something else."""
    assert _fails(CONFIG_MAPS, bound, given, namespace) is fails


def test_parameters_may_be_of_a_kind_of_their_own() -> None:
    """The resource of a custom kind is guessed from its name, as Kubernetes itself guesses it."""
    policy = _policy(paramKind={"apiVersion": "rules.example.com/v1", "kind": "RegistryPolicy"})
    assert _fails(policy, BY_NAME, rule("patch", "registrypolicies", group="rules.example.com"), "shop")


def test_a_policy_without_parameters_has_none_to_change() -> None:
    """A binding that names parameters of a policy that takes none changes nothing."""
    assert not _fails(_policy(), BY_NAME, PATCH, "shop")
