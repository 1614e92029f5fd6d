"""What the API server takes, the decoder takes; what is null means to both the same; what has a wrong type, neither."""

import urllib.error
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from scanner.cluster.decode import MalformedError, decode_object
from tests.cluster.live import Api, path_of, pod_spec, thing

RBAC = "rbac.authorization.k8s.io/v1"
CONTAINER: dict[str, Any] = pod_spec()["containers"][0]
LABELS = {"app": "web"}


def pod(**spec: Any) -> dict[str, Any]:
    """Make a pod."""
    return thing("v1", "Pod", "web", "default", spec=pod_spec() | spec)


def with_container(**fields: Any) -> dict[str, Any]:
    """Make a pod with one container."""
    return pod(containers=[CONTAINER | fields])


def deployment(**spec: Any) -> dict[str, Any]:
    """Make a Deployment."""
    template = {"metadata": {"labels": LABELS}, "spec": pod_spec()}
    whole = {"selector": {"matchLabels": LABELS}, "template": template} | spec
    return thing("apps/v1", "Deployment", "web", "default", spec=whole)


def network_policy(**spec: Any) -> dict[str, Any]:
    """Make a NetworkPolicy."""
    return thing("networking.k8s.io/v1", "NetworkPolicy", "web", "default", spec={"podSelector": {}} | spec)


def role(**rule: Any) -> dict[str, Any]:
    """Make a Role with one rule."""
    whole = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]} | rule
    return thing(RBAC, "Role", "web", "default", rules=[whole])


def service(**spec: Any) -> dict[str, Any]:
    """Make a Service."""
    return thing("v1", "Service", "web", "default", spec={"ports": [{"port": 80}], "selector": LABELS} | spec)


def dry_run(api: Api, made: dict[str, Any]) -> dict[str, Any]:
    """Return what the API server would make of an object; raises `urllib.error.HTTPError` where it refuses it."""
    answer: dict[str, Any] = api.call("POST", f"{path_of(made)}?dryRun=All", made)
    return answer


def decoded(made: dict[str, Any]) -> dict[str, Any]:
    """Return what we make of it."""
    return decode_object(msgspec.json.encode(made)).as_dict()


@pytest.mark.control_plane
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("command", None),
        ("livenessProbe", None),
        ("securityContext", None),
        ("securityContext", {"privileged": None, "capabilities": None}),
        ("env", [{"name": "A", "value": None, "valueFrom": None}]),
        ("ports", [{"containerPort": 80, "hostPort": None, "protocol": "TCP"}]),
    ],
)
def test_nulls_of_a_container_mean_to_us_what_they_mean_to_the_api_server(api: Api, field: str, value: object) -> None:
    """They are not set."""
    made = with_container(**{field: value})
    theirs, ours = (whole["spec"]["containers"][0].get(field) for whole in (dry_run(api, made), decoded(made)))
    assert ours == theirs


@pytest.mark.control_plane
@pytest.mark.parametrize(
    ("made", "field"),
    [
        (network_policy(podSelector={"matchLabels": {"app": None}}), "podSelector"),
        (network_policy(podSelector={"matchLabels": None}), "podSelector"),
        (network_policy(podSelector=None), "podSelector"),
        (network_policy(ingress=[None]), "ingress"),
        (network_policy(ingress=[{"from": None, "ports": None}]), "ingress"),
        (network_policy(egress=[{"ports": [None], "to": [{"podSelector": {}, "ipBlock": None}]}]), "egress"),
        (deployment(selector={"matchLabels": LABELS, "matchExpressions": None}), "selector"),
        (service(selector={"app": None}), "selector"),
        (service(selector=None), "selector"),
        (pod(nodeSelector={"disk": None}), "nodeSelector"),
    ],
)
def test_nulls_mean_to_us_what_they_mean_to_the_api_server(api: Api, made: dict[str, Any], field: str) -> None:
    """Not set; empty in a map of strings; an empty rule in a list of rules."""
    theirs, ours = dry_run(api, made)["spec"].get(field, {}), decoded(made)["spec"].get(field, {})
    for rule in theirs if field == "egress" else ():
        rule["ports"] = [{k: v for k, v in port.items() if k != "protocol"} for port in rule["ports"]]
    assert ours == theirs


@pytest.mark.control_plane
@pytest.mark.parametrize(
    "made",
    [
        pod(containers={}),
        pod(containers=["app"]),
        pod(hostNetwork="true"),
        pod(hostPID=1),
        pod(serviceAccountName=[]),
        pod(automountServiceAccountToken="no"),
        pod(volumes=[{"name": "a", "hostPath": "/etc"}]),
        pod(volumes=[{"name": "a", "secret": {"secretName": 1}}]),
        pod(securityContext={"runAsUser": "0"}),
        pod(securityContext={"sysctls": [{"name": "a", "value": 1}]}),
        pod(nodeSelector={"disk": True}),
        with_container(image=1),
        with_container(command="sh -c x"),
        with_container(env={"A": "1"}),
        with_container(env=[{"name": "A", "value": 1}]),
        with_container(envFrom=[{"secretRef": "db"}]),
        with_container(ports=[{"containerPort": "80"}]),
        with_container(resources={"limits": ["cpu"]}),
        with_container(securityContext={"privileged": "true"}),
        with_container(securityContext={"capabilities": {"add": "ALL"}}),
        with_container(livenessProbe=True),
        deployment(replicas="3"),
        deployment(template=[]),
        deployment(selector="app=web"),
        network_policy(podSelector=[]),
        network_policy(policyTypes="Ingress"),
        network_policy(ingress={}),
        network_policy(ingress=[{"ports": [{"port": True}]}]),
        network_policy(egress=[{"to": [{"ipBlock": "10.0.0.0/8"}]}]),
        role(verbs="get"),
        role(resourceNames=[1]),
        service(ports={}),
        service(selector=["app"]),
        thing(RBAC, "RoleBinding", "web", "default", roleRef="admin", subjects=[]),
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default", "labels": {"v": 1}}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default", "annotations": []}},
    ],
    ids=lambda made: str(made.get("spec", made))[:60],
)
def test_what_the_api_server_cannot_read_we_refuse(api: Api, made: dict[str, Any]) -> None:
    """An object with a wrong type never reaches a cluster; ours to say so, not to guess."""
    with pytest.raises(urllib.error.HTTPError, match=r"400|422"):
        dry_run(api, made)
    with pytest.raises(MalformedError):
        decoded(made)


def test_every_published_pod_is_read(corpus: Path) -> None:
    """Of the Pod Security Standards' fixtures, which the API server takes."""
    files = sorted((corpus / "pss").rglob("*.yaml"))
    found = [decoded(yaml.load(path.read_bytes(), yaml.CSafeLoader))["kind"] for path in files]
    assert len(found) >= 1858


def test_every_object_of_real_products_is_read(corpus: Path) -> None:
    """Operators, monitoring, a shop: as they are installed every day."""
    count = 0
    for path in sorted((corpus / "realworld").rglob("*.yaml")):
        for document in yaml.load_all(path.read_bytes(), yaml.CSafeLoader):
            listed = document.get("items", [document]) if document else []
            count += len([decoded(one) for one in listed if "kind" in one])
    assert count > 100
