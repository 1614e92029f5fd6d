"""Pods as hypothesis makes them up: near what a standard allows, each with up to three changes.

Each start and each change is as likely as the others, so that each check is met often, and mostly alone. What the API
server finds invalid is for the test to discard.
"""

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]
#: Fields to set, by their dotted paths.
Change = Mapping[str, Any]

#: How many pods have users of their own, which some standards allow more, and annotations that some read.
USER_NAMESPACE_SHARE = 0.25
ANNOTATED_SHARE = 0.2

IMAGE = "registry.example.com/shop/app:1.0.0"

_PROFILES: tuple[Json, ...] = (
    {"type": "RuntimeDefault"},
    {"type": "Localhost", "localhostProfile": "shop"},
    {"type": "Unconfined"},
)
_SE_LINUX: tuple[Json, ...] = (
    *({"type": t} for t in ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t", "spc_t")),
    *({}, {"user": "system_u"}, {"user": ""}, {"role": "system_r"}, {"level": "s0:c1,c2"}),
    {"type": "spc_t", "user": "system_u", "role": "system_r"},
)
#: What a pod can say for all of its containers, and a container for itself.
_BOTH: tuple[Change, ...] = (
    *({"securityContext.runAsNonRoot": value} for value in (True, False)),
    *({"securityContext.runAsUser": value} for value in (0, 1, 1000)),
    *({"securityContext.seccompProfile": value} for value in _PROFILES),
    *({"securityContext.appArmorProfile": value} for value in _PROFILES),
    *({"securityContext.seLinuxOptions": value} for value in _SE_LINUX),
)
_SYSCTLS = (
    *("kernel.shm_rmid_forced", "kernel.msgmax", "net.core.somaxconn", "net.ipv4.ip_local_port_range"),
    *("net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_rmem"),
    *("net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_slow_start_after_idle", "net/ipv4/tcp_syncookies"),
)
_CLAIM = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
_VOLUMES: tuple[Json, ...] = (
    {},
    {"emptyDir": {}},
    {"hostPath": {"path": "/var/log"}},
    {"secret": {"secretName": "shop"}},
    {"configMap": {"name": "shop"}},
    {"projected": {"sources": [{"configMap": {"name": "shop"}}]}},
    {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    {"persistentVolumeClaim": {"claimName": "shop"}},
    {"ephemeral": {"volumeClaimTemplate": _CLAIM}},
    {"csi": {"driver": "inline.example.com"}},
    {"image": {"reference": IMAGE}},
    {"nfs": {"server": "files.example.com", "path": "/"}},
    {"iscsi": {"targetPortal": "10.0.0.1", "iqn": "iqn.2026-01.com.example:shop", "lun": 1}},
    {"gcePersistentDisk": {"pdName": "shop"}},
    {"awsElasticBlockStore": {"volumeID": "vol-1"}},
    {"glusterfs": {"endpoints": "shop", "path": "/"}},
    {"rbd": {"monitors": ["10.0.0.1"], "image": "shop"}},
    {"cephfs": {"monitors": ["10.0.0.1"]}},
    {"flocker": {"datasetName": "shop"}},
    {"fc": {"targetWWNs": ["50060e801049cfd1"], "lun": 1}},
    {"flexVolume": {"driver": "example.com/shop"}},
    {"cinder": {"volumeID": "1"}},
    {"azureFile": {"secretName": "shop", "shareName": "shop"}},
    {"azureDisk": {"diskName": "shop", "diskURI": "https://example.blob.core.windows.net/shop.vhd"}},
    {"vsphereVolume": {"volumePath": "shop"}},
    {"quobyte": {"registry": "10.0.0.1:7861", "volume": "shop"}},
    {"photonPersistentDisk": {"pdID": "1"}},
    {"portworxVolume": {"volumeID": "1"}},
    {"scaleIO": {"gateway": "https://10.0.0.1", "system": "s", "volumeName": "v", "secretRef": {"name": "shop"}}},
    {"storageos": {"volumeName": "shop"}},
    {"gitRepo": {"repository": "https://git.example.com/shop"}},
)
_POD: tuple[Change, ...] = (
    *_BOTH,
    *({field: value} for field in ("hostNetwork", "hostPID", "hostIPC") for value in (True, False)),
    {"hostNetwork": True, "hostPID": True, "hostIPC": True},
    *({"hostUsers": value} for value in (True, False)),
    *({"os": {"name": name}} for name in ("linux", "windows")),
    *({"securityContext.sysctls": [{"name": name, "value": "1"}]} for name in _SYSCTLS),
    {"securityContext.sysctls": [{"name": name, "value": "1"} for name in _SYSCTLS[1:3]]},
    {"hostNetwork": True, "securityContext.windowsOptions": {"hostProcess": True}},
    {"securityContext": {}},
)
_VOLUME_CHANGES: tuple[Change, ...] = (
    *({"volumes": [{"name": "one"} | source]} for source in _VOLUMES),
    *({"volumes": [{"name": "one"} | a, {"name": "two"} | b]} for a, b in itertools.pairwise(_VOLUMES[::3])),
)
_PORT = {"containerPort": 8080}
_HANDLERS: tuple[Json, ...] = (
    {"httpGet": {"port": 8080, "host": "10.0.0.1"}},
    {"httpGet": {"port": 8080, "host": ""}},
    {"httpGet": {"port": 8080}},
    {"tcpSocket": {"port": 8080, "host": "127.0.0.1"}},
    {"exec": {"command": ["true"]}},
)
#: What ephemeral containers may have too.
_ANY_CONTAINER: tuple[Change, ...] = (
    *_BOTH,
    *({f"securityContext.{field}": v} for field in ("privileged", "allowPrivilegeEscalation") for v in (True, False)),
    *({"securityContext.procMount": value} for value in ("Default", "Unmasked", "Unmasked")),
    *({"securityContext.capabilities.add": [name]} for name in ("NET_RAW", "NET_BIND_SERVICE", "CHOWN", "ALL")),
    {"securityContext.capabilities.add": ["NET_ADMIN", "SETUID", "NET_RAW", "NET_BIND_SERVICE"]},
    *({"securityContext.capabilities.drop": names} for names in ([], ["ALL"], ["KILL"], ["KILL", "ALL"], ["all"])),
    {"securityContext.capabilities": {}},
    {"securityContext": {}},
    {"securityContext.windowsOptions": {"hostProcess": False}},
)
_CONTAINER: tuple[Change, ...] = (
    *_ANY_CONTAINER,
    *({"ports": [_PORT | more]} for more in ({}, {"hostPort": 8080}, {"hostPort": 0})),
    {"ports": [{"containerPort": 80, "hostPort": 80}, {"containerPort": 443, "hostPort": 443}]},
    *({probe: handler} for probe in ("livenessProbe", "readinessProbe", "startupProbe") for handler in _HANDLERS),
    *({f"lifecycle.{hook}": handler} for hook in ("postStart", "preStop") for handler in _HANDLERS),
)
_APP_ARMOR = ("", "runtime/default", "localhost/shop", "unconfined")
_SECCOMP = ("runtime/default", "docker/default", "localhost/shop", "unconfined", "")
_ANNOTATIONS: tuple[dict[str, str], ...] = (
    *({"container.apparmor.security.beta.kubernetes.io/app": value} for value in _APP_ARMOR),
    *({"container.seccomp.security.alpha.kubernetes.io/app": value} for value in _SECCOMP),
    *({"seccomp.security.alpha.kubernetes.io/pod": value} for value in _SECCOMP),
)

_CONFINED = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_HARMLESS = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
#: securityContext of the pod, and of each container: as restricted wants it, said once or for each, or nothing said.
_STARTS: tuple[tuple[Json, Json], ...] = ((_CONFINED, _HARMLESS), ({}, _HARMLESS | _CONFINED), ({}, {}))


def _made(make: Callable[[Random], Json]) -> st.SearchStrategy[Json]:
    """Draw evenly, which hypothesis by itself does not; its seed repeats what failed."""
    return st.randoms(use_true_random=True).map(make)


def _ephemeral_container(random: Random) -> Json:
    _, security = random.choice(_STARTS)
    return _with(_container("debugger", security), _changes(random, _ANY_CONTAINER))


def _pod(random: Random) -> Json:
    whole, each = random.choice(_STARTS)
    names = random.choice([("app",), ("app",), ("app", "proxy"), ("app", "setup"), ("app", "proxy", "setup")])
    made = {name: _container(name, each) for name in names}
    for change in _changes(random, _CONTAINER):
        name = random.choice(names)
        made[name] = _with(made[name], [change])
    spec: Json = {"containers": [made[name] for name in names if name != "setup"]}
    if "setup" in names:
        spec["initContainers"] = [made["setup"] | random.choice([{}, {"restartPolicy": "Always"}])]
    if whole:
        spec["securityContext"] = whole
    spec = _with(spec, _changes(random, random.choice([_POD, _VOLUME_CHANGES])))
    if random.random() < USER_NAMESPACE_SHARE:
        spec["hostUsers"] = False
    metadata: Json = {"name": "made-up"}
    if random.random() < ANNOTATED_SHARE:
        metadata["annotations"] = random.choice(_ANNOTATIONS)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _changes(random: Random, known: Sequence[Change]) -> list[Change]:
    return random.choices(known, k=random.choice([0, 1, 1, 2]))


def _container(name: str, security: Mapping[str, Any]) -> Json:
    return {"name": name, "image": IMAGE} | ({"securityContext": dict(security)} if security else {})


def _with(thing: Mapping[str, Any], changes: Sequence[Change]) -> Json:
    changed: Json = copy.deepcopy(dict(thing))
    for change in changes:
        for path, value in change.items():
            *parents, field = path.split(".")
            place = changed
            for parent in parents:
                place = place.setdefault(parent, {})
            place[field] = copy.deepcopy(value)
    return changed


#: Pods.
pods = _made(_pod)
#: Containers that somebody adds to a running pod.
ephemeral_containers = _made(_ephemeral_container)


def _probe(spec: Change, container: Change, annotations: Mapping[str, str] | None = None) -> Json:
    made = _with(_container("app", _HARMLESS), [container])
    return _said_nothing({"containers": [made], "securityContext": _CONFINED, **spec}, annotations)


def _said_nothing(spec: Change, annotations: Mapping[str, str] | None = None) -> Json:
    bare = _with({"containers": [_container("app", {})]}, [spec])
    metadata = {"name": "probe"} | ({"annotations": dict(annotations)} if annotations else {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": bare}


#: A pod for each check, and for each thing that some versions of it allow and others don't; all are valid.
PROBES: Mapping[str, Json] = {
    "confined": _probe({}, {}),
    "bare": _said_nothing({}),
    "windows": _said_nothing({"os": {"name": "windows"}}),
    "root": _probe({}, {"securityContext.runAsNonRoot": False}),
    "root in a user namespace": _probe({"hostUsers": False}, {"securityContext.runAsNonRoot": False}),
    "user 0": _probe({}, {"securityContext.runAsUser": 0, "securityContext.runAsNonRoot": False}),
    "user 0 in a user namespace": _probe(
        {"hostUsers": False, "securityContext.runAsNonRoot": False, "securityContext.runAsUser": 0}, {}
    ),
    "user 0 said to be none": _probe({}, {"securityContext.runAsUser": 0}),
    "unmasked": _probe({"hostUsers": False}, {"securityContext.procMount": "Unmasked"}),
    "escalation": _probe({}, {"securityContext.allowPrivilegeEscalation": True}),
    "privileged": _probe({}, {"securityContext": {"privileged": True}}),
    "all dropped, one back": _probe({}, {"securityContext.capabilities.add": ["NET_BIND_SERVICE"]}),
    "all dropped, a default back": _probe({}, {"securityContext.capabilities.add": ["CHOWN"]}),
    "beyond default": _probe({}, {"securityContext.capabilities.add": ["NET_RAW"]}),
    "one dropped": _probe({}, {"securityContext.capabilities.drop": ["KILL"]}),
    "seccomp unconfined": _probe({}, {"securityContext.seccompProfile": {"type": "Unconfined"}}),
    "seccomp annotation": _said_nothing({}, {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}),
    "AppArmor unconfined": _probe({"securityContext.appArmorProfile": {"type": "Unconfined"}}, {}),
    "AppArmor annotation": _probe({}, {}, {"container.apparmor.security.beta.kubernetes.io/app": "unconfined"}),
    "host network": _probe({"hostNetwork": True}, {"ports": [_PORT]}),
    "host port": _probe({}, {"ports": [_PORT | {"hostPort": 8080}]}),
    "host path": _probe({"volumes": [{"name": "logs", "hostPath": {"path": "/var/log"}}]}, {}),
    "no source": _probe({"volumes": [{"name": "scratch"}]}, {}),
    "probe of a host": _probe({}, {"livenessProbe": _HANDLERS[0]}),
    "hook on a host": _probe({}, {"lifecycle.preStop": _HANDLERS[0]}),
    "host process": _said_nothing(
        {
            "os": {"name": "windows"},
            "hostNetwork": True,
            "securityContext": {"runAsNonRoot": True, "windowsOptions": {"hostProcess": True}},
        }
    ),
    "SELinux user": _probe({}, {"securityContext.seLinuxOptions": {"user": "system_u"}}),
    "SELinux engine": _probe({}, {"securityContext.seLinuxOptions": {"type": "container_engine_t"}}),
    **{f"sysctl {name}": _probe({"securityContext.sysctls": [{"name": name, "value": "1"}]}, {}) for name in _SYSCTLS},
    "other volume": _probe({"volumes": [{"name": "files", "nfs": {"server": "10.0.0.1", "path": "/"}}]}, {}),
}
