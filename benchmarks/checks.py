"""How long all policies take on 40,000 workloads and 150,000 pods, and what each distinct template adds.

Run it as `python -m benchmarks.checks [--workloads N] [--only GLOB]`. The same cluster is made with ever more distinct
pod templates, each time in a process of its own: equal templates are judged once, so that the last one, in which all
differ, is the worst case. Seconds are processor time of the judging alone, on one core; memory is the process's peak
above what the finished snapshot takes. Then each question that a policy asks is timed on a snapshot whose shared facts
are derived already.
"""

import argparse
import gc
import multiprocessing
import resource
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from scanner.cluster.decode import Interner, decode_object
from scanner.model.coverage import Read, ReadState
from scanner.model.objects import KubeObject
from scanner.model.policy import Policy
from scanner.model.refs import ClusterName, GroupKind
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.policy.evaluate import evaluate
from scanner.policy.load import builtin_policies_root, load_policies
from tests.builders import NOW, binding, container, network_policy, role, rule, workload

WORKLOADS = 40_000
WORKLOADS_IN_A_NAMESPACE = 40
#: Of each workload; 3.75 on average, which makes 150,000.
PODS = (4, 4, 4, 3)
NODES = 1_000
#: Workloads for one distinct template; 10 is what clusters look like, 1 the worst case.
SHARES = (100, 10, 1)
#: What is promised, for ten workloads a template.
PROMISED_SECONDS, PROMISED_SHARE = 30.0, 10
SHOWN = 10
MANAGED = [
    {
        "manager": "helm",
        "operation": "Update",
        "time": "2026-10-01T00:00:00Z",
        "fieldsV1": {
            "f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"app"}': {".": {}, "f:image": {}}}}}},
        },
    }
]


@dataclass(frozen=True, slots=True)
class Judged:
    """What judging a cluster took."""

    templates: int
    pods: int
    findings: int
    seconds: float
    peak_mib: float
    #: Seconds by area, each on a snapshot of its own whose workloads are known; they add up to more than the whole.
    areas: dict[str, float]
    #: Seconds by policy that asks a question, and of all policies in CEL.
    policies: dict[str, float]


