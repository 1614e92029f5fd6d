"""Risks that admission already keeps out of new pods: what a finding says then, and how much less it weighs.

A finding is blocked if in each object that its evidence points into, admission refuses new pods for a field that the
evidence is about:

- by the Pod Security level that the workload's namespace enforces: a field that the level forbids is that of the
  evidence, below it, or (for policies that follow that level of the standards) above it or what mounts it;
- by a ValidatingAdmissionPolicy, bound there to deny and with `failurePolicy: Fail`, that refuses a pod made from the
  template, and would not for the same reason if the fields of the evidence were not set.

Both judge pods as mutation left them, so that a pod with that field is never let in, whatever is changed before. A
policy that sees other kinds alone stops no pod of a workload that is there. What a policy says of who asks or of names
does not count: new pods have other names.

A blocked finding is one severity milder, unless pods of the workload run that were let in before, or it is not known
whether some do. Its identity stays.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from scanner.analysis.pods.admission import enforced_standards, unknown_of
from scanner.analysis.pods.standards.verdicts import verdicts
from scanner.analysis.pods.standards.versions import Level, Minor
from scanner.errors import PolicyError
from scanner.model.finding import Finding
from scanner.model.objects import KubeObject, ObjectMeta
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.templates import POD
from scanner.model.workload import PodTemplate, Workload
from scanner.policy.admission import AdmissionResult, audit, texts_of
from scanner.policy.paths import Step, steps_of
from scanner.policy.vap import BINDING, POLICY, BindingBody, PolicyBody

#: The framework under which a policy names the levels that forbid what it forbids.
_STANDARDS = "pod-security"
_CONTAINER = re.compile(r"\.(containers|initContainers|ephemeralContainers)\[\d+\]$")
_HOST_PATH = re.compile(r"\.volumes\[\d+\]\.hostPath(\.|$)")
#: What a policy reads that is another in each pod, or of which nothing is known before it is created.
_READS_MORE = re.compile(r"\b(request|authorizer|status)\b|\bmetadata\b(?!\s*\.\s*\??(namespace|labels|annotations)\b)")

#: The paths of evidence by the object that holds them, None for the resource itself.
_Paths = Mapping[ObjectRef | None, frozenset[str]]


def weighed(snapshot: Snapshot, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Give findings as they are, but those that admission blocks with that in their message, and milder."""
    barriers = _Barriers(snapshot)
    if not barriers.are_any:
        yield from findings
        return
    kept = list(findings)
    concerned = {f.resource for f in kept if f.stands_out and f.resource in barriers.workloads}
    barriers.judge(concerned)
    for finding in kept:
        if finding.stands_out and finding.resource in concerned:
            yield _weighed(barriers, finding)
        else:
            yield finding


def _weighed(barriers: "_Barriers", finding: Finding) -> Finding:
    by = barriers.blocking(finding)
    if not by:
        return finding
    older = barriers.older_pods(finding.resource)
    severity = finding.severity if older else finding.severity.milder
    said = f"new pods of it are refused by {by}"
    return replace(finding, severity=severity, message=f"{finding.message}; {said}{older and f', but {older}'}")


def _older_pods(snapshot: Snapshot, workload: Workload) -> str:
    """Say which pods of a workload admission did not keep out; empty if there are none."""
    if any(pod.status.phase and not pod.status.is_terminated for pod in workload.pods):
        return "pods that run were let in before"
    if snapshot.source is SourceKind.LIVE and snapshot.inconclusive((POD,), workload.ref.namespace):
        return "whether older ones run was not read"
    return ""


