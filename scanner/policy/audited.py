"""The ValidatingAdmissionPolicies that a scan finds, with their bindings and params, on the objects that it finds.

A question like those of `scanner.analysis`; it stands here because it evaluates CEL. Only policies in force are asked:
those that a binding names. Who would create the objects is not known; see `admission`.
"""

import datetime as dt
from collections.abc import Iterator

from scanner.errors import PolicyError
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import KubeObject
from scanner.model.refs import ObjectRef, group_of
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import Snapshot
from scanner.model.workload import TEMPLATE_PATHS
from scanner.policy.admission import AdmissionOutcome, AdmissionResult, audit
from scanner.policy.vap import BINDING, POLICY, BindingBody, PolicyBody

#: Everything that may be judged is listed in the coverage; what these prove is that there are no policies.
READS = (POLICY, BINDING)


def admission_policies_violated(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which existing objects each policy in force would refuse, warn of or audit if they were created now.

    A pod or ReplicaSet is told of as its root owner. A binding that only warns or audits is milder. A policy that names
    kinds that were not read is one unknown besides, which counts them.
    """
    del now  # nothing here depends on the time
    bindings = snapshot.of(*BINDING)
    bound = {b.decode(BindingBody).spec.policy_name for b in bindings}
    roots = {pod.ref: w.ref for w in snapshot.workloads for pod in w.pods}
    for policy in snapshot.of(*POLICY):
        if policy.meta.name not in bound:
            continue
        yield from _unread(snapshot, policy)
        try:
            outcomes = audit([policy], bindings, [], snapshot)
        except PolicyError as error:
            yield Answer(resource=policy.ref, outcome=Outcome.UNKNOWN, message=str(error), key="malformed")
            continue
        yield from (_answer(outcome, _root(snapshot, roots, outcome.resource)) for outcome in outcomes)


def _root(snapshot: Snapshot, roots: dict[ObjectRef, ObjectRef], ref: ObjectRef) -> ObjectRef:
    """Return the root owner of what controllers made; anything else is its own."""
    if ref in roots:
        return roots[ref]
    seen = {ref}
    while ref.group_kind in TEMPLATE_PATHS:
        thing = snapshot.by_name.get((ref.group_kind, ref.namespace, ref.name))
        owner = thing.meta.controller if thing else None
        if owner is None:
            break
        above = snapshot.find(group_of(owner.api_version), owner.kind, ref.namespace, owner.name)
        found = above.ref if above else ObjectRef(owner.api_version, owner.kind, ref.namespace, owner.name, owner.uid)
        if found in seen:
            break
        seen.add(found)
        ref = found
    return ref


def _answer(outcome: AdmissionOutcome, resource: ObjectRef) -> Answer:
    named = f"ValidatingAdmissionPolicy {outcome.policy}, bound by {outcome.binding}"
    judged = _judged(outcome)
    if judged is Outcome.PASS:
        message = f"{named} lets it in"
    elif judged is Outcome.UNKNOWN:
        message = f"{named} could not be evaluated: {outcome.message}"
    else:
        message = f"{named} ({', '.join(outcome.actions)}) would not let it in again: {outcome.message}"
        if outcome.result is AdmissionResult.ERROR:
            message = f"{named} breaks on it, which counts as a refusal: {outcome.message}"
    return Answer(
        resource=resource,
        outcome=judged,
        message=message,
        evidence=() if judged is Outcome.PASS else _evidence(outcome),
        key=f"{outcome.policy}/{outcome.binding}",
        is_milder="Deny" not in outcome.actions,
    )


def _judged(outcome: AdmissionOutcome) -> Outcome:
    if outcome.is_refused:
        return Outcome.FAIL
    is_decided = outcome.result is AdmissionResult.ALLOWED
    # A policy that breaks and is told to ignore that has not judged the object.
    return Outcome.PASS if is_decided else Outcome.UNKNOWN


def _evidence(outcome: AdmissionOutcome) -> tuple[Fact, ...]:
    policy = ObjectRef("admissionregistration.k8s.io/v1", POLICY.kind, "", outcome.policy)
    binding = ObjectRef("admissionregistration.k8s.io/v1", BINDING.kind, "", outcome.binding)
    facts = [
        Fact(path=outcome.path or "spec", value=outcome.expression or None, object=policy),
        Fact(path="spec.validationActions", value=list(outcome.actions), object=binding),
    ]
    if outcome.param is not None:
        facts.append(Fact(path="spec.paramRef", value=str(outcome.param), object=binding))
    return tuple(facts)


def _unread(snapshot: Snapshot, policy: KubeObject) -> Iterator[Answer]:
    """Say which resources a policy names that this scan has not read."""
    rules = policy.decode(PolicyBody).spec.match_constraints.resource_rules or ()
    read = {(r.group, r.plural) for r in RESOURCES if not snapshot.inconclusive((r.group_kind,))}
    named = {
        (group, resource.partition("/")[0])
        for rule in rules
        if not {"*", "CREATE"}.isdisjoint(rule.operations)
        for group in rule.api_groups
        for resource in rule.resources
        if resource.partition("/")[2] in {"", "*"}
    }
    missing = sorted(f"{plural}.{group}" if group else plural for group, plural in named - read)
    if not missing:
        return
    yield Answer(
        resource=policy.ref,
        outcome=Outcome.UNKNOWN,
        message=f"Objects of {len(missing)} of the kinds that it names were not all read: {', '.join(missing)}",
        key="unread",
        missing=tuple(f"list {name}" for name in missing),
    )
