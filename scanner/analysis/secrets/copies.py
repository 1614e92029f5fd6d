"""What hands copies of Secrets to other places: controllers that annotations tell to, and custom resources.

A copy is read by whoever reads Secrets there. Values of a Secret's annotations are not kept, so where to is not said.

Sources: https://github.com/emberstack/kubernetes-reflector, https://github.com/mittwald/kubernetes-replicator,
https://github.com/zakkg3/ClusterSecret, https://external-secrets.io/latest/api/pushsecret/.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from scanner.model.secret import SecretRef
from scanner.model.snapshot import Snapshot

#: Annotations of a Secret that let a controller copy it, and who that is.
_ANNOTATIONS: Mapping[str, str] = {
    "reflector.v1.k8s.emberstack.com/reflection-allowed": "Reflector may copy it to other namespaces",
    "reflector.v1.k8s.emberstack.com/reflection-auto-enabled": "Reflector copies it to other namespaces",
    "replicator.v1.mittwald.de/replicate-to": "Replicator copies it to other namespaces",
    "replicator.v1.mittwald.de/replicate-to-matching": "Replicator copies it to other namespaces",
    "replicator.v1.mittwald.de/replication-allowed": "Replicator may copy it to other namespaces",
    "kubed.appscode.com/sync": "Config Syncer copies it to other namespaces",
    "clustersecret.io/version": "ClusterSecret keeps copies of it in several namespaces",
}


def copiers_of(snapshot: Snapshot) -> Mapping[SecretRef, tuple[str, ...]]:
    """Return for each Secret what hands copies of it to other places, in words, sorted."""
    found: defaultdict[SecretRef, set[str]] = defaultdict(set)
    for o in snapshot.of("", "Secret"):
        for key in (o.meta.annotations or {}).keys() & _ANNOTATIONS.keys():
            found[SecretRef(o.meta.namespace, o.meta.name)].add(f"{_ANNOTATIONS[key]} (annotation {key})")
    for secret, said in _pushed(snapshot):
        found[secret].add(said)
    return {secret: tuple(sorted(said)) for secret, said in found.items()}


def _pushed(snapshot: Snapshot) -> Iterator[tuple[SecretRef, str]]:
    """Yield what External Secrets writes to a store outside."""
    for push in snapshot.of("external-secrets.io", "PushSecret"):
        value: Any = msgspec.json.decode(push.body)
        for key in ("spec", "selector", "secret", "name"):
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str) and value:
            said = f"External Secrets writes it to a store outside (PushSecret {push.meta.name})"
            yield SecretRef(push.meta.namespace, value), said
