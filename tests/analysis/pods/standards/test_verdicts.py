"""What a standard says of workloads: templates, running pods, and the fields that make it so."""

import pytest

from scanner.analysis.pods.standards.verdicts import Verdict, verdicts
from scanner.analysis.pods.standards.versions import NEWEST, Level, Minor
from tests.builders import container, pod, snapshot, workload

HARMLESS = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
PRIVILEGED = {"privileged": True}


def _judged(*objects: dict[str, object], level: Level = Level.BASELINE, minor: Minor = NEWEST) -> tuple[Verdict, ...]:
    return tuple(verdicts(snapshot(*objects).workloads, level, minor))


def test_a_workload_is_judged_once_by_its_root_owner() -> None:
    """A Deployment with its pod is one verdict, about the Deployment."""
    debugged = pod("cart-1", container(securityContext=PRIVILEGED), owner="Deployment cart")
    (verdict,) = _judged(workload("cart", container(securityContext=PRIVILEGED)), debugged)
    assert (str(verdict.resource), [f.check for f in verdict.forbidden]) == ("Deployment shop/cart", ["privileged"])


def test_evidence_points_at_the_field_of_the_object_that_people_edit() -> None:
    """With what is there."""
    (verdict,) = _judged(workload("cart", container(), container("proxy", securityContext=PRIVILEGED)))
    ((fact,),) = [forbidden.evidence for forbidden in verdict.forbidden]
    assert (fact.path, fact.value, fact.container, fact.object) == (
        "spec.template.spec.containers[1].securityContext.privileged",
        True,
        "proxy",
        None,
    )


def test_evidence_in_annotations_lies_beside_the_template_s_spec() -> None:
    """Not in those of the Deployment itself."""
    key = "container.apparmor.security.beta.kubernetes.io/app"
    (verdict,) = _judged(workload("cart", annotations={key: "unconfined"}))
    paths = [fact.path for forbidden in verdict.forbidden for fact in forbidden.evidence]
    assert paths == [f"spec.template.metadata.annotations[{key}]"]


def test_a_debug_container_of_a_running_pod_counts() -> None:
    """The evidence names the pod; the template knows nothing of it."""
    debugger = container("debugger", securityContext=PRIVILEGED)
    running = pod("cart-0", owner="StatefulSet cart", ephemeralContainers=[debugger])
    (verdict,) = _judged(workload("cart", kind="StatefulSet"), running)
    ((fact,),) = [forbidden.evidence for forbidden in verdict.forbidden]
    assert (fact.path, str(fact.object)) == (
        "spec.ephemeralContainers[0].securityContext.privileged",
        "Pod shop/cart-0",
    )


def test_a_debug_container_inherits_what_the_template_says_of_the_pod() -> None:
    """It need not say again that it does not run as root."""
    whole = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    app, debugger = container(securityContext=own), container("debugger", securityContext=own)
    running = pod("cart-0", app, owner="StatefulSet cart", securityContext=whole, ephemeralContainers=[debugger])
    stateful = workload("cart", app, kind="StatefulSet", securityContext=whole)
    (verdict,) = _judged(stateful, running, level=Level.RESTRICTED)
    assert verdict.is_allowed


def test_a_debug_container_of_a_terminated_pod_is_past() -> None:
    """Nothing runs in it any more."""
    debugger = container("debugger", securityContext=PRIVILEGED)
    ended = pod("cart-0", owner="StatefulSet cart", phase="Failed", ephemeralContainers=[debugger])
    (verdict,) = _judged(workload("cart", kind="StatefulSet"), ended)
    assert verdict.is_allowed


def test_an_old_template_that_still_runs_counts() -> None:
    """A rollout that is stuck: each check once, with what each template does."""
    new = workload("cart", container("new", securityContext=PRIVILEGED))
    old = workload("cart-1", container("old", securityContext=PRIVILEGED), kind="ReplicaSet")
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart", "uid": "1", "controller": True}
    old["metadata"]["ownerReferences"] = [owner]
    (verdict,) = _judged(new, old)
    ((detail, objects),) = [(f.detail, [str(fact.object) for fact in f.evidence]) for f in verdict.forbidden]
    assert detail == (
        'container "new" must not set securityContext.privileged=true; '
        'container "old" must not set securityContext.privileged=true'
    )
    assert objects == ["None", "ReplicaSet shop/cart-1"]


def test_equal_templates_of_different_kinds_are_judged_alike() -> None:
    """Judged once, and told of each with its own paths."""
    bad = container(securityContext=PRIVILEGED)
    found = _judged(workload("cart", bad), workload("cart", bad, kind="Job"), pod("cart", bad))
    paths = {verdict.resource.kind: [f.path for v in verdict.forbidden for f in v.evidence] for verdict in found}
    assert paths == {
        "Deployment": ["spec.template.spec.containers[0].securityContext.privileged"],
        "Job": ["spec.template.spec.containers[0].securityContext.privileged"],
        "Pod": ["spec.containers[0].securityContext.privileged"],
    }


def test_equal_specs_with_other_annotations_are_judged_apart() -> None:
    """AppArmor's older annotations are no part of the spec."""
    key = "container.apparmor.security.beta.kubernetes.io/app"
    found = _judged(workload("a", annotations={key: "unconfined"}), workload("b", annotations={key: "localhost/x"}))
    assert [verdict.is_allowed for verdict in found] == [False, True]


def test_a_volume_without_source_is_an_empty_dir() -> None:
    """As the API server makes it."""
    (verdict,) = _judged(
        workload("cart", container(securityContext=HARMLESS), volumes=[{"name": "scratch"}]), level=Level.RESTRICTED
    )
    assert verdict.is_allowed


def test_a_volume_of_a_type_that_nobody_knows_is_not_allowed() -> None:
    """A newer API may have more types; nothing is green by ignorance."""
    odd = [{"name": "odd", "quantumStore": {}}]
    (verdict,) = _judged(workload("cart", container(securityContext=HARMLESS), volumes=odd), level=Level.RESTRICTED)
    assert [f.detail for f in verdict.forbidden] == ['volume "odd" uses restricted volume type "unknown"']


def test_options_of_a_volume_are_not_shown() -> None:
    """They may hold a password."""
    flex = [{"name": "share", "flexVolume": {"driver": "example.com/cifs", "options": {"password": "hunter2"}}}]
    (verdict,) = _judged(workload("cart", container(securityContext=HARMLESS), volumes=flex), level=Level.RESTRICTED)
    assert "hunter2" not in str(verdict)


def test_a_pod_on_the_node_s_network_takes_the_node_s_ports() -> None:
    """The API server defaults hostPort in a Pod, and not in a template."""
    served = container(ports=[{"containerPort": 8080}])
    found = _judged(pod("bare", served, hostNetwork=True), workload("cart", served, hostNetwork=True))
    assert {verdict.resource.kind: [f.check for f in verdict.forbidden] for verdict in found} == {
        "Pod": ["hostNamespaces", "hostPorts"],
        "Deployment": ["hostNamespaces"],
    }


@pytest.mark.parametrize(("minor", "allowed"), [(34, False), (35, True)])
def test_a_user_namespace_relaxes_from_135_on(minor: int, allowed: bool) -> None:
    """Root in it is nobody on the node."""
    rooted = container(securityContext=HARMLESS | {"runAsNonRoot": False, "runAsUser": 0})
    (verdict,) = _judged(workload("cart", rooted, hostUsers=False), level=Level.RESTRICTED, minor=Minor(minor))
    assert verdict.is_allowed is allowed
