"""What we say of objects under a ValidatingAdmissionPolicy is what the real API server says when they are created."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from scanner.analysis.rbac.requests import identity_of
from scanner.cluster.decode import decode_object
from scanner.model.objects import KubeObject
from scanner.policy.admission import AdmissionResult, audit
from tests.builders import snapshot
from tests.policy.api_server import ApiServer, api_server, namespace, policy, policy_binding
from tests.services import ControlPlane

CONFIG_MAPS = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}
EVERYTHING = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"]}
#: How long the API server may take to see params that were created; it is less than a second on an idle machine.
PARAMS_TIMEOUT_SECONDS = 30.0
PARAM_KIND = {"apiVersion": "v1", "kind": "ConfigMap"}
#: Who asks the control plane.
CREATOR = identity_of("test-admin", frozenset({"system:masters"}))
CHECKED = "object.data.size.size() <= int(params.data.max)"


def config_map(name: str = "cart", labels: Mapping[str, str] | None = None, **data: str) -> dict[str, Any]:
    """Make a ConfigMap whose namespace the test fills in."""
    metadata = {"name": name, "namespace": "", "labels": dict(labels or {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def rejecting(**spec: Any) -> dict[str, Any]:
    """Make a policy's spec that refuses whatever it matches, unless told otherwise."""
    return {
        "matchConstraints": {"resourceRules": [CONFIG_MAPS]},
        "validations": [{"expression": "false", "message": "no"}],
    } | spec


def validating(expression: str, **more: Any) -> dict[str, Any]:
    """Make a policy's spec with one validation; names of its own go into the validation, the rest into the spec."""
    of_validation = {k: more.pop(k) for k in ("message", "messageExpression", "reason") if k in more}
    return rejecting(validations=[{"expression": expression} | of_validation], **more)


@dataclass(frozen=True)
class Case:
    """One policy, one binding, and the objects that meet them."""

    spec: dict[str, Any]
    objects: tuple[dict[str, Any], ...] = (config_map(),)
    binding: dict[str, Any] = field(default_factory=dict)
    params: tuple[dict[str, Any], ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    #: Roles and their bindings, which the authorizer answers by.
    grants: tuple[dict[str, Any], ...] = ()


def matching(**constraints: Any) -> dict[str, Any]:
    """Make a policy's spec that refuses what its constraints match."""
    return rejecting(matchConstraints=constraints)


def rule(**changes: Any) -> dict[str, Any]:
    """Make match constraints of one rule."""
    return matching(resourceRules=[EVERYTHING | changes])


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "", "labels": {"tier": "web"}},
    "spec": {"ports": [{"port": 80}]},
}
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "reader", "namespace": ""},
    "rules": [],
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "shell", "namespace": ""},
    "spec": {
        "containers": [{"name": "app", "image": "registry.example/app:1", "securityContext": {"privileged": True}}]
    },
}
SCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web", "namespace": ""},
    "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}},
}
MIXED = (config_map(), SERVICE, ROLE, POD)


def params_case(ref: dict[str, Any], *params: dict[str, Any], **spec: Any) -> Case:
    """Make a case whose policy compares a ConfigMap with its params."""
    return Case(
        spec=validating(CHECKED, message="too long", paramKind=PARAM_KIND, **spec),
        binding={"paramRef": {"parameterNotFoundAction": "Deny"} | ref},
        objects=(config_map(size="abc"), config_map(size="abcdefgh")),
        # One that no case refers to, so that the kind is known.
        params=(config_map("unrelated", {"x": "y"}, max="1"), *params),
    )


#: What the authorizer says of the one binding that allows it.
WHY = (
    "'RBAC: allowed by RoleBinding \"clerks/' + object.metadata.namespace"
    ' + \'" of Role "clerk" to ServiceAccount "clerk/\' + object.metadata.namespace + \'"\''
)


