"""Anyone's ValidatingAdmissionPolicies on objects that exist: what an audit cannot know is unknown, and says why.

That the rest is what the API server says stands in `test_admission_parity`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from scanner.cluster.decode import decode_object
from scanner.errors import PolicyError
from scanner.model.coverage import Read, ReadState
from scanner.model.credential import WITHHELD
from scanner.model.objects import KubeObject, ObjectMeta
from scanner.model.refs import GroupKind
from scanner.model.resources import RESOURCES, plural_of
from scanner.model.snapshot import SourceKind
from scanner.policy.admission import AdmissionOutcome, AdmissionResult, audit
from tests.builders import container, snapshot, workload
from tests.policy.api_server import policy, policy_binding

EVERYTHING = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"]}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "data": {"a": "eA=="}}


def decoded(thing: Mapping[str, Any]) -> KubeObject:
    """Read an object as the scanner does."""
    return decode_object(msgspec.json.encode(thing))


def audited(
    expression: str = "false",
    thing: Mapping[str, Any] | None = None,
    *,
    binding: Mapping[str, Any] | None = None,
    coverage: list[Read] | None = None,
    source: SourceKind = SourceKind.LIVE,
    **spec: Any,
) -> list[AdmissionOutcome]:
    """Audit one object, a Deployment unless told otherwise, by one policy that matches everything."""
    whole = {"matchConstraints": {"resourceRules": [EVERYTHING]}, "validations": [{"expression": expression}]} | spec
    bindings = [decoded(policy_binding("b", {"policyName": "p"} | dict(binding)))] if binding is not None else []
    found = snapshot(thing or workload("cart"), coverage=coverage, source=source)
    return list(audit([decoded(policy("p", whole))], bindings, [], found))


def results(outcomes: list[AdmissionOutcome]) -> list[AdmissionResult]:
    """Return just the results."""
    return [o.result for o in outcomes]


def test_a_denial_says_what_and_where() -> None:
    """Message, expression and its place in the policy."""
    (found,) = audited(
        "object.spec.replicas == 1 || object.kind == 'Job'", workload("cart") | {"spec": {"replicas": 2}}
    )
    assert (found.result, found.path, str(found.resource)) == (
        AdmissionResult.DENIED,
        "spec.validations[0].expression",
        "Deployment shop/cart",
    )


def test_a_policy_that_nothing_binds_is_judged_all_the_same() -> None:
    """With no binding and no actions, so that no one takes it for being in force."""
    (found,) = audited()
    assert (found.binding, found.actions, found.result) == ("", (), AdmissionResult.DENIED)


def test_the_actions_of_a_binding_are_reported() -> None:
    """A policy may only warn."""
    (found,) = audited(binding={"validationActions": ["Warn", "Audit"]})
    assert (found.binding, found.actions) == ("b", ("Warn", "Audit"))


@pytest.mark.parametrize(
    "expression",
    [
        "request.userInfo.username == 'jane'",
        "has(request.userInfo)",
        "request.?userInfo.?username.orValue('') == ''",
        "!has(request.options)",
        "authorizer.group('').resource('pods').check('get').allowed()",
        "lists.range(20000).all(x, x >= 0)",
    ],
)
def test_what_an_audit_cannot_know_is_unknown(expression: str) -> None:
    """Neither allowed nor denied."""
    assert results(audited(expression)) == [AdmissionResult.UNKNOWN]


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("request.operation == 'DELETE' && request.userInfo.username == 'jane'", AdmissionResult.DENIED),
        ("object.kind == 'Deployment' || 'admins' in request.userInfo.groups", AdmissionResult.ALLOWED),
    ],
)
def test_what_does_not_depend_on_the_unknown_is_known(expression: str, result: AdmissionResult) -> None:
    """One side of an `&&` or `||` can be enough."""
    assert results(audited(expression)) == [result]


def test_an_unknown_variable_makes_unknown() -> None:
    """However far away it is read."""
    variables = [
        {"name": "who", "expression": "request.userInfo.username"},
        {"name": "is_jane", "expression": "variables.who == 'jane'"},
    ]
    assert results(audited("variables.is_jane", variables=variables)) == [AdmissionResult.UNKNOWN]


def test_an_unknown_condition_of_what_is_allowed_anyway_is_no_matter() -> None:
    """Whether the policy is about the object or not, it lets it through."""
    conditions = [{"name": "not-admins", "expression": "!('admins' in request.userInfo.groups)"}]
    assert results(audited("true", matchConditions=conditions)) == [AdmissionResult.ALLOWED]


def test_an_unknown_condition_of_what_would_be_denied_is_unknown() -> None:
    """It depends on who asks."""
    conditions = [{"name": "not-admins", "expression": "!('admins' in request.userInfo.groups)"}]
    assert results(audited("false", matchConditions=conditions)) == [AdmissionResult.UNKNOWN]


def test_the_contents_of_a_secret_are_unknown() -> None:
    """They are never read, so that their absence means nothing."""
    assert results(audited("!has(object.data)", SECRET)) == [AdmissionResult.UNKNOWN]


def test_a_value_that_is_not_kept_is_unknown() -> None:
    """A ConfigMap's values are dropped on arrival, so nothing that reads them can be decided."""
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "shop"},
        "data": {"mode": WITHHELD},
    }
    for expression in ("object.data.mode == 'fast'", "object.data.all(k, object.data[k] != '')"):
        assert results(audited(expression, config)) == [AdmissionResult.UNKNOWN]
    assert results(audited("object.metadata.name == 'c'", config)) == [AdmissionResult.ALLOWED]


