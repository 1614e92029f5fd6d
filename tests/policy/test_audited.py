"""Admission policies that a scan finds, on the objects that it finds."""

from collections.abc import Mapping
from typing import Any

from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from scanner.policy.audited import admission_policies_violated
from tests.builders import NOW, pod, snapshot, workload
from tests.policy.api_server import policy, policy_binding

PODS = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}


def found(
    *things: Mapping[str, Any], expression: str = "false", rule: Mapping[str, Any] | None = None, **binding: Any
) -> list[Answer]:
    """Ask about these objects under one policy, bound to deny unless told otherwise."""
    spec = {"matchConstraints": {"resourceRules": [rule or PODS]}, "validations": [{"expression": expression}]}
    bound = policy_binding("b", {"policyName": "p", "validationActions": ["Deny"]} | binding)
    return list(admission_policies_violated(snapshot(policy("p", spec), bound, *things), now=NOW))


def test_an_existing_object_that_admission_would_refuse_fails() -> None:
    """It names policy, binding and what the API server would say."""
    (answer,) = found(pod("cart"))
    assert answer.outcome is Outcome.FAIL
    assert answer.message.startswith("ValidatingAdmissionPolicy p, bound by b (Deny) would not let it in again: ")
    assert {fact.object.name for fact in answer.evidence if fact.object} == {"p", "b"}


def test_a_binding_that_only_warns_is_milder() -> None:
    """Nobody would be refused."""
    (answer,) = found(pod("cart"), validationActions=["Warn", "Audit"])
    assert (answer.outcome, answer.is_milder) == (Outcome.FAIL, True)


def test_a_policy_that_nothing_binds_is_in_force_nowhere() -> None:
    """It is not asked."""
    assert not found(pod("cart"), policyName="other")


def test_who_asks_is_unknown() -> None:
    """An existing object has no request."""
    (answer,) = found(pod("cart"), expression="request.userInfo.username == 'jane'")
    assert answer.outcome is Outcome.UNKNOWN
    assert "who asks" in answer.message


def test_an_object_that_admission_would_let_in_passes() -> None:
    """It is counted."""
    (answer,) = found(pod("cart"), expression="object.kind == 'Pod'")
    assert answer.outcome is Outcome.PASS


def test_kinds_that_no_scan_reads_are_counted() -> None:
    """Their objects may break the policy, and nobody looked."""
    answers = found(
        workload("cart"),
        expression="true",
        rule=PODS | {"resources": ["configmaps", "events", "pods/exec", "services"]},
    )
    (answer,) = (a for a in answers if a.outcome is Outcome.UNKNOWN)
    assert (answer.resource.name, answer.missing) == ("p", ("list configmaps", "list events"))
    assert "2 of the kinds" in answer.message


def test_equal_pods_are_judged_by_what_differs_between_them() -> None:
    """A verdict is shared only where the policy reads nothing else."""
    answers = found(pod("cart"), pod("shelf"), expression="object.metadata.name == 'cart'")
    assert {a.resource.name: a.outcome for a in answers} == {"cart": Outcome.PASS, "shelf": Outcome.FAIL}
