"""Fixture manifests of policies → plain objects and snapshots."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from scanner.model.snapshot import Snapshot
from scanner.policy.load import policy_folders
from tests.builders import snapshot

#: The policies of this source tree.
ROOT = Path(__file__).parents[2] / "policies"

#: Id and folder of each.
FOLDERS = [(name, Path(str(folder))) for name, folder in policy_folders(ROOT)]


def objects_of(file: Path) -> Iterator[dict[str, Any]]:
    """Return the objects of a fixture."""
    return (document for document in yaml.safe_load_all(file.read_text()) if document is not None)


def snapshot_of(file: Path) -> Snapshot:
    """Read a fixture as a snapshot of a cluster in which every kind was read wholly."""
    return snapshot(*objects_of(file))
