"""Which volumes a pod may have."""

from collections.abc import Iterator, Mapping
from typing import Any

from scanner.analysis.pods.standards.judged import JudgedPod, Violation
from scanner.analysis.pods.standards.wording import named, plural, quoted
from scanner.model.finding import Fact

_RESTRICTED_ALLOWS = frozenset(
    {
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image"),
        *("persistentVolumeClaim", "projected", "secret"),
    }
)

#: In the order in which the first is named, should a file give a volume several.
_OTHERS = (
    *("hostPath", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi", "glusterfs", "rbd"),
    *("flexVolume", "cinder", "cephfs", "flocker", "fc", "azureFile", "vsphereVolume", "quobyte", "azureDisk"),
    *("photonPersistentDisk", "portworxVolume", "scaleIO", "storageos"),
)


def host_path_volumes(pod: JudgedPod) -> Violation | None:
    """Forbid the node's own files."""
    found = [(index, v) for index, v in _volumes(pod) if "hostPath" in v]
    if not found:
        return None
    facts = tuple(_source_fact(pod, index, volume, "hostPath") for index, volume in found)
    return Violation("hostPath volumes", named("volume", [_name(volume) for _, volume in found]), facts)


def restricted_volumes(pod: JudgedPod) -> Violation | None:
    """Allow only volumes that come from the API or from a driver that the cluster has."""
    found = [(index, v, source) for index, v in _volumes(pod) for source in _restricted(v)]
    if not found:
        return None
    volumes, sources = [_name(volume) for _, volume, _ in found], sorted({source for *_, source in found})
    words = plural("restricted volume type", "restricted volume types", len(sources))
    detail = f"{named('volume', volumes)} {plural('uses', 'use', len(volumes))} {words} {quoted(sources)}"
    # Of other sources no value is shown: the options of a flexVolume may hold a password.
    facts = tuple(_source_fact(pod, index, volume, source) for index, volume, source in found)
    return Violation("restricted volume types", detail, facts)


def _volumes(pod: JudgedPod) -> Iterator[tuple[int, Mapping[str, Any]]]:
    return enumerate(pod.spec.get("volumes") or ())


def _name(volume: Mapping[str, Any]) -> str:
    return str(volume.get("name", ""))


def _source_fact(pod: JudgedPod, index: int, volume: Mapping[str, Any], source: str) -> Fact:
    if source == "hostPath":
        return pod.fact(f"volumes[{index}].hostPath", volume["hostPath"])
    path = f"volumes[{index}].{source}" if source in volume else f"volumes[{index}]"
    return Fact(path=f"spec.{path}", note="a volume of this type")


def _restricted(volume: Mapping[str, Any]) -> Iterator[str]:
    """Yield what kind of volume it is, if that is not allowed.

    One without any source is an emptyDir: the API server makes it one. A source that nobody knows is not allowed.
    """
    sources = volume.keys() - {"name"}
    if sources and not sources & _RESTRICTED_ALLOWS:
        yield next((source for source in _OTHERS if source in sources), "unknown")
