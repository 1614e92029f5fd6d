"""Nodes: the kubelet's own API behind the proxy, what a node tells, where pods go, and devices."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from scanner.model.policy import Severity
from tests.builders import rule
from tests.conformance.primitives.execute import (
    NS,
    Attacker,
    DeniedError,
    Gain,
    Grant,
    NearMiss,
    Primitive,
    Step,
    call,
    everywhere,
    may,
    within,
)
from tests.conformance.primitives.objects import reach, thing

NODES = "/api/v1/nodes"
NODE = thing("Node", f"{NS}-node")
KUBELET = "the kubelet answers, or refuses after it has asked for the same; the API server says what it would be told"
DRA = "resource.k8s.io"
CLAIMS = f"/apis/{DRA}/v1/namespaces/{NS}/resourceclaims"
CLAIM = thing(
    "ResourceClaim",
    "gpu",
    api=f"{DRA}/v1",
    namespace=NS,
    spec={"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}},
)
ALLOCATION = {
    "allocation": {
        "devices": {"results": [{"request": "gpu", "driver": "gpu.example.com", "pool": "worker-1", "device": "gpu-0"}]}
    }
}
DEVICES = {
    "devices": [{"driver": "gpu.example.com", "pool": "worker-1", "device": "gpu-0", "data": {"inject": "/dev/mem"}}]
}


def set_status(status: Mapping[str, Any]) -> Step:
    """Make a step that changes the claim's status, which the API server refuses as invalid, field by field."""

    def patch(attacker: Attacker) -> None:
        answer = _patch(attacker, status, {"Authorization": f"Bearer {attacker.token}"})
        if not answer.is_success:
            assert answer.status_code == HTTPStatus.FORBIDDEN or "Forbidden: changing status" in answer.text, (
                answer.text
            )
            raise DeniedError(answer.text)

    return patch


def allocated(attacker: Attacker) -> None:
    """Have the claim allocated, as the scheduler does it; not the attacker."""
    _patch(attacker, ALLOCATION, {}).raise_for_status()


def _patch(attacker: Attacker, status: Mapping[str, Any], headers: Mapping[str, str]) -> httpx.Response:
    return attacker.client.patch(
        attacker.named(f"{CLAIMS}/gpu/status"),
        content=msgspec.json.encode({"status": status}),
        headers={"Content-Type": "application/merge-patch+json"} | dict(headers),
    )


CLAIM_STATUS = rule("patch", "resourceclaims/status", group=DRA)

