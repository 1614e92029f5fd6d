"""Service accounts, and which pods carry their tokens."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot
from scanner.model.workload import PodTemplate

SERVICE_ACCOUNT = GroupKind("", "ServiceAccount")
#: The kubelet makes such a pod from a file on its node; the API server lets it have no service account.
MIRROR = "kubernetes.io/config.mirror"
#: The name that every API server takes its tokens to be meant for, unless it is configured otherwise.
_API_SERVER = "kubernetes.default.svc"


class _Body(msgspec.Struct, rename="camel"):
    automount_service_account_token: bool | None = None


def automount_by_account(snapshot: Snapshot) -> Mapping[tuple[str, str], bool | None]:
    """Return automountServiceAccountToken of every service account that was read, by namespace and name."""
    return {
        (o.meta.namespace, o.meta.name): o.decode(_Body).automount_service_account_token
        for o in snapshot.of(*SERVICE_ACCOUNT)
    }


def token_is_mounted(template: PodTemplate, account: bool | None) -> bool:
    """Tell whether pods of a template get their service account's token by themselves.

    `account` is automountServiceAccountToken of the service account, None if unset. The pod's own field wins, else the
    account's, else it is mounted. Mirror pods of static pods have none.
    """
    if MIRROR in template.annotations:
        return False
    own = template.spec.get("automountServiceAccountToken")
    return own if isinstance(own, bool) else account is not False


def token_is_projected(template: PodTemplate) -> bool:
    """Tell whether a volume of the template brings a token that the API server takes, whatever is mounted by itself.

    A token for another audience (a vault, a cloud's login) is none; one without audience is for the API server.
    """
    tokens = _projected_tokens(template)
    return any(not token.get("audience") or _API_SERVER in token["audience"] for token in tokens)


def _projected_tokens(template: PodTemplate) -> Iterator[Mapping[str, Any]]:
    for volume in template.spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            if "serviceAccountToken" in source:
                yield source["serviceAccountToken"] or {}
