"""A scan of an API server that is broken altogether is an error; of one that is half broken, it is not."""

import contextlib

import msgspec
import pytest

from scanner.cluster.client import Client
from scanner.cluster.collect import collect
from scanner.errors import UnreachableError
from scanner.model.coverage import ReadState
from scanner.model.refs import ClusterName, GroupKind
from scanner.model.resources import BY_KIND, Resource
from tests.builders import NOW
from tests.cluster.stand_in import Reply, StandIn, pods, status

PODS = BY_KIND[GroupKind("", "Pod")]
ACCOUNTS = BY_KIND[GroupKind("", "ServiceAccount")]
REPLICA_SETS = BY_KIND[GroupKind("apps", "ReplicaSet")]


def states(client: Client, *resources: Resource) -> dict[str, ReadState]:
    """Read a cluster, and return what the coverage says."""
    with contextlib.closing(client):
        found = collect(client, cluster=ClusterName("test"), now=NOW, resources=resources)
    return {r.resource: r.state for r in found.coverage}


def test_a_server_of_which_nothing_can_be_read_is_an_error(server: StandIn) -> None:
    """It must not look like an empty cluster."""
    item = {"resource": "pods", "responseKind": {"kind": "Pod"}, "scope": "Namespaced", "verbs": ["list"]}
    group = {"metadata": {"name": ""}, "versions": [{"version": "v1", "resources": [item]}]}
    answer = Reply(body=msgspec.json.encode({"kind": "APIGroupDiscoveryList", "items": [group]}))
    server.scripts |= {"/api": [answer], "/apis": [answer], "/api/v1/pods": [status(500, "etcd is down")]}
    with pytest.raises(UnreachableError, match=r"nothing could be read: HTTP 500: etcd is down$"):
        states(server.client(), PODS)


def test_a_server_that_forgets_a_kind_of_the_core_group_is_not_believed(server: StandIn) -> None:
    """Some proxy says 404 where every API server has pods."""
    server.scripts |= {"/api": [status(403)], "/api/v1/serviceaccounts": [status(403)]}
    assert states(server.client(), PODS, ACCOUNTS)["pods"] is ReadState.FAILED


def test_where_discovery_is_forbidden_each_list_tells(server: StandIn) -> None:
    """Everything is tried, and 404 means absent."""
    server.scripts |= {"/api": [status(403)], "/api/v1/pods": [pods("web")]}
    found = states(server.client(), PODS, REPLICA_SETS)
    not_opted_in = {"TLS Secrets": ReadState.SKIPPED}
    assert found == {"pods": ReadState.COMPLETE, "replicasets.apps": ReadState.ABSENT} | not_opted_in


def test_a_server_that_does_not_answer_is_an_error(server: StandIn) -> None:
    """Before anything is read."""
    server.scripts["/api"] = [Reply(is_reset=True)]
    with pytest.raises(UnreachableError, match=r"^http://127\.0\.0\.1:\d+: the connection broke off$"):
        states(server.client(), PODS)
