"""`plimsoll secrets at-rest` and `tls-rights`, as people run them."""

from pathlib import Path

import yaml

from tests.cli.running import plimsoll

INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop}
spec: {tls: [{hosts: [shop.example.com], secretName: shop-tls}, {hosts: [b.example.com], secretName: b-tls}]}
"""


def test_the_rights_name_each_secret_that_is_served(tmp_path: Path) -> None:
    """`get` on these, for the service account that is asked for."""
    (tmp_path / "ingress.yaml").write_text(INGRESS)
    ended = plimsoll("secrets", "tls-rights", "--manifests", tmp_path, "--service-account", "ops/robot")
    role, binding = yaml.safe_load_all(ended.out)
    assert role["metadata"]["namespace"] == "shop"
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["b-tls", "shop-tls"]}
    ]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "robot", "namespace": "ops"}]


def test_without_a_certificate_there_is_no_right(tmp_path: Path) -> None:
    """And the output is still what kubectl takes."""
    (tmp_path / "empty.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    ended = plimsoll("secrets", "tls-rights", "--manifests", tmp_path)
    assert list(yaml.safe_load_all(ended.out)) in ([], [None])


def test_at_rest_says_why_it_does_not_know(tmp_path: Path) -> None:
    """Files do not tell."""
    (tmp_path / "ingress.yaml").write_text(INGRESS)
    ended = plimsoll("secrets", "at-rest", "--manifests", tmp_path)
    assert ended.out.splitlines() == [
        "UNKNOWN  whether Secrets are encrypted in etcd: no pod shows the API server's flags, and files do not tell",
        "No external store, CSI driver for Secrets or KMS plugin is seen",
    ]


def test_at_rest_as_json(tmp_path: Path) -> None:
    """For scripts."""
    (tmp_path / "ingress.yaml").write_text(INGRESS)
    assert plimsoll("secrets", "at-rest", "--manifests", tmp_path, "-o", "json").json["verdict"] == "unknown"
