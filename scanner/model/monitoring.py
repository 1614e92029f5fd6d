"""What the Prometheus operator's kinds select, and which alerts they hold.

Their schema is a CustomResourceDefinition that may be of any release, so that fields are read one by one and what has
another form than expected is nothing.

Source: https://prometheus-operator.dev/docs/api-reference/api/
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind
from scanner.model.selectors import LabelSelector

MONITORING = "monitoring.coreos.com"
SERVICE_MONITOR = GroupKind(MONITORING, "ServiceMonitor")
POD_MONITOR = GroupKind(MONITORING, "PodMonitor")
PROMETHEUS = GroupKind(MONITORING, "Prometheus")
PROMETHEUS_RULE = GroupKind(MONITORING, "PrometheusRule")

#: Where each kind of monitor lists what it scrapes.
_ENDPOINTS = {SERVICE_MONITOR: "endpoints", POD_MONITOR: "podMetricsEndpoints"}


def selector_of(monitor: KubeObject) -> LabelSelector | None:
    """Return which Services (or pods) a monitor selects; None if that can't be read, and nothing is selected."""
    try:
        return msgspec.convert(_spec(monitor).get("selector"), LabelSelector)
    except msgspec.ValidationError:  # only a file can hold what the schema of the kind refuses
        return None


def looks_into(monitor: KubeObject, namespace: str) -> bool:
    """Tell whether a monitor selects in this namespace: its own, those that it names, or any."""
    chosen = _spec(monitor).get("namespaceSelector")
    named = chosen.get("matchNames") if isinstance(chosen, dict) else None
    if isinstance(chosen, dict) and chosen.get("any") is True:
        return True
    return namespace in named if isinstance(named, list) and named else namespace == monitor.meta.namespace


def endpoints_of(monitor: KubeObject) -> tuple[Mapping[str, Any], ...]:
    """Return what a ServiceMonitor or a PodMonitor scrapes of all that it selects, as plain JSON objects."""
    return tuple(_dicts(_spec(monitor).get(_ENDPOINTS[monitor.group_kind])))


def alerts_of(rule: KubeObject) -> Iterator[tuple[str, str]]:
    """Yield name and expression of each alert of a PrometheusRule; recording rules are none."""
    for group in _dicts(_spec(rule).get("groups")):
        for entry in _dicts(group.get("rules")):
            name, expression = entry.get("alert"), entry.get("expr")
            if isinstance(name, str) and isinstance(expression, str | int) and name:
                yield name, str(expression)


def _spec(thing: KubeObject) -> Mapping[str, Any]:
    body: Any = msgspec.json.decode(thing.body)
    spec = body.get("spec")
    return spec if isinstance(spec, dict) else {}


def _dicts(value: object) -> Iterator[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
