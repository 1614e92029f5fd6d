"""What people are told after a scan: changes, or one summary if everything is new."""

import datetime as dt
import enum

import msgspec

from scanner.model.finding import Fingerprint
from scanner.model.policy import PolicyId, Severity
from scanner.model.refs import ClusterName, ObjectRef


class Transition(enum.StrEnum):
    """How the state of a finding changed."""

    OPENED = "opened"
    RESOLVED = "resolved"
    #: It had been resolved and is back, under the same id.
    REGRESSED = "regressed"
    #: It stays open, and is more severe than when people were last told of it.
    WORSENED = "worsened"
    #: Somebody has seen it and deals with it. This and the next are what people do; history keeps them, nobody is told.
    ACKNOWLEDGED = "acknowledged"
    #: Somebody took that back.
    UNACKNOWLEDGED = "unacknowledged"


#: What scans find out, and people are told.
FOUND_BY_SCANS = (Transition.OPENED, Transition.RESOLVED, Transition.REGRESSED, Transition.WORSENED)


class Change(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One finding whose state changed."""

    transition: Transition
    finding: Fingerprint
    policy: PolicyId
    title: str
    severity: Severity
    resource: ObjectRef
    message: str


class Announcement(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What one scan has to tell: a summary after the first scan of a cluster, else its changes, worst first."""

    cluster: ClusterName
    scan: str
    at: dt.datetime
    #: Open findings of the cluster by severity.
    open_by_severity: dict[Severity, int]
    #: Empty for a summary.
    changes: tuple[Change, ...] = ()
    is_summary: bool = False
    #: Whether the coverage was complete; if not, people must know that silence means little.
    is_complete: bool = True
