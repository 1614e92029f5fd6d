"""Risks that admission keeps out of new pods weigh less, and say so."""

from collections.abc import Mapping
from typing import Any

import pytest

from scanner.model.finding import Finding
from scanner.model.policy import Severity
from scanner.model.snapshot import SourceKind
from scanner.policy.evaluate import evaluate
from scanner.policy.load import builtin_policies_root, load_policies
from tests.builders import NOW, container, pod, snapshot, workload
from tests.policy.api_server import namespace, policy, policy_binding

PRIVILEGED = container("app", securityContext={"privileged": True})
PODS = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
NO_PRIVILEGE = "object.spec.containers.all(c, !c.?securityContext.?privileged.orValue(false))"
LABEL = "pod-security.kubernetes.io/enforce"


def found(*things: Mapping[str, Any], of: str = "pods/privileged-container", **world: Any) -> Finding:
    """Return the only finding of a policy."""
    policies = load_policies(builtin_policies_root(), only=(of,))
    (finding,) = evaluate(snapshot(*things, **world), policies, now=NOW).findings
    return finding


def shop(**labels: str) -> dict[str, Any]:
    """Make the namespace; names of labels follow the prefix of Pod Security."""
    return namespace("shop", {f"pod-security.kubernetes.io/{k.replace('_', '-')}": v for k, v in labels.items()})


