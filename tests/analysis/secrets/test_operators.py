"""What custom resources and storage refer to."""

from typing import Any

import pytest

from scanner.analysis.secrets.usage import secret_uses
from tests.builders import snapshot


def thing(api_version: str, kind: str, namespace: str = "shop", **body: Any) -> dict[str, Any]:
    """Make an object of any kind."""
    metadata = {"name": "it"} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata} | body


@pytest.mark.parametrize(
    ("found", "uses"),
    [
        (
            thing("cert-manager.io/v1", "ClusterIssuer", "", spec={"ca": {"secretName": "root"}}),
            [("cert-manager", "root", "spec.ca.secretName")],
        ),
        (
            thing(
                "monitoring.coreos.com/v1",
                "ServiceMonitor",
                spec={"endpoints": [{}, {"basicAuth": {"password": {"name": "scrape", "key": "p"}}}]},
            ),
            [("shop", "scrape", "spec.endpoints[1].basicAuth.password")],
        ),
        (
            thing(
                "v1",
                "PersistentVolume",
                "",
                spec={
                    "csi": {"driver": "d", "volumeHandle": "v", "nodeStageSecretRef": {"name": "s", "namespace": "csi"}}
                },
            ),
            [("csi", "s", "spec.csi.nodeStageSecretRef")],
        ),
        (
            thing(
                "storage.k8s.io/v1",
                "StorageClass",
                "",
                provisioner="d",
                parameters={
                    "csi.storage.k8s.io/provisioner-secret-name": "p",
                    "csi.storage.k8s.io/provisioner-secret-namespace": "csi",
                    "csi.storage.k8s.io/node-stage-secret-name": "${pvc.name}",
                    "csi.storage.k8s.io/node-stage-secret-namespace": "csi",
                },
            ),
            [("csi", "p", "parameters[csi.storage.k8s.io/provisioner-secret-name]")],
        ),
        (
            thing(
                "secrets-store.csi.x-k8s.io/v1",
                "SecretProviderClass",
                spec={"secretObjects": [{"secretName": "synced"}]},
            ),
            [("shop", "synced", "spec.secretObjects[0].secretName")],
        ),
        (thing("postgresql.cnpg.io/v1", "Cluster", spec={"superuserSecret": ["no", {"shape": 1}]}), []),
        (thing("source.toolkit.fluxcd.io/v1", "GitRepository", spec={"secretRef": {"name": 7}}), []),
        (thing("rabbitmq.com/v1beta1", "RabbitmqCluster", spec=None), []),
    ],
)
def test_each_kind_refers_from_its_own_places(found: dict[str, Any], uses: list[tuple[str, str, str]]) -> None:
    """Paths say where; what has another shape than published refers to nothing."""
    assert [(u.secret.namespace, u.secret.name, u.path) for u in secret_uses(snapshot(found))] == uses
