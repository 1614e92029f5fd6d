"""Add-ons that most clusters run in kube-system, with the rights that they are published with.

Their grants are expected like those of Kubernetes itself, and as strictly: the role has its published name, grants
nothing beyond what is published (releases differ, so it may grant less), and is bound to the published service account
in kube-system. Objects of an add-on's own API groups are its own affair. `addons.json` names the source of each; an
entry without rules is about a role of Kubernetes' own, which must be unchanged.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

from scanner.analysis.rbac.bootstrap import is_unchanged, rights_of
from scanner.model.rbac import Role, Rule, Subject

NAMESPACE = "kube-system"


class Addon(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One service account of an add-on and the ClusterRole that it is bound to."""

    name: str
    source: str
    account: str
    role: str
    rules: tuple[Rule, ...] = ()
    own_groups: tuple[str, ...] = ()


@cache
def addons() -> Mapping[tuple[str, str], Addon]:
    """Return the known add-ons by service account and role."""
    text = files(__package__).joinpath("addons.json").read_bytes()
    return {(a.account, a.role): a for a in msgspec.json.decode(text, type=tuple[Addon, ...])}


def addon_of(subject: Subject, role: Role, server_version: str) -> str:
    """Name the add-on that a subject (in canonical form) is part of and has this role for; empty if there is none."""
    if (subject.kind, subject.namespace, role.ref.kind) != ("ServiceAccount", NAMESPACE, "ClusterRole"):
        return ""
    addon = addons().get((subject.name, role.ref.name))
    if addon is None:
        return ""
    if not addon.rules:
        return addon.name if is_unchanged(role, server_version) else ""
    foreign = {right for right in rights_of(role.rules) if len(right) == _OF_PATH or right[1] not in addon.own_groups}
    return addon.name if foreign <= rights_of(addon.rules) else ""


#: A right on a path is a verb and the path alone.
_OF_PATH = 2