def bound(expression: str, rule: Mapping[str, Any] = PODS, **binding: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make a policy and its binding, which denies unless told otherwise."""
    failure = {"failurePolicy": binding.pop("failurePolicy")} if "failurePolicy" in binding else {}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": expression}]} | failure
    return policy("p", spec), policy_binding("b", {"policyName": "p", "validationActions": ["Deny"]} | binding)


def test_a_risk_that_the_level_of_its_namespace_refuses_is_milder() -> None:
    """The message says who refuses it; what identifies the finding stays."""
    open_, shut = (found(shop(**labels), workload("cart", PRIVILEGED)) for labels in ({}, {"enforce": "baseline"}))
    assert (open_.severity, shut.severity) == (Severity.HIGH, Severity.MEDIUM)
    assert "new pods of it are refused by Pod Security baseline of namespace shop" in shut.message
    assert (open_.key, open_.resource, open_.evidence) == (shut.key, shut.resource, shut.evidence)


def test_pods_that_run_were_let_in_before() -> None:
    """The risk is there as long as they are."""
    running = pod("cart-0", PRIVILEGED, owner="Deployment cart")
    finding = found(shop(enforce="baseline"), workload("cart", PRIVILEGED), running)
    assert (finding.severity, finding.message.endswith("but pods that run were let in before")) == (
        Severity.HIGH,
        True,
    )


def test_pods_that_ended_run_no_longer() -> None:
    """A bare pod that succeeded is no risk that goes on."""
    assert found(shop(enforce="baseline"), pod("done", PRIVILEGED, phase="Succeeded")).severity == Severity.MEDIUM


@pytest.mark.parametrize("labels", [{"warn": "baseline"}, {"enforce": "privileged"}])
def test_what_refuses_nothing_blocks_nothing(labels: dict[str, str]) -> None:
    """A mode that warns, and a level that forbids nothing."""
    assert "refused" not in found(shop(**labels), workload("cart", PRIVILEGED)).message


@pytest.mark.parametrize(
    ("of", "spec"),
    [
        ("pods/mutable-image-tag", {"hostPID": True}),
        ("pods/inline-storage-volume", {"hostPID": True, "volumes": [{"name": "a", "nfs": {"server": "s"}}]}),
        ("pods/writable-root-filesystem", {"hostPID": True}),
    ],
)
def test_a_pod_that_is_refused_for_something_else_is_no_answer(of: str, spec: dict[str, Any]) -> None:
    """Whoever mends that meets the risk again."""
    cart = workload("cart", container("app", image="registry.example/app:latest"), **spec)
    assert "refused" not in found(shop(enforce="baseline"), cart, of=of).message


@pytest.mark.parametrize(
    ("of", "level", "own"),
    [
        ("pods/host-path-volume", "baseline", {}),
        ("pods/writable-host-path", "baseline", {}),
        ("pods/runs-as-root", "restricted", {}),
        ("pods/privilege-escalation-allowed", "restricted", {}),
        ("pods/host-port", "baseline", {"ports": [{"containerPort": 80, "hostPort": 80}]}),
        ("pods/node-level-capabilities", "baseline", {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}),
    ],
)
def test_fields_of_policies_and_of_the_standard_meet(of: str, level: str, own: dict[str, Any]) -> None:
    """Where one names the list and the other its item, too."""
    mounted = container("app", volumeMounts=[{"name": "v", "mountPath": "/v"}], **own)
    cart = workload("cart", mounted, volumes=[{"name": "v", "hostPath": {"path": "/srv/v"}}])
    assert "new pods of it are refused" in found(shop(enforce=level), cart, of=of).message


def test_a_version_that_lacks_the_check_refuses_nothing() -> None:
    """Restricted v1.7 does not mind privilege escalation; v1.8 does."""
    old, new = (
        found(
            shop(enforce="restricted", enforce_version=version),
            workload("cart"),
            of="pods/privilege-escalation-allowed",
        )
        for version in ("v1.7", "v1.8")
    )
    assert ("refused" in old.message, "refused" in new.message) == (False, True)


def test_an_api_server_without_the_plugin_enforces_nothing() -> None:
    """Whatever labels say."""
    server = pod("kube-apiserver-a", namespace="kube-system")
    server["spec"]["containers"][0]["command"] = ["kube-apiserver", "--disable-admission-plugins=A,PodSecurity"]
    assert "refused" not in found(shop(enforce="baseline"), workload("cart", PRIVILEGED), server).message


def test_an_older_template_that_is_not_refused_leaves_the_risk() -> None:
    """A finding whose evidence lies in two objects is blocked if both are."""
    mended = workload("cart", container("app"))
    assert "refused" not in found(shop(), mended, pod("x", PRIVILEGED, namespace="shop")).message


def test_a_policy_that_denies_the_pods_blocks() -> None:
    """It is named with its binding."""
    finding = found(namespace("shop"), workload("cart", PRIVILEGED), *bound(NO_PRIVILEGE))
    assert finding.severity == Severity.MEDIUM
    assert finding.message.endswith("new pods of it are refused by ValidatingAdmissionPolicy p, bound by b")


@pytest.mark.parametrize(
    "things",
    [
        bound(NO_PRIVILEGE, validationActions=["Warn"]),
        bound(NO_PRIVILEGE, failurePolicy="Ignore"),
        bound(NO_PRIVILEGE, matchResources={"namespaceSelector": {"matchLabels": {"team": "x"}}}),
        bound(NO_PRIVILEGE, PODS | {"apiGroups": ["apps"], "resources": ["deployments"]}),
        bound("false"),
        bound("object.metadata.?name.orValue('') == 'x'"),
        bound("has(object.spec.containers[0].image) && object.spec.containers[0].image == 'x'"),
        bound("request.userInfo.username == 'x'"),
        bound("object.spec.absent.really"),
    ],
    ids=["warns", "fails open", "elsewhere", "other kind", "anything", "name", "other field", "who", "breaks"],
)
def test_other_policies_do_not_block(things: tuple[dict[str, Any], ...]) -> None:
    """The risk is not theirs, or they do not keep it out."""
    assert "refused" not in found(namespace("shop"), workload("cart", PRIVILEGED), *things).message


def test_files_are_judged_as_what_would_be_created() -> None:
    """No pod runs from them."""
    things = (shop(enforce="baseline"), workload("cart", PRIVILEGED))
    assert found(*things, source=SourceKind.MANIFESTS).severity == Severity.MEDIUM


@pytest.mark.parametrize("kind", ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"])
def test_what_is_no_policy_ends_nothing(kind: str) -> None:
    """Files may hold anything under its name."""
    broken = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "broken"},
        "spec": {"validationActions": 7, "policyName": 7, "validations": [{"expression": "true"}], "paramKind": None},
    }
    things = (namespace("shop"), workload("cart", PRIVILEGED), broken, *bound(NO_PRIVILEGE))
    assert "bound by b" in found(*things).message
