"""Availability and evidence: hiding traces, destroying, filling up and starving."""

import time

import msgspec

from scanner.model.policy import Severity
from tests.builders import rule
from tests.conformance.primitives.execute import (
    NS,
    SETTLE_SECONDS,
    Attacker,
    Gain,
    NearMiss,
    Primitive,
    call,
    everywhere,
    within,
)
from tests.conformance.primitives.objects import APPS, CORE, DEFINITIONS, definition, pod, thing, workload

EVENT = thing(
    "Event",
    "web.1",
    namespace=NS,
    involvedObject={"kind": "Pod", "name": "web", "namespace": NS},
    reason="Killing",
    type="Normal",
)
#: Made where no namespace of the test's own would do; it stays.
LEASE = thing("Lease", "plimsoll-primitive", api="coordination.k8s.io/v1", namespace="kube-system")
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
BIG = {"payload": "x" * 1000}
#: No ConfigMaps at all.
QUOTA = thing("ResourceQuota", "objects", namespace=NS, spec={"hard": {"count/configmaps": "0"}})
#: What deletion is about: resource, API group, its path and what is there.
VICTIMS = (
    ("persistentvolumeclaims", "", f"{CORE}/persistentvolumeclaims/data", True),
    ("secrets", "", f"{CORE}/secrets/database", True),
    ("namespaces", "", f"/api/v1/namespaces/{NS}-victim", False),
    ("persistentvolumes", "", f"/api/v1/persistentvolumes/{NS}-volume", False),
    ("customresourcedefinitions", "apiextensions.k8s.io", f"{DEFINITIONS}/things.{NS}.example.com", False),
)
CAPACITY = {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": ["ReadWriteOnce"]}
DATA = (
    thing("PersistentVolumeClaim", "data", namespace=NS, spec=CAPACITY),
    thing("Secret", "database", namespace=NS),
    thing("Namespace", f"{NS}-victim"),
    thing(
        "PersistentVolume",
        f"{NS}-volume",
        spec={"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}},
    ),
    definition(),
)
#: What decides who gets resources, without namespace: resource, API group, and an object of it.
CLUSTER_LIMITS = (
    ("priorityclasses", "scheduling.k8s.io", "PriorityClass", {"value": 1000000, "globalDefault": False}),
    (
        "prioritylevelconfigurations",
        "flowcontrol.apiserver.k8s.io",
        "PriorityLevelConfiguration",
        {
            "spec": {
                "type": "Limited",
                "limited": {"nominalConcurrencyShares": 10000, "limitResponse": {"type": "Reject"}},
            }
        },
    ),
    (
        "flowschemas",
        "flowcontrol.apiserver.k8s.io",
        "FlowSchema",
        {"spec": {"matchingPrecedence": 2, "priorityLevelConfiguration": {"name": "catch-all"}}},
    ),
)
#: The same in a namespace: resource, API group, path, what is there and what is changed.
LIMITS = (
    (
        "resourcequotas",
        "",
        f"{CORE}/resourcequotas/limits",
        thing("ResourceQuota", "limits", namespace=NS, spec={"hard": {"pods": "10"}}),
        {"spec": {"hard": {"pods": "0"}}},
    ),
    (
        "limitranges",
        "",
        f"{CORE}/limitranges/limits",
        thing("LimitRange", "limits", namespace=NS, spec={"limits": []}),
        {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "1m"}}]}},
    ),
    (
        "poddisruptionbudgets",
        "policy",
        f"/apis/policy/v1/namespaces/{NS}/poddisruptionbudgets/limits",
        thing(
            "PodDisruptionBudget",
            "limits",
            api="policy/v1",
            namespace=NS,
            spec={"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        ),
        {"spec": {"maxUnavailable": 0}},
    ),
)


def create_within_quota(attacker: Attacker) -> None:
    """Create ConfigMaps until the quota is in force, and be denied then.

    Someone else writes the quota's status, which is what admission goes by, since no controller does.
    """
    amount = {"count/configmaps": "0"}
    attacker.client.patch(
        attacker.named(f"{CORE}/resourcequotas/objects/status"),
        content=msgspec.json.encode({"status": {"hard": amount, "used": amount}}),
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        attacker.call("POST", f"{CORE}/configmaps", thing("ConfigMap", "big", data=BIG), dry_run=True)


PRIMITIVES = (
    *(
        Primitive(
            rows="68",
            name=f"delete events of the group {group or 'core'}",
            policy="rbac/delete-events",
            gains=Gain.DENIAL,
            severity=Severity.LOW,
            given=(within(rule("delete", "events", group=group)),),
            attempt=(call("DELETE", path),),
            world=(EVENT,),
            near_misses=(
                NearMiss(
                    why="writing them",
                    given=(within(rule("create update patch get list watch", "events", group=group)),),
                ),
                NearMiss(why="events of another kind", given=(within(rule("delete", "events", group="example.com")),)),
            ),
        )
        for group, path in (
            ("", f"{CORE}/events/web.1"),
            ("events.k8s.io", f"/apis/events.k8s.io/v1/namespaces/{NS}/events/web.1"),
        )
    ),
    Primitive(
        rows="69",
        name="delete pods",
        policy="rbac/stop-workloads",
        gains=Gain.DENIAL,
        severity=Severity.LOW,
        given=(within(rule("delete", "pods")),),
        attempt=(call("DELETE", f"{CORE}/pods/web"),),
        world=(pod("web"),),
        near_misses=(
            NearMiss(why="another one by its name", given=(within(rule("delete", "pods", names="api")),)),
            NearMiss(why="logs, which cannot be deleted", given=(within(rule("delete", "pods/log")),)),
        ),
    ),
    Primitive(
        rows="69",
        name="delete all deployments everywhere",
        policy="rbac/stop-workloads",
        gains=Gain.DENIAL,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("deletecollection", "deployments", group="apps")),),
        attempt=(call("DELETE", f"{APPS}/deployments"),),
        world=(workload("Deployment", "web"),),
        near_misses=(
            NearMiss(
                why="deletecollection is not restricted by names",
                given=(everywhere(rule("deletecollection", "deployments", group="apps", names="web")),),
            ),
            NearMiss(
                why="the group they were in",
                given=(everywhere(rule("deletecollection", "deployments", group="extensions")),),
            ),
        ),
    ),
    *(
        Primitive(
            rows="69",
            name=f"delete {plural}",
            policy="rbac/destroy-data",
            gains=Gain.DENIAL,
            severity=Severity.LOW if is_narrow else Severity.MEDIUM,
            given=((within if is_narrow else everywhere)(rule("delete", plural, group=group)),),
            attempt=(call("DELETE", path),),
            world=(victim,),
            near_misses=(
                NearMiss(
                    why="another one by its name",
                    given=(everywhere(rule("delete", plural, group=group, names="other")),),
                ),
                NearMiss(
                    why="reading and creating", given=(everywhere(rule("get list watch create", plural, group=group)),)
                ),
            ),
        )
        for (plural, group, path, is_narrow), victim in zip(VICTIMS, DATA, strict=True)
    ),
    Primitive(
        rows="70",
        name="create configmaps everywhere",
        policy="rbac/fill-storage",
        gains=Gain.DENIAL,
        severity=Severity.LOW,
        given=(everywhere(rule("create", "configmaps")),),
        attempt=(
            call(
                "POST", f"/api/v1/namespaces/{NS}-other/configmaps", thing("ConfigMap", "big", data=BIG), dry_run=True
            ),
        ),
        world=(thing("Namespace", f"{NS}-other"),),
        near_misses=(
            NearMiss(why="in one namespace", given=(within(rule("create", "configmaps")),)),
            NearMiss(
                why="in one namespace with a quota",
                given=(within(rule("create", "configmaps")),),
                attempt=(create_within_quota,),
                world=(QUOTA,),
            ),
            NearMiss(why="changing what is there", given=(everywhere(rule("update patch", "configmaps")),)),
        ),
    ),
    *(
        Primitive(
            rows="71",
            name=f"patch {plural}",
            policy="rbac/starve-workloads",
            gains=Gain.DENIAL,
            severity=Severity.LOW,
            given=(within(rule("patch", plural, group=group)),),
            attempt=(call("PATCH", path, change),),
            world=(there,),
            near_misses=(
                NearMiss(
                    why="another one by its name", given=(within(rule("patch", plural, group=group, names="other")),)
                ),
                NearMiss(why="reading", given=(within(rule("get list watch", plural, group=group)),)),
            ),
        )
        for plural, group, path, there, change in LIMITS
    ),
    *(
        Primitive(
            rows="71",
            name=f"create {plural}",
            policy="rbac/starve-workloads",
            gains=Gain.DENIAL,
            severity=Severity.MEDIUM,
            given=(everywhere(rule("create", plural, group=group)),),
            attempt=(
                call(
                    "POST",
                    f"/apis/{group}/v1/{plural}",
                    thing(kind, f"{NS}-x", api=f"{group}/v1", **fields),
                    dry_run=True,
                ),
            ),
            near_misses=(
                NearMiss(why="by a RoleBinding", given=(within(rule("create", plural, group=group)),)),
                NearMiss(why="reading", given=(everywhere(rule("get list watch", plural, group=group)),)),
            ),
        )
        for plural, group, kind, fields in CLUSTER_LIMITS
    ),
    Primitive(
        rows="71",
        name="patch leases in kube-system",
        policy="rbac/starve-workloads",
        gains=Gain.DENIAL,
        severity=Severity.MEDIUM,
        given=(within(rule("patch", "leases", group="coordination.k8s.io"), namespace="kube-system"),),
        attempt=(
            call("PATCH", f"{LEASES}/plimsoll-primitive", {"spec": {"holderIdentity": "attacker"}}, dry_run=True),
        ),
        world=(LEASE,),
        near_misses=(
            NearMiss(
                why="leases of another namespace",
                given=(within(rule("patch update", "leases", group="coordination.k8s.io")),),
            ),
            NearMiss(
                why="another one by its name",
                given=(
                    within(
                        rule("patch", "leases", group="coordination.k8s.io", names="other"), namespace="kube-system"
                    ),
                ),
            ),
        ),
    ),
)
