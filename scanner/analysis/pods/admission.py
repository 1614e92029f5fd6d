"""What admission really enforces on pods, namespace by namespace, and what lets pods past it.

Known are the labels of namespaces, webhook configurations and ValidatingAdmissionPolicies with their bindings. No API
tells exemptions and defaults of the admission plugin, which stand in a file of the API server (AdmissionConfiguration),
and what a webhook would say. What a MutatingAdmissionPolicy makes of a pod is not computed.

Source: k8s.io/pod-security-admission/{api/helpers.go,admission/admission.go}; k8s.io/apiserver/pkg/admission/plugin.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from scanner.analysis.pods.standards.versions import NEWEST, Level, Minor, minor_of
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import TEMPLATE_PATHS, Container

GROUP = "admissionregistration.k8s.io"
WEBHOOK_KINDS = (
    GroupKind(GROUP, "ValidatingWebhookConfiguration"),
    GroupKind(GROUP, "MutatingWebhookConfiguration"),
)
POLICY = GroupKind(GROUP, "ValidatingAdmissionPolicy")
BINDING = GroupKind(GROUP, "ValidatingAdmissionPolicyBinding")
MUTATION = GroupKind(GROUP, "MutatingAdmissionPolicy")
MUTATION_BINDING = GroupKind(GROUP, "MutatingAdmissionPolicyBinding")
NAMESPACE = GroupKind("", "Namespace")
_READS = (NAMESPACE, *WEBHOOK_KINDS, POLICY, BINDING, MUTATION, MUTATION_BINDING)
_PREFIX = "pod-security.kubernetes.io/"
_POD_RESOURCES = {"pods": "", "deployments": "apps", "statefulsets": "apps", "daemonsets": "apps", "jobs": "batch"}
#: Less than this is easily lost while a node or the engine starts anew; the API server's default is 10. Plain taste.
_SHORT_SECONDS = 3
_API_SERVER = "kube-apiserver"
_CONFIGURED = "--admission-control-config-file"
_TURNED_OFF = "--disable-admission-plugins="
_PLUGIN = "PodSecurity"
_ON_SINCE = 23
_SERVER_VERSION = re.compile(r"v1\.(\d{1,3})\b", re.ASCII)

Mode = Literal["enforce", "audit", "warn"]
MODES: tuple[Mode, ...] = ("enforce", "audit", "warn")


@dataclass(frozen=True, slots=True)
class Setting:
    """What one mode of Pod Security does in a namespace: `privileged`, `baseline` or `restricted`."""

    #: As the API server understands it: `restricted` where the label holds what it does not know.
    level: str
    version: str
    #: The label is there; otherwise the cluster's default holds, which is privileged unless a file says otherwise.
    is_labelled: bool


@dataclass(frozen=True, slots=True)
class Enforced:
    """What Pod Security does in one namespace."""

    namespace: str
    settings: Mapping[Mode, Setting]
    #: Webhooks that see new pods or workloads there, `Kind configuration/webhook`, each with its failurePolicy, and
    #: which of them they see where that is not all: "only those with labels …".
    webhooks: tuple[str, ...]
    #: Bindings of ValidatingAdmissionPolicies that see them, `policy, bound by binding (actions)`, likewise.
    policies: tuple[str, ...]
    #: Bindings of MutatingAdmissionPolicies that may change them before they are judged, likewise.
    mutations: tuple[str, ...]
    #: What nobody could read: exemptions and defaults.
    unknown: tuple[str, ...]


class Rule(msgspec.Struct, frozen=True, rename="camel"):
    """Requests that a webhook is asked about."""

    operations: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    #: All kinds that hold pods are served in one version, `v1`: no matchPolicy makes another name them.
    api_versions: tuple[str, ...] = ("*",)
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] | None = None
    scope: str = "*"


class _Condition(msgspec.Struct, frozen=True):
    name: str = ""


class _Match(msgspec.Struct, frozen=True, rename="camel"):
    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None
    resource_rules: tuple[Rule, ...] | None = None
    exclude_resource_rules: tuple[Rule, ...] | None = None

    def seen(self, labels: Mapping[str, str]) -> frozenset[str]:
        """Return which resources that hold pods it can match in a namespace with these labels."""
        if self.namespace_selector is not None and not self.namespace_selector.matches(labels):
            return frozenset()
        named = _seen(self.resource_rules) if self.resource_rules else frozenset(_POD_RESOURCES)
        return named - _seen(r for r in self.exclude_resource_rules or () if not r.resource_names)

    @property
    def limits(self) -> tuple[str, ...]:
        """Say which of these objects it matches, where not all."""
        rules = self.resource_rules or ()
        names = {n for r in rules for n in r.resource_names or ()} if all(r.resource_names for r in rules) else set()
        spared = {n for r in self.exclude_resource_rules or () for n in r.resource_names or ()}
        return (
            *_limits_of(self.object_selector),
            *([f"only those named {', '.join(sorted(names))}"] if names else []),
            *([f"not all named {', '.join(sorted(spared))}"] if spared else []),
        )


class _PolicySpec(msgspec.Struct, frozen=True, rename="camel"):
    match_constraints: _Match = _Match()
    match_conditions: tuple[_Condition, ...] | None = None
    failure_policy: str = "Fail"


class _Policy(msgspec.Struct, frozen=True):
    spec: _PolicySpec = _PolicySpec()


class _BindingSpec(msgspec.Struct, frozen=True, rename="camel"):
    policy_name: str = ""
    match_resources: _Match = _Match()
    validation_actions: tuple[str, ...] = ()


class _Binding(msgspec.Struct, frozen=True):
    spec: _BindingSpec = _BindingSpec()


class _Service(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""


class _Client(msgspec.Struct, frozen=True):
    service: _Service | None = None


class Webhook(msgspec.Struct, frozen=True, rename="camel"):
    """One webhook of a configuration; what is not set has the API server's default."""

    name: str = ""
    rules: tuple[Rule, ...] | None = None
    failure_policy: str = "Fail"
    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None
    match_conditions: tuple[_Condition, ...] | None = None
    timeout_seconds: int = 10
    client_config: _Client = _Client()

    @property
    def seen(self) -> frozenset[str]:
        """Return which resources that hold pods come before it."""
        return _seen(self.rules or ())

    @property
    def sees_pods(self) -> bool:
        """Tell whether new pods or workloads of any namespace can come before it."""
        return bool(self.seen)

    def is_about(self, labels: Mapping[str, str]) -> bool:
        """Tell whether it is asked about what is created in a namespace with these labels."""
        return self.namespace_selector is None or self.namespace_selector.matches(labels)


