"""How long it takes to judge 40,000 distinct pod templates by every check of the Pod Security Standards.

Run it as `python -m benchmarks.pss`. No two templates are equal, which is the worst case: equal ones are judged once.
Half of them break some rules, the others none. Decoding, which every scan does anyway, is told apart; the figures are
processor time.
"""

import gc
import time
from typing import Any

from scanner.analysis.pods.standards.verdicts import verdicts
from scanner.analysis.pods.standards.versions import Level
from tests.builders import container, snapshot, workload

WORKLOADS = 40_000
#: What the figure is promised for.
PROMISED_SECONDS = 5.0


def main() -> None:
    """Print the figures; exit with 1 if the promise is not kept."""
    gc.disable()  # as the command does
    world = snapshot(*(_workload(number) for number in range(WORKLOADS)))
    started = time.process_time()
    workloads = world.workloads
    decoded = time.process_time()
    print(f"{len(workloads):,} workloads from their objects: {decoded - started:.2f} s")
    slowest = max(_judged(workloads, level) for level in Level)
    raise SystemExit(slowest > PROMISED_SECONDS)


def _judged(workloads: Any, level: Level) -> float:
    started = time.process_time()
    refused = sum(not verdict.is_allowed for verdict in verdicts(workloads, level))
    seconds = time.process_time() - started
    print(f"{level}: {refused:,} refused, {seconds:.2f} s (promised {PROMISED_SECONDS} s)")
    return seconds


def _workload(number: int) -> dict[str, Any]:
    """Make a workload with two containers; every second one is as restricted wants it."""
    is_good = number % 2 == 0
    own: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    whole = {"runAsNonRoot": is_good, "runAsUser": 1000 + number, "seccompProfile": {"type": "RuntimeDefault"}}
    port = {"containerPort": 8080} | ({} if is_good else {"hostPort": 8080})
    probe = {"httpGet": {"port": 8080, "path": "/healthz"}}
    app = container(securityContext=own, ports=[port], livenessProbe=probe, readinessProbe=probe)
    proxy = container("proxy", securityContext=own if is_good else {"privileged": True})
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": {"name": "config"}}]
    return workload(f"app-{number}", app, proxy, volumes=volumes, securityContext=whole)


if __name__ == "__main__":
    main()
