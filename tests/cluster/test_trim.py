"""What is kept of an object: no value of a Secret, and of pods what they share."""

import base64
from typing import Any

import msgspec
import pytest

from scanner.cluster.decode import decode_object, decode_secret_metadata
from scanner.model.certificate import Trust
from scanner.model.objects import KubeObject
from scanner.model.secret import SecretBody
from scanner.model.workload import Pod, PodStatus
from tests.certificates import certificate


def pod(name: str, owner: str = "", status: Any = None, **spec: Any) -> KubeObject:
    """Decode a pod."""
    owners = [{"apiVersion": "apps/v1", "kind": owner, "name": "web", "controller": True}] if owner else []
    metadata = {"name": name, "namespace": "shop", "ownerReferences": owners}
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}
    return decode_object(msgspec.json.encode(whole))


def token_volume(suffix: str) -> dict[str, Any]:
    """Make a PodSpec with the volume that the ServiceAccount admission plugin adds."""
    name = f"kube-api-access-{suffix}"
    return {"volumes": [{"name": name}], "containers": [{"name": "app", "volumeMounts": [{"name": name}]}]}


def on_node(node: str, *terms: Any) -> dict[str, Any]:
    """Make the affinity by which a DaemonSet puts a pod on its node."""
    match = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [match, *terms]}}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pod("a", nodeName="n1"), pod("b", nodeName="n2")),
        (pod("web-0", hostname="web-0", subdomain="web"), pod("web-1", hostname="web-1", subdomain="web")),
        (pod("a", **token_volume("xdwk5")), pod("b", **token_volume("9mz7r"))),
        (pod("a", "DaemonSet", affinity=on_node("n1")), pod("b", "DaemonSet", affinity=on_node("n2"))),
        (pod("a", status={"podIP": "10.0.0.1"}), pod("b", status={"podIP": "10.0.0.2"})),
    ],
    ids=["node", "hostname", "token volume", "DaemonSet's affinity", "status"],
)
def test_pods_of_one_template_have_equal_bodies(one: KubeObject, other: KubeObject) -> None:
    """What differs between them moves out."""
    assert one.body == other.body


def test_a_hostname_that_someone_chose_stays() -> None:
    """Only one that repeats the pod's name says nothing."""
    assert pod("a", hostname="db").as_dict()["spec"] == {"hostname": "db"}


def test_a_name_that_only_looks_like_a_token_volume_stays() -> None:
    """The suffix is five characters, and nothing else is touched."""
    spec: dict[str, Any] = {
        "volumes": [{"name": "kube-api-access-mine"}],
        "containers": [{"args": ["kube-api-access-abcde"]}],
    }
    assert pod("a", **spec).as_dict()["spec"] == spec


