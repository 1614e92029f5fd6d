"""Which workloads an alert of the Prometheus operator is about, by the series that its expression selects.

PromQL is read only as far as its selectors: the name of a series and the matchers in braces. Series of kube-state-
metrics and cAdvisor are about every pod, or every workload of a kind, that their matchers let through; others about
those whose namespace, or whose name or Service, a matcher names. A series without any such matcher may be anybody's:
what only it could cover is unknown.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass

from scanner.analysis.readiness.serving import services_before
from scanner.model.answer import Answer
from scanner.model.coverage import ReadState
from scanner.model.finding import Fact, Outcome
from scanner.model.monitoring import PROMETHEUS_RULE, alerts_of
from scanner.model.refs import ObjectRef
from scanner.model.resources import BY_KIND
from scanner.model.snapshot import Snapshot, SourceKind, object_ref_of_cluster
from scanner.model.workload import Workload

READS = (PROMETHEUS_RULE,)

#: Longer expressions are not read, which leaves them undecided: it bounds what a hostile rule costs.
_LONGEST = 4_000
_TEXT = r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`)"
#: A series with its matchers in braces.
_SERIES = re.compile(r"((?<![\w:])[a-zA-Z_:][a-zA-Z0-9_:]*+)?\s*+(\{(?:[^{}\"'`]|" + _TEXT + r")*\})")
#: A word that is no function, because nothing is called by it, and no part of a number.
_WORD = re.compile(r"(?<![\w:.$])([a-zA-Z_:][a-zA-Z0-9_:]*)(?!\s*\()(?![\w:])")
_MATCHER = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(" + _TEXT + ")")
_QUOTED = re.compile(_TEXT)
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_KEYWORDS = frozenset(
    {
        "and",
        "or",
        "unless",
        "bool",
        "offset",
        "by",
        "without",
        "on",
        "ignoring",
        "inf",
        "nan",
        "atan2",
        "group_left",
        "group_right",
        "start",
        "end",
    }
)

#: Prefixes of series that are about one kind of workload, and that kind.
_OF_KIND = {
    "kube_deployment_": "Deployment",
    "kube_statefulset_": "StatefulSet",
    "kube_daemonset_": "DaemonSet",
    "kube_job_": "Job",
    "kube_cronjob_": "CronJob",
}
_OF_PODS = ("kube_pod_", "container_")
#: Prefixes of series of the cluster's own parts, which are about no workload.
_OF_NOBODY = (
    "kube_",
    "node_",
    "kubelet_",
    "apiserver_",
    "etcd_",
    "coredns_",
    "prometheus_",
    "alertmanager_",
    "scheduler_",
    "workqueue_",
    "rest_client_",
    "kubeproxy_",
    "kubernetes_",
    "ALERTS",
    "aggregator_",
    "cluster:",
    "instance:",
)
_NAMESPACES = frozenset({"namespace", "exported_namespace", "kubernetes_namespace"})
#: Labels by which a workload, its pods or its Service are named.
_NAMES = frozenset(
    {
        "job",
        "service",
        "app",
        "workload",
        "deployment",
        "statefulset",
        "daemonset",
        "job_name",
        "cronjob",
        "container",
        "pod",
        "exported_pod",
        "owner_name",
        "created_by_name",
    }
)
#: In series of kube-state-metrics and cAdvisor these name who exports them, not whom they are about.
_EXPORTER = frozenset({"job", "service", "app"})
_LITERAL = re.compile(r"^[A-Za-z0-9_\-|]*$")


@dataclass(frozen=True, slots=True)
class _Matcher:
    label: str
    operator: str
    value: str

    def admits(self, names: frozenset[str]) -> bool | None:
        """Tell whether any of these values matches; None where that is a regular expression too rich to decide."""
        match self.operator:
            case "=":
                return self.value in names
            case "!=":
                return any(name != self.value for name in names)
            case _:
                found = _regex(self.value, names)
                return found if found is None or self.operator == "=~" else not found


@dataclass(frozen=True, slots=True)
class _Selector:
    series: str
    matchers: tuple[_Matcher, ...]


@dataclass(frozen=True, slots=True)
class _Alert:
    rule: ObjectRef
    name: str
    selectors: tuple[_Selector, ...]


def workloads_without_alert(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which workloads no alert is about; of the cluster, once, where alerts can't be seen at all.

    Where the Prometheus operator is not installed, or in files that hold no rule, alerts may be written elsewhere.
    """
    del now  # nothing here depends on the time
    hidden = _hidden(snapshot)
    if hidden is not None:
        yield hidden
        return
    alerts = snapshot.derive(alerts_seen)
    for workload in snapshot.workloads:
        yield _judge(snapshot, workload, alerts)


