"""The page that answers: does Plimsoll judge what my scanner judges today?

One file a peer, `docs/coverage/<peer>.yaml`, lists each of its controls by id: with the policies of ours that judge the
same, or the reason why none does. Ids are facts; the words are ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "coverage"

_HEAD = """\
# What other scanners check, and who checks it here

Made by `make docs` from `docs/coverage/`. Each control on workloads, rights, network and secrets of seven other
scanners, and the policies that judge the same; where none does, why. A policy is mapped if it is about the same
weakness: which objects fail may still differ, see [conformance](conformance/pods.md).

| Scanner | Version | Looked at | Controls | With a policy | Without | Left out here |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """One scanner and its controls."""

    name: str
    version: str
    looked_at: str
    left_out: str
    #: How many controls the list is said to have.
    count: int
    #: Control to the ids of our policies, or to the reason why there is none.
    controls: Mapping[str, Sequence[str] | str]

    @property
    def covered(self) -> int:
        """How many controls have a policy."""
        return sum(not isinstance(ours, str) for ours in self.controls.values())


class _OnceLoader(yaml.CSafeLoader):
    """Refuses a control that is listed twice, of which YAML would take the last."""


def _mapping(loader: _OnceLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise ValueError(f"listed twice: {', '.join(sorted(twice))}")
    return loader.construct_mapping(node, deep=True)


_OnceLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def peers() -> tuple[Peer, ...]:
    """Read all lists, by name; raises `ValueError` for a control that stands there twice."""
    return tuple(_peer(file) for file in sorted(FOLDER.glob("*.yaml")))


def _peer(file: Path) -> Peer:
    fields = yaml.load(file.read_text(encoding="utf-8"), Loader=_OnceLoader)  # noqa: S506 - a safe loader that checks more
    return Peer(**{**fields, "looked_at": str(fields["looked_at"])})


def page() -> str:
    """Write the page."""
    found = peers()
    rows = "".join(
        f"| [{p.name}](#{_anchor(p.name)}) | {p.version} | {p.looked_at} | {p.count} | {p.covered} "
        f"| {p.count - p.covered} | {p.left_out} |\n"
        for p in found
    )
    return _HEAD + rows + "".join(_table(peer) for peer in found)


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def _table(peer: Peer) -> str:
    rows = "".join(f"| `{control}` | {_ours(ours)} |\n" for control, ours in sorted(peer.controls.items()))
    return f"\n## {peer.name}\n\n| Control | Here |\n|---|---|\n{rows}"


def _ours(ours: Sequence[str] | str) -> str:
    return f"none: {ours}" if isinstance(ours, str) else ", ".join(f"`{policy}`" for policy in ours)
