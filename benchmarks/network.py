"""How long all connectivity classes of a large cluster take, and how that grows.

Run it as `python -m benchmarks.network`. Each namespace has 40 workloads in six roles and five NetworkPolicies (deny by
default, its web from gateways and an office, its database from its web, DNS, scraping by its team), so that no two
namespaces are alike. The seconds are of the answer alone, not of reading, in processor time, since other work on the
machine is none of it; the memory is the process's peak, the snapshot and the objects that it was made of included.
"""

import gc
import resource
import time
from typing import Any

from scanner.analysis.network.connectivity import Connectivity, connectivity
from scanner.model.snapshot import Snapshot
from tests.builders import container, network_policy, snapshot, workload

WORKLOADS_IN_A_NAMESPACE = 40
#: What the figures are promised for.
SECONDS, MEMORY_MIB = 20.0, 1024
STEPS = (125, 250, 500, 1000)
ROLES = ("web", "api", "database", "cache", "worker", "batch")


def main() -> None:
    """Print a line a size; exit with 1 if the last does not keep the promise."""
    print("namespaces  workloads  policies  classes  groups out/in  rectangles  seconds  peak MiB")
    for namespaces in STEPS:
        world = _world(namespaces)
        gc.collect()
        started = time.process_time()
        found = connectivity(world)
        rectangles = sum(1 for _ in found.rectangles())
        seconds = time.process_time() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        _print(namespaces, found, rectangles, seconds, peak)
    raise SystemExit(seconds > SECONDS or peak > MEMORY_MIB)


def _print(namespaces: int, found: Connectivity, rectangles: int, seconds: float, peak: int) -> None:
    groups = f"{len(found.senders)}/{len(found.receivers)}"
    print(
        f"{namespaces:>10,}  {len(found.grouping.workloads):>9,}  {len(found.policies):>8,}  "
        f"{len(found.grouping.classes):>7,}  {groups:>13}  {rectangles:>10,}  {seconds:>7.2f}  {peak:>8,}"
    )


def _world(namespaces: int) -> Snapshot:
    objects: list[dict[str, Any]] = []
    for number in range(namespaces):
        objects += _namespace(number)
    objects.append(workload("resolver", namespace="kube-system", labels={"k8s-app": "kube-dns"}))
    objects.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}})
    return snapshot(*objects)


def _namespace(number: int) -> list[dict[str, Any]]:
    name = f"team-{number}"
    labels = {"team": str(number % 90), "gateway": "true" if number % 100 == 0 else "false"}
    found: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    ]
    for n in range(WORKLOADS_IN_A_NAMESPACE):
        role = ROLES[n % len(ROLES)]
        port = {"name": "main", "containerPort": 8000 + (number + n % len(ROLES)) % 50}
        found.append(
            workload(
                f"{role}-{n}", container(ports=[port]), namespace=name, labels={"role": role, "app": f"{role}-{n}"}
            )
        )
    return found + _policies(number, name)


def _policies(number: int, name: str) -> list[dict[str, Any]]:
    def chosen(role: str) -> dict[str, Any]:
        return {"matchLabels": {"role": role}}

    everywhere: dict[str, Any] = {}
    resolver = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    office = {"ipBlock": {"cidr": f"192.{number % 250}.0.0/16", "except": [f"192.{number % 250}.{number % 200}.0/24"]}}
    return [
        network_policy("deny", everywhere, namespace=name, policyTypes=["Ingress", "Egress"]),
        network_policy(
            "web",
            chosen("web"),
            namespace=name,
            ingress=[
                {"from": [{"namespaceSelector": {"matchLabels": {"gateway": "true"}}}], "ports": [{"port": "main"}]},
                {"from": [office], "ports": [{"port": 443 + number % 20}]},
            ],
            egress=[{"to": [{"podSelector": chosen("api")}, {"podSelector": chosen("database")}]}],
        ),
        network_policy(
            "database",
            chosen("database"),
            namespace=name,
            ingress=[{"from": [{"podSelector": chosen("web")}], "ports": [{"port": 5432 + number % 30}]}],
        ),
        network_policy(
            "dns",
            everywhere,
            namespace=name,
            policyTypes=["Egress"],
            egress=[{"to": [resolver], "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]}],
        ),
        network_policy(
            "scrape",
            everywhere,
            namespace=name,
            ingress=[
                {
                    "from": [{"namespaceSelector": {"matchLabels": {"team": str(number % 90)}}}],
                    "ports": [{"port": 9090, "endPort": 9090 + number % 10}],
                }
            ],
        ),
    ]


if __name__ == "__main__":
    main()
