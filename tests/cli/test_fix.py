"""`plimsoll fix`."""

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.running import plimsoll

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      containers:
        - name: app
          image: registry.example.com/cart:1
          env: [{name: PASSWORD, value: hunter2}]
          securityContext: {privileged: true}
---
apiVersion: v1
kind: Pod
metadata: {name: tool, namespace: lab}
spec:
  containers: [{name: app, image: registry.example.com/tool, securityContext: {privileged: true}}]
"""


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """A file with a Deployment and a bare pod."""
    file = tmp_path / "apps.yaml"
    file.write_text(MANIFESTS)
    return file


def test_only_the_fields_of_a_fix_are_applied(manifests: Path) -> None:
    """With the keys of the lists around them, and what a privileged container hid."""
    run = plimsoll(
        "fix", "pods/privileged-container", "pods/seccomp-missing", "-n", "shop", "--manifests", manifests, "-o", "yaml"
    )
    (applied,) = yaml.safe_load_all(run.out)
    assert applied["spec"]["template"]["spec"] == {
        "containers": [{"name": "app", "securityContext": {"privileged": False}}],
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
    }


def test_a_diff_shows_no_literal_environment(manifests: Path) -> None:
    """A diff goes where manifests don't."""
    run = plimsoll("fix", "pods/*", "--workload", "Deployment/cart", "--manifests", manifests)
    assert ("+          privileged: false" in run.out, "hunter2" in run.out) == (True, False)


def test_a_bare_pod_is_made_anew(manifests: Path) -> None:
    """No API server lets anyone change its containers."""
    run = plimsoll("fix", "pods/privileged-container", "-n", "lab", "--manifests", manifests)
    assert "# Pod/lab/tool cannot be changed: it is deleted and made anew" in run.out


def test_what_needs_a_decision_says_which(manifests: Path) -> None:
    """There is no patch for an image without a release."""
    (fix,) = plimsoll("fix", "pods/mutable-image-tag", "--manifests", manifests, "-o", "json").json
    assert (fix["operations"], fix["reason"]) == ([], "a person must decide which release is meant")


def test_no_mask_is_printed_as_a_value(tmp_path: Path) -> None:
    """What a scan does not keep is to be filled in, and until then nothing of it can be carried out."""
    container = {"name": "app", "image": "x:1", "env": [{"name": "DB_PASSWORD", "value": "tr0ub4dor-and-three"}]}
    spec = {"containers": [container], "hostPID": True}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tool", "namespace": "lab"}, "spec": spec}
    (tmp_path / "pod.json").write_text(json.dumps(pod))
    command = ("fix", "pods/host-*", "--manifests", tmp_path, "-o")
    text, found = plimsoll(*command, "yaml").out, plimsoll(*command, "json").out
    assert "#   spec.containers[0].env[0].value" in text
    assert all(line.startswith("#") for line in text.splitlines())
    assert "***" not in text + found
    assert "fillIn" in found
