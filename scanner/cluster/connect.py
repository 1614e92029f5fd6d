"""The first words with an API server: does it answer, whom does it take us for, what is it called."""

from pathlib import Path

import msgspec

from scanner.analysis.secrets.pem import bundle_of, bundle_of_der
from scanner.cluster.access import load_access
from scanner.cluster.client import UNAUTHORIZED, Client, RequestError
from scanner.errors import ForbiddenError, UnreachableError
from scanner.model.certificate import Bundle, Presented
from scanner.model.objects import ObjectMeta
from scanner.model.refs import ClusterName


class _User(msgspec.Struct):
    username: str = ""
    groups: tuple[str, ...] = ()


class _UserInfo(msgspec.Struct, rename="camel"):
    user_info: _User = msgspec.field(default_factory=_User)


class _Review(msgspec.Struct):
    status: _UserInfo = msgspec.field(default_factory=_UserInfo)


class _Named(msgspec.Struct):
    metadata: ObjectMeta


class _Version(msgspec.Struct, rename="camel"):
    git_version: str = ""


ANONYMOUS = "system:anonymous"
_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_REVIEW = b'{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'


def connect(kubeconfig: str = "", context: str = "") -> Client:
    """Return a client of the API server that kubeconfig, context or the pod's own cluster names, once it knows us.

    Raises `UsageError` where nothing names a cluster, `UnreachableError` where it does not answer, and
    `ForbiddenError` where it does not know us: an anonymous scan would see nothing and call that clean.
    """
    client = Client(lambda: load_access(kubeconfig, context))
    identify(client)
    return client


def identify(client: Client) -> str:
    """Return who the API server takes us for; raises if that is no one, or if it does not answer."""
    origin = client.access.origin
    try:
        user = msgspec.json.decode(client.post(_REVIEWS, _REVIEW), type=_Review).status.user_info.username
    except RequestError as error:
        if error.status is None or error.is_transient:
            raise UnreachableError(f"{origin}: {error.reason}") from error
        if error.status == UNAUTHORIZED or ANONYMOUS in error.reason:
            raise ForbiddenError(f"{origin}: the API server does not accept our credentials: {error.reason}") from error
        if not client.access.has_credentials:
            raise ForbiddenError(f"{origin}: there are no credentials: {error.reason}") from error
        return ""  # it knows us, but does not say as whom: before 1.28, or a role without that right
    except msgspec.DecodeError as error:
        raise UnreachableError(f"{origin}: this is no API server: {error}") from error
    if user in {"", ANONYMOUS}:
        raise ForbiddenError(f"{origin}: the API server takes us for {ANONYMOUS}; check the credentials")
    return user


def cluster_name(client: Client, explicit: str = "") -> ClusterName:
    """Return the name that a cluster's findings are kept under: what the operator says, else the kubeconfig's cluster.

    Its cluster, not its context: two contexts of one cluster see the same findings. A pod has no kubeconfig, so there
    the uid of the namespace kube-system, which lives as long as the cluster, makes `in-cluster-1a2b3c4d`. Where it may
    not be read, the name is `in-cluster`, and an operator with several clusters has to set one.
    """
    if explicit or client.access.cluster:
        return ClusterName(explicit or client.access.cluster)
    try:
        uid = msgspec.json.decode(client.get("/api/v1/namespaces/kube-system"), type=_Named).metadata.uid
    except (RequestError, msgspec.DecodeError):
        return ClusterName("in-cluster")
    return ClusterName(f"in-cluster-{uid[:8]}")


def server_version(client: Client) -> str:
    """Return the API server's gitVersion, `v1.37.2`; empty if it does not tell."""
    try:
        return msgspec.json.decode(client.get("/version"), type=_Version).git_version
    except (RequestError, msgspec.DecodeError):
        return ""


def presented(client: Client) -> tuple[Presented, ...]:
    """Return the certificates that a connection rests on: the API server's, its authorities, and the client's own.

    Facts alone; without TLS, and without a client certificate, there are none of these.
    """
    configuration = client.access.configuration
    shown = (
        ("api-server", bundle_of_der(client.peer_certificate) if client.peer_certificate else None),
        ("authority", _of_file(configuration.ssl_ca_cert)),
        ("client", _of_file(configuration.cert_file)),
    )
    return tuple(Presented(role=role, bundle=bundle) for role, bundle in shown if bundle)


def _of_file(path: str | None) -> Bundle | None:
    """Return the facts of a file that the kubeconfig or the pod's own account names."""
    if not path:
        return None
    try:
        return bundle_of(Path(path).read_bytes())
    except OSError as error:
        return Bundle(problem=f"cannot be read: {error.strerror}")
