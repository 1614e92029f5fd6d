"""Policies of network plugins that are not evaluated: which pods they may concern, and so cannot be decided.

A pod that such a policy selects, or may select, is undecided in both directions.
"""

from collections.abc import Iterator

from scanner.analysis.network.rules import Action, HostPods, Pods, Policy, Rule, Tier, Undecided
from scanner.model.refs import GroupKind
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot

PLUGIN_KINDS: tuple[GroupKind, ...] = (
    GroupKind("crd.antrea.io", "NetworkPolicy"),
    GroupKind("crd.antrea.io", "ClusterNetworkPolicy"),
)


def plugin_policies(snapshot: Snapshot) -> Iterator[Policy]:
    """Yield each of them as a policy that may do anything with the pods of its namespace, or of the cluster."""
    for kind in PLUGIN_KINDS:
        for o in snapshot.of(*kind):
            everywhere = None if o.meta.namespace else LabelSelector()
            rule = Rule(Action.UNDECIDED, (Undecided(f"the rules of {o.ref} are not evaluated"),), None, "spec")
            yield Policy(
                ref=o.ref,
                tier=Tier.PLUGIN_DENY,
                subject=Pods(LabelSelector(), everywhere, o.meta.namespace, HostPods.PLUGIN),
                ingress=(rule,),
                egress=(rule,),
            )
