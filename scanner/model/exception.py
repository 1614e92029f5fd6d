"""Exceptions: who accepts which findings, why, and until when."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from scanner.model.policy import Severity

#: What makes a pattern of policy ids out of an id.
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which findings of a policy are meant; every field that is given must fit, so that each makes it narrower."""

    #: The finding with this id alone.
    finding: str = ""
    #: Of objects in this namespace; empty for any and none.
    namespace: str = ""
    #: Of objects of this kind: the root owner, such as a Deployment and not its pods.
    kind: str = ""
    #: Of the object with this name.
    name: str = ""
    #: Of objects that have all of these labels.
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Findings that are about this container and no other.
    container: str = ""

    @property
    def is_empty(self) -> bool:
        """Tell whether it narrows nothing."""
        return self == Scope()

    @property
    def names_one(self) -> bool:
        """Tell whether it means one finding or one object."""
        return bool(self.finding or (self.kind and self.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyException:
    """A risk that somebody accepts for a while."""

    id: str
    #: Id of a policy, or a pattern of ids such as `pods/*`.
    policy: str
    scope: Scope
    #: Who answers for it.
    owner: str
    reason: str
    ticket: str = ""
    created_by: str = ""
    expires_at: dt.datetime
    #: Nothing more severe is accepted; None: nothing more severe than when a finding was first accepted.
    severity: Severity | None = None
    #: Digests of the facts that are accepted, as `posture.exempt.digests_of` makes them; empty: those that a finding
    #: had when it was first accepted.
    evidence: frozenset[str] = frozenset()

    def is_active(self, now: dt.datetime) -> bool:
        """Tell whether it has not expired."""
        return now < self.expires_at

    @property
    def breadth(self) -> str:
        """Say why it is broader than an exception should be; empty if it is not."""
        if self.scope.is_empty:
            return "it has no scope, so it accepts what is to come anywhere"
        if _WILDCARDS & set(self.policy) and not self.scope.names_one:
            return "it accepts many policies on many objects"
        return ""
