"""PodDisruptionBudgets: whether a drain of nodes takes too much away, or cannot go on at all."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from scanner.analysis.readiness.doubt import doubted
from scanner.analysis.readiness.scale import scale_of
from scanner.analysis.readiness.selected import Selected
from scanner.model.answer import Answer
from scanner.model.availability import DisruptionBudgetBody, DisruptionBudgetSpec
from scanner.model.finding import Fact, Outcome
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import Workload

BUDGET = GroupKind("policy", "PodDisruptionBudget")
_POD = GroupKind("", "Pod")
#: Drains leave the pods of DaemonSets where they are.
_DAEMON_SET = GroupKind("apps", "DaemonSet")


@dataclass(frozen=True, slots=True)
class Budget:
    """A PodDisruptionBudget."""

    ref: ObjectRef
    spec: DisruptionBudgetSpec

    def covers(self, workload: Workload) -> bool:
        """Tell whether it selects the pods that a workload's template makes."""
        selector = self.spec.selector
        return selector is not None and selector.matches(workload.template.labels)

    @property
    def fact(self) -> Fact:
        """The field that says how many pods must stay."""
        if self.spec.max_unavailable is not None:
            return Fact(path="spec.maxUnavailable", value=self.spec.max_unavailable)
        return Fact(path="spec.minAvailable", value=self.spec.min_available)


def budgets_by_namespace(snapshot: Snapshot) -> Mapping[str, Sequence[Budget]]:
    """Return the budgets of each namespace."""
    found: dict[str, list[Budget]] = defaultdict(list)
    for budget in snapshot.of(*BUDGET):
        found[budget.meta.namespace].append(Budget(budget.ref, budget.decode(DisruptionBudgetBody).spec))
    return found