class _Barriers:
    """What keeps pods out, by namespace, and what of each workload."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Read labels and policies; no workload is judged yet."""
        self._snapshot = snapshot
        self._standards = enforced_standards(snapshot)
        self._caveat = " (if nothing exempts them, which is not known)" if unknown_of(snapshot) else ""
        self._admission = _Denying(snapshot)
        self.are_any = bool(self._standards or self._admission.policies)
        self.workloads = {w.ref: w for w in snapshot.workloads} if self.are_any else {}
        self._forbidden: dict[ObjectRef, _Paths] = {}
        self._older: dict[ObjectRef, str] = {}

    def judge(self, concerned: Iterable[ObjectRef]) -> None:
        """Judge these workloads by what their namespace enforces, each distinct template and level once."""
        by_standard: dict[tuple[Level, Minor], list[Workload]] = defaultdict(list)
        for ref in sorted(concerned):
            if ref.namespace in self._standards:
                by_standard[self._standards[ref.namespace]].append(self.workloads[ref])
        for (level, minor), workloads in by_standard.items():
            for verdict in verdicts(workloads, level, minor):
                self._forbidden[verdict.resource] = _by_holder(
                    verdict.resource, ((f.object, f.path) for check in verdict.forbidden for f in check.evidence)
                )

    def older_pods(self, resource: ObjectRef) -> str:
        """Say which pods of a workload admission did not keep out, as far as is known."""
        if resource not in self._older:
            self._older[resource] = _older_pods(self._snapshot, self.workloads[resource])
        return self._older[resource]

    def blocking(self, finding: Finding) -> str:
        """Name what refuses new pods for what a finding is about; empty if nothing does."""
        paths = _by_holder(finding.resource, ((fact.object, fact.path) for fact in finding.evidence if fact.path))
        if not paths:
            return ""
        forbidden = self._forbidden.get(finding.resource, {})
        namespace = finding.resource.namespace
        if forbidden:
            level = self._standards[namespace][0]
            follows = _follows(finding, level)
            if all(_meet(own, forbidden.get(holder, frozenset()), follows=follows) for holder, own in paths.items()):
                return f"Pod Security {level} of namespace {namespace}{self._caveat}"
        return self._admission.refusing(self.workloads[finding.resource], paths)


def _by_holder(resource: ObjectRef, found: Iterable[tuple[ObjectRef | None, str]]) -> _Paths:
    paths: dict[ObjectRef | None, set[str]] = {}
    for holder, path in found:
        paths.setdefault(None if holder == resource else holder, set()).add(path)
    return {holder: frozenset(own) for holder, own in paths.items()}


def _follows(finding: Finding, level: Level) -> bool:
    """Tell whether a level forbids all that the policy of a finding does: restricted has what baseline has."""
    named = finding.frameworks.get(_STANDARDS, ())
    return Level.BASELINE in named or level in named


def _meet(own: frozenset[str], forbidden: frozenset[str], *, follows: bool) -> bool:
    """Tell whether a path of the evidence is about a field that is forbidden."""
    if not own.isdisjoint(forbidden):
        return True
    return any(_is_about(path, other, follows=follows) for path in own for other in forbidden)