def alerts_seen(snapshot: Snapshot) -> tuple[_Alert, ...]:
    """Return every alert of every PrometheusRule with what it selects; in the order of the rules."""
    return tuple(
        _Alert(rule.ref, name, tuple(s for s in _selectors(expression) if not _is_of_nobody(s)))
        for rule in snapshot.of(*PROMETHEUS_RULE)
        for name, expression in alerts_of(rule)
    )


def _hidden(snapshot: Snapshot) -> Answer | None:
    cluster = object_ref_of_cluster(snapshot.cluster)
    name = BY_KIND[PROMETHEUS_RULE].name
    is_absent = any(r.resource == name and r.state is ReadState.ABSENT for r in snapshot.coverage)
    missing = tuple(read.missing for read in snapshot.inconclusive((PROMETHEUS_RULE,)))
    if snapshot.derive(alerts_seen) or not (is_absent or missing or snapshot.source is SourceKind.MANIFESTS):
        return None
    why = "the Prometheus operator is not installed" if is_absent else "no PrometheusRule could be seen"
    scraped = sum(w.template.annotations.get("prometheus.io/scrape") == "true" for w in snapshot.workloads)
    return Answer(
        resource=cluster,
        outcome=Outcome.UNKNOWN,
        message=f"Whether alerts are about workloads is not known: {why}; {scraped} workloads ask to be scraped",
        missing=missing or (f"list {name}",),
    )


def _judge(snapshot: Snapshot, workload: Workload, alerts: tuple[_Alert, ...]) -> Answer:
    names = _names(snapshot, workload)
    undecided = []
    for alert in alerts:  # mostly one of the first is about every pod: the rest is not looked at
        verdict = _is_about(alert, workload, names)
        if verdict:
            message = f"Alert {alert.name[:100]} of {alert.rule} is about it"
            return Answer(resource=workload.ref, outcome=Outcome.PASS, message=message)
        if verdict is None:
            undecided.append(alert)
    missing = tuple(r.missing for r in snapshot.inconclusive((PROMETHEUS_RULE,)))
    if undecided or missing or snapshot.source is SourceKind.MANIFESTS:
        return Answer(
            resource=workload.ref,
            outcome=Outcome.UNKNOWN,
            message="No alert is about it for sure"
            + (f"; of {len(undecided)} it can't be told, such as {undecided[0].name[:100]}" if undecided else ""),
            evidence=tuple(Fact(path="spec.groups", object=alert.rule) for alert in undecided[:1]),
            missing=missing or (f"list {BY_KIND[PROMETHEUS_RULE].name}",),
        )
    return Answer(resource=workload.ref, outcome=Outcome.FAIL, message="No alert of any PrometheusRule is about it")


def _names(snapshot: Snapshot, workload: Workload) -> frozenset[str]:
    """Return how series may name a workload: by itself, its containers, its Services and the labels of its pods."""
    labels = workload.template.labels
    said = {labels.get(key, "") for key in ("app", "app.kubernetes.io/name", "k8s-app", "app.kubernetes.io/instance")}
    services = {service.ref.name for service in services_before(snapshot, workload)}
    containers = {container.name for container in workload.template.containers}
    return frozenset({workload.ref.name} | said | services | containers) - {""}