def test_a_masked_credential_is_unknown_to_those_who_read_it_alone() -> None:
    """What else a policy asks of the workload is decided."""
    env = [{"name": "DB_PASSWORD", "value": "***password~0123456789abcdef***"}]
    thing = workload("cart", container(env=env))
    containers = "object.spec.template.spec.containers"
    reads_it = f"{containers}.all(c, c.env.all(e, e.value != 'x'))"
    assert results(audited(reads_it, thing)) == [AdmissionResult.UNKNOWN]
    assert results(audited(f"{containers}.all(c, c.name == 'app')", thing)) == [AdmissionResult.ALLOWED]


def test_the_metadata_of_a_secret_are_known() -> None:
    """Names and labels of Secrets can be judged."""
    assert results(audited("object.metadata.name == 's'", SECRET)) == [AdmissionResult.ALLOWED]


def test_a_namespace_that_was_not_read_makes_selectors_unknown() -> None:
    """Its labels could be anything."""
    coverage = [
        Read(resource=r.name, state=ReadState.FORBIDDEN if r.name == "namespaces" else ReadState.COMPLETE)
        for r in RESOURCES
    ]
    binding = {"matchResources": {"namespaceSelector": {"matchLabels": {"env": "prod"}}}}
    assert results(audited(binding=binding, coverage=coverage)) == [AdmissionResult.UNKNOWN]


def test_an_object_that_the_api_server_would_convert_is_unknown() -> None:
    """A rule for autoscaling/v1 sees a v2 object in the form of v1."""
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"maxReplicas": 3},
    }
    constraints = {"resourceRules": [EVERYTHING | {"apiVersions": ["v1"]}]}
    assert results(audited("false", scaler, matchConstraints=constraints)) == [AdmissionResult.UNKNOWN]


def test_params_of_a_kind_that_was_not_read_are_unknown() -> None:
    """They may exist."""
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    binding = {"paramRef": {"name": "limits", "parameterNotFoundAction": "Allow"}}
    assert results(audited("params.data.a == 'b'", binding=binding, paramKind=kind)) == [AdmissionResult.UNKNOWN]


@pytest.mark.parametrize("function", ["sum", "min", "max"])
def test_a_reduction_of_durations_is_unknown(function: str) -> None:
    """The API server computes it; that it cannot be done here is no error of the policy."""
    (found,) = audited(f"[duration('1s'), duration('2s')].{function}() > duration('0s')")
    assert (found.result, "durations" in found.message) == (AdmissionResult.UNKNOWN, True)


def test_a_maximum_of_timestamps_is_unknown() -> None:
    """As of durations."""
    (found,) = audited("[timestamp('2020-01-01T00:00:00Z')].max() > timestamp('2019-01-01T00:00:00Z')")
    assert found.result is AdmissionResult.UNKNOWN


def test_admission_policies_themselves_are_exempt() -> None:
    """No policy can lock everyone out of changing policies."""
    assert audited("false", policy("other", {})) == []


def test_an_error_lets_through_only_if_the_policy_says_so() -> None:
    """`failurePolicy` decides."""
    refused = [audited("object.nope == 1", failurePolicy=f)[0].is_refused for f in ("Fail", "Ignore")]
    assert refused == [True, False]


def test_a_field_that_a_file_leaves_out_is_unknown() -> None:
    """The API server may have a default for it."""
    assert results(audited("object.spec.replicas < 5", source=SourceKind.MANIFESTS)) == [AdmissionResult.UNKNOWN]


def test_a_field_that_a_cluster_has_not_is_missing() -> None:
    """There, defaults were filled in long ago."""
    assert results(audited("object.spec.replicas < 5")) == [AdmissionResult.ERROR]


def test_what_is_no_policy_is_refused() -> None:
    """The complaint names the object."""
    broken = KubeObject("v1", "ValidatingAdmissionPolicy", ObjectMeta(name="p"), b'{"spec": {"validations": "none"}}')
    with pytest.raises(PolicyError, match="ValidatingAdmissionPolicy p: not a ValidatingAdmissionPolicy"):
        audit([broken], [], [], snapshot())


@pytest.mark.parametrize(
    ("kind", "plural"),
    [
        ("Rollout", "rollouts"),
        ("Ingress", "ingresses"),
        ("NetworkPolicy", "networkpolicies"),
        ("Endpoints", "endpoints"),
    ],
)
def test_the_plural_of_a_kind_is_guessed(kind: str, plural: str) -> None:
    """As the API machinery guesses it."""
    assert plural_of(GroupKind("example.com", kind)) == plural