def saying(expression: str) -> dict[str, Any]:
    """Make a policy's spec whose message says what an expression evaluates to; messageExpression has no authorizer."""
    said = ("'true'", "'false'", "''", "'test-admin false'", WHY)
    return rejecting(
        variables=[{"name": "said", "expression": f"string({expression})"}],
        validations=[{"expression": f"variables.said != {text}", "message": text} for text in said],
    )


def by_account(question: str) -> Case:
    """Make a case that asks the authorizer about a service account that may read the pods of its namespace."""
    account = "authorizer.serviceAccount(object.metadata.namespace, 'clerk')"
    granted = {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"]}
    return Case(
        saying(f"{account}.{question}"),
        grants=(
            {**ROLE, "metadata": {"name": "clerk", "namespace": ""}, "rules": [granted]},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "clerks", "namespace": ""},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "clerk"},
                "subjects": [{"kind": "ServiceAccount", "name": "clerk"}],
            },
        ),
    )


HERE = "namespace(object.metadata.namespace)"
AUTHORIZER_CASES = {
    "allowed": by_account(f"group('').resource('pods').{HERE}.check('get').allowed()"),
    "other-verb": by_account(f"group('').resource('pods').{HERE}.check('list').allowed()"),
    "subresource": by_account(f"group('').resource('pods').subresource('log').{HERE}.check('get').allowed()"),
    "other-subresource": by_account(f"group('').resource('pods').subresource('exec').{HERE}.check('get').allowed()"),
    "cluster-wide": by_account("group('').resource('pods').check('get').allowed()"),
    "other-namespace": by_account("group('').resource('pods').namespace('default').check('get').allowed()"),
    "name": by_account(f"group('').resource('pods').{HERE}.name('web').check('get').allowed()"),
    "other-group": by_account(f"group('apps').resource('pods').{HERE}.check('get').allowed()"),
    "why": by_account(f"group('').resource('pods').{HERE}.check('get').reason()"),
    "why-not": by_account(f"group('').resource('pods').{HERE}.check('list').reason()"),
    "no-error": by_account(f"group('').resource('pods').{HERE}.check('list').errored()"),
    "no-error-text": by_account(f"group('').resource('pods').{HERE}.check('list').error()"),
    "selectors": by_account(
        f"group('').resource('pods').fieldSelector('spec.nodeName=a').labelSelector('!!').{HERE}.check('get').allowed()"
    ),
    "not-authenticated": by_account(
        "group('authorization.k8s.io').resource('selfsubjectaccessreviews').check('create').allowed()"
    ),
    "path": by_account("path('/healthz/ping').check('get').allowed()"),
    "path-empty": by_account("path(' ').check('get').allowed()"),
    "resource-empty": by_account("group('').resource('').check('get').allowed()"),
    "bad-account": Case(saying("authorizer.serviceAccount('a_b', 'c').path('/healthz').check('get').allowed()")),
    "user": Case(saying("request.userInfo.username + ' ' + string(has(request.userInfo.extra))")),
    "user-may": Case(saying("authorizer.path('/metrics').check('get').allowed()")),
    "user-why": Case(saying("authorizer.path('/metrics').check('get').reason()")),
    "request-resource": Case(saying("authorizer.requestResource.check('create').allowed()")),
    "in-message": Case(
        validating(
            "false",
            message="fallback",
            messageExpression="'=' + variables.said",
            variables=[{"name": "said", "expression": "string(authorizer.path('/metrics').check('get').allowed())"}],
        )
    ),
    "in-condition": Case(
        rejecting(
            matchConditions=[
                {
                    "name": "c",
                    "expression": "!authorizer.group('shop.example').resource('gates').check('pass').allowed()",
                }
            ]
        )
    ),
}

