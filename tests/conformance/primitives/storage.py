"""Storage: volumes that are folders of the node, drivers and attachments, and copies of data."""

from scanner.model.policy import Severity
from tests.builders import rule
from tests.conformance.primitives.execute import NS, Gain, NearMiss, Primitive, call, everywhere, may, within
from tests.conformance.primitives.objects import STRICT, STRICT_WORLD, allowed_pod, thing, workload

VOLUMES = "/api/v1/persistentvolumes"
STORAGE = "storage.k8s.io"
SNAPSHOTS = "snapshot.storage.k8s.io"
#: A folder of the node, kept for one claim.
HOST_FOLDER = thing(
    "PersistentVolume",
    f"{NS}-root",
    spec={
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
        "hostPath": {"path": "/"},
        "claimRef": {"namespace": STRICT, "name": "taken-root"},
    },
)
CREATE_VOLUME = call("POST", VOLUMES, HOST_FOLDER, dry_run=True)
CLAIM = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": f"{NS}-root"} | {
    "resources": {"requests": {"storage": "1Gi"}}
}
#: Brings its claim along, so that nobody needs the right to create claims.
MOUNTING = allowed_pod(
    "taken", namespace=STRICT, volumes=[{"name": "root", "ephemeral": {"volumeClaimTemplate": {"spec": CLAIM}}}]
)
MOUNT = call("POST", f"/api/v1/namespaces/{STRICT}/pods", MOUNTING, dry_run=True)
MOUNT_OUTRIGHT = call(
    "POST",
    f"/api/v1/namespaces/{STRICT}/pods",
    allowed_pod("taken", namespace=STRICT, volumes=[{"name": "root", "hostPath": {"path": "/"}}]),
    dry_run=True,
)
CREATE_PODS = within(rule("create", "pods"), namespace=STRICT)

PRIMITIVES = (
    Primitive(
        rows="53",
        name="create persistentvolumes",
        policy="rbac/create-persistent-volumes",
        gains=Gain.NODE,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("create", "persistentvolumes")),),
        attempt=(CREATE_VOLUME,),
        near_misses=(
            NearMiss(why="by a RoleBinding", given=(within(rule("create", "persistentvolumes")),)),
            NearMiss(why="claims", given=(everywhere(rule("create", "persistentvolumeclaims")),)),
            NearMiss(why="changing them", given=(everywhere(rule("update patch", "persistentvolumes")),)),
        ),
    ),
    Primitive(
        rows="53",
        name="create persistentvolumes and pods, by two bindings",
        policy="rbac/mount-node-paths",
        gains=Gain.NODE,
        severity=Severity.HIGH,
        given=(everywhere(rule("create", "persistentvolumes")), CREATE_PODS),
        attempt=(CREATE_VOLUME, MOUNT),
        world=STRICT_WORLD,
        near_misses=(
            NearMiss(why="volumes without pods", given=(everywhere(rule("create", "persistentvolumes")),)),
            NearMiss(why="pods without volumes", given=(CREATE_PODS,)),
            NearMiss(
                why="pods that name the folder, which Pod Security sees",
                given=(CREATE_PODS,),
                attempt=(MOUNT_OUTRIGHT,),
            ),
            NearMiss(
                why="volumes by a RoleBinding",
                given=(within(rule("create", "persistentvolumes pods"), namespace=STRICT),),
            ),
        ),
    ),
    Primitive(
        rows="53",
        name="create persistentvolumes and statefulsets",
        policy="rbac/mount-node-paths",
        gains=Gain.NODE,
        severity=Severity.HIGH,
        given=(
            everywhere(rule("create", "persistentvolumes")),
            within(rule("create", "statefulsets", group="apps")),
        ),
        attempt=(
            CREATE_VOLUME,
            call("POST", f"/apis/apps/v1/namespaces/{NS}/statefulsets", workload("StatefulSet", "taken"), dry_run=True),
        ),
        near_misses=(
            NearMiss(
                why="statefulsets of another group",
                given=(
                    everywhere(rule("create", "persistentvolumes")),
                    within(rule("create", "statefulsets", group="apps.example.com")),
                ),
            ),
        ),
    ),
    *(
        Primitive(
            rows="54",
            name=f"create {plural}",
            policy="rbac/modify-storage",
            gains=Gain.IDENTITY,
            severity=Severity.MEDIUM,
            given=(everywhere(rule("create", plural, group=STORAGE)),),
            attempt=(
                call(
                    "POST",
                    f"/apis/{STORAGE}/v1/{plural}",
                    thing(kind, f"{NS}-x", api=f"{STORAGE}/v1", **fields),
                    dry_run=True,
                ),
            ),
            near_misses=(
                NearMiss(why="by a RoleBinding", given=(within(rule("create", plural, group=STORAGE)),)),
                NearMiss(
                    why="reading and deleting", given=(everywhere(rule("get list delete", plural, group=STORAGE)),)
                ),
                NearMiss(why="the core group", given=(everywhere(rule("create", plural)),)),
            ),
        )
        for kind, plural, fields in (
            ("StorageClass", "storageclasses", {"provisioner": "disk.example.com"}),
            ("CSIDriver", "csidrivers", {"spec": {"tokenRequests": [{"audience": "https://vault.example.com"}]}}),
            (
                "VolumeAttachment",
                "volumeattachments",
                {
                    "spec": {
                        "attacher": "disk.example.com",
                        "nodeName": "worker-1",
                        "source": {"persistentVolumeName": "payments"},
                    }
                },
            ),
        )
    ),
    *(
        Primitive(
            rows="55",
            name=f"create {plural}",
            policy="rbac/clone-volumes",
            gains=Gain.READING,
            severity=severity,
            given=(grant(rule("create", plural, group=SNAPSHOTS)),),
            attempt=(may("create", plural, group=SNAPSHOTS, namespace=namespace),),
            not_executable="it takes the snapshot controller and a storage system; RBAC says whether it can be told",
            near_misses=(
                NearMiss(
                    why="reading and deleting", given=(grant(rule("get list watch delete", plural, group=SNAPSHOTS)),)
                ),
                NearMiss(why="the core group", given=(grant(rule("create", plural)),)),
            ),
        )
        for plural, grant, namespace, severity in (
            ("volumesnapshots", within, NS, Severity.LOW),
            ("volumesnapshotcontents", everywhere, "", Severity.MEDIUM),
        )
    ),
    Primitive(
        rows="55",
        name="create volumesnapshotcontents with volumesnapshots",
        policy="rbac/clone-volumes",
        gains=Gain.READING,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("create", "volumesnapshotcontents volumesnapshots", group=SNAPSHOTS)),),
        attempt=(may("create", "volumesnapshotcontents", group=SNAPSHOTS),),
        not_executable="it takes the snapshot controller and a storage system; RBAC says whether it can be told",
        near_misses=(
            NearMiss(
                why="contents by a RoleBinding",
                given=(within(rule("create", "volumesnapshotcontents", group=SNAPSHOTS)),),
            ),
        ),
    ),
)
