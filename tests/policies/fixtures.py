"""Fixture manifests of policies → plain objects and snapshots."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from scanner.cluster.manifests import read_manifests
from scanner.model.refs import ClusterName
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.policy.load import policy_folders
from tests.builders import NOW

#: The policies of this source tree.
ROOT = Path(__file__).parents[2] / "policies"

#: Id and folder of each.
FOLDERS = [(name, Path(str(folder))) for name, folder in policy_folders(ROOT)]


def objects_of(file: Path) -> Iterator[dict[str, Any]]:
    """Return the objects of a fixture."""
    return (document for document in yaml.safe_load_all(file.read_text()) if document is not None)


def snapshot_of(file: Path) -> Snapshot:
    """Read a fixture as the whole of a cluster, in which what is not there does not exist."""
    read = read_manifests([file], cluster=ClusterName("test"), now=NOW)
    return replace(read, source=SourceKind.LIVE, server_version="v1.37.2")
