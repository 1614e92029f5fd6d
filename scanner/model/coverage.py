"""What a scan could and could not read: the reason why an outcome may be unknown."""

import enum

import msgspec

from scanner.model.certificate import TLS_SECRETS

#: Reads of single objects by their names; every other read is a list.
READ_BY_NAME = frozenset({str(TLS_SECRETS)})


class ReadState(enum.StrEnum):
    """How reading one kind ended."""

    COMPLETE = "complete"
    #: Some objects came, not all: a page or an object could not be decoded, or the list broke off.
    PARTIAL = "partial"
    #: The API server said 403 (or 401): the scanner lacks the right.
    FORBIDDEN = "forbidden"
    #: The API server does not serve this kind: nothing of it can exist.
    ABSENT = "absent"
    #: No usable answer: timeout, 5xx, 429 until we gave up, broken JSON.
    FAILED = "failed"
    #: We did not ask, by design: Secrets unless opted in.
    SKIPPED = "skipped"


class Read(msgspec.Struct, frozen=True, order=True, rename="camel", omit_defaults=True):
    """One entry of the coverage: a list that was made, or could not be."""

    #: Plural resource with its group, as RBAC writes it: `pods`, `deployments.apps`.
    resource: str
    state: ReadState
    #: Empty for the whole cluster; set where only single namespaces may be read, or where one file broke.
    namespace: str = ""
    #: One line: what to do, or what the server said. Empty if complete.
    reason: str = ""
    count: int = 0

    @property
    def is_conclusive(self) -> bool:
        """Tell whether absence of an object in this read proves that it does not exist."""
        return self.state in {ReadState.COMPLETE, ReadState.ABSENT}

    @property
    def missing(self) -> str:
        """How a finding that lacks this read names it: `list secrets`, `list pods in shop`."""
        what = f"{'get' if self.resource in READ_BY_NAME else 'list'} {self.resource}"
        return f"{what} in {self.namespace}" if self.namespace else what
