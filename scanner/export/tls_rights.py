"""The right to read the certificates that a cluster serves, and no other Secret: Roles that name them one by one."""

from collections.abc import Iterable

import yaml

from scanner.analysis.secrets.served import Served
from scanner.model.rbac import RBAC_GROUP

_NAME = "plimsoll-certificates"
_LABELS = {"app.kubernetes.io/name": "plimsoll"}
_HEAD = """\
# Made by `plimsoll secrets tls-rights`: the TLS Secrets that Ingresses and Gateways name, each by its name. RBAC cannot
# give a Secret's certificate without its key: whoever holds this right can read the private keys of these. Make it anew
# when certificates get other names; what is not in it is unknown to a scan, and named in its coverage.
"""


def tls_rights(places: Iterable[Served], *, namespace: str, account: str) -> str:
    """Return Roles and RoleBindings as YAML, one of each a namespace, for a service account."""
    names: dict[str, set[str]] = {}
    for place in places:
        names.setdefault(place.secret.namespace, set()).add(place.secret.name)
    documents = [
        document
        for where in sorted(names)
        for document in (_role(where, sorted(names[where])), _binding(where, namespace, account))
    ]
    if not documents:
        return f"{_HEAD}# No Ingress and no Gateway names one.\n"
    return _HEAD + yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=False, width=120)


def _role(namespace: str, names: list[str]) -> dict[str, object]:
    return {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "Role",
        "metadata": {"name": _NAME, "namespace": namespace, "labels": dict(_LABELS)},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": names}],
    }


def _binding(namespace: str, home: str, account: str) -> dict[str, object]:
    return {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": _NAME, "namespace": namespace, "labels": dict(_LABELS)},
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "Role", "name": _NAME},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}],
    }
