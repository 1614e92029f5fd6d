"""Credentials are gone from an object before anything else sees it."""

import msgspec

from scanner.cluster.config_maps import CONFIG_MAP, without_values
from scanner.cluster.decode import decode_object

CANARY = "kestrel7Qm2Xz5Rt7Yb4Nc6Lp9"
HEADER = {"name": "Authorization", "value": f"Bearer {CANARY}"}
CONTAINER = {
    "name": "app",
    "env": [{"name": "DB_PASSWORD", "value": CANARY}, {"name": "URL", "value": f"https://me:{CANARY}@x.example"}],
    "args": ["--token", CANARY],
    "livenessProbe": {"httpGet": {"path": "/", "port": 80, "httpHeaders": [HEADER]}},
    "lifecycle": {"preStop": {"exec": {"command": ["curl", "-H", f"Authorization: Bearer {CANARY}"]}}},
}
METADATA = {
    "name": "cart",
    "namespace": "shop",
    "annotations": {
        "example.com/api-token": CANARY,
        "kubectl.kubernetes.io/last-applied-configuration": f'{{"password":"{CANARY}"}}',
    },
}


def test_a_pod_keeps_no_credential() -> None:
    """In no variable, argument, probe, hook or annotation."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": METADATA, "spec": {"containers": [CONTAINER]}}
    decoded = decode_object(msgspec.json.encode(pod))
    assert CANARY not in repr(decoded)
    assert decoded.body.count(b"***") == 2 * 5


def test_what_is_masked_can_be_seen_to_be_the_same() -> None:
    """Equal credentials have equal masks, others have others."""
    env = [{"name": "A_PASSWORD", "value": v} for v in (CANARY, CANARY, "another7Qm2Xz5")]
    spec = {"containers": [{"name": "app", "env": env}]}
    body = decode_object(
        msgspec.json.encode({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec})
    ).as_dict()
    first, same, other = (v["value"] for v in body["spec"]["containers"][0]["env"])
    assert first == same != other


def test_a_config_map_keeps_keys_and_masks_alone() -> None:
    """No value, be it a credential or not."""
    data = {"app.yaml": f"password: {CANARY}\nlevel: informative\n"}
    raw = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}, "data": data}
    kept = without_values({CONFIG_MAP: (decode_object(msgspec.json.encode(raw)),)})[CONFIG_MAP][0]
    assert CANARY not in repr(kept)
    assert b"informative" not in kept.body
    assert kept.body.count(b"***") == 2
