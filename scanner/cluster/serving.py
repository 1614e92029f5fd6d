"""What is kept of the status of Ingresses and Gateways: whether a controller serves them, and nothing else."""

import msgspec

from scanner.model.network import LoadBalancer, ServingStatus
from scanner.model.refs import GroupKind

#: The kinds whose status says that.
SERVED = frozenset({GroupKind("networking.k8s.io", "Ingress"), GroupKind("gateway.networking.k8s.io", "Gateway")})


def trim_serving_status(status: bytes) -> bytes:
    """Keep the conditions by which a controller refuses, and whether there is an address, not which one.

    A custom resource may say anything there: what is not of that shape is not kept.
    """
    try:
        wire = msgspec.json.decode(status, type=ServingStatus | None) or ServingStatus()
    except msgspec.ValidationError:
        return b""
    kept = ServingStatus(
        conditions=tuple(sorted({c for c in wire.conditions or () if c.is_refusal}, key=lambda c: c.type)) or None,
        load_balancer=LoadBalancer(({},)) if wire.has_address else None,
    )
    return b"" if kept == ServingStatus() else msgspec.json.encode(kept)
