"""Which references to other namespaces are granted, as the Gateway API has it: by a ReferenceGrant beside the target.

Source: https://gateway-api.sigs.k8s.io/reference/spec/ (ReferenceGrant).
"""

from collections.abc import Iterator

import msgspec

from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot, SourceKind

REFERENCE_GRANT = GroupKind("gateway.networking.k8s.io", "ReferenceGrant")


class _From(msgspec.Struct, frozen=True):
    group: str = ""
    kind: str = ""
    namespace: str = ""


class _To(msgspec.Struct, frozen=True):
    group: str = ""
    kind: str = ""
    #: Empty means every object of the kind.
    name: str = ""


class _GrantSpec(msgspec.Struct, rename="camel"):
    from_: tuple[_From, ...] = msgspec.field(default=(), name="from")
    to: tuple[_To, ...] = ()


class _GrantBody(msgspec.Struct):
    spec: _GrantSpec = msgspec.field(default_factory=_GrantSpec)


def is_granted(snapshot: Snapshot, source: GroupKind, own: str, target: GroupKind, namespace: str, name: str) -> bool:  # noqa: PLR0913, PLR0917 - from where to where
    """Tell whether objects of a kind in namespace `own` may refer to one of another kind and namespace.

    Within one namespace they always may. A no is certain only as far as `missing_grants` is empty.
    """
    if namespace == own:
        return True
    granted = snapshot.derive(_grants)
    start = _From(*source, own)
    return any((namespace, start, _To(*target, which)) in granted for which in ("", name))


def missing_grants(snapshot: Snapshot, namespace: str) -> tuple[str, ...]:
    """Return the reads without which a grant may be there that was not seen: files may not hold all of a namespace."""
    if snapshot.source is not SourceKind.LIVE:
        return ("list referencegrants.gateway.networking.k8s.io",)
    return tuple(read.missing for read in snapshot.inconclusive((REFERENCE_GRANT,), namespace))


def _grants(snapshot: Snapshot) -> frozenset[tuple[str, _From, _To]]:
    """Return every grant: the namespace of the target, who, and what."""
    return frozenset(_read(snapshot))


def _read(snapshot: Snapshot) -> Iterator[tuple[str, _From, _To]]:
    for grant in snapshot.of(*REFERENCE_GRANT):
        try:
            spec = grant.decode(_GrantBody).spec
        except msgspec.ValidationError:  # only a file can hold what the schema of the Gateway API refuses
            continue
        yield from ((grant.meta.namespace, source, target) for source in spec.from_ for target in spec.to)
