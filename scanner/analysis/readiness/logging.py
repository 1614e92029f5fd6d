"""Whether something on the nodes takes away what containers log."""

import datetime as dt
import re
from collections.abc import Iterator

from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot, SourceKind, object_ref_of_cluster
from scanner.model.workload import Container, Workload

DAEMON_SET = GroupKind("apps", "DaemonSet")

#: Agents that read the logs of a node's containers, those of clouds included, by the last part of the image's name.
_COLLECTORS = re.compile(
    r"^(?:fluent-?bit|fluentd|vector|promtail|alloy|grafana-agent|filebeat|elastic-agent|logstash|"
    r"opentelemetry-collector|otel-collector|otelcol|splunk-otel-collector|datadog-agent|newrelic-fluentbit-output|"
    r"aws-for-fluent-bit|cloudwatch-agent|ama-logs|ciprod|gke-fluentbit|log-pilot|dynatrace-oneagent)"
)
#: `agent` by itself is the image of Datadog's agent, in its own registries alone.
_DATADOG = re.compile(r"(?:^|/)(?:datadog|datadoghq|gcr\.io/datadoghq|public\.ecr\.aws/datadog)/agent(?::|@|$)")


def log_collector(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell of the cluster whether a DaemonSet runs an agent that is known to collect logs.

    Files do not tell what else runs in the cluster, so that none among them is unknown; so it is where DaemonSets could
    not all be read, and for a cluster without any workload.
    """
    del now  # nothing here depends on the time
    cluster = object_ref_of_cluster(snapshot.cluster)
    found = [w for w in snapshot.workloads if w.ref.group_kind == DAEMON_SET and _collects(w)]
    missing = tuple(read.missing for read in snapshot.inconclusive((DAEMON_SET,)))
    if found:
        yield Answer(resource=cluster, outcome=Outcome.PASS, message=f"{found[0].ref} collects logs")
    elif snapshot.source is SourceKind.MANIFESTS or missing or not snapshot.workloads:
        message = "Whether something on the nodes collects logs is not known"
        yield Answer(
            resource=cluster, outcome=Outcome.UNKNOWN, message=message, missing=missing or ("list daemonsets.apps",)
        )
    else:
        message = "No DaemonSet runs an agent that is known to collect logs"
        yield Answer(resource=cluster, outcome=Outcome.FAIL, message=message)


def _collects(workload: Workload) -> bool:
    return any(_is_collector(container) for container in workload.template.containers)


def _is_collector(container: Container) -> bool:
    image = str(container.spec.get("image") or "")
    name = image.rpartition("/")[2]
    return bool(_COLLECTORS.match(name) or _DATADOG.search(image))
