"""Whether anybody serves an Ingress or Gateway: its class, and what its controller says of it.

Nobody serves a class that does not exist; mostly it is the rest of a controller that is gone. It is no proof: old
controllers watch for the annotation and need no IngressClass. One that gave an Ingress an address serves it.

Source: https://kubernetes.io/docs/concepts/services-networking/ingress/#ingress-class, the fields' documentation in the
API, and https://gateway-api.sigs.k8s.io/reference/spec/ (GatewayConditionType).
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from scanner.analysis.network.gateways import GATEWAY, GATEWAY_GROUP, class_name
from scanner.analysis.network.selection import missing_reads
from scanner.analysis.network.services import INGRESS
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.network import IngressBody, ServingStatus
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot, SourceKind

INGRESS_CLASS = GroupKind("networking.k8s.io", "IngressClass")
GATEWAY_CLASS = GroupKind(GATEWAY_GROUP, "GatewayClass")
#: What tells who serves a door. Where it is not read, all are taken to be served.
CLASS_KINDS: tuple[GroupKind, ...] = (INGRESS_CLASS, GATEWAY_CLASS)

#: What the answers rest on.
INGRESS_READS: tuple[GroupKind, ...] = (INGRESS, INGRESS_CLASS)
GATEWAY_READS: tuple[GroupKind, ...] = (GATEWAY, GATEWAY_CLASS)

#: It has precedence over the field, the API says.
_ANNOTATION = "kubernetes.io/ingress.class"
_IS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
_NEEDS_NO_CLASS = "; a controller may serve it all the same, since some need no IngressClass"
_NOT_SERVED = "; nobody may serve it"


@dataclass(frozen=True, slots=True)
class _Problem:
    path: str
    text: str
    #: Whether it rests on a class that was not seen, which its controller's own word does not.
    is_absence: bool = True


@dataclass(frozen=True, slots=True)
class _IngressClasses:
    names: frozenset[str]
    has_default: bool


def ingress_doubt(snapshot: Snapshot, ingress: KubeObject) -> str:
    """Return why nobody may serve an Ingress; empty if somebody does, or if it is not known."""
    problem = _problem_of_ingress(snapshot, ingress)
    is_known = problem is not None and not _missing(snapshot, INGRESS_CLASS)
    return f"{problem.text}{_NEEDS_NO_CLASS}" if problem and is_known else ""


def gateway_doubts(snapshot: Snapshot) -> Mapping[ObjectRef, str]:
    """Return why nobody may serve a Gateway, for those of which it is known; for `Snapshot.derive`."""
    is_known = not _missing(snapshot, GATEWAY_CLASS)
    return {
        gateway.ref: f"{problem.text}{_NOT_SERVED}"
        for gateway in snapshot.of(*GATEWAY)
        for problem in _problems_of_gateway(snapshot, gateway)
        if is_known or not problem.is_absence
    }


def ingresses_without_class(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Ingress of a cluster whether its class does not exist; files need not hold the classes."""
    del now  # nothing here depends on the time
    for ingress in snapshot.of(*INGRESS) if snapshot.source is SourceKind.LIVE else ():
        problem = _problem_of_ingress(snapshot, ingress)
        yield _answer(
            snapshot,
            ingress,
            [problem] if problem else [],
            INGRESS_CLASS,
            "Its class exists, or a controller serves it",
        )


def gateways_not_served(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Gateway of a cluster whether its class does not exist or its controller does not serve it."""
    del now  # nothing here depends on the time
    for gateway in snapshot.of(*GATEWAY) if snapshot.source is SourceKind.LIVE else ():
        problems = list(_problems_of_gateway(snapshot, gateway))
        yield _answer(
            snapshot, gateway, problems, GATEWAY_CLASS, "Its class exists, and its controller says nothing against it"
        )


def _answer(snapshot: Snapshot, resource: KubeObject, problems: list[_Problem], kind: GroupKind, well: str) -> Answer:
    if not problems:
        return Answer(resource=resource.ref, outcome=Outcome.PASS, message=well)
    missing = _missing(snapshot, kind)
    proven = [p for p in problems if not (p.is_absence and missing)]
    message = "; ".join(p.text for p in proven or problems)
    return Answer(
        resource=resource.ref,
        outcome=Outcome.FAIL if proven else Outcome.UNKNOWN,
        message=message[0].upper() + message[1:] + ("" if proven else " in what was read"),
        evidence=tuple(Fact(path=p.path, note=p.text) for p in proven or problems),
        missing=() if proven else missing,
    )


def _missing(snapshot: Snapshot, kind: GroupKind) -> tuple[str, ...]:
    """Return the read without which a class may exist that was not seen: files need not hold it."""
    return missing_reads(snapshot, (kind,), "") if snapshot.source is SourceKind.LIVE else (f"list {kind}",)


def _problem_of_ingress(snapshot: Snapshot, ingress: KubeObject) -> _Problem | None:
    if _status(ingress).has_address:
        return None
    known = snapshot.derive(_ingress_classes)
    annotated = (ingress.meta.annotations or {}).get(_ANNOTATION, "")
    wanted = annotated or ingress.decode(IngressBody).spec.ingress_class_name
    if wanted:
        path = f"metadata.annotations['{_ANNOTATION}']" if annotated else "spec.ingressClassName"
        return None if wanted in known.names else _Problem(path, f"IngressClass {wanted} does not exist")
    text = "it names no class, and no IngressClass is the default"
    return None if known.has_default else _Problem("spec.ingressClassName", text)


def _ingress_classes(snapshot: Snapshot) -> _IngressClasses:
    classes = snapshot.of(*INGRESS_CLASS)
    return _IngressClasses(
        names=frozenset(c.meta.name for c in classes),
        has_default=any((c.meta.annotations or {}).get(_IS_DEFAULT) == "true" for c in classes),
    )


def _problems_of_gateway(snapshot: Snapshot, gateway: KubeObject) -> Iterator[_Problem]:
    name = class_name(gateway)
    if name and snapshot.find(*GATEWAY_CLASS, "", name) is None:
        yield _Problem("spec.gatewayClassName", f"GatewayClass {name} does not exist")
    refused = [c.type for c in _status(gateway).conditions or () if c.is_refusal]
    if refused:
        text = f"its controller says that it is not {' and not '.join(sorted(refused))}"
        yield _Problem("status.conditions", text, is_absence=False)


def _status(o: KubeObject) -> ServingStatus:
    return msgspec.json.decode(o.status, type=ServingStatus) if o.status else ServingStatus()
