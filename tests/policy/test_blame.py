"""Who set a field, read off what a real API server writes down; hostile trees give no answer, and no error."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from scanner.cluster.decode import decode_object
from scanner.model.finding import Evaluation, Fact, SetBy
from scanner.model.objects import KubeObject
from scanner.model.policy import Policy
from scanner.model.snapshot import Snapshot
from scanner.policy.blame import set_by, with_setters
from scanner.policy.evaluate import evaluate
from scanner.policy.load import builtin_policies_root, load_policies
from tests.builders import NOW, cel_policy, container, evaluation, finding, snapshot, workload
from tests.kube import Kube, kube
from tests.services import ControlPlane

APPLY = "application/apply-patch+yaml"
MERGE = "application/strategic-merge-patch+json"
CONTAINER = "spec.template.spec.containers[0]"


@pytest.fixture
def server(control_plane: ControlPlane) -> Iterator[Kube]:
    """The real API server."""
    with kube(control_plane) as connected:
        yield connected


@pytest.fixture
def namespace(server: Kube) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"blame-{uuid.uuid4().hex[:8]}"
    assert server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).is_success
    yield name
    server.client.delete(f"/api/v1/namespaces/{name}")


def deployment(namespace: str, *containers: dict[str, Any]) -> dict[str, Any]:
    """Make the Deployment that is changed."""
    made = workload("web", *containers, namespace=namespace)
    made["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    return made


def path_of(namespace: str) -> str:
    """Return where it is served."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/web"


def patch(server: Kube, path: str, manager: str, body: Any, kind: str = MERGE) -> None:
    """Change an object as a manager."""
    answer = server.client.patch(
        path,
        params={"fieldManager": manager} | ({"force": "true"} if kind == APPLY else {}),
        headers={"Content-Type": kind},
        content=msgspec.json.encode(body),
    )
    assert answer.is_success, answer.text


def read(server: Kube, path: str) -> KubeObject:
    """Read an object as a scan does."""
    answer = server.client.get(path)
    assert answer.status_code == httpx.codes.OK
    return decode_object(answer.content)


def test_who_changed_one_field_is_told_from_who_made_the_rest(server: Kube, namespace: str) -> None:
    """A person made privileged what Helm had installed."""
    where = path_of(namespace)
    patch(server, where, "helm", deployment(namespace, container("proxy"), container("app", image="a:1")), APPLY)
    change = {"name": "app", "securityContext": {"privileged": True}}
    patch(server, where, "kubectl-edit", {"spec": {"template": {"spec": {"containers": [change]}}}})
    found = read(server, where)
    spec = msgspec.json.decode(found.body)["spec"]["template"]["spec"]
    at = [c["name"] for c in spec["containers"]].index("app")
    privileged = set_by(found, f"spec.template.spec.containers[{at}].securityContext.privileged")
    image = set_by(found, f"spec.template.spec.containers[{at}].image")
    assert privileged is not None
    assert (privileged.manager, privileged.operation, privileged.path) == ("kubectl-edit", "Update", "")
    assert privileged.time.startswith("20")
    assert image is not None
    assert (image.manager, image.operation) == ("helm", "Apply")


def test_of_two_who_applied_one_field_the_later_one_set_it(server: Kube, namespace: str) -> None:
    """Forcing takes the field over."""
    where = path_of(namespace)
    patch(server, where, "helm", deployment(namespace, container("app", image="a:1")), APPLY)
    patch(server, where, "flux", deployment(namespace, container("app", image="a:2")), APPLY)
    found = set_by(read(server, where), f"{CONTAINER}.image")
    assert found is not None
    assert found.manager == "flux"


def test_of_a_field_that_nobody_set_the_closest_around_it_is_named(server: Kube, namespace: str) -> None:
    """Then it is who wrote the container."""
    where = path_of(namespace)
    patch(server, where, "helm", deployment(namespace, container("app")), APPLY)
    found = set_by(read(server, where), f"{CONTAINER}.securityContext.runAsNonRoot")
    assert found is not None
    assert (found.manager, found.path) == ("helm", CONTAINER)


def test_a_default_belongs_to_who_created_the_object(server: Kube, namespace: str) -> None:
    """What the API server fills in when something is created counts as written."""
    assert server.create(deployment(namespace, container("app"))).is_success
    found = set_by(read(server, path_of(namespace)), "spec.template.spec.restartPolicy")
    assert found is not None
    assert (found.operation, found.path) == ("Update", "")


def test_what_controllers_say_of_the_status_is_not_kept(server: Kube, namespace: str) -> None:
    """It is most of what is written down, and no finding is about it."""
    where = path_of(namespace)
    patch(server, where, "helm", deployment(namespace, container("app")), APPLY)
    patch(server, f"{where}/status", "deployment-controller", {"status": {"replicas": 1}})
    assert [m.manager for m in read(server, where).field_managers] == ["helm"]