class _Configuration(msgspec.Struct, frozen=True):
    webhooks: tuple[Webhook, ...] | None = None


def _seen(rules: Iterable[Rule]) -> frozenset[str]:
    """Return which resources that hold pods rules name, as something to be created."""
    able = [
        r
        for r in rules
        if r.scope != "Cluster" and not {"*", "CREATE"}.isdisjoint(r.operations) and {"*", "v1"} & {*r.api_versions}
    ]
    return frozenset(
        plural
        for plural, group in _POD_RESOURCES.items()
        if any(
            not {"*", "*/*", plural, f"{plural}/*"}.isdisjoint(rule.resources)
            and not {"*", group}.isdisjoint(rule.api_groups)
            for rule in able
        )
    )


def _limits_of(selector: LabelSelector | None) -> tuple[str, ...]:
    if selector is None or selector.is_empty:
        return ()
    wanted = [f"{key}={value}" for key, value in (selector.match_labels or {}).items()]
    wanted += [
        f"{r.key} {r.operator}{' ' + '|'.join(r.values) if r.values else ''}" for r in selector.match_expressions or ()
    ]
    return (f"only those with labels {', '.join(wanted)}",)


def _told(said: str, seen: frozenset[str], limits: Iterable[str], conditions: Iterable[_Condition] | None) -> str:
    """Add to what sees new pods which of them it does not see."""
    kinds = () if "pods" in seen else (f"sees {', '.join(sorted(seen))} and no pods",)
    names = ", ".join(c.name for c in conditions or ())
    only = (f"only where its match conditions hold: {names}",) if names else ()
    return "; ".join((said, *kinds, *dict.fromkeys(limits), *only))


