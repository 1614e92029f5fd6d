"""The least rights that the service needs, as a ClusterRole that gives the reason for each."""

from collections.abc import Iterable
from itertools import groupby

from scanner.model.resources import RESOURCES, SECRETS, Resource

#: The whole of it: lists, and their continuation; nothing is ever written, watched or fetched by name.
VERBS = '["list"]'


def cluster_role(resources: Iterable[Resource] = RESOURCES) -> str:
    """Return the ClusterRole as YAML, one rule an API group, each resource with its reason; Secrets are left out."""
    rules = [
        _rule(group, list(members))
        for group, members in groupby(
            sorted((r for r in resources if r != SECRETS), key=lambda r: (r.group, r.plural)), key=lambda r: r.group
        )
    ]
    return _HEAD + "".join(rules)


def _rule(group: str, resources: list[Resource]) -> str:
    listed = "".join(f"      - {r.plural}  # {r.reason}\n" for r in resources)
    return f'  - apiGroups: ["{group}"]\n    resources:\n{listed}    verbs: {VERBS}\n'


_HEAD = """\
# Made by `make docs` from scanner/model/resources.py: what a scan lists, and what for. Read-only and without Secrets.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: plimsoll
  labels:
    app.kubernetes.io/name: plimsoll
rules:
"""
