"""Rules of network policies, of whatever kind, in one shape: what the readers of each kind make, and what is evaluated.

Nothing here knows which pods there are: a peer is a claim about pods and addresses, a port one about numbers and names.
"""

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from scanner.analysis.network.ports import Span
from scanner.model.refs import ObjectRef
from scanner.model.selectors import LabelSelector


class End(enum.Enum):
    """What becomes of traffic that no rule of a tier decides, where a policy of it applies."""

    #: The next tier is asked.
    NEXT = "next"
    #: It is denied: such policies isolate the pods that they are for.
    DENY = "deny"


@dataclass(frozen=True, slots=True, order=True)
class Tier:
    """Policies that are asked together; tiers are asked by order, then by name, and leave to the next what they pass.

    Source: https://network-policy-api.sigs.k8s.io/api-overview/; for the numbers, which leave room for tiers of one's
    own between, and for the names https://docs.tigera.io/calico/latest/network-policy/policy-tiers/tiered-policy; for
    what comes first, Cilium's "deny takes precedence".
    """

    order: float
    name: str
    end: End = field(default=End.NEXT, compare=False)
    #: Whether pods and the nodes that they run on may reach each other whatever its policies say.
    spares_nodes: bool = field(default=False, compare=False)

    PLUGIN_DENY: ClassVar["Tier"]
    ADMIN: ClassVar["Tier"]
    NETWORK_POLICY: ClassVar["Tier"]
    BASELINE: ClassVar["Tier"]


Tier.PLUGIN_DENY = Tier(-math.inf, "plugin")
Tier.ADMIN = Tier(1000, "kube-admin")
Tier.NETWORK_POLICY = Tier(1_000_000, "default", End.DENY, spares_nodes=True)
Tier.BASELINE = Tier(10_000_000, "kube-baseline")


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
    #: They alone are meant.
    ONLY = "only"


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


class TestKind(enum.StrEnum):
    """How a label is compared."""

    HAS = "has"
    EQUALS = "=="
    CONTAINS = "contains"
    STARTS_WITH = "starts with"
    ENDS_WITH = "ends with"


@dataclass(frozen=True, slots=True)
class LabelTest:
    """Pods with a label that has, or holds, a value.

    Keys are those of the pod; of its namespace behind `pcns.`, of its service account behind `pcsa.`; and the few that
    Calico adds. It is only asked within `Selected`.
    """

    key: str
    kind: TestKind
    value: str = ""


@dataclass(frozen=True, slots=True)
class Selected:
    """Pods by an expression over `LabelTest`; of one namespace, or of any where it is empty."""

    pods: "Peer"
    namespace: str = ""
    host_pods: HostPods = HostPods.NEVER


@dataclass(frozen=True, slots=True)
class AllOf:
    """Whom every part means; everyone, if there is none."""

    parts: tuple["Peer", ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Whom one of the parts means; nobody, if there is none."""

    parts: tuple["Peer", ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """Whom the part does not mean."""

    part: "Peer"


Peer: TypeAlias = Pods | Block | Nodes | Entities | Everyone | Undecided | LabelTest | Selected | AllOf | AnyOf | Not


def parts_of(peer: Peer) -> Iterator[Peer]:
    """Yield a claim and all that it is made of, except what stands within `Selected`."""
    yield peer
    match peer:
        case AllOf(parts=parts) | AnyOf(parts=parts):
            for part in parts:
                yield from parts_of(part)
        case Not(part=part):
            yield from parts_of(part)
        case _:
            return


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

    The first rule that matches decides. In a tier that ends with a denial the selected pods are isolated in each
    direction that has an entry; in the others no rule leaves the traffic alone.
    """

    ref: ObjectRef
    tier: Tier
    subject: Peer
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None
    #: Within the tier, lowest first.
    priority: float = 0
    #: Among those of one priority, policies of one series are asked by `place`; series, and policies without one, among
    #: each other in no order that anyone promises.
    series: str = ""
    place: str = ""
    #: Why it is not certain that there is such a policy; empty if it is.
    doubt: str = ""

    def rules(self, direction: Direction) -> tuple[Rule, ...] | None:
        """Return the rules of a direction; None where the policy does not concern it."""
        return self.ingress if direction is Direction.INGRESS else self.egress
