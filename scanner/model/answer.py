"""What a question says of one resource; the engine makes a `Finding` of it."""

from dataclasses import dataclass

from scanner.model.finding import Fact, Outcome
from scanner.model.policy import Confidence, Severity
from scanner.model.refs import ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The outcome of a question for one resource."""

    resource: ObjectRef
    outcome: Outcome
    message: str
    evidence: tuple[Fact, ...] = ()
    #: Tells apart several answers about one resource; normalised as `Finding.key` is.
    key: str = ""
    #: Replaces the policy's severity where this case is better or worse.
    severity: Severity | None = None
    #: Replaces the policy's confidence where this case is surer or less sure.
    confidence: Confidence | None = None
    #: One step less severe than it would be, whether by the policy or by `severity`.
    is_milder: bool = False
    #: For `unknown`: the reads that were missing.
    missing: tuple[str, ...] = ()
    #: For `fail`: why it is as it should be, in one line; see `Finding.expected`.
    expected: str = ""
