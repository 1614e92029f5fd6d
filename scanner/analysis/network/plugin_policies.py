"""Antrea's policies, of which only that they are there is evaluated: which pods they concern, in which direction.

Those pods are undecided in that direction. `appliedTo` stands in the policy or in each of its rules; what it says other
than by labels of pods and namespaces may mean any pod.

Source: https://antrea.io/docs/main/docs/antrea-network-policy/ (appliedTo, ACNP and ANNP), crd.antrea.io/v1beta1.
"""

from collections.abc import Iterator

import msgspec

from scanner.analysis.network.rules import Action, AnyOf, HostPods, Peer, Pods, Policy, Rule, Tier, Undecided
from scanner.analysis.network.selectors import complaint
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot

PLUGIN_KINDS: tuple[GroupKind, ...] = (
    GroupKind("crd.antrea.io", "NetworkPolicy"),
    GroupKind("crd.antrea.io", "ClusterNetworkPolicy"),
)


class _AppliedTo(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None


class _Rule(msgspec.Struct, rename="camel"):
    applied_to: tuple[msgspec.Raw, ...] | None = None


class _Spec(msgspec.Struct, rename="camel"):
    applied_to: tuple[msgspec.Raw, ...] | None = None
    ingress: tuple[_Rule, ...] | None = None
    egress: tuple[_Rule, ...] | None = None


class _Body(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


def plugin_policies(snapshot: Snapshot) -> Iterator[Policy]:
    """Yield each of them as a policy that may do anything with the pods that it is applied to."""
    for kind in PLUGIN_KINDS:
        for o in snapshot.of(*kind):
            yield from _policies(o)


def _policies(policy: KubeObject) -> Iterator[Policy]:
    """Yield a policy for each direction that has rules; without any, it changes nothing."""
    try:
        spec = policy.decode(_Body).spec
    except msgspec.ValidationError:  # only a file can hold what the schema of Antrea refuses
        spec = _Spec(ingress=(_Rule(),), egress=(_Rule(),))
    undecided = (Rule(Action.UNDECIDED, (Undecided(f"the rules of {policy.ref} are not evaluated"),), None, "spec"),)
    for rules, is_ingress in ((spec.ingress, True), (spec.egress, False)):
        if rules:
            applied = [one for rule in rules for one in rule.applied_to or spec.applied_to or (msgspec.Raw(b"{}"),)]
            yield Policy(
                ref=policy.ref,
                tier=Tier.PLUGIN_DENY,
                subject=AnyOf(tuple(_subject(policy, one) for one in dict.fromkeys(map(bytes, applied)))),
                ingress=undecided if is_ingress else None,
                egress=None if is_ingress else undecided,
            )


def _subject(policy: KubeObject, applied: bytes) -> Peer:
    """Return which pods one entry of `appliedTo` means, as far as labels tell."""
    namespace = policy.meta.namespace
    try:
        found = msgspec.json.decode(applied, type=_AppliedTo)
    except msgspec.ValidationError:  # a group, a service account, a Service or a node
        found = _AppliedTo()
    pods, namespaces = found.pod_selector or LabelSelector(), found.namespace_selector or LabelSelector()
    if complaint(pods) or complaint(namespaces):
        pods = namespaces = LabelSelector()
    return Pods(pods, None if namespace else namespaces, namespace, HostPods.PLUGIN)