def replicated_without_budget(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which workloads always run two or more pods that no budget keeps from being evicted together."""
    del now  # nothing here depends on the time
    return (doubted(_unprotected(snapshot, workload), snapshot, BUDGET) for workload in snapshot.workloads)


def overlapping_budgets(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which workloads have pods that more than one budget selects: the API server then refuses every eviction.

    Source: kubernetes/pkg/registry/core/pod/storage/eviction.go, EvictionREST.Create.
    """
    del now  # nothing here depends on the time
    for workload in snapshot.workloads:
        budgets = [] if workload.ref.group_kind == _DAEMON_SET else _budgets_of(snapshot, workload)
        if len(budgets) <= 1:
            yield Answer(resource=workload.ref, outcome=Outcome.PASS, message="At most one budget covers its pods")
        else:
            names = ", ".join(budget.ref.name for budget in budgets)
            yield Answer(
                resource=workload.ref,
                outcome=Outcome.FAIL,
                message=f"Its pods cannot be evicted: several PodDisruptionBudgets cover them ({names})",
                evidence=tuple(Fact(path="spec.selector", object=budget.ref) for budget in budgets),
            )


def budgets_that_block_drains(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which budgets never allow an eviction, even with all pods healthy, at the fewest pods that there may be.

    A budget that covers no pods blocks nothing (in manifests, they may be elsewhere: unknown); nor do the pods of
    DaemonSets, which drains leave alone.
    """
    del now  # nothing here depends on the time
    covered: dict[ObjectRef, list[Workload]] = defaultdict(list)
    for workload in snapshot.workloads:
        if workload.ref.group_kind != _DAEMON_SET:
            for budget in _budgets_of(snapshot, workload):
                covered[budget.ref].append(workload)
    for budgets in snapshot.derive(budgets_by_namespace).values():
        for budget in budgets:
            yield _blocking(snapshot, budget, covered[budget.ref])


def _unprotected(snapshot: Snapshot, workload: Workload) -> Answer:
    scale = scale_of(snapshot, workload)
    if scale is None or scale.fewest <= 1 or _budgets_of(snapshot, workload):
        return Answer(resource=workload.ref, outcome=Outcome.PASS, message="Covered by a budget, or not replicated")
    return Answer(
        resource=workload.ref,
        outcome=Outcome.FAIL,
        message=f"No PodDisruptionBudget covers its {scale.fewest} or more pods",
        evidence=(scale.fact,),
    )


def _budgets_of(snapshot: Snapshot, workload: Workload) -> list[Budget]:
    index = snapshot.derive(_index).get(workload.ref.namespace)
    candidates = index.candidates(workload.template.labels) if index else ()
    return [budget for budget in candidates if budget.covers(workload)]


def _index(snapshot: Snapshot) -> Mapping[str, Selected[Budget]]:
    """Find budgets by what they require of labels, in each namespace."""
    return {
        namespace: Selected([(b.spec.selector.match_labels or {}, b) for b in budgets if b.spec.selector])
        for namespace, budgets in snapshot.derive(budgets_by_namespace).items()
    }


def _blocking(snapshot: Snapshot, budget: Budget, covered: Sequence[Workload]) -> Answer:
    counts = [(workload, _fewest(snapshot, workload)) for workload in covered]
    expected = None if any(count is None for _, count in counts) else sum(count or 0 for _, count in counts)
    allowed = _allowed(budget.spec, expected)
    if not covered and _allowed(budget.spec, None) == 0 and snapshot.source is SourceKind.MANIFESTS:
        message = "Lets no pod go, but pods that it covers were not seen"
        return Answer(resource=budget.ref, outcome=Outcome.UNKNOWN, message=message)
    if expected == 0 or (allowed is not None and allowed > 0):
        return Answer(resource=budget.ref, outcome=Outcome.PASS, message="Lets pods be evicted")
    if allowed is None:
        unknown = ", ".join(str(workload.ref) for workload, count in counts if count is None)
        message = f"Cannot be judged: how many pods {unknown} runs is not known"
        return Answer(resource=budget.ref, outcome=Outcome.UNKNOWN, message=message)
    names = ", ".join(str(workload.ref) for workload in covered)
    return Answer(
        resource=budget.ref,
        outcome=Outcome.FAIL,
        message=f"No pod of {names} may be evicted, so nodes that run them cannot be drained",
        evidence=(budget.fact, *_scale_facts(snapshot, covered)),
    )


def _scale_facts(snapshot: Snapshot, covered: Sequence[Workload]) -> Iterator[Fact]:
    for workload in covered:
        scale = scale_of(snapshot, workload)
        if scale is not None:
            yield msgspec.structs.replace(scale.fact, object=scale.fact.object or workload.ref)


def _fewest(snapshot: Snapshot, workload: Workload) -> int | None:
    """Return the fewest pods that a workload runs; None if nothing tells."""
    if workload.ref.group_kind == _POD:
        return 1
    scale = scale_of(snapshot, workload)
    return scale.fewest if scale else len(workload.pods) or None


def _allowed(spec: DisruptionBudgetSpec, expected: int | None) -> int | None:
    """Return how many of the expected pods a budget lets go while all are healthy; None if nobody knows their number.

    Percentages are rounded up, for what must stay as for what may go.

    Source: kubernetes/pkg/controller/disruption/disruption.go, getExpectedPodCount.
    """
    if spec.max_unavailable is not None:
        if _amount(spec.max_unavailable, 100) == 0:
            return 0
        return None if expected is None else min(expected, _amount(spec.max_unavailable, expected))
    stays = 0 if spec.min_available is None else spec.min_available
    if isinstance(stays, str) and _amount(stays, 100) >= 100:  # noqa: PLR2004 - all of them
        return 0
    if expected is None:
        return 1 if stays in {0, "0%"} else None
    return expected - _amount(stays, expected)


def _amount(value: int | str, total: int) -> int:
    """Resolve a number, or a percentage of a total rounded up; the API server takes no other text."""
    if isinstance(value, int):
        return value
    percentage = value.removesuffix("%")
    return -(-int(percentage) * total // 100) if percentage.isdecimal() else 0