CASES = {
    **{f"authorizer-{name}": case for name, case in AUTHORIZER_CASES.items()},
    "message": Case(validating("object.metadata.name != 'cart'", message="  carts  ")),
    "no-message": Case(validating("  object.metadata.name != 'cart'  ")),
    "message-expression": Case(validating("false", messageExpression="'not ' + object.metadata.name", message="x")),
    "message-expression-breaks": Case(
        validating("false", messageExpression="string(object.data.nope)", message="fallback")
    ),
    "message-expression-blank": Case(validating("false", messageExpression="'  '", message="fallback")),
    "message-expression-lines": Case(validating("false", messageExpression="'a\\nb'", message="fallback")),
    "message-expression-long": Case(
        validating(
            "false",
            messageExpression="string(object.data.half) + string(object.data.half) + string(object.data.rest)",
            message="fallback",
        ),
        # What is kept of one value of a ConfigMap is shorter than a message may be.
        (config_map(half="x" * 2560, rest="x"), config_map(half="x" * 2560, rest="")),
    ),
    "first-of-two": Case(
        rejecting(validations=[{"expression": e, "message": e} for e in ("true", "1 == 2", "2 == 3")]),
    ),
    "allowed": Case(validating("object.kind == 'ConfigMap' && oldObject == null")),
    "error-fails": Case(validating("object.data.nope == 'x'")),
    "error-ignored": Case(validating("object.data.nope == 'x'", failurePolicy="Ignore")),
    "error-ignored-then-denied": Case(
        rejecting(
            failurePolicy="Ignore",
            validations=[{"expression": "object.data.nope == 'x'"}, {"expression": "false", "message": "second"}],
        )
    ),
    "request": Case(
        validating(
            "false",
            messageExpression="request.operation + ' ' + request.kind.kind + ' ' + request.resource.resource + ' ' "
            "+ request.resource.version + ' ' + request.name + ' ' + string(has(request.subResource)) "
            "+ string(request.dryRun || true) + string(request.namespace == object.metadata.namespace)",
        )
    ),
    "namespace-object": Case(
        validating("namespaceObject.metadata.labels.team == 'shop'", message="other team"), labels={"team": "hr"}
    ),
    "namespace-object-allows": Case(
        validating("namespaceObject.metadata.labels.team == 'shop'", message="other team"), labels={"team": "shop"}
    ),
    "namespace-object-lacks": Case(validating("namespaceObject.metadata.?labels.?team.orValue('') == 'shop'")),
    "variables": Case(
        validating(
            "variables.total == 3",
            messageExpression="'total is ' + string(variables.total)",
            variables=[
                {"name": "one", "expression": "size(object.data)"},
                {"name": "total", "expression": "variables.one + 1"},
                {"name": "unread", "expression": "object.data.nope"},
            ],
        ),
        (config_map(a="1"), config_map(a="1", b="2")),
    ),
    "variable-breaks": Case(
        validating("variables.bad == 'x'", variables=[{"name": "bad", "expression": "object.data.nope"}])
    ),
    "variable-breaks-unread": Case(
        validating("true || variables.bad == 'x'", variables=[{"name": "bad", "expression": "object.data.nope"}])
    ),
    "variable-optional": Case(
        validating(
            "variables.a.orValue('none') == 'x'",
            message="not x",
            variables=[{"name": "a", "expression": "object.data.?a"}, {"name": "b", "expression": "variables.a"}],
        ),
        (config_map(a="x"), config_map(a="y"), config_map(b="x")),
    ),
    "condition-unmet": Case(rejecting(matchConditions=[{"name": "c", "expression": "object.metadata.name == 'x'"}])),
    "condition-met": Case(rejecting(matchConditions=[{"name": "c", "expression": "object.metadata.name == 'cart'"}])),
    "condition-breaks": Case(rejecting(matchConditions=[{"name": "c", "expression": "object.data.nope == 'x'"}])),
    "condition-breaks-ignored": Case(
        rejecting(failurePolicy="Ignore", matchConditions=[{"name": "c", "expression": "object.data.nope == 'x'"}])
    ),
    "condition-false-outweighs": Case(
        rejecting(
            matchConditions=[
                {"name": "broken", "expression": "object.data.nope == 'x'"},
                {"name": "unmet", "expression": "false"},
            ]
        )
    ),
    "rule-any": Case(rule(), MIXED),
    "rule-group": Case(rule(apiGroups=["rbac.authorization.k8s.io"]), MIXED),
    "rule-core": Case(rule(apiGroups=[""]), MIXED),
    "rule-resource": Case(rule(resources=["pods", "services"]), MIXED),
    "rule-subresources-too": Case(rule(resources=["pods/*"]), MIXED),
    "rule-any-subresource": Case(rule(resources=["*/*"]), MIXED),
    "rule-only-subresource": Case(rule(resources=["pods/exec", "*/status"]), MIXED),
    "rule-version": Case(rule(apiVersions=["v1beta1"], resources=["roles", "configmaps"]), MIXED),
    "rule-update": Case(rule(operations=["UPDATE", "DELETE"]), MIXED),
    "rule-names": Case(rule(resourceNames=["web", "reader"]), MIXED),
    "rule-cluster-scope": Case(rule(scope="Cluster"), MIXED),
    "rule-namespaced-scope": Case(rule(scope="Namespaced"), MIXED),
    "rule-exact-version": Case(
        matching(
            matchPolicy="Exact",
            resourceRules=[EVERYTHING | {"apiVersions": ["v1"], "resources": ["horizontalpodautoscalers"]}],
        ),
        (SCALER,),
    ),
    "exclude": Case(
        matching(resourceRules=[EVERYTHING], excludeResourceRules=[EVERYTHING | {"resources": ["pods", "roles"]}]),
        MIXED,
    ),
    "exclude-names": Case(
        matching(resourceRules=[EVERYTHING], excludeResourceRules=[EVERYTHING | {"resourceNames": ["web"]}]), MIXED
    ),
    "object-selector": Case(
        matching(resourceRules=[EVERYTHING], objectSelector={"matchLabels": {"tier": "web"}}), MIXED
    ),
    "object-selector-not": Case(
        matching(
            resourceRules=[EVERYTHING],
            objectSelector={"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["web"]}]},
        ),
        MIXED,
    ),
    "namespace-selector": Case(
        matching(resourceRules=[EVERYTHING], namespaceSelector={"matchLabels": {"env": "prod"}}), labels={"env": "prod"}
    ),
    "namespace-selector-other": Case(
        matching(resourceRules=[EVERYTHING], namespaceSelector={"matchLabels": {"env": "prod"}}), labels={"env": "dev"}
    ),
    "binding-resources": Case(
        rule(), MIXED, binding={"matchResources": {"resourceRules": [EVERYTHING | {"resources": ["services"]}]}}
    ),
    "binding-object-selector": Case(
        rule(), MIXED, binding={"matchResources": {"objectSelector": {"matchLabels": {"tier": "web"}}}}
    ),
    "params-name": params_case({"name": "limits"}, config_map("limits", max="5")),
    "params-selector": params_case(
        {"selector": {"matchLabels": {"kind": "limit"}}},
        config_map("wide", {"kind": "limit"}, max="9"),
        config_map("narrow", {"kind": "limit"}, max="5"),
    ),
    "params-missing-denies": params_case({"name": "limits"}),
    "params-missing-allows": params_case({"name": "limits", "parameterNotFoundAction": "Allow"}),
    "params-missing-ignored": params_case({"name": "limits"}, failurePolicy="Ignore"),
    "params-selector-none": params_case({"selector": {"matchLabels": {"kind": "none"}}}),
    "params-other-namespace": params_case({"name": "limits", "namespace": "default"}),
    "params-unbound": Case(
        validating("params == null", message="has params", paramKind=PARAM_KIND), params=(config_map("unrelated"),)
    ),
    "params-in-message": Case(
        validating("false", messageExpression="'max ' + params.data.max + params.metadata.name", paramKind=PARAM_KIND),
        binding={"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}},
        params=(config_map("limits", max="5"),),
    ),
    "params-in-condition": Case(
        rejecting(
            paramKind=PARAM_KIND, matchConditions=[{"name": "c", "expression": "params.data.max == object.data.max"}]
        ),
        (config_map(max="5"), config_map(max="6")),
        binding={"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}},
        params=(config_map("limits", max="5"),),
    ),
    "quantities": Case(
        validating(
            "object.spec.containers.all(c, !has(c.resources) || !has(c.resources.limits) || "
            "quantity(c.resources.limits.memory).isLessThan(quantity('1Gi')))",
            message="too much memory",
            matchConstraints={"resourceRules": [CONFIG_MAPS | {"resources": ["pods"]}]},
        ),
        tuple(
            POD
            | {"spec": {"containers": [{"name": "app", "image": "a:1", "resources": {"limits": {"memory": memory}}}]}}
            for memory in ("512Mi", "1024Mi", "1e9")
        ),
    ),
}


def _in(name: str, thing: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object in the namespace of a case."""
    return {**thing, "metadata": {**thing["metadata"], "namespace": name}}


def _named(name: str) -> str:
    """Return the name of a case's policy, binding and namespace: each test worker makes its own."""
    return f"admission-{name}-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"


def _bound(name: str, case: Case) -> dict[str, Any]:
    """Return the binding of a case, limited to its own namespace; a namespaceSelector alone lets the rest by."""
    resources = {"resourceRules": [EVERYTHING | {"scope": "Namespaced"}]} | case.binding.get("matchResources", {})
    resources["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": _named(name)}}
    spec = {"policyName": _named(name), "validationActions": ["Deny"]} | case.binding | {"matchResources": resources}
    return policy_binding(_named(name), spec)


def _decoded(thing: Mapping[str, Any]) -> KubeObject:
    return decode_object(msgspec.json.encode(thing))


@pytest.fixture(scope="module")
def server(control_plane: ControlPlane) -> Iterator[ApiServer]:
    """An API server with every case's policy in force in a namespace of its own."""
    with api_server(control_plane) as found:
        for name, case in CASES.items():
            found.create(namespace(_named(name), case.labels))
            for param in (*case.params, *case.grants):
                found.create(_in(_named(name), param))
            found.create(policy(_named(name), case.spec))
            found.create(_bound(name, case))
        found.wait_until_policies_are_active()
        yield found


@pytest.mark.control_plane
@pytest.mark.parametrize("name", CASES)
def test_an_object_is_refused_with_the_words_of_the_api_server(server: ApiServer, name: str) -> None:
    """For each object the same outcome and, where a validation refuses it, the same message.

    The API server takes in params by a watch of its own, a moment after the policies: it is asked until it agrees.
    """
    case = CASES[name]
    things = [_in(_named(name), o) for o in case.objects]
    ours = [_ours(name, case, thing) for thing in things]
    said = [message for message, _ in ours]
    deadline = time.monotonic() + PARAMS_TIMEOUT_SECONDS
    while True:
        theirs = [_theirs(server, thing, certain) for thing, (_, certain) in zip(things, ours, strict=True)]
        if theirs == said:
            return
        assert time.monotonic() < deadline, (said, theirs)


def _theirs(server: ApiServer, thing: Mapping[str, Any], is_certain: bool) -> str:
    refusal = server.refusal(thing)
    return "" if refusal is None else refusal.message if is_certain else "broken"


def _ours(name: str, case: Case, thing: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the message of our refusal, empty for none; and whether it should be the API server's to the letter."""
    where = _named(name)
    outcomes = audit(
        [_decoded(policy(_named(name), case.spec))],
        [_decoded(_bound(name, case))],
        [_decoded(_in(where, p)) for p in case.params],
        snapshot(thing, namespace(where, case.labels), *(_in(where, grant) for grant in case.grants)),
        CREATOR,
    )
    outcomes = tuple(o for o in outcomes if o.resource.name == thing["metadata"]["name"])
    found = [o for o in outcomes if o.resource.kind == thing["kind"]]
    assert not [o for o in found if o.result is AdmissionResult.UNKNOWN]
    refused = [o for o in found if o.is_refused]
    if not refused:
        return "", True
    is_certain = refused[0].result is AdmissionResult.DENIED
    return (refused[0].message if is_certain else "broken"), is_certain
