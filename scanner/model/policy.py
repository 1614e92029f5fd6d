"""A policy: one question about the cluster, and everything that anyone says about it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NewType

#: `<area>/<name>`, the path of its folder; forever.
PolicyId = NewType("PolicyId", str)


class Severity(enum.StrEnum):
    """How bad it is if true."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Its place in the order: low is 0, critical is 3."""
        return list(Severity).index(self)

    @property
    def milder(self) -> "Severity":
        """The next lower one; the lowest stays."""
        return list(Severity)[max(self.rank - 1, 0)]


class Confidence(enum.StrEnum):
    """How sure a failing outcome is."""

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


class Chapter(enum.StrEnum):
    """A chapter of the readiness report; in the order of the report."""

    HIGH_AVAILABILITY = "high-availability"
    PERFORMANCE = "performance"
    SECURITY = "security"
    MONITORING = "monitoring"
    LOGGING = "logging"
    OPERATIONS = "operations"

    @property
    def heading(self) -> str:
        """Its title, for people."""
        return _HEADINGS.get(self, self.value.replace("-", " ").capitalize())


#: Headings that say more than the word.
_HEADINGS = {Chapter.PERFORMANCE: "Performance and scalability"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy as its file says it; exactly one of `forbid` and `ask` is set."""

    id: PolicyId
    title: str
    severity: Severity
    confidence: Confidence
    rationale: str
    remediation: str
    #: Framework id to control ids.
    frameworks: Mapping[str, tuple[str, ...]]
    sources: tuple[str, ...]
    #: `container`, `workload`, or a kind such as `Ingress.networking.k8s.io`; what `forbid` judges.
    subject: str = ""
    #: For a policy on containers: the roles that it judges, as in `model.workload.ContainerRole`; all by default.
    container_roles: tuple[str, ...] = ("init", "sidecar", "regular", "ephemeral")
    #: CEL over the subject; true means that the policy fails.
    forbid: str = ""
    #: CEL that makes the message of a failing outcome; empty for the title.
    message: str = ""
    #: Field of the subject that the evidence points at, e.g. `securityContext.privileged`.
    field_path: str = ""
    #: Name of a question in `policy.questions`, e.g. `rbac.subjects_who_can`, and its arguments.
    ask: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    #: Fields of what it judges and the values that make it pass, see `policy.edits`; empty if no such values are known.
    fix: Mapping[str, Any] = field(default_factory=dict)
    #: What a person must decide before it can be fixed, where no value is right for everybody.
    decision: str = ""
    #: What to write once that is decided, with gaps to fill in.
    template: str = ""
    #: Ids that this policy had before.
    formerly: tuple[PolicyId, ...] = ()
    #: The chapter of the readiness report that it decides; None for policies that are no part of that.
    chapter: Chapter | None = None

    @property
    def area(self) -> str:
        """The first part of the id: `rbac`, `network`, `pods`, `secrets`, `readiness`, `paths` or `platform`."""
        return self.id.partition("/")[0]