def test_a_debug_container_in_a_pod_that_a_controller_made_has_its_author(server: Kube, namespace: str) -> None:
    """The rest of such a pod is its controller's doing."""
    assert server.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}
    ).status_code in {httpx.codes.CREATED, httpx.codes.CONFLICT}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "1", "controller": True}
    metadata = {"name": "web-1-a", "namespace": namespace, "ownerReferences": [owner]}
    spec = {"containers": [container("app")], "automountServiceAccountToken": False}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    assert server.create(pod).is_success
    where = f"/api/v1/namespaces/{namespace}/pods/web-1-a"
    debug = {"spec": {"ephemeralContainers": [container("debugger", targetContainerName="app")]}}
    patch(server, f"{where}/ephemeralcontainers", "kubectl-debug", debug)
    found = set_by(read(server, where), "spec.ephemeralContainers[0]")
    assert found is not None
    assert found.manager == "kubectl-debug"
    assert set_by(read(server, where), "spec.containers[0].image") == SetBy(
        manager="kubectl-debug", operation="Update", time=found.time, path="spec"
    )


def managed(*entries: Any, **metadata: Any) -> dict[str, Any]:
    """Make a privileged Deployment with these managers."""
    thing = workload("web", container("app", securityContext={"privileged": True}))
    thing["metadata"] |= {"managedFields": list(entries)} | metadata
    return thing


def entry(fields: Any, manager: str = "helm", time: str = "2026-11-20T09:30:00Z") -> dict[str, Any]:
    """Make an entry of managedFields."""
    return {"manager": manager, "operation": "Update", "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields}


def judged(world: Snapshot, *policies: Policy) -> Evaluation:
    """Judge a snapshot by policies, else by one on privileged containers, and say who set what."""
    return with_setters(world, evaluate(world, policies or [cel_policy()], now=NOW))


def test_a_finding_says_who_set_what_it_shows() -> None:
    """In its evidence, from files as from a cluster."""
    containers: dict[str, Any] = {"f:containers": {'k:{"name":"app"}': {"f:securityContext": {}}}}
    fields = {"f:spec": {"f:template": {"f:spec": containers}}}
    found = judged(snapshot(managed(entry(fields)))).findings
    assert [fact.set_by for fact in found[0].evidence] == [
        SetBy(manager="helm", operation="Update", time="2026-11-20T09:30:00Z")
    ]


def test_who_set_it_does_not_change_what_a_finding_is() -> None:
    """Its id stays when another manager takes the field over."""
    one, other = (judged(snapshot(managed(entry({"f:spec": {}}, manager)))).findings[0] for manager in ("helm", "flux"))
    assert one.evidence != other.evidence
    assert one.fingerprint(snapshot().cluster) == other.fingerprint(snapshot().cluster)


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        "x",
        {"f:spec": None},
        {"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{": {}, "v:": {}, 'k:"x"': {}, "i:a": {}}}}}},
        {"f:spec": {"f:template": 3}},
    ],
)
def test_a_tree_that_no_api_server_writes_gives_at_most_what_is_around(fields: Any) -> None:
    """Files may hold anything."""
    found = judged(snapshot(managed(entry(fields)))).findings
    by = found[0].evidence[0].set_by
    assert by is None or by.path in {"spec", "spec.template", "spec.template.spec.containers"}


def test_a_place_in_words_has_no_author() -> None:
    """Questions may point at more than fields."""
    fact = Fact(path="the whole cluster")
    known = snapshot(managed(entry({"f:spec": {}})))
    shown = finding(resource="Deployment shop/web", evidence=(fact,))
    assert with_setters(known, evaluation(shown)) == evaluation(shown)


def test_workloads_with_equal_templates_have_managers_of_their_own() -> None:
    """What is found once for a template that many share is what each object by itself says."""
    trees: list[dict[str, Any]] = [
        {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"app"}': {"f:image": {}}}}}}},
        {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"proxy"}': {}, ".": {}}}}}},
        {"f:spec": {"f:replicas": {}}, "f:metadata": {"f:labels": {}}},
    ]
    things = []
    for number in range(12):
        made = workload(f"web-{number}", container(), container("proxy", tty=number % 2 == 0))
        entries = [(trees[number % 3], "a"), (trees[number // 3 % 3], "b"), (trees[1], "c")]
        made["metadata"]["managedFields"] = [
            {
                "manager": f"{who}-{number}",
                "operation": "Update",
                "time": f"2026-10-{1 + (number * 7 + place) % 20:02}T00:00:00Z",
                "fieldsV1": tree,
            }
            for place, (tree, who) in enumerate(entries)
        ]
        things.append(made)
    world = snapshot(*things)
    found = judged(world, *load_policies(builtin_policies_root())).findings
    facts = [
        (fact, thing)
        for f in found
        if f.stands_out
        for fact in f.evidence
        for ref in (fact.object or f.resource,)
        for thing in (world.find(ref.group, ref.kind, ref.namespace, ref.name),)
        if thing is not None
    ]
    assert len({fact.set_by for fact, _ in facts}) > len(things)
    assert [fact.set_by for fact, _ in facts] == [set_by(thing, fact.path) for fact, thing in facts]
