"""How Secrets lie at rest, for a terminal and as JSON."""

from collections.abc import Iterator

import msgspec

from scanner.analysis.readiness.at_rest import AtRest, Verdict
from scanner.export.safe import printable
from scanner.export.table import Line
from scanner.model.refs import ClusterName, ObjectRef

_WORDS: dict[Verdict, str] = {
    "plain": "NOT ENCRYPTED  Secrets lie in etcd as plain text",
    "configured": "UNKNOWN  encryption is configured",
    "unknown": "UNKNOWN  whether Secrets are encrypted in etcd",
}
#: Places that are named of each store; the rest is counted.
_NAMED = 5


class StoreReport(msgspec.Struct, rename="camel"):
    """Something that keeps Secrets elsewhere or encrypts them."""

    name: str
    seen_in: tuple[ObjectRef, ...]


class AtRestReport(msgspec.Struct, rename="camel"):
    """How Secrets lie at rest."""

    cluster: ClusterName
    #: `plain`, `configured` (what the file says is unknown) or `unknown`.
    verdict: Verdict
    why: str
    stores: tuple[StoreReport, ...]


def at_rest_report(cluster: ClusterName, found: AtRest) -> AtRestReport:
    """Return the answer as JSON values."""
    stores = tuple(StoreReport(store.name, store.seen_in) for store in found.stores)
    return AtRestReport(cluster=cluster, verdict=found.verdict, why=found.why, stores=stores)


def at_rest_lines(found: AtRest) -> Iterator[Line]:
    """Return the answer as lines."""
    yield Line("unknown" if found.verdict != "plain" else "high", f"{_WORDS[found.verdict]}: {printable(found.why)}")
    if not found.stores:
        yield Line("detail", "No external store, CSI driver for Secrets or KMS plugin is seen")
    for store in found.stores:
        named = ", ".join(printable(str(ref)) for ref in store.seen_in[:_NAMED])
        more = f" and {len(store.seen_in) - _NAMED} more" if len(store.seen_in) > _NAMED else ""
        yield Line("detail", f"{store.name} is seen in {named}{more}")
