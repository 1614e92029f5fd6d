"""Which pods Cilium's own policies isolate.

A rule isolates the endpoints that its endpointSelector selects in each direction for which it has rules, allowing or
denying; an empty list does not apply. `enableDefaultDeny` overrides that. The agent's enforcement modes `always` and
`never` are settings that no object shows; `default` is taken for granted. A selector that reads more than the labels of
pods and namespaces is left undecided.

Source: the CiliumNetworkPolicy v2 API (Rule.ingress, ingressDeny, enableDefaultDeny), and
https://docs.cilium.io/en/stable/security/policy/intro/.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from scanner.analysis.network.selection import PodLabels, selects
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.selectors import LabelSelector, Requirement
from scanner.model.snapshot import Snapshot

CILIUM_KINDS = (
    GroupKind("cilium.io", "CiliumNetworkPolicy"),
    GroupKind("cilium.io", "CiliumClusterwideNetworkPolicy"),
)

#: Sources of labels that a key may be prefixed with and that mean those of Kubernetes.
_SOURCES = ("k8s:", "any:")
#: Labels that Cilium gives every endpoint besides those of its pod.
_NAMESPACE = "io.kubernetes.pod.namespace"
_NAMESPACE_LABEL = "io.cilium.k8s.namespace.labels."
#: Labels that Cilium knows and an object does not show, such as those of the service account's policy.
_UNKNOWN = "io.cilium.k8s.policy."


class _DefaultDeny(msgspec.Struct):
    ingress: bool | None = None
    egress: bool | None = None


class _Spec(msgspec.Struct, rename="camel"):
    endpoint_selector: LabelSelector | None = None
    ingress: tuple[msgspec.Raw, ...] = ()
    ingress_deny: tuple[msgspec.Raw, ...] = ()
    egress: tuple[msgspec.Raw, ...] = ()
    egress_deny: tuple[msgspec.Raw, ...] = ()
    enable_default_deny: _DefaultDeny = msgspec.field(default_factory=_DefaultDeny)


class _Body(msgspec.Struct):
    spec: _Spec | None = None
    specs: tuple[_Spec, ...] = ()


@dataclass(frozen=True, slots=True)
class CiliumRule:
    """One rule of a Cilium policy as far as isolation goes; `selector` is None where the rule could not be read."""

    ref: ObjectRef
    selector: LabelSelector | None
    directions: frozenset[str]
    #: What Cilium adds to the labels of the pods of the namespace that the rule is asked about.
    added: Mapping[str, str]

    def isolates(self, direction: str) -> bool:
        """Tell whether it isolates the pods that it selects, `ingress` or `egress`."""
        return direction in self.directions

    def selects(self, pod: PodLabels) -> bool | None:
        """Tell whether it selects a pod; None if that depends on labels that are not known."""
        if self.selector is None:
            return None
        return selects(self.selector, replace(pod, labels={**pod.labels, **self.added}))


def cilium_rules(snapshot: Snapshot, namespace: str) -> tuple[CiliumRule, ...]:
    """Return the rules that concern the pods of a namespace: its own and the cluster's."""
    labels = snapshot.namespaces.get(namespace, {})
    added = {_NAMESPACE: namespace} | {f"{_NAMESPACE_LABEL}{k}": v for k, v in labels.items()}
    return tuple(
        replace(rule, added=added) for rule in snapshot.derive(_all_rules) if rule.ref.namespace in {"", namespace}
    )


def _all_rules(snapshot: Snapshot) -> tuple[CiliumRule, ...]:
    return tuple(rule for kind in CILIUM_KINDS for o in snapshot.of(*kind) for rule in _rules_of(o))


def _rules_of(policy: KubeObject) -> Iterator[CiliumRule]:
    """Yield the rules of a policy on endpoints; those on nodes concern no pod."""
    try:
        body = policy.decode(_Body)
    except msgspec.ValidationError:  # only a file can hold what the schema of Cilium refuses
        yield CiliumRule(policy.ref, None, frozenset({"ingress", "egress"}), {})
        return
    for spec in (*((body.spec,) if body.spec else ()), *body.specs):
        directions = frozenset(_directions(spec))
        if spec.endpoint_selector is not None and directions:
            yield CiliumRule(policy.ref, _plain(spec.endpoint_selector), directions, {})


def _directions(spec: _Spec) -> Iterator[str]:
    deny = spec.enable_default_deny
    if deny.ingress if deny.ingress is not None else bool(spec.ingress or spec.ingress_deny):
        yield "ingress"
    if deny.egress if deny.egress is not None else bool(spec.egress or spec.egress_deny):
        yield "egress"


def _plain(selector: LabelSelector) -> LabelSelector | None:
    """Return a selector with keys as Kubernetes writes them; None if it reads labels that are not known."""
    labels = {_key(k): v for k, v in (selector.match_labels or {}).items()}
    expressions = tuple(Requirement(_key(r.key), r.operator, r.values) for r in selector.match_expressions or ())
    keys = {*labels, *(r.key for r in expressions)}
    if any(":" in key or key.startswith(_UNKNOWN) for key in keys):
        return None
    return LabelSelector(match_labels=labels or None, match_expressions=expressions or None)


def _key(key: str) -> str:
    """Drop a prefix that means Kubernetes; any other source stays visible by its colon."""
    source = next((s for s in _SOURCES if key.startswith(s)), "")
    return key.removeprefix(source)
