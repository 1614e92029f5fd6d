"""The usage map: every place that refers to a Secret."""

from collections.abc import Mapping
from typing import Any

from scanner.analysis.secrets.usage import secret_uses
from scanner.model.snapshot import SourceKind
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
    """Their controllers read the Secrets."""
    metadata = {"name": "front", "namespace": "shop"}
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": {"tls": [{"hosts": ["a"]}, {"secretName": "front-tls"}]},
    }
    references = [{"name": "shared"}, {"name": "x", "kind": "Bundle", "group": "example.com"}]
    gateway = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": metadata,
        "spec": {"listeners": [{"name": "https", "tls": {"certificateRefs": references}}]},
    }
    assert _uses(ingress, gateway) == [
        "front-tls ingressTLS Ingress shop/front spec.tls[1].secretName",
        "shared gatewayTLS Gateway shop/front spec.listeners[0].tls.certificateRefs[0]",
    ]


def test_an_ephemeral_containers_variables_count() -> None:
    """Whoever debugs a pod may hand it a key that the workload never had."""
    key = {"name": "P", "valueFrom": {"secretKeyRef": {"name": "admin", "key": "p"}}}
    running = pod("cart-0", owner="Deployment cart", ephemeralContainers=[container("debug", env=[key])])
    assert _uses(workload(), running) == [
        "admin[p] env Pod shop/cart-0 spec.ephemeralContainers[0].env[0].valueFrom.secretKeyRef"
    ]


def _gateway(**reference: str) -> dict[str, Any]:
    listener = {"name": "https", "tls": {"certificateRefs": [{"name": "web"} | reference]}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "infra"},
        "spec": {"listeners": [listener]},
    }


def _grant(**to: str) -> dict[str, Any]:
    source = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "infra"}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "tls", "namespace": "shop"},
        "spec": {"from": [source], "to": [{"group": "", "kind": "Secret"} | to]},
    }


def test_a_gateways_certificate_of_another_namespace_counts_only_where_it_is_granted() -> None:
    """By a ReferenceGrant beside the Secret, for its kind and name."""
    used = ["web gatewayTLS Gateway infra/edge spec.listeners[0].tls.certificateRefs[0]"]
    assert _uses(_gateway()) == used
    assert not _uses(_gateway(namespace="shop"))
    assert not _uses(_gateway(namespace="shop"), _grant(name="other"))
    assert _uses(_gateway(namespace="shop"), _grant(name="web")) == used
    assert _uses(_gateway(namespace="shop"), _grant()) == used


def test_a_certificate_counts_where_grants_were_not_read() -> None:
    """Files may not hold the grant."""
    assert secret_uses(snapshot(_gateway(namespace="shop"), source=SourceKind.MANIFESTS))


def test_authorities_that_cert_manager_injects_count() -> None:
    """Named by the Secret, or by the Certificate that makes it; broken names refer to nothing."""
    annotations = {"cert-manager.io/inject-ca-from-secret": "infra/root"}
    webhook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "check", "annotations": annotations},
    }
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1.x", "annotations": {"cert-manager.io/inject-ca-from": "infra/serving"}},
    }
    certificate = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "serving", "namespace": "infra"},
        "spec": {"secretName": "serving-tls"},
    }
    broken = service | {"metadata": {"name": "v1.y", "annotations": {"cert-manager.io/inject-ca-from-secret": "root"}}}
    assert _uses(webhook, service, certificate, broken) == [
        (
            "root caInjection ValidatingWebhookConfiguration check "
            "metadata.annotations[cert-manager.io/inject-ca-from-secret]"
        ),
        "serving-tls caInjection APIService v1.x metadata.annotations[cert-manager.io/inject-ca-from]",
        "serving-tls operator Certificate infra/serving spec.secretName",
    ]
