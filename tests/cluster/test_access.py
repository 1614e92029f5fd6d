"""Credentials: from kubeconfigs, exec plugins and pods, through proxies, and again when they rotate."""

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanner.cluster import access
from scanner.cluster.access import load_access
from scanner.cluster.client import Client
from scanner.errors import UsageError
from tests.cluster.stand_in import Reply, StandIn, status
from tests.services import ControlPlane

GOOD = Reply(body=b"{}")


def kubeconfig(folder: Path, server: str, user: dict[str, Any], **cluster: str) -> str:
    """Write a kubeconfig with the contexts `one` and `two`; the current one is `one`."""
    path = folder / "config"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": f"cluster-{c}", "cluster": {"server": server} | cluster} for c in ("one", "two")],
        "users": [{"name": "me", "user": user}],
        "contexts": [
            {"name": c, "context": {"cluster": f"cluster-{c}", "user": "me", "namespace": f"ns-{c}"}}
            for c in ("one", "two")
        ],
    }
    path.write_bytes(msgspec.json.encode(content))
    return str(path)


def token_file(folder: Path, token: str) -> Path:
    """Write a token as it lies in a pod."""
    path = folder / "token"
    path.write_text(f"{token}\n")
    return path


def asked_with(server: StandIn, path: str) -> list[str]:
    """Return the Authorization headers that the server saw."""
    return [r.headers.get("Authorization", "") for r in server.asked(path)]


@pytest.mark.parametrize(("context", "expected"), [("", ("cluster-one", "ns-one")), ("two", ("cluster-two", "ns-two"))])
def test_a_context_names_cluster_and_namespace(tmp_path: Path, context: str, expected: tuple[str, str]) -> None:
    """The current one unless another is asked for."""
    found = load_access(kubeconfig(tmp_path, "https://127.0.0.1:1", {"token": "t"}), context)
    assert (found.cluster, found.namespace) == expected


def test_a_context_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """In one line."""
    path = kubeconfig(tmp_path, "https://127.0.0.1:1", {"token": "t"})
    with pytest.raises(UsageError, match=r"^no cluster to read: .*three.*$"):
        load_access(path, "three")


@pytest.mark.parametrize("content", ["", "[", "a: b", "\t- x"])
def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    """In one line, with its path."""
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(UsageError, match=rf"^no cluster to read: {path}: [^\n]+$"):
        load_access(str(path))


def test_a_kubeconfig_that_is_missing_is_named(tmp_path: Path) -> None:
    """In one line, with its path."""
    with pytest.raises(UsageError, match=r"^no cluster to read: .*nothing: [^\n]+$"):
        load_access(str(tmp_path / "nothing"))


def test_an_exec_plugin_gives_the_token(tmp_path: Path) -> None:
    """As the clouds' clients do."""
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "from-plugin"},
    }
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!{sys.executable}\nprint({msgspec.json.encode(credential).decode()!r})\n")
    plugin.chmod(0o755)
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(plugin),
            "interactiveMode": "Never",
        }
    }
    found = load_access(kubeconfig(tmp_path, "https://127.0.0.1:1", user))
    assert found.authorization() == "Bearer from-plugin"


def test_a_token_file_is_read_again_when_the_old_token_is_refused(server: StandIn, tmp_path: Path) -> None:
    """Tokens of service accounts rotate every hour."""
    user = {"tokenFile": str(token_file(tmp_path, "old"))}
    path = kubeconfig(tmp_path, server.url, user)
    server.scripts["/x"] = [GOOD, status(401), GOOD]
    with contextlib.closing(Client(lambda: load_access(path))) as client:
        client.get("/x")
        token_file(tmp_path, "new")
        client.get("/x")
    assert asked_with(server, "/x") == ["Bearer old", "Bearer old", "Bearer new"]


def test_impersonation_of_the_kubeconfig_is_kept_to(server: StandIn, tmp_path: Path) -> None:
    """A scan has the rights that kubectl has by the same file, and no more."""
    user = {"token": "t", "as": "jane", "as-groups": ["auditors"], "as-user-extra": {"team/shop": ["x"]}}
    path = kubeconfig(tmp_path, server.url, user)
    server.scripts["/x"] = [GOOD]
    with contextlib.closing(Client(lambda: load_access(path))) as client:
        client.get("/x")
    sent = {k: v for k, v in server.asked("/x")[0].headers.items() if k.startswith("Impersonate")}
    assert sent == {
        "Impersonate-User": "jane",
        "Impersonate-Group": "auditors",
        "Impersonate-Extra-team%2Fshop": "x",
    }


@pytest.mark.control_plane
def test_the_api_server_takes_us_for_whom_we_impersonate(control_plane: ControlPlane, tmp_path: Path) -> None:
    """With every group of the kubeconfig."""
    user = {"token": control_plane.token, "as": "jane", "as-groups": ["auditors", "developers"]}
    ca = {"certificate-authority": control_plane.ca_file}
    path = kubeconfig(tmp_path, control_plane.url, user, **ca)
    review = msgspec.json.encode({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    with contextlib.closing(Client(lambda: load_access(path))) as client:
        answer = msgspec.json.decode(client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review))
    seen = answer["status"]["userInfo"]
    assert (seen["username"], {"auditors", "developers"} <= set(seen["groups"])) == ("jane", True)


def test_a_proxy_of_the_kubeconfig_is_used(server: StandIn, tmp_path: Path) -> None:
    """The request goes to it, with the address of the API server inside."""
    path = kubeconfig(tmp_path, "http://api.example.invalid", {"token": "t"}, **{"proxy-url": server.url})
    server.scripts["/x"] = [GOOD]
    with contextlib.closing(Client(lambda: load_access(path))) as client:
        client.get("/x")
    assert server.asked("/x")[0].headers["Host"] == "api.example.invalid"


@pytest.fixture
def in_pod(server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The files and variables that Kubernetes gives to a pod."""
    token_file(tmp_path, "pod-token")
    for name in ("ca.crt", "namespace"):
        (tmp_path / name).write_text("scanner\n")
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr(access, "NAMESPACE_FILE", tmp_path / "namespace")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    return server


@pytest.mark.usefixtures("in_pod")
def test_a_pod_finds_its_own_cluster() -> None:
    """With its token, and without a name."""
    found = load_access()
    assert (found.origin, found.authorization(), found.cluster, found.namespace) == (
        "https://127.0.0.1:1",
        "bearer pod-token",
        "",
        "scanner",
    )


@pytest.mark.usefixtures("in_pod")
def test_a_kubeconfig_that_is_named_comes_before_the_pods_own_cluster(tmp_path: Path) -> None:
    """What a person says counts more than where it runs."""
    assert load_access(kubeconfig(tmp_path, "https://192.0.2.1", {"token": "t"})).origin == "https://192.0.2.1"


def test_scanning_files_does_not_import_the_client_library() -> None:
    """It takes a second, which a scan of one small file must not."""
    code = "import sys, scanner.cluster.collect, scanner.cluster.connect; print('kubernetes' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout == "False\n"
