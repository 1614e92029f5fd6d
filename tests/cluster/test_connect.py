"""The first words with an API server: a scanner that nobody knows does not start."""

import contextlib

import msgspec
import pytest

from scanner.cluster.connect import cluster_name, connect, identify, server_version
from scanner.errors import ForbiddenError, UnreachableError
from tests.cluster import stand_in
from tests.cluster.live import Api
from tests.cluster.stand_in import Reply, StandIn, status
from tests.services import ControlPlane

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def known_as(user: str) -> Reply:
    """Make the answer to a SelfSubjectReview."""
    return Reply(status=201, body=msgspec.json.encode({"status": {"userInfo": {"username": user}}}))


def identity(server: StandIn, reply: Reply) -> str:
    """Ask who we are."""
    server.scripts[REVIEWS] = [reply]
    with contextlib.closing(server.client()) as client:
        return identify(client)


@pytest.mark.control_plane
def test_a_kubeconfig_is_enough(control_plane: ControlPlane) -> None:
    """Its cluster's name is the name of the cluster."""
    with contextlib.closing(connect(control_plane.kubeconfig)) as client:
        assert cluster_name(client) == "test"


@pytest.mark.control_plane
def test_a_service_account_is_known_by_its_name(api: Api, namespace: str) -> None:
    """As the audit log has it."""
    with contextlib.closing(api.client(api.token(namespace, "robot"))) as client:
        assert identify(client) == f"system:serviceaccount:{namespace}:robot"


@pytest.mark.control_plane
def test_a_token_that_nobody_issued_is_refused(api: Api) -> None:
    """At the start, not as an empty scan."""
    with contextlib.closing(api.client("nobody")) as client, pytest.raises(ForbiddenError, match="Unauthorized"):
        identify(client)


def test_an_anonymous_scanner_is_refused(server: StandIn) -> None:
    """It would see nothing and call that clean."""
    with pytest.raises(ForbiddenError, match=r"takes us for system:anonymous; check the credentials$"):
        identity(server, known_as("system:anonymous"))


def test_an_anonymous_scanner_that_may_not_even_ask_is_refused(server: StandIn) -> None:
    """The refusal names it."""
    with pytest.raises(ForbiddenError):
        identity(server, status(403, 'User "system:anonymous" cannot create resource "selfsubjectreviews"'))


def test_a_server_that_does_not_tell_who_we_are_is_taken_as_knowing_us(server: StandIn) -> None:
    """Before Kubernetes 1.28."""
    assert identity(server, status(404)) == ""


def test_a_scanner_without_credentials_is_refused(server: StandIn) -> None:
    """Whatever the server would let no one see."""
    with contextlib.closing(server.client(token="")) as client, pytest.raises(ForbiddenError, match="no credentials"):
        identify(client)


@pytest.mark.parametrize("reply", [Reply(body=b"<html>", content_type="text/html"), Reply(body=b"[]"), status(503)])
def test_what_is_no_api_server_is_named_by_its_address(server: StandIn, reply: Reply) -> None:
    """And what it said."""
    with pytest.raises(UnreachableError, match=rf"^{server.url}: "):
        identity(server, reply)


def test_a_server_that_is_not_there_is_named_by_its_address() -> None:
    """Nothing listens."""
    with stand_in.running() as gone:
        pass
    with contextlib.closing(gone.client()) as client, pytest.raises(UnreachableError, match=r": cannot connect$"):
        identify(client)


def test_the_operator_names_the_cluster(server: StandIn) -> None:
    """Whatever the kubeconfig says."""
    with contextlib.closing(server.client()) as client:
        assert cluster_name(client, "production") == "production"


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (Reply(body=b'{"metadata":{"name":"kube-system","uid":"1a2b3c4d-0000"}}'), "in-cluster-1a2b3c4d"),
        (status(403), "in-cluster"),
    ],
)
def test_a_cluster_without_kubeconfig_is_named_by_the_uid_of_kube_system(
    server: StandIn, reply: Reply, name: str
) -> None:
    """It lives as long as the cluster; where it may not be read, an operator with many clusters must name them."""
    server.scripts["/api/v1/namespaces/kube-system"] = [reply]
    with contextlib.closing(server.client(cluster="")) as client:
        assert cluster_name(client) == name


def test_a_version_that_is_not_told_is_empty(server: StandIn) -> None:
    """It is no reason not to scan."""
    with contextlib.closing(server.client()) as client:
        assert server_version(client) == ""
