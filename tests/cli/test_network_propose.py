"""`plimsoll network propose` as scripts and people use it."""

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.running import EXAMPLE, plimsoll


def test_yaml_is_a_stream_of_network_policies() -> None:
    """What stands around them is comments."""
    out = plimsoll("network", "propose", "--manifests", EXAMPLE, "-n", "shop").out
    assert {o["kind"] for o in yaml.safe_load_all(out) if o} == {"NetworkPolicy"}


@pytest.mark.parametrize("said", ["# Assumed", "# Cut: ", "# Still allowed: "])
def test_yaml_says_what_it_rests_on_and_what_it_does(said: str) -> None:
    """Assumptions first, the proof last."""
    assert said in plimsoll("network", "propose", "--manifests", EXAMPLE, "-n", "shop").out


def test_json_has_manifests_assumptions_and_all_lists() -> None:
    """For programs."""
    report = plimsoll("network", "propose", "--manifests", EXAMPLE, "-o", "json").json
    assert {"assumptions", "policies", "kept", "cut", "opened"} <= report.keys()


def test_a_namespace_that_does_not_exist_is_bad_input() -> None:
    """One line says so."""
    ended = plimsoll("network", "propose", "--manifests", EXAMPLE, "-n", "nowhere")
    assert (ended.status, ended.err) == (2, "plimsoll: nowhere: no such namespace was read\n")


def test_objects_of_any_shape_do_not_stop_it(tmp_path: Path) -> None:
    """What the API server would refuse, a file may hold."""
    items = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "a", "namespace": "x", "annotations": {}},
            "spec": {
                "template": {
                    "metadata": {
                        "labels": {"app": "a"},
                        "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "٣٣٣"},
                    },
                    "spec": {
                        "containers": [
                            {
                                "name": "c",
                                "livenessProbe": {"httpGet": "x", "tcpSocket": {"port": 99999}, "grpc": {"port": True}},
                                "lifecycle": {"postStart": {"httpGet": 7}},
                            }
                        ]
                    },
                }
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "b", "namespace": "x"},
            "spec": {
                "template": {
                    "metadata": {"labels": {"app": "b"}},
                    "spec": {
                        "containers": [
                            {
                                "name": "c",
                                "lifecycle": "x",
                                "livenessProbe": 3,
                                "ports": [{"containerPort": "z", "name": ["q"]}],
                            }
                        ]
                    },
                }
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "n", "namespace": "x"},
            "spec": {
                "template": {
                    "metadata": {"labels": {"app": "n"}},
                    "spec": {
                        "containers": [
                            {"name": "c", "image": "k8s-dns-node-cache", "args": ["-localip", "__PILLAR__", "-localip"]}
                        ]
                    },
                }
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "a", "namespace": "x"},
            "spec": {
                "type": "LoadBalancer",
                "externalTrafficPolicy": "Local",
                "loadBalancerSourceRanges": ["nope"],
                "selector": {"app": "a"},
                "ports": [{"port": 99999999}, {"port": 80, "targetPort": 0}],
            },
        },
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "ServiceMonitor",
            "metadata": {"name": "a", "namespace": "x"},
            "spec": {
                "selector": {},
                "namespaceSelector": {"matchNames": "x"},
                "endpoints": [{"port": ["q"]}, {"targetPort": True}, {"targetPort": -1}, 5],
            },
        },
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": {"name": "a", "namespace": "x"},
            "spec": {
                "selector": {},
                "podMetricsEndpoints": [{"portNumber": 1.5}, {"port": {}}, {"targetPort": []}, {"port": 5}],
            },
        },
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": {"name": "b", "namespace": "x"},
            "spec": 7,
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "a"},
            "spec": {"service": {"namespace": "x", "name": "a", "port": [1]}},
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "b"},
            "spec": {"service": 5},
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "b"},
            "webhooks": [
                {"clientConfig": "x"},
                {"clientConfig": {"service": {"namespace": "x", "name": "a", "port": {}}}},
            ],
        },
    ]
    file = tmp_path / "odd.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    assert plimsoll("network", "propose", "--manifests", file).status == 3  # it read on, and says that it lacks some
