"""The smallest objects around a workload that decide how available it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from scanner.model.coverage import Read, ReadState
from scanner.model.resources import RESOURCES
from tests.builders import workload


def replicated(replicas: int | None = 3, name: str = "cart", **fields: Any) -> dict[str, Any]:
    """Make a workload that asks for a number of pods; None leaves the field out."""
    made = workload(name, **fields)
    if replicas is not None:
        made["spec"]["replicas"] = replicas
    return made


def autoscaler(target: str = "Deployment cart", *, version: str = "v2", **spec: Any) -> dict[str, Any]:
    """Make an autoscaler of a workload in words: `autoscaler("StatefulSet db", minReplicas=2)`."""
    kind, _, name = target.partition(" ")
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": name}
    return _object(
        f"autoscaling/{version}",
        "HorizontalPodAutoscaler",
        name,
        {"scaleTargetRef": reference, "maxReplicas": 5} | spec,
    )


def budget(name: str = "cart", selector: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Make a PodDisruptionBudget of the pods labelled `app: cart`, or of a selector."""
    wanted = {"matchLabels": {"app": "cart"}} if selector is None else dict(selector)
    return _object("policy/v1", "PodDisruptionBudget", name, {"selector": wanted} | spec)


def service(name: str = "cart", **spec: Any) -> dict[str, Any]:
    """Make a Service of the pods labelled `app: cart`."""
    return _object("v1", "Service", name, {"selector": {"app": "cart"}, "ports": [{"port": 80}]} | spec)


def limit_range(namespace: str = "shop", **item: Any) -> dict[str, Any]:
    """Make a LimitRange of containers: `limit_range(default={"memory": "1Gi"})`."""
    spec = {"limits": [{"type": "Container"} | item]}
    return _object("v1", "LimitRange", "defaults", spec, namespace=namespace)


def claim(name: str, *access_modes: str) -> dict[str, Any]:
    """Make a PersistentVolumeClaim."""
    return _object("v1", "PersistentVolumeClaim", name, {"accessModes": list(access_modes)})


def unread(*resources: str) -> Sequence[Read]:
    """Make the coverage of a scan that was not allowed to read some resources."""
    states = {r.name: ReadState.FORBIDDEN if r.name in resources else ReadState.COMPLETE for r in RESOURCES}
    return [Read(resource=name, state=state) for name, state in states.items()]


def _object(api_version: str, kind: str, name: str, spec: Mapping[str, Any], namespace: str = "shop") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": dict(spec)}
