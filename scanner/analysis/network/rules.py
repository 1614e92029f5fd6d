"""Rules of network policies, of whatever kind, in one shape: what the readers of each kind make, and what is evaluated.

Nothing here knows which pods there are: a peer is a claim about pods and addresses, a port one about numbers and names.
"""

import enum
from dataclasses import dataclass
from typing import TypeAlias

from scanner.analysis.network.ports import Span
from scanner.model.refs import ObjectRef
from scanner.model.selectors import LabelSelector


class Tier(enum.IntEnum):
    """When policies are asked, lowest first; each tier leaves to the next what it does not decide.

    Source: https://network-policy-api.sigs.k8s.io/api-overview/, and for the first Cilium's "deny takes precedence".
    """

    PLUGIN_DENY = 0
    ADMIN = 1
    NETWORK_POLICY = 2
    BASELINE = 3


class Direction(enum.StrEnum):
    """Seen from the pods that a policy selects."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Action(enum.StrEnum):
    """What a rule does with the traffic that it matches."""

    ALLOW = "Allow"
    DENY = "Deny"
    #: Leave it to the next tier.
    PASS = "Pass"  # noqa: S105 - a word of the policy API
    #: The rule cannot be read: any of the above.
    UNDECIDED = "Undecided"


class HostPods(enum.StrEnum):
    """What a selector of pods means for those on the network of their node."""

    #: Network plugins differ.
    PLUGIN = "plugin"
    NEVER = "never"
    #: As with all others.
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods by label; `namespaces` is None for those of one namespace."""

    pods: LabelSelector
    namespaces: LabelSelector | None = None
    namespace: str = ""
    host_pods: HostPods = HostPods.PLUGIN


class BlockMeaning(enum.StrEnum):
    """Which pods a block of addresses means besides what is outside the cluster."""

    #: None.
    OUTSIDE = "outside"
    #: Those that have such an address.
    PODS = "pods"
    #: All, if the block is all that there is; any may be, if it is all of IPv4 or of IPv6; else none.
    WHOLE = "whole"
    #: Network plugins differ in whether pods with such an address are meant.
    PLUGIN = "plugin"


@dataclass(frozen=True, slots=True)
class Block:
    """Addresses, in spans of the line of `addresses`."""

    spans: tuple[Span, ...]
    meaning: BlockMeaning


@dataclass(frozen=True, slots=True)
class Nodes:
    """The addresses of nodes, and with them the pods on the network of these nodes."""

    nodes: LabelSelector


@dataclass(frozen=True, slots=True)
class Entities:
    """Groups that Cilium names."""

    #: All that is in the cluster.
    cluster: bool = False
    #: All that is not.
    world: bool = False


@dataclass(frozen=True, slots=True)
class Everyone:
    """Every pod and every address."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """Nobody can tell from the objects which peers are meant."""

    reason: str
    #: Only addresses outside the cluster come into question.
    outside_only: bool = False


Peer: TypeAlias = Pods | Block | Nodes | Entities | Everyone | Undecided


@dataclass(frozen=True, slots=True)
class NamedPort:
    """A port by its name in the pod that is connected to; an empty protocol is any."""

    name: str
    protocol: str = ""


Port: TypeAlias = Span | NamedPort


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule in one direction. Several peers, or ports, are alternatives; `ports` None is every port."""

    action: Action
    peers: tuple[Peer, ...]
    ports: tuple[Port, ...] | None
    #: Where it stands: `spec.ingress[0]`.
    path: str
    #: The name that the policy gives it, if any.
    name: str = ""
    #: Why it is not certain that the rule means these peers, empty if it is.
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy: the rules for the pods that it selects, in order.

    In the tier of NetworkPolicies the selected pods are isolated in each direction that has an entry, and rules have no
    order; in the others the first rule that matches decides, and no rule leaves the traffic alone.
    """

    ref: ObjectRef
    tier: Tier
    subject: Pods | Undecided
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None
    #: Within the tier, lowest first.
    priority: int = 0
    #: Why it is not certain that there is such a policy; empty if it is.
    doubt: str = ""

    def rules(self, direction: Direction) -> tuple[Rule, ...] | None:
        """Return the rules of a direction; None where the policy does not concern it."""
        return self.ingress if direction is Direction.INGRESS else self.egress