def _is_about(path: str, forbidden: str, *, follows: bool) -> bool:
    if path.startswith((f"{forbidden}.", f"{forbidden}[")):
        return True
    if not follows or path.endswith("spec") or _CONTAINER.search(path):
        return False
    if path.endswith(".volumeMounts"):
        return bool(_HOST_PATH.search(forbidden))
    return forbidden.startswith((f"{path}.", f"{path}["))


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Which expression of which policy refuses a pod."""

    policy: str
    binding: str
    path: str


class _Denying:
    """The ValidatingAdmissionPolicies that can keep pods out."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Find those that are bound to deny, do not let pods by when they break, and read nothing but the pod."""
        self._snapshot = snapshot
        self._bindings = [b for b in snapshot.of(*BINDING) if _denies(b)]
        self.policies = [p for p in snapshot.of(*POLICY) if any(_binds(b, p) for b in self._bindings) and _keeps_out(p)]
        self._refusals: dict[object, frozenset[_Refusal]] = {}

    def refusing(self, workload: Workload, paths: _Paths) -> str:
        """Name a policy that refuses the pods of each template for these fields, were they not set it would not."""
        if not self.policies:
            return ""
        templates = {None if t.owner == workload.ref else t.owner: t for t in workload.templates}
        if not paths.keys() <= templates.keys():
            return ""
        named = [self._because(templates[holder], workload.ref.namespace, own) for holder, own in paths.items()]
        return next(iter(sorted(frozenset.intersection(*named))), "")

    def _because(self, template: PodTemplate, namespace: str, paths: frozenset[str]) -> frozenset[str]:
        inside = [
            p.removeprefix(f"{template.path}.") for p in paths if p.startswith(f"{template.path}.") and _is_plain(p)
        ]
        refused = self._refused(template, namespace, ()) if inside else frozenset()
        if not refused:
            return frozenset()
        freed = refused - self._refused(template, namespace, tuple(sorted(inside)))
        return frozenset(f"ValidatingAdmissionPolicy {r.policy}, bound by {r.binding}" for r in freed)

    def _refused(self, template: PodTemplate, namespace: str, without: tuple[str, ...]) -> frozenset[_Refusal]:
        """Say what refuses a pod of a template without some fields, once for equal templates of a namespace."""
        meta = (tuple(sorted(template.labels.items())), tuple(sorted(template.annotations.items())))
        # Equal specs of one snapshot are one value, which lives as long as its workloads do.
        key = (id(template.spec), meta, namespace, without)
        if key not in self._refusals:
            pod = _pod_of(template, namespace, without)
            found = self._audited(pod)
            self._refusals[key] = frozenset(found)
        return self._refusals[key]

    def _audited(self, pod: KubeObject) -> Iterator[_Refusal]:
        for policy in self.policies:
            bindings = [b for b in self._bindings if _binds(b, policy)]
            try:
                outcomes = audit([policy], bindings, [], self._snapshot, objects=[pod])
            except PolicyError:  # malformed: its own finding says so
                continue
            for outcome in outcomes:
                if outcome.result is AdmissionResult.DENIED:
                    yield _Refusal(outcome.policy, outcome.binding, outcome.path)


def _binds(binding: KubeObject, policy: KubeObject) -> bool:
    return binding.decode(BindingBody).spec.policy_name == policy.meta.name


def _denies(binding: KubeObject) -> bool:
    """Tell whether a binding denies; one in a file that is none does not."""
    try:
        return "Deny" in (binding.decode(BindingBody).spec.validation_actions or ())
    except msgspec.ValidationError:
        return False


def _keeps_out(policy: KubeObject) -> bool:
    """Tell whether a policy refuses what it cannot judge, and reads nothing but the pod; malformed ones do not."""
    try:
        spec = policy.decode(PolicyBody).spec
    except msgspec.ValidationError:
        return False
    return spec.failure_policy == "Fail" and not any(_READS_MORE.search(text) for text in texts_of(spec))


def _is_plain(path: str) -> bool:
    """Tell whether a path is one of keys and indexes; what questions write may be more."""
    try:
        steps_of(path)
    except ValueError:
        return False
    return True


def _pod_of(template: PodTemplate, namespace: str, without: Sequence[str]) -> KubeObject:
    """Make the pod that a controller would create from a template, without some fields of its spec."""
    spec: Any = template.spec
    if without:
        spec = msgspec.json.decode(msgspec.json.encode(spec))
        # From the last item of a list to the first, so that indexes stay what they were.
        for path in sorted((steps_of(p) for p in without), key=str, reverse=True):
            _clear(spec, path)
    meta = ObjectMeta(namespace=namespace, labels=dict(template.labels), annotations=dict(template.annotations))
    return KubeObject(api_version="v1", kind="Pod", meta=meta, body=msgspec.json.encode({"spec": spec}))


def _clear(spec: Any, path: Sequence[Step]) -> None:
    """Take a field out of a PodSpec; a list becomes empty."""
    *above, last = path
    for step in above:
        match spec, step:
            case dict(), str() if step in spec:
                spec = spec[step]
            case list(), int() if step < len(spec):
                spec = spec[step]
            case _:
                return
    match spec, last:
        case dict(), str() if isinstance(spec.get(last), list):
            spec[last] = []
        case dict(), str():
            spec.pop(last, None)
        case list(), int() if last < len(spec):
            del spec[last]
        case _:
            return
