"""Policies as ValidatingAdmissionPolicies: same outcome and same words in the real API server."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from scanner.errors import PolicyError
from scanner.model.finding import Outcome
from scanner.model.policy import Policy
from scanner.policy.evaluate import evaluate
from scanner.policy.generate import admission_name, to_admission
from tests.builders import NOW, cel_policy, container, pod, snapshot, workload
from tests.policy.api_server import ApiServer, api_server, namespace
from tests.services import ControlPlane

PRIVILEGED: dict[str, Any] = {"securityContext": {"privileged": True}}
MESSAGE = "'privileged: ' + container.name"

POLICIES = (
    *(cel_policy(f"made-up/{role}", container_roles=(role,)) for role in ("init", "sidecar", "regular", "ephemeral")),
    cel_policy("made-up/all", message=MESSAGE),
    cel_policy("made-up/pod", forbid="pod.?hostNetwork.orValue(false) && container.name == 'app'"),
    cel_policy("made-up/object", forbid="object.kind == 'Pod' || object.metadata.name == 'init'"),
    cel_policy("made-up/comment", forbid="container.name == 'app' // always"),
    cel_policy(
        "made-up/labels",
        subject="workload",
        forbid="podMeta.labels.?app.orValue('') == 'host' && podMeta.annotations.size() == 0",
        message="'host of ' + podMeta.labels.app",
    ),
    cel_policy("made-up/namespace", subject="workload", forbid="namespaceObject.metadata.labels.team == 'shop'"),
    cel_policy(
        "made-up/kind",
        subject="Service",
        forbid="object.spec.?type.orValue('') == 'NodePort'",
        message="object.metadata.name + ' is open'",
    ),
)


def _objects(where: str) -> list[dict[str, Any]]:
    plain = container("app")
    init = [container("init", **PRIVILEGED)]
    sidecar = [container("side", restartPolicy="Always", **PRIVILEGED)]
    templates: dict[str, dict[str, Any]] = {
        "init": {"initContainers": init},
        "sidecar": {"initContainers": sidecar},
        "host": {"hostNetwork": True},
        "plain": {},
    }
    made = [_selected(workload(name, plain, namespace=where, **spec)) for name, spec in templates.items()]
    cron_job = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly", "namespace": where},
        "spec": {
            "schedule": "0 3 * * *",
            "jobTemplate": {
                "spec": {
                    "template": {
                        "spec": {"containers": [container("app", **PRIVILEGED)], "restartPolicy": "Never"},
                    }
                }
            },
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": where},
        "spec": {"type": "NodePort", "ports": [{"port": 80}]},
    }
    return [
        *made,
        cron_job,
        service,
        pod("bare", container("app", **PRIVILEGED), namespace=where),
        pod("debugged", namespace=where, ephemeralContainers=[container("debug", **PRIVILEGED)]),
    ]


def _selected(thing: dict[str, Any]) -> dict[str, Any]:
    thing["spec"]["selector"] = {"matchLabels": thing["spec"]["template"]["metadata"]["labels"]}
    return thing


def _where(policy: Policy) -> str:
    return f"generate-{policy.id.replace('/', '-')}"


@pytest.fixture(scope="module")
def server(control_plane: ControlPlane) -> Iterator[ApiServer]:
    """An API server with every policy in force in a namespace of its own."""
    with api_server(control_plane) as found:
        for policy in POLICIES:
            generated, binding = to_admission(policy)
            selector = {"matchLabels": {"kubernetes.io/metadata.name": _where(policy)}}
            binding["spec"]["matchResources"] = {"namespaceSelector": selector}
            for created in (namespace(_where(policy), {"team": "shop"}), generated, binding):
                found.create(created)
        found.wait_until_policies_are_active()
        yield found


@pytest.mark.control_plane
@pytest.mark.parametrize("policy", POLICIES, ids=[p.id for p in POLICIES])
def test_the_api_server_says_what_we_say(server: ApiServer, policy: Policy) -> None:
    """For every kind that holds pods, every role of containers, and objects of one kind."""
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    where = _where(policy)
    for thing in _objects(where):
        name = thing["metadata"]["name"]
        found = evaluate(snapshot(thing, namespace(where, {"team": "shop"})), [policy], now=NOW).findings
        failing = [f for f in found if f.outcome is Outcome.FAIL]
        ours[name] = (failing[0].message if policy.message else policy.title) if failing else ""
        refusal = server.refusal(thing)
        theirs[name] = "" if refusal is None else refusal.message
    assert theirs == ours


def test_a_question_cannot_be_asked_at_admission() -> None:
    """It is about more than one object."""
    with pytest.raises(PolicyError, match="asks about more than one object"):
        to_admission(cel_policy(forbid="", ask="pods.debug_containers"))


def test_the_name_is_one_that_kubernetes_takes() -> None:
    """A DNS subdomain, made of the id."""
    name = admission_name(cel_policy())
    assert (name, bool(re.fullmatch(r"[a-z0-9.-]{1,253}", name))) == ("plimsoll.pods.privileged-container", True)


def test_the_binding_leaves_the_system_alone() -> None:
    """A cluster must be able to repair itself."""
    binding = to_admission(cel_policy())[1]
    selector = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"][0]
    assert (selector["operator"], "kube-system" in selector["values"]) == ("NotIn", True)


def test_the_actions_can_be_chosen() -> None:
    """Who is careful warns first."""
    assert to_admission(cel_policy(), actions=["Warn", "Audit"])[1]["spec"]["validationActions"] == ["Warn", "Audit"]