PRIMITIVES = (
    *(
        Primitive(
            rows="48",
            name=f"{verb} nodes/proxy",
            policy="rbac/nodes-proxy",
            gains=Gain.NODE,
            severity=Severity.CRITICAL,
            given=(everywhere(rule(verb, "nodes/proxy")),),
            attempt=(reach(method, f"{NODES}/{NS}-node/proxy/{path}"),),
            world=(NODE,),
            not_executable="there is no kubelet behind the node; up to it, the API server lets the request through",
            near_misses=(
                NearMiss(why="every right on nodes, none on proxy", given=(everywhere(rule("*", "nodes nodes/*")),)),
                NearMiss(why="by a RoleBinding", given=(within(rule(verb, "nodes/proxy")),)),
                NearMiss(why="another node by its name", given=(everywhere(rule(verb, "nodes/proxy", names="other")),)),
            ),
        )
        for verb, method, path in (("get", "GET", "pods"), ("create", "POST", f"run/{NS}/web/app?cmd=id"))
    ),
    Primitive(
        rows="48",
        name="the built-in role system:kubelet-api-admin",
        policy="rbac/nodes-proxy",
        gains=Gain.NODE,
        severity=Severity.CRITICAL,
        given=(Grant(role="system:kubelet-api-admin"),),
        attempt=(reach("GET", f"{NODES}/{NS}-node/proxy/pods"), may("get", "nodes/log", name=f"{NS}-node")),
        world=(NODE,),
        not_executable="there is no kubelet behind the node; up to it, the API server lets the request through",
        near_misses=(
            NearMiss(
                why="the built-in role system:node, which the Node authorizer stands in for",
                given=(Grant(role="system:node"),),
            ),
        ),
    ),
    *(
        Primitive(
            rows="49",
            name=f"{verb} {resource}",
            policy="rbac/read-node-data",
            gains=Gain.READING,
            severity=Severity.LOW,
            given=(everywhere(rule(verb, resource)),),
            attempt=(may(verb, resource, name="worker-1"),),
            not_executable=KUBELET,
            near_misses=(
                NearMiss(
                    why="numbers alone",
                    given=(everywhere(rule("get list watch", "nodes nodes/metrics nodes/stats nodes/healthz")),),
                ),
                NearMiss(why="by a RoleBinding", given=(within(rule(verb, resource)),)),
            ),
        )
        for verb, resource in (
            ("get", "nodes/log"),
            ("get", "nodes/pods"),
            ("get", "nodes/configz"),
            ("create", "nodes/checkpoint"),
        )
    ),
    *(
        Primitive(
            rows="50",
            name=f"patch {resource}",
            policy="rbac/modify-nodes",
            gains=Gain.DENIAL,
            severity=Severity.MEDIUM,
            given=(everywhere(rule("patch", resource)),),
            attempt=(call("PATCH", f"{NODES}/{NS}-node{path}", body),),
            world=(NODE,),
            near_misses=(
                NearMiss(why="another node by its name", given=(everywhere(rule("patch", resource, names="other")),)),
                NearMiss(why="by a RoleBinding", given=(within(rule("patch", resource)),)),
                NearMiss(why="reading", given=(everywhere(rule("get list watch", resource)),)),
            ),
        )
        for resource, path, body in (
            ("nodes", "", {"spec": {"taints": [{"key": "example.com/mine", "effect": "NoExecute"}]}}),
            (
                "nodes/status",
                "/status",
                {"status": {"conditions": [{"type": "Ready", "status": "False"}], "allocatable": {"cpu": "0"}}},
            ),
        )
    ),
    Primitive(
        rows="51",
        name="create nodes",
        policy="rbac/modify-nodes",
        gains=Gain.DENIAL,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("create", "nodes")),),
        attempt=(call("POST", NODES, thing("Node", f"{NS}-fake")),),
        leaves=(f"{NODES}/{NS}-fake",),
        near_misses=(NearMiss(why="by a RoleBinding", given=(within(rule("create", "nodes")),)),),
    ),
    Primitive(
        rows="51",
        name="delete nodes",
        policy="rbac/modify-nodes",
        gains=Gain.DENIAL,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("delete", "nodes")),),
        attempt=(call("DELETE", f"{NODES}/{NS}-node"),),
        world=(NODE,),
        near_misses=(
            NearMiss(why="another node by its name", given=(everywhere(rule("delete", "nodes", names="other")),)),
        ),
    ),
    Primitive(
        rows="52",
        name="patch resourceclaims/status with resourceclaims/binding",
        policy="rbac/allocate-devices",
        gains=Gain.NODE,
        severity=Severity.LOW,
        given=(
            within(CLAIM_STATUS),
            everywhere(rule("patch", "resourceclaims/binding", group=DRA), to=f"Group system:serviceaccounts:{NS}"),
        ),
        attempt=(set_status(ALLOCATION),),
        world=(CLAIM,),
        near_misses=(
            NearMiss(why="the status alone, since 1.36", given=(within(CLAIM_STATUS),)),
            NearMiss(
                why="the binding alone", given=(everywhere(rule("patch update", "resourceclaims/binding", group=DRA)),)
            ),
            NearMiss(
                why="the binding by a RoleBinding",
                given=(within(CLAIM_STATUS), within(rule("patch", "resourceclaims/binding", group=DRA))),
            ),
            NearMiss(why="claims themselves", given=(within(rule("*", "resourceclaims", group=DRA)),)),
        ),
    ),
    Primitive(
        rows="52",
        name="patch resourceclaims/status before 1.36",
        policy="rbac/allocate-devices",
        gains=Gain.NODE,
        severity=Severity.MEDIUM,
        given=(everywhere(CLAIM_STATUS),),
        attempt=(may("patch", "resourceclaims/status", group=DRA, name="gpu", namespace=NS),),
        server_version="v1.35.4",
        not_executable="the API server at hand is newer and asks for more",
        near_misses=(NearMiss(why="reading it", given=(everywhere(rule("get", "resourceclaims/status", group=DRA)),)),),
    ),
    Primitive(
        rows="52",
        name="patch resourceclaims/status with arbitrary-node:patch on resourceclaims/driver",
        policy="rbac/allocate-devices",
        gains=Gain.NODE,
        severity=Severity.LOW,
        given=(within(CLAIM_STATUS, rule("arbitrary-node:patch", "resourceclaims/driver", group=DRA)),),
        attempt=(allocated, set_status(DEVICES)),
        world=(CLAIM,),
        near_misses=(
            NearMiss(
                why="the verb without its prefix",
                given=(within(CLAIM_STATUS, rule("patch update", "resourceclaims/driver", group=DRA)),),
            ),
            NearMiss(
                why="another driver by its name",
                given=(
                    within(
                        CLAIM_STATUS,
                        rule("arbitrary-node:patch", "resourceclaims/driver", group=DRA, names="nic.example.com"),
                    ),
                ),
            ),
        ),
    ),
    Primitive(
        rows="52",
        name="update resourceclaims/status with associated-node:update on resourceclaims/driver",
        policy="rbac/allocate-devices",
        gains=Gain.NODE,
        severity=Severity.MEDIUM,
        given=(
            everywhere(
                rule("update", "resourceclaims/status", group=DRA),
                rule("associated-node:update", "resourceclaims/driver", group=DRA),
            ),
        ),
        attempt=(
            may("update", "resourceclaims/status", group=DRA, name="gpu", namespace=NS),
            may("associated-node:update", "resourceclaims/driver", group=DRA, name="gpu.example.com", namespace=NS),
        ),
        not_executable="it takes a token that is bound to a node",
        near_misses=(
            NearMiss(why="the status alone", given=(everywhere(rule("update", "resourceclaims/status", group=DRA)),)),
        ),
    ),
)