def test_affinity_that_a_person_wrote_stays() -> None:
    """Of a DaemonSet's pod, only the controller's own term is dropped."""
    term = {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}
    got = pod("a", "DaemonSet", affinity=on_node("n1", term) | {"podAffinity": {}}).as_dict()["spec"]["affinity"]
    required = got["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert (required, got["podAffinity"]) == ({"nodeSelectorTerms": [term]}, {})


def test_affinity_of_other_pods_stays() -> None:
    """A bare pod that is bound to a node by its affinity was written so."""
    assert pod("a", affinity=on_node("n1")).as_dict()["spec"] == {"affinity": on_node("n1")}


def test_where_a_pod_runs_is_its_status() -> None:
    """What moved out of the body is read from there."""
    status = {"phase": "Running", "hostIP": "192.0.2.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "x": 1}
    got = Pod(pod("a", nodeName="n1", status=status)).status
    assert got == PodStatus("n1", "Running", "192.0.2.1", ("10.0.0.1", "fd00::1"))


def test_a_node_keeps_its_versions_and_not_its_heartbeat() -> None:
    """Two scans of one unchanged node are equal."""
    conditions = [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-23T00:00:00Z"}]
    status = {"nodeInfo": {"kubeletVersion": "v1.37.2", "bootID": "x"}, "conditions": conditions, "images": [{}]}
    whole = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": status}
    got = decode_object(msgspec.json.encode(whole)).as_dict()["status"]
    assert got == {"nodeInfo": {"kubeletVersion": "v1.37.2"}, "conditions": [{"type": "Ready", "status": "True"}]}


def secret(**fields: Any) -> KubeObject:
    """Decode a Secret."""
    annotations = {
        "note": "hunter2",
        "kubernetes.io/service-account.name": "robot",
        "kubectl.kubernetes.io/last-applied-configuration": "hunter2",
    }
    metadata = {"name": "db", "namespace": "shop", "annotations": annotations}
    return decode_object(msgspec.json.encode({"apiVersion": "v1", "kind": "Secret", "metadata": metadata} | fields))


def test_of_a_secret_the_names_of_its_keys_are_kept() -> None:
    """With its type, and whether it may change."""
    got = secret(type="kubernetes.io/tls", data={"tls.key": "aHVudGVyMg=="}, stringData={"extra": "x"}, immutable=True)
    assert got.decode(SecretBody) == SecretBody("kubernetes.io/tls", ("extra", "tls.key"), immutable=True)


def applied(said: Any) -> SecretBody:
    """Decode the metadata of a Secret with a last-applied annotation."""
    text = said if isinstance(said, str) else msgspec.json.encode(said).decode()
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": text}
    metadata = {"name": "db", "namespace": "shop", "annotations": annotations}
    found = decode_secret_metadata(msgspec.json.encode({"metadata": metadata}))
    assert b"hunter2" not in msgspec.json.encode(found)
    assert not found.meta.annotations
    return found.decode(SecretBody)


@pytest.mark.parametrize(
    "said",
    [{"data": {"password": "hunter2"}}, {"stringData": {"password": "hunter2"}}, '{"data": {"password": "hunter2"'],
)
def test_a_last_applied_annotation_that_holds_data_is_kept_as_a_fact(said: Any) -> None:
    """Whether it can be read or not; its text is dropped."""
    assert applied(said).leaks_data


@pytest.mark.parametrize("said", [{"data": {}}, {"metadata": {"name": "hunter2"}}, "hunter2", "[]", ""])
def test_a_last_applied_annotation_without_data_leaks_none(said: Any) -> None:
    """Such as that of a Secret that was applied empty, and filled by a controller."""
    assert not applied(said).leaks_data


def test_of_a_certificate_facts_are_kept() -> None:
    """Neither the key nor the certificate's own text."""
    made = certificate("shop.example.com", "shop.example.com")
    data = {"tls.crt": base64.b64encode(made.pem).decode(), "tls.key": base64.b64encode(made.key_pem).decode()}
    got = secret(type="kubernetes.io/tls", data=data)
    tls = got.decode(SecretBody).tls
    assert tls is not None
    assert (tls.certificates[0].hosts, tls.key_belongs, tls.trust) == (("shop.example.com",), True, Trust.SELF_SIGNED)
    kept = msgspec.json.encode(got).decode()
    assert not any(line in kept for text in data.values() for line in (text[:40], text[-60:-20]))


def test_a_certificate_by_string_data_is_read_too() -> None:
    """As people write manifests."""
    made = certificate("shop.example.com")
    tls = (
        secret(stringData={"tls.crt": made.pem.decode(), "tls.key": certificate().key_pem.decode()})
        .decode(SecretBody)
        .tls
    )
    assert tls is not None
    assert tls.key_belongs is False


def test_a_certificate_that_is_no_base64_is_a_problem() -> None:
    """Of the Secret, not of the scan."""
    tls = secret(data={"tls.crt": "hunter2?"}).decode(SecretBody).tls
    assert tls is not None
    assert tls.problem == "not base64"


def test_no_value_of_a_secret_is_kept() -> None:
    """Neither of its data nor of its annotations."""
    kept = msgspec.json.encode(secret(data={"password": "hunter2"}, stringData={"other": "hunter2"}))
    assert b"hunter2" not in kept


def test_whose_token_a_secret_holds_is_kept() -> None:
    """These annotations are names, and a policy on long-lived tokens needs them."""
    assert secret().meta.annotations == {"note": "", "kubernetes.io/service-account.name": "robot"}


def test_a_broken_secret_is_refused_without_its_value() -> None:
    """The error names the field alone."""
    with pytest.raises(ValueError, match=r"^Secret shop/db: ") as caught:
        secret(data="hunter2")
    assert "hunter2" not in str(caught.value)