def setting_of(labels: Mapping[str, str], mode: Mode) -> Setting:
    """Read the labels of one mode as the admission plugin does: a level that it does not know is restricted."""
    level = labels.get(f"{_PREFIX}{mode}")
    version = labels.get(f"{_PREFIX}{mode}-version", "latest")
    known = {"privileged", *Level}
    if level is None:
        return Setting("privileged", "latest", is_labelled=False)
    return Setting(
        level if level in known else "restricted", version if minor_of(version) else "latest", is_labelled=True
    )


def enforced_standards(snapshot: Snapshot) -> Mapping[str, tuple[Level, Minor]]:
    """Say by which standard each namespace refuses new pods, as far as labels tell; without one it is not there.

    An API server takes a version that is newer than itself for its own.
    """
    if not is_active(snapshot):
        return {}
    newest = min(NEWEST, _server_minor(snapshot) or NEWEST)
    found: dict[str, tuple[Level, Minor]] = {}
    for name, labels in snapshot.namespaces.items():
        setting = setting_of(labels, "enforce")
        if setting.level in set(Level):
            found[name] = (Level(setting.level), min(newest, minor_of(setting.version) or newest))
    return found


def is_active(snapshot: Snapshot) -> bool:
    """Tell whether the admission plugin is on: since Kubernetes 1.23, unless a visible API server turns it off."""
    minor = _server_minor(snapshot)
    if minor is not None and minor < _ON_SINCE:
        return False
    _, flags = snapshot.derive(_servers)
    return not any(f.startswith(_TURNED_OFF) and _PLUGIN in f.partition("=")[2].split(",") for f in flags)


def _server_minor(snapshot: Snapshot) -> Minor | None:
    match = _SERVER_VERSION.match(snapshot.server_version)
    return Minor(int(match[1])) if match else None


def enforced(snapshot: Snapshot) -> tuple[Enforced, ...]:
    """Say what is enforced in each namespace, sorted by its name."""
    webhooks = tuple(_webhooks(snapshot))
    policies = tuple(_bound(snapshot, POLICY, BINDING))
    mutations = tuple(_bound(snapshot, MUTATION, MUTATION_BINDING))
    unknown = unknown_of(snapshot)
    return tuple(
        Enforced(
            namespace=name,
            settings={mode: setting_of(labels, mode) for mode in MODES},
            webhooks=tuple(
                _told(
                    f"{thing.kind} {thing.meta.name}/{hook.name} ({hook.failure_policy})",
                    hook.seen,
                    _limits_of(hook.object_selector),
                    hook.match_conditions,
                )
                for thing, hook in webhooks
                if hook.sees_pods and hook.is_about(labels)
            ),
            policies=tuple(_in_force(policies, labels)),
            mutations=tuple(_in_force(mutations, labels)),
            unknown=unknown if snapshot.find("", "Namespace", "", name) else (*unknown, _unlabelled(name)),
        )
        for name, labels in snapshot.namespaces.items()
    )


def _in_force(bound: Iterable[tuple[str, _BindingSpec, _PolicySpec]], labels: Mapping[str, str]) -> Iterator[str]:
    """Name the bindings that see what is created in a namespace with these labels."""
    for name, binding, policy in bound:
        seen = policy.match_constraints.seen(labels) & binding.match_resources.seen(labels)
        if seen:
            # What mutates has no actions: there it matters whether it may fail.
            how = ", ".join(binding.validation_actions) or policy.failure_policy
            limits = (*policy.match_constraints.limits, *binding.match_resources.limits)
            yield _told(f"{binding.policy_name}, bound by {name} ({how})", seen, limits, policy.match_conditions)


def _unlabelled(namespace: str) -> str:
    return f"the labels of namespace {namespace}: it was not read itself"


def _bound(
    snapshot: Snapshot, kind: GroupKind, binding_kind: GroupKind
) -> Iterator[tuple[str, _BindingSpec, _PolicySpec]]:
    """Give each binding of a policy that is there: its name, its spec, and that of the policy."""
    for thing in snapshot.of(*binding_kind):
        spec = thing.decode(_Binding).spec
        policy = snapshot.find(GROUP, kind.kind, "", spec.policy_name)
        if policy is not None:
            yield thing.meta.name, spec, policy.decode(_Policy).spec


