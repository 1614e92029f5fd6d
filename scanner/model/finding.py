"""What was found: the outcome of one policy for one resource, with what shows it."""

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NewType

import msgspec

from scanner.model.exception import PolicyException
from scanner.model.policy import Confidence, PolicyId, Severity
from scanner.model.refs import ClusterName, ObjectRef

#: Hex digest that keeps a finding's identity over scans.
Fingerprint = NewType("Fingerprint", str)

#: 128 bits: no two of a billion findings meet, and an id stays short enough to be read out.
FINGERPRINT_BYTES = 16


class Outcome(enum.StrEnum):
    """Of one policy for one resource."""

    FAIL = "fail"
    PASS = "pass"  # noqa: S105 - not a password
    #: A read was missing; `Finding.missing` names it. Silence is never a pass.
    UNKNOWN = "unknown"


class SetBy(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Who last set a field, as the API server wrote it down in metadata.managedFields."""

    #: As the client called itself: `helm`, `kubectl-edit`.
    manager: str
    #: `Apply` or `Update`.
    operation: str = ""
    #: RFC 3339; when it last changed anything of what it manages.
    time: str = ""
    #: The field that it set, where the one in question is not set by anybody: the closest around it.
    path: str = ""


class Fact(msgspec.Struct, frozen=True, order=True, rename="camel", omit_defaults=True):
    """One fact that a person can check by hand: a field of an object and what it holds."""

    #: Path inside the object, `spec.template.spec.containers[0].image`; empty for the object itself.
    path: str = ""
    #: What is there, as JSON values; None if the field is missing. Never a secret's value.
    value: Any = None
    #: Name of the container, where the fact is about one.
    container: str = ""
    #: The object that holds it, where it is not the finding's own resource.
    object: ObjectRef | None = None
    #: What it means, where path and value don't tell.
    note: str = ""
    #: Who set it, where that is known.
    set_by: SetBy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one policy for one root owner."""

    policy: PolicyId
    outcome: Outcome
    severity: Severity
    confidence: Confidence
    resource: ObjectRef
    message: str
    #: Sorted; the smallest set that makes the outcome checkable.
    evidence: tuple[Fact, ...] = ()
    #: Tells apart findings of one policy on one resource; normalised: no order, index, hash suffix or uid in it.
    key: str = ""
    #: For `unknown`: the reads that were missing, `list secrets`.
    missing: tuple[str, ...] = ()
    frameworks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Text of a fix for this resource, where one is known.
    fix: str = ""
    #: For `fail`: why it is as it should be, in a line: "Kubernetes' own ClusterRoleBinding cluster-admin, unchanged".
    #: Such a failure is kept and can be listed, but counts nowhere and is told to nobody.
    expected: str = ""
    #: For `fail`: who accepts it, why and until when. It counts nowhere either, and is told to nobody.
    excepted: PolicyException | None = None

    @property
    def stands_out(self) -> bool:
        """Tell whether it is a failure that concerns people: one that nobody expects or accepts."""
        return self.outcome is Outcome.FAIL and not self.expected and self.excepted is None

    @property
    def containers(self) -> tuple[str, ...]:
        """The containers that the evidence names, sorted."""
        return tuple(sorted({fact.container for fact in self.evidence if fact.container}))

    def fingerprint(self, cluster: ClusterName) -> Fingerprint:
        """Return the id that stays over rollouts, restarts, rescans and upgrades.

        It is made of the policy id, the cluster, the root owner's group, kind, namespace and name (no version, no
        uid) and the evidence key.
        """
        return fingerprint(self.policy, cluster, self.resource, self.key)


def fingerprint(policy: PolicyId, cluster: ClusterName, resource: ObjectRef, key: str) -> Fingerprint:
    """Hash what identifies a finding; the parts are joined unambiguously, as JSON."""
    parts = (policy, cluster, resource.group, resource.kind, resource.namespace, resource.name, key)
    return Fingerprint(hashlib.blake2b(msgspec.json.encode(parts), digest_size=FINGERPRINT_BYTES).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What all policies say of one snapshot."""

    #: Failing and unknown outcomes, and passing ones if they were asked for; sorted by policy, resource and key.
    findings: tuple[Finding, ...]
    #: How many resources passed, by policy, whether or not their outcomes are listed.
    passed: Mapping[PolicyId, int]
    #: Policies whose reads were not all conclusive, with the namespaces concerned (`""`: everywhere). What was known of
    #: them there before stays as it is: a finding is never resolved by a read that failed.
    inconclusive: Mapping[PolicyId, frozenset[str]]
