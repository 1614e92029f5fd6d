"""The usage map: every place that refers to a Secret."""

from collections.abc import Mapping
from typing import Any

from scanner.analysis.secrets.usage import secret_uses
from tests.builders import container, pod, snapshot, workload


def _uses(*objects: Mapping[str, Any]) -> list[str]:
    return [
        f"{u.secret.name}{f'[{u.key}]' if u.key else ''} {u.kind} {u.user} {u.path}{' optional' if u.optional else ''}"
        for u in secret_uses(snapshot(*objects))
    ]


def test_environment_variables_of_every_kind_of_container_count() -> None:
    """Init containers and sidecars read Secrets too."""
    key = {"valueFrom": {"secretKeyRef": {"name": "db", "key": "password", "optional": True}}}
    init = container("migrate", envFrom=[{"secretRef": {"name": "migration"}}])
    assert _uses(
        workload("cart", container(env=[{"name": "A", "value": "b"}, {"name": "P"} | key]), initContainers=[init])
    ) == [
        "db[password] env Deployment shop/cart spec.template.spec.containers[0].env[1].valueFrom.secretKeyRef optional",
        "migration envFrom Deployment shop/cart spec.template.spec.initContainers[0].envFrom[0].secretRef",
    ]


def test_an_ephemeral_container_of_a_running_pod_counts() -> None:
    """The place is in the pod, which alone has it."""
    debugger = container("debug", envFrom=[{"secretRef": {"name": "db"}}])
    running = pod("cart-0", owner="StatefulSet cart", ephemeralContainers=[debugger])
    assert _uses(workload(kind="StatefulSet"), running) == [
        "db envFrom Pod shop/cart-0 spec.ephemeralContainers[0].envFrom[0].secretRef"
    ]


def test_volumes_count_with_the_keys_that_they_take() -> None:
    """A volume takes the whole Secret or single keys; a projected one takes several Secrets."""
    volumes = [
        {"name": "whole", "secret": {"secretName": "tls"}},
        {"name": "part", "secret": {"secretName": "db", "items": [{"key": "password", "path": "p"}]}},
        {
            "name": "both",
            "projected": {"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": "ca", "optional": True}}]},
        },
    ]
    assert _uses(workload(volumes=volumes)) == [
        "ca volume Deployment shop/cart spec.template.spec.volumes[2].projected.sources[1].secret optional",
        "db[password] volume Deployment shop/cart spec.template.spec.volumes[1].secret.items[0]",
        "tls volume Deployment shop/cart spec.template.spec.volumes[0].secret",
    ]


def test_credentials_of_storage_drivers_count() -> None:
    """Volume types refer to Secrets each in its own field."""
    volumes = [
        {"name": "a", "csi": {"driver": "x", "nodePublishSecretRef": {"name": "vault"}}},
        {"name": "b", "azureFile": {"shareName": "s", "secretName": "storage"}},
    ]
    assert _uses(workload(volumes=volumes)) == [
        "storage volume Deployment shop/cart spec.template.spec.volumes[1].azureFile.secretName",
        "vault volume Deployment shop/cart spec.template.spec.volumes[0].csi.nodePublishSecretRef.name",
    ]


def test_pull_secrets_of_pods_and_of_service_accounts_count() -> None:
    """Pods inherit the imagePullSecrets of their service account."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "cart", "namespace": "shop"},
        "secrets": [{"name": "cart-token-x7k2p"}],
        "imagePullSecrets": [{"name": "registry"}],
    }
    assert _uses(workload(imagePullSecrets=[{"name": "mirror"}]), account) == [
        "cart-token-x7k2p serviceAccount ServiceAccount shop/cart secrets[0]",
        "mirror imagePullSecret Deployment shop/cart spec.template.spec.imagePullSecrets[0]",
        "registry imagePullSecret ServiceAccount shop/cart imagePullSecrets[0]",
    ]


def test_certificates_of_ingresses_and_gateways_count() -> None:
    """Their controllers read the Secrets; a Gateway may name one of another namespace."""
    metadata = {"name": "front", "namespace": "shop"}
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": {"tls": [{"hosts": ["a"]}, {"secretName": "front-tls"}]},
    }
    references = [{"name": "shared", "namespace": "certs"}, {"name": "x", "kind": "Bundle", "group": "example.com"}]
    gateway = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": metadata,
        "spec": {"listeners": [{"name": "https", "tls": {"certificateRefs": references}}]},
    }
    assert _uses(ingress, gateway) == [
        "shared gatewayTLS Gateway shop/front spec.listeners[0].tls.certificateRefs[0]",
        "front-tls ingressTLS Ingress shop/front spec.tls[1].secretName",
    ]