def main() -> None:
    """Print the figures; exit with 1 if the promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", type=int, default=WORKLOADS)
    parser.add_argument("--only", nargs="*", default=["*"], help="globs of policies")
    arguments = parser.parse_args()
    kept = True
    rows = []
    for share in SHARES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(judged, (arguments.workloads, arguments.workloads // share, tuple(arguments.only)))
        rows.append(found)
        print(
            f"{arguments.workloads:,} workloads of {found.templates:,} templates, {found.pods:,} pods: "
            f"{found.findings:,} findings, {found.seconds:.1f} s, {found.peak_mib:.0f} MiB",
            flush=True,
        )
        if share == PROMISED_SHARE:
            kept = found.seconds <= PROMISED_SECONDS
            print("  by area: " + ", ".join(f"{area} {took:.1f} s" for area, took in _slowest(found.areas)))
            for policy, took in _slowest(found.policies)[:SHOWN]:
                print(f"  {took:6.2f} s  {policy}")
    few, many = rows[0], rows[-1]
    each = (many.peak_mib - few.peak_mib) * 1024 / (many.templates - few.templates)
    print(f"{each:.1f} KiB a template more, all copies of its findings included")
    raise SystemExit(not kept)


def _slowest(seconds: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda item: -item[1])


def judged(workloads: int, templates: int, only: tuple[str, ...]) -> Judged:
    """Judge one cluster by all policies, then by parts of them."""
    gc.disable()  # as the command does
    policies = load_policies(builtin_policies_root(), only=only)
    world = _world(workloads, templates)
    before = _peak_mib()
    seconds, findings = _judge(world, policies)
    peak = _peak_mib() - before
    parts: dict[str, list[Policy]] = defaultdict(list)
    for policy in policies:
        parts[policy.id if policy.ask else "all in CEL"].append(policy)
    by_policy = {name: _judge(world, part)[0] for name, part in parts.items()} if _is_told(workloads, templates) else {}
    areas: dict[str, list[Policy]] = defaultdict(list)
    for policy in policies:
        areas[policy.id.partition("/")[0]].append(policy)
    by_area = {name: _judge(world, part)[0] for name, part in areas.items()} if by_policy else {}
    return Judged(templates, len(world.of("", "Pod")), findings, seconds, peak, by_area, by_policy)


def _is_told(workloads: int, templates: int) -> bool:
    return workloads // templates == PROMISED_SHARE


def _judge(world: Snapshot, policies: Sequence[Policy]) -> tuple[float, int]:
    started = time.process_time()
    found = evaluate(world, policies, now=NOW)
    return time.process_time() - started, len(found.findings)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _world(workloads: int, templates: int) -> Snapshot:
    interner = Interner()
    objects: dict[GroupKind, list[KubeObject]] = defaultdict(list)
    for thing in _objects(workloads, templates):
        decoded = decode_object(msgspec.json.encode(thing), interner=interner)
        objects[decoded.group_kind].append(decoded)
    return Snapshot(
        cluster=ClusterName("large"),
        source=SourceKind.LIVE,
        taken_at=NOW,
        objects={k: tuple(sorted(v, key=lambda o: (o.meta.namespace, o.meta.name))) for k, v in objects.items()},
        coverage=tuple(sorted(Read(resource=str(r.name), state=ReadState.COMPLETE) for r in RESOURCES)),
        server_version="v1.37.2",
    )


def _objects(workloads: int, templates: int) -> Iterator[dict[str, Any]]:
    for number in range(NODES):
        addresses = [{"type": "InternalIP", "address": f"172.16.{number // 250}.{number % 250 + 1}"}]
        status = {"addresses": addresses, "nodeInfo": {"kubeletVersion": "v1.37.1"}}
        yield {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{number}"}, "status": status}
    for number in range(workloads // WORKLOADS_IN_A_NAMESPACE):
        yield from _namespace(f"team-{number}")
    for number in range(workloads):
        yield from _family(number, f"team-{number // WORKLOADS_IN_A_NAMESPACE}", number % templates)


def _namespace(name: str) -> Iterator[dict[str, Any]]:
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": name}}}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": name}}
    yield role("reader", rule("get list watch", "configmaps pods"), namespace=name)
    yield role("releaser", rule("*", "deployments", group="apps"), rule("create", "pods/exec"), namespace=name)
    yield binding("Role reader", f"ServiceAccount {name}/robot", namespace=name)
    yield binding("Role releaser", f"Group {name}", namespace=name)
    yield network_policy("deny", {}, namespace=name, policyTypes=["Ingress"])
    peers = [{"podSelector": {"matchLabels": {"tier": "web"}}}]
    yield network_policy("api", {"matchLabels": {"tier": "api"}}, namespace=name, ingress=[{"from": peers}])


def _family(number: int, namespace: str, template: int) -> Iterator[dict[str, Any]]:
    """Make a Deployment, its ReplicaSet and its pods, every second one with a Service and a budget."""
    name = f"app-{number}"
    labels = {"app": name, "tier": "web" if number % 2 else "api"}
    pods = PODS[number % len(PODS)]
    deployment = workload(name, *_containers(template), namespace=namespace, labels=labels, **_pod_spec(template))
    # Each was written at a time of its own, as in life.
    managed = [
        manager | {"time": f"2026-10-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"}
        for manager in MANAGED
    ]
    deployment["metadata"] |= {"uid": f"d-{number}", "managedFields": managed, "labels": labels}
    deployment["spec"] |= {"replicas": pods, "selector": {"matchLabels": {"app": name}}}
    yield deployment
    spec = deployment["spec"]["template"]["spec"]
    set_name = f"{name}-5d8f"
    yield {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": set_name, "namespace": namespace, "uid": f"r-{number}"} | _owned("Deployment", name),
        "spec": deployment["spec"],
    }
    for pod in range(pods):
        place = number * 4 + pod
        address = f"10.{place >> 16 & 255}.{place >> 8 & 255}.{place & 255}"
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{set_name}-{pod}",
                "namespace": namespace,
                "uid": f"p-{place}",
                "labels": labels | {"pod-template-hash": "5d8f"},
            }
            | _owned("ReplicaSet", set_name),
            "spec": spec | {"nodeName": f"node-{place % NODES}"},
            "status": {"phase": "Running", "podIPs": [{"ip": address}]},
        }
    if number % 2:
        metadata = {"name": name, "namespace": namespace}
        selector = {"matchLabels": {"app": name}}
        ports = [{"port": 80, "targetPort": "http"}]
        service = {"selector": {"app": name}, "ports": ports}
        budget = {"minAvailable": 1, "selector": selector}
        yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service}
        yield {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": budget}


def _owned(kind: str, name: str) -> dict[str, Any]:
    return {"ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": True}]}


def _containers(template: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make an app and a proxy; every second template is hardened, some have no probes, limits or digests."""
    hardened = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    probe = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10}
    app: dict[str, Any] = {
        "image": f"registry.example.com/shop/app-{template % 97}:v1.{template}",
        "args": ["--listen=:8080", "--log-format=json", f"--shard={template}"],
        "env": [
            {"name": "LOG_LEVEL", "value": "info"},
            {"name": "DATABASE_URL", "value": f"postgres://db-{template % 300}.data.svc:5432/app"},
            {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}},
            *({"name": f"FEATURE_{n}", "value": "true"} for n in range(template % 6)),
        ],
        "ports": [{"name": "http", "containerPort": 8080}],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a path in a manifest
    }
    if template % 4:
        app["resources"] = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}
    if template % 3:
        app |= {"livenessProbe": probe, "readinessProbe": probe | {"periodSeconds": 5}}
    if template % 2:
        app["securityContext"] = hardened
    return container(**app), container("proxy", securityContext=hardened)


def _pod_spec(template: int) -> dict[str, Any]:
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": {"name": "config"}}]
    whole = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}} if template % 2 else {}
    return {"serviceAccountName": "robot", "volumes": volumes, "securityContext": whole}


if __name__ == "__main__":
    main()
