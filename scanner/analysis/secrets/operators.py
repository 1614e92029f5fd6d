"""Where custom resources of known operators, and storage, refer to Secrets: a table of kinds and paths.

It is looked up for whatever kinds a snapshot holds. A scan of a cluster reads few of them, since each would be one more
right; files and saved snapshots hold what they hold.

Sources: each project's published CustomResourceDefinitions; k8s.io/api/core/v1, PersistentVolumeSource;
https://kubernetes-csi.github.io/docs/secrets-and-credentials-storage-class.html.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind
from scanner.model.secret import SecretRef, SecretUse, SecretUseKind
from scanner.model.snapshot import Snapshot

_CERT_MANAGER = "cert-manager.io"
_EXTERNAL = "external-secrets.io"
_MONITORING = "monitoring.coreos.com"
_FLUX = "source.toolkit.fluxcd.io"
_POSTGRES = "postgresql.cnpg.io"
_CSI = "secrets-store.csi.x-k8s.io"

_ISSUER = (
    "spec.acme.privateKeySecretRef",
    "spec.acme.externalAccountBinding.keySecretRef",
    "spec.acme.solvers[].dns01.cloudflare.apiTokenSecretRef",
    "spec.acme.solvers[].dns01.cloudflare.apiKeySecretRef",
    "spec.acme.solvers[].dns01.cloudDNS.serviceAccountSecretRef",
    "spec.acme.solvers[].dns01.route53.secretAccessKeySecretRef",
    "spec.acme.solvers[].dns01.azureDNS.clientSecretSecretRef",
    "spec.acme.solvers[].dns01.digitalocean.tokenSecretRef",
    "spec.ca.secretName",
    "spec.vault.auth.tokenSecretRef",
    "spec.vault.auth.appRole.secretRef",
    "spec.venafi.tpp.credentialsRef",
    "spec.venafi.cloud.apiTokenSecretRef",
)
_STORE = (
    "spec.provider.aws.auth.secretRef.accessKeyIDSecretRef",
    "spec.provider.aws.auth.secretRef.secretAccessKeySecretRef",
    "spec.provider.vault.auth.tokenSecretRef",
    "spec.provider.vault.auth.appRole.secretRef",
    "spec.provider.gcpsm.auth.secretRef.secretAccessKeySecretRef",
    "spec.provider.azurekv.authSecretRef.clientSecret",
    "spec.provider.onepassword.auth.secretRef.connectTokenSecretRef",
)
_SCRAPE = (
    "basicAuth.username",
    "basicAuth.password",
    "authorization.credentials",
    "bearerTokenSecret",
    "oauth2.clientSecret",
    "tlsConfig.keySecret",
    "tlsConfig.cert.secret",
    "tlsConfig.ca.secret",
)

#: Kind → where it refers to Secrets: an object with `name` (and `namespace`, and `key`), or the name itself; `[]` is
#: each item of a list. Relative to the object.
REFERENCES: Mapping[GroupKind, tuple[str, ...]] = {
    GroupKind(_CERT_MANAGER, "Issuer"): _ISSUER,
    GroupKind(_CERT_MANAGER, "ClusterIssuer"): _ISSUER,
    GroupKind(_CERT_MANAGER, "Certificate"): (
        "spec.secretName",
        "spec.keystores.jks.passwordSecretRef",
        "spec.keystores.pkcs12.passwordSecretRef",
    ),
    GroupKind(_EXTERNAL, "SecretStore"): _STORE,
    GroupKind(_EXTERNAL, "ClusterSecretStore"): _STORE,
    GroupKind(_EXTERNAL, "PushSecret"): ("spec.selector.secret",),
    GroupKind(_CSI, "SecretProviderClass"): ("spec.secretObjects[].secretName",),
    GroupKind(_MONITORING, "ServiceMonitor"): tuple(f"spec.endpoints[].{path}" for path in _SCRAPE),
    GroupKind(_MONITORING, "PodMonitor"): tuple(f"spec.podMetricsEndpoints[].{path}" for path in _SCRAPE),
    GroupKind(_MONITORING, "Probe"): tuple(f"spec.{path}" for path in _SCRAPE),
    GroupKind(_MONITORING, "Prometheus"): (
        "spec.secrets[]",
        "spec.imagePullSecrets[]",
        "spec.additionalScrapeConfigs",
        "spec.additionalAlertManagerConfigs",
        *(f"spec.remoteWrite[].{path}" for path in _SCRAPE),
        *(f"spec.remoteRead[].{path}" for path in _SCRAPE),
    ),
    GroupKind(_MONITORING, "Alertmanager"): ("spec.secrets[]", "spec.configSecret", "spec.imagePullSecrets[]"),
    GroupKind(_FLUX, "GitRepository"): ("spec.secretRef", "spec.verify.secretRef"),
    GroupKind(_FLUX, "HelmRepository"): ("spec.secretRef", "spec.certSecretRef"),
    GroupKind(_FLUX, "OCIRepository"): ("spec.secretRef", "spec.certSecretRef", "spec.verify.secretRef"),
    GroupKind(_FLUX, "Bucket"): ("spec.secretRef", "spec.certSecretRef"),
    GroupKind("kustomize.toolkit.fluxcd.io", "Kustomization"): (
        "spec.decryption.secretRef",
        "spec.kubeConfig.secretRef",
    ),
    GroupKind("helm.toolkit.fluxcd.io", "HelmRelease"): ("spec.kubeConfig.secretRef",),
    GroupKind("notification.toolkit.fluxcd.io", "Provider"): ("spec.secretRef", "spec.certSecretRef"),
    GroupKind("notification.toolkit.fluxcd.io", "Receiver"): ("spec.secretRef",),
    GroupKind(_POSTGRES, "Cluster"): (
        "spec.superuserSecret",
        "spec.bootstrap.initdb.secret",
        "spec.bootstrap.recovery.secret",
        "spec.certificates.serverTLSSecret",
        "spec.certificates.serverCASecret",
        "spec.certificates.clientCASecret",
        "spec.imagePullSecrets[]",
        "spec.managed.roles[].passwordSecret",
        "spec.backup.barmanObjectStore.s3Credentials.accessKeyId",
        "spec.backup.barmanObjectStore.s3Credentials.secretAccessKey",
        "spec.externalClusters[].password",
    ),
    GroupKind("acid.zalan.do", "postgresql"): ("spec.tls.secretName", "spec.tls.caSecretName"),
    GroupKind("postgres-operator.crunchydata.com", "PostgresCluster"): (
        "spec.customTLSSecret",
        "spec.customReplicationTLSSecret",
        "spec.backups.pgbackrest.configuration[].secret",
    ),
    GroupKind("kafka.strimzi.io", "Kafka"): (
        "spec.kafka.listeners[].configuration.brokerCertChainAndKey.secretName",
        "spec.kafka.listeners[].authentication.clientSecret.secretName",
    ),
    GroupKind("kafka.strimzi.io", "KafkaUser"): ("spec.authentication.password.valueFrom.secretKeyRef",),
    GroupKind("kafka.strimzi.io", "KafkaConnect"): (
        "spec.tls.trustedCertificates[].secretName",
        "spec.authentication.passwordSecret.secretName",
        "spec.authentication.certificateAndKey.secretName",
    ),
    GroupKind("redis.redis.opstreelabs.in", "Redis"): ("spec.kubernetesConfig.redisSecret", "spec.TLS.secret"),
    GroupKind("databases.spotahome.com", "RedisFailover"): ("spec.auth.secretPath",),
    GroupKind("elasticsearch.k8s.elastic.co", "Elasticsearch"): (
        "spec.secureSettings[].secretName",
        "spec.auth.roles[].secretName",
        "spec.auth.fileRealm[].secretName",
        "spec.http.tls.certificate.secretName",
    ),
    GroupKind("kibana.k8s.elastic.co", "Kibana"): (
        "spec.secureSettings[].secretName",
        "spec.http.tls.certificate.secretName",
    ),
    GroupKind("rabbitmq.com", "RabbitmqCluster"): (
        "spec.tls.secretName",
        "spec.tls.caSecretName",
        "spec.imagePullSecrets[]",
    ),
    GroupKind("pkg.crossplane.io", "Provider"): ("spec.packagePullSecrets[]",),
    **{
        GroupKind(f"{cloud}.upbound.io", "ProviderConfig"): ("spec.credentials.secretRef",)
        for cloud in ("aws", "azure", "gcp")
    },
    GroupKind("", "PersistentVolume"): (
        "spec.csi.controllerPublishSecretRef",
        "spec.csi.nodeStageSecretRef",
        "spec.csi.nodePublishSecretRef",
        "spec.csi.controllerExpandSecretRef",
        "spec.csi.nodeExpandSecretRef",
        "spec.azureFile.secretName",
        "spec.cephfs.secretRef",
        "spec.cinder.secretRef",
        "spec.flexVolume.secretRef",
        "spec.iscsi.secretRef",
        "spec.rbd.secretRef",
        "spec.scaleIO.secretRef",
        "spec.storageos.secretRef",
    ),
}

#: Where the namespace of a reference without one is the operator's own, not the object's.
_CERT_MANAGER_NAMESPACE = "cert-manager"
_STORAGE_CLASS = GroupKind("storage.k8s.io", "StorageClass")
_CLASS_PARAMETER = re.compile(r"csi\.storage\.k8s\.io/([a-z-]+)-secret-name")
#: Argo CD takes its repositories and clusters from Secrets with this label; its value says for what.
_ARGO_LABEL = "argocd.argoproj.io/secret-type"


def operator_uses(snapshot: Snapshot) -> Iterator[SecretUse]:
    """Yield what custom resources and storage refer to, as far as a snapshot holds them."""
    for kind, paths in REFERENCES.items():
        for thing in snapshot.of(*kind):
            body: Any = msgspec.json.decode(thing.body)
            for path in paths:
                for place, value in _at(body, path.split("."), ""):
                    yield from _use(thing, place, value)
    for thing in snapshot.of(*_STORAGE_CLASS):
        yield from _of_storage_class(thing)
    for thing in snapshot.of("", "Secret"):
        if _ARGO_LABEL in (thing.meta.labels or {}):
            secret = SecretRef(thing.meta.namespace, thing.meta.name)
            yield SecretUse(secret, SecretUseKind.OPERATOR, thing.ref, f"metadata.labels[{_ARGO_LABEL}]")


def _at(value: Any, keys: list[str], place: str) -> Iterator[tuple[str, Any]]:
    """Yield each value at a path, with the path that names it."""
    if not keys:
        yield place, value
        return
    key = keys[0].removesuffix("[]")
    found = value.get(key) if isinstance(value, dict) else None
    below = f"{place}.{key}" if place else key
    if keys[0].endswith("[]"):
        for number, item in enumerate(found if isinstance(found, list) else ()):
            yield from _at(item, keys[1:], f"{below}[{number}]")
    elif found is not None:
        yield from _at(found, keys[1:], below)


def _use(thing: KubeObject, place: str, value: Any) -> Iterator[SecretUse]:
    """Make a use of a reference: an object with a name, or the name itself; anything else is none."""
    holder = value if isinstance(value, dict) else {"name": value}
    name, namespace, key = (
        text if isinstance(text := holder.get(field), str) else "" for field in ("name", "namespace", "key")
    )
    where = namespace or thing.meta.namespace or _namespace_of_cluster_kind(thing)
    if name and where:
        kind = SecretUseKind.VOLUME_SOURCE if thing.kind == "PersistentVolume" else SecretUseKind.OPERATOR
        yield SecretUse(SecretRef(where, name), kind, thing.ref, place, key=key)


def _namespace_of_cluster_kind(thing: KubeObject) -> str:
    """Return where a reference without namespace of a cluster-scoped object leads; empty where nobody can say."""
    return _CERT_MANAGER_NAMESPACE if thing.group_kind.group == _CERT_MANAGER else ""


def _of_storage_class(thing: KubeObject) -> Iterator[SecretUse]:
    """Yield the Secrets that a StorageClass hands to its driver; templates with `${…}` name one for each volume."""
    parameters: Any = msgspec.json.decode(thing.body).get("parameters")
    if not isinstance(parameters, dict):
        return
    for key, name in sorted(parameters.items()):
        found = _CLASS_PARAMETER.fullmatch(key)
        namespace = parameters.get(f"{key.removesuffix('name')}namespace")
        if found and isinstance(name, str) and isinstance(namespace, str) and "$" not in name + namespace:
            secret = SecretRef(namespace, name)
            yield SecretUse(secret, SecretUseKind.VOLUME_SOURCE, thing.ref, f"parameters[{key}]")