def unknown_of(snapshot: Snapshot) -> tuple[str, ...]:
    """Say what of the admission plugin's own configuration cannot be known.

    A visible API server (a static pod) without the flag has no such file: then nothing is exempt, and the default is
    privileged. Managed control planes show no pod.
    """
    servers, flags = snapshot.derive(_servers)
    missing = tuple(f"not read: {read.missing}" for read in snapshot.inconclusive(_READS))
    if servers and not any(flag.startswith(_CONFIGURED) for flag in flags):
        return missing
    why = "its file is set, and not readable" if servers else "no pod of the API server is visible"
    return (*missing, f"exemptions and defaults of the admission configuration: {why}")


def _servers(snapshot: Snapshot) -> tuple[Sequence[Container], Sequence[str]]:
    """Return the containers that run an API server, as far as they are visible, and their flags."""
    servers = [
        c
        for w in snapshot.workloads
        for c in w.containers
        if any(str(word).rpartition("/")[2] == _API_SERVER for word in (c.spec.get("command") or ())[:1])
    ]
    flags = [str(f) for c in servers for f in (*(c.spec.get("command") or ()), *(c.spec.get("args") or ()))]
    return servers, flags


def _webhooks(snapshot: Snapshot) -> Iterator[tuple[KubeObject, Webhook]]:
    for kind in WEBHOOK_KINDS:
        for thing in snapshot.of(*kind):
            for hook in thing.decode(_Configuration).webhooks or ():
                yield thing, hook


def webhooks_that_fail_open(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Judge each webhook that new pods or workloads come before: fail if they get by it while it is not answering.

    `failurePolicy: Ignore` lets everything by whenever it fails to answer in time: worse with a short timeout, and with
    a Service that has no pods, for then it never answers.
    """
    del now  # nothing here depends on the time
    for thing, hook in _webhooks(snapshot):
        if hook.sees_pods:
            yield _judged(snapshot, thing, hook)


def _judged(snapshot: Snapshot, thing: KubeObject, hook: Webhook) -> Answer:
    if hook.failure_policy != "Ignore":
        return Answer(
            resource=thing.ref, outcome=Outcome.PASS, message="Refuses what it cannot ask about", key=hook.name
        )
    facts = [Fact(path=f"webhooks[name={hook.name}].failurePolicy", value="Ignore")]
    said = f"Webhook {hook.name} lets new pods by whenever it does not answer"
    if hook.timeout_seconds < _SHORT_SECONDS:
        said += f", for which it has {hook.timeout_seconds} s"
        facts.append(Fact(path=f"webhooks[name={hook.name}].timeoutSeconds", value=hook.timeout_seconds))
    if _has_no_backend(snapshot, hook):
        said += "; its Service selects no pod, so that it never answers"
        service = hook.client_config.service
        facts.append(Fact(path=f"webhooks[name={hook.name}].clientConfig.service", value=service and service.name))
    spared = [n for n, labels in snapshot.namespaces.items() if not hook.is_about(labels)]
    if spared:
        more = f" and {len(spared) - 5} more" if len(spared) > 5 else ""  # noqa: PLR2004 - as many as one line takes
        said += f"; it is never asked about {', '.join(spared[:5])}{more}"
    return Answer(resource=thing.ref, outcome=Outcome.FAIL, message=said, evidence=tuple(facts), key=hook.name)


def _has_no_backend(snapshot: Snapshot, hook: Webhook) -> bool:
    """Tell whether the Service of a webhook is missing, or selects no pod that there is; only a live cluster can."""
    service = hook.client_config.service
    if service is None or snapshot.source is not SourceKind.LIVE:
        return False
    if snapshot.inconclusive((GroupKind("", "Service"), *TEMPLATE_PATHS), service.namespace):
        return False
    found = snapshot.find("", "Service", service.namespace, service.name)
    if found is None:
        return True
    selector = found.as_dict().get("spec", {}).get("selector")
    if not selector:
        return False
    here = (p for p in snapshot.of("", "Pod") if p.meta.namespace == service.namespace)
    return not any(selector.items() <= (pod.meta.labels or {}).items() for pod in here)
