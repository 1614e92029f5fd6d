"""Fixes for stored findings about RBAC, made when someone asks, from the roles and bindings of the last stored scan."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from scanner.model.change import Operation
from scanner.model.finding import Finding
from scanner.model.policy import Policy, PolicyId
from scanner.policy.evaluate import evaluate
from scanner.policy.fixes import AREA, Fixes, fixes_of
from scanner.service.grants import Grants

#: Taste: as many policies as a person reads findings of at a time.
_KEPT = 16


@dataclass(frozen=True, slots=True)
class _Judged:
    """What one policy says of the roles and bindings of one scan."""

    findings: Mapping[str, Finding]
    fixes: Fixes


class LastFixes:
    """Makes fixes, judging by each policy once a scan; may be used by several threads."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: OrderedDict[tuple[str, str, PolicyId], _Judged] = OrderedDict()
        self._turn = threading.Lock()

    def of(self, grants: Grants, policy: Policy, finding_id: str) -> tuple[Operation, ...]:
        """Return what ends a finding; nothing if it takes more than roles and bindings to judge or to end it."""
        if not policy.id.startswith(AREA):
            return ()
        with self._turn:  # judging ten thousand bindings takes a second; two who ask at once would both do it
            judged = self._judged(grants, policy)
            finding = judged.findings.get(finding_id)
            return judged.fixes.of(finding).operations if finding else ()

    def _judged(self, grants: Grants, policy: Policy) -> _Judged:
        key = (grants.snapshot.cluster, grants.scan_id, policy.id)
        if key not in self._known:
            snapshot = grants.snapshot
            found = evaluate(snapshot, [policy], now=snapshot.taken_at).findings
            by_id = {finding.fingerprint(snapshot.cluster): finding for finding in found}
            fixes = fixes_of(snapshot, [policy], found, now=snapshot.taken_at)
            self._known[key] = _Judged({str(id_): finding for id_, finding in by_id.items()}, fixes)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]