def _is_about(alert: _Alert, workload: Workload, names: frozenset[str]) -> bool | None:
    found = [_selects(selector, workload, names) for selector in alert.selectors]
    return True if True in found else None if None in found else False


def _selects(selector: _Selector, workload: Workload, names: frozenset[str]) -> bool | None:
    """Tell whether a series is about a workload; None where its matchers do not tell."""
    kind = next((kind for prefix, kind in _OF_KIND.items() if selector.series.startswith(prefix)), None)
    if kind is not None:
        is_its = workload.ref.kind == kind or (kind, workload.ref.kind) == ("Job", "CronJob")
        return is_its and _admitted(selector, workload, names, _EXPORTER)
    if selector.series.startswith(_OF_PODS):
        return _admitted(selector, workload, names, _EXPORTER)
    verdict = _admitted(selector, workload, names, frozenset())
    names_it = any(m.label in _NAMESPACES | _NAMES and m.operator in {"=", "=~"} for m in selector.matchers)
    return verdict if verdict is False or names_it else None


def _is_of_nobody(selector: _Selector) -> bool:
    """Tell whether a series is about no workload: most rules of a platform are, and no workload need look at them."""
    return selector.series.startswith(_OF_NOBODY) and not selector.series.startswith((*_OF_KIND, *_OF_PODS))


def _admitted(selector: _Selector, workload: Workload, names: frozenset[str], ignored: frozenset[str]) -> bool | None:
    found: list[bool | None] = []
    for matcher in selector.matchers:
        if matcher.label in _NAMESPACES:
            found.append(matcher.admits(frozenset({workload.ref.namespace})))
        elif matcher.label in _NAMES - ignored:
            found.append(_named(matcher, names))
    return False if False in found else None if None in found else True


def _named(matcher: _Matcher, names: frozenset[str]) -> bool | None:
    """Decide a matcher of a name; pods are called after their workload with a suffix that no rule can know."""
    if matcher.operator in {"!=", "!~"}:
        return True if matcher.value == "" or matcher.admits(names) else None
    if matcher.label in {"pod", "exported_pod", "job_name"} and matcher.operator == "=~":
        prefix = re.split(r"[.\[(\\+*?]", matcher.value, maxsplit=1)[0].rstrip("-")
        return any(name == prefix for name in names) if prefix else True
    return matcher.admits(names)


def _regex(pattern: str, names: frozenset[str]) -> bool | None:
    """Match the regular expressions that rules mostly use, without a machine for all that there can be.

    `.*` and `.+` alone match all, `a|b` either, and one of them at the end of a word its beginnings; whatever else
    is there is not decided.
    """
    verdict: bool | None = False
    for part in pattern.removeprefix("(").removesuffix(")").split("|"):
        stem = part.removesuffix(".*").removesuffix(".+")
        if not _LITERAL.match(stem):
            verdict = None
        elif part in names if stem == part else any(name.startswith(stem) for name in names):
            return True
    return verdict


def _selectors(expression: str) -> Iterator[_Selector]:
    """Yield the selectors of an expression; one that is too long counts as a series that is anybody's."""
    if len(expression) > _LONGEST:
        yield _Selector("", ())
        return
    uncommented = re.sub(r"#[^\n]*", "", expression) if "#" in expression and '"' not in expression else expression
    text = _GROUPING.sub(" ", uncommented)
    for found in _SERIES.finditer(text):
        matchers = tuple(_Matcher(m[1], m[2], m[3][1:-1]) for m in _MATCHER.finditer(found[2]))
        name = found[1] or next((m.value for m in matchers if (m.label, m.operator) == ("__name__", "=")), "")
        yield _Selector(name, matchers)
    rest = _QUOTED.sub(" ", re.sub(r"\[[^\]]*\]", " ", _SERIES.sub(" ", text)))
    for word in _WORD.finditer(rest):
        if word[1].lower() not in _KEYWORDS:
            yield _Selector(word[1], ())
