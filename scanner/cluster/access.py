"""Where an API server is and who we are there: kubeconfig files and service accounts, read by the `kubernetes` package.

That package takes a second to import, so it is imported only when a cluster is really asked for.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scanner.errors import UsageError

#: Where every pod with a service account finds its own namespace.
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Access:
    """An API server and the credentials for it."""

    #: A `kubernetes.client.Configuration`: address, TLS, proxy, and the token or certificate.
    configuration: Any
    #: Name of the cluster in the kubeconfig; empty in a pod.
    cluster: str
    #: The namespace that the context or the service account is in; empty if none is set.
    namespace: str
    #: Headers that say as whom to act, where the kubeconfig asks for that; a name may come several times.
    impersonation: tuple[tuple[str, str], ...] = ()

    @property
    def origin(self) -> str:
        """The address, without a slash at its end."""
        return str(self.configuration.host).rstrip("/")

    @property
    def has_credentials(self) -> bool:
        """Tell whether there is anything to be known by: a token, a password, or a certificate."""
        return bool(self.authorization() or self.configuration.cert_file)

    def authorization(self) -> str:
        """Return the Authorization header, empty without a token; a token file is read again when it may be stale."""
        setting = self.configuration.auth_settings().get("BearerToken") or {}
        # A token file mostly ends in a newline, which a header must not hold.
        return str(setting.get("value") or "").strip()


def load_access(kubeconfig: str = "", context: str = "") -> Access:
    """Find the API server: the kubeconfig that is named, else the pod's own cluster, else the default kubeconfig.

    `KUBECONFIG` counts as naming one, as it does for kubectl. Raises `UsageError` where there is nothing to use.
    """
    if not kubeconfig and not context and "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
        return _loaded("the pod's service account", _in_cluster)
    return _loaded(kubeconfig or "kubeconfig", lambda: _from_kubeconfig(kubeconfig or None, context or None))


def _loaded(source: str, load: Callable[[], Access]) -> Access:
    from kubernetes.config import ConfigException  # noqa: PLC0415 - slow to import
    from yaml import YAMLError  # noqa: PLC0415 - only kubeconfigs need it

    try:
        return load()
    except (ConfigException, YAMLError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        line = " ".join(str(error).split())
        raise UsageError(f"no cluster to read: {source}: {line}") from error


def _configuration() -> Any:
    from kubernetes.client import Configuration  # noqa: PLC0415 - slow to import

    return Configuration()


def _library() -> Any:
    """Return the package's loaders; they have no types."""
    from kubernetes import config  # noqa: PLC0415 - slow to import

    return config


def _in_cluster() -> Access:
    config = _library()
    configuration = _configuration()
    config.load_incluster_config(configuration)
    return Access(configuration, "", NAMESPACE_FILE.read_text(encoding="utf-8").strip())


def _from_kubeconfig(path: str | None, context: str | None) -> Access:
    config = _library()
    configuration = _configuration()
    config.load_kube_config(path, context, configuration, persist_config=False)
    contexts, current = config.list_kube_config_contexts(path)
    chosen = (next(c for c in contexts if c["name"] == context) if context else current)["context"]
    users = config.kube_config.KubeConfigMerger(path or config.KUBE_CONFIG_DEFAULT_LOCATION).config.value["users"]
    user = next((u.value["user"] for u in users or () if u.value["name"] == chosen.get("user")), None)
    namespace = str(chosen.get("namespace") or "")
    return Access(configuration, str(chosen["cluster"]), namespace, _impersonation(user or {}))


def _impersonation(user: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the headers by which to act as someone else, which the package leaves out.

    Without them a scan would see with more rights than kubectl has by the same kubeconfig.
    Source: k8s.io/client-go/transport/round_trippers.go, impersonatingRoundTripper.
    """
    if not user.get("as"):
        return ()
    headers = [("Impersonate-User", str(user["as"]))]
    headers += [("Impersonate-Uid", str(user["as-uid"]))] if user.get("as-uid") else []
    headers += [("Impersonate-Group", str(group)) for group in user.get("as-groups") or ()]
    for key, values in (user.get("as-user-extra") or {}).items():
        headers += [(f"Impersonate-Extra-{quote(key, safe='')}", str(value)) for value in values]
    return tuple(headers)
