"""Real services for the tests: kube-apiserver with etcd, and PostgreSQL, one of each for all test workers.

Each runs under a supervisor process (`python -m tests.services …`) that ends it when the test run ends, even if that
was killed. The first worker that needs a service starts it; the others find its address in the run's folder.
"""

import contextlib
import datetime as dt
import fcntl
import ipaddress
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

#: The control plane's module; its folder in the cache is named after what it would be built from.
CONTROL_PLANE_MODULE = Path(__file__).parent / "controlplane"
#: Debian keeps the server's programs out of the PATH.
POSTGRES_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
#: A cold start takes about 3 s on an idle machine; a busy one may need ten times that.
START_TIMEOUT_SECONDS = 90.0


@dataclass(frozen=True)
class ControlPlane:
    """A running kube-apiserver; the token is one of group system:masters."""

    url: str
    token: str
    ca_file: str
    kubeconfig: str


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL server that trusts local connections."""

    host: str
    port: int

    def url(self, database: str) -> str:
        """Return SQLAlchemy's address of a database."""
        return f"postgresql+psycopg://postgres@{self.host}:{self.port}/{database}"


def control_plane_programs() -> Path | None:
    """Return the folder with kube-apiserver and etcd, or None if they were not built."""
    folder = Path(os.environ.get("KUBEBUILDER_ASSETS") or control_plane_cache())
    return folder if all((folder / name).is_file() for name in ("kube-apiserver", "etcd")) else None


def control_plane_cache() -> Path:
    """Return where `make control-plane` puts the programs: one folder for each content of the Go module."""
    shown = subprocess.run(
        ["sh", str(CONTROL_PLANE_MODULE / "build.sh"), "--where"], check=True, capture_output=True, text=True
    )
    return Path(shown.stdout.strip())


def postgres_programs() -> Path | None:
    """Return the folder with initdb and postgres, or None if there is none."""
    return next((folder for folder in POSTGRES_FOLDERS if (folder / "initdb").is_file()), None)


def shared_control_plane(folder: Path) -> ControlPlane:
    """Return the run's control plane, starting it if this is the first call of any worker."""
    return msgspec.json.decode(_shared(folder, "control-plane"), type=ControlPlane)


def shared_postgres(folder: Path) -> Postgres:
    """Return the run's PostgreSQL server, starting it if this is the first call of any worker."""
    return msgspec.json.decode(_shared(folder, "postgres"), type=Postgres)


def _shared(folder: Path, name: str) -> bytes:
    state = folder / f"{name}.json"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not state.exists():
            supervisor = _spawn(folder, name)
            (folder / f"{name}.pid").write_text(str(supervisor))
            deadline = time.monotonic() + START_TIMEOUT_SECONDS
            while not state.exists():
                if _has_ended(supervisor) or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} did not start:\n{(folder / f'{name}.log').read_text()[-3000:]}")
                time.sleep(0.05)
    return state.read_bytes()


def _spawn(folder: Path, name: str) -> int:
    """Start a supervisor and return its process id: it outlives the worker that starts it, so no `Popen` owns it."""
    log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "tests.services", name, str(folder), os.environ["TEST_RUN_PID"]],
            {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            file_actions=[(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
            setsid=True,
        )
    finally:
        os.close(log)


def stop_all(folder: Path) -> None:
    """Stop what the run started and remove its folder."""
    for pid_file in folder.glob("*.pid"):
        pid = int(pid_file.read_text())
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        _wait_until(partial(_has_ended, pid), 20.0)
    shutil.rmtree(folder, ignore_errors=True)


def _has_ended(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def _wait_until(holds: Callable[[], bool], timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(*command: str, user: str | None = None, stop: int = signal.SIGTERM) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for as long as the block lasts."""
    process = subprocess.Popen(command, user=user, cwd="/")
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _certificates(folder: Path) -> None:
    """Make a CA, a serving certificate for 127.0.0.1 and a key for service-account tokens."""
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - a certificate is made for today
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    base = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=2))
    )
    ca_identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = (
        base.subject_name(issuer)
        .serial_number(x509.random_serial_number())
        .public_key(ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(ca_identifier, critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(ca_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    serving = (
        base.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")]))
        .serial_number(x509.random_serial_number())
        .public_key(key.public_key())
        .add_extension(names, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    signing = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "ca.crt").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.crt").write_bytes(serving.public_bytes(serialization.Encoding.PEM))
    for name, private in (("tls.key", key), ("sa.key", signing)):
        (folder / name).write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


@contextlib.contextmanager
def audited_control_plane(folder: Path, *, sink: str, ca_file: Path, token: str) -> Iterator[ControlPlane]:
    """Run a control plane of one's own that posts audit events, of metadata alone, to an address with a token.

    The address must be https: the API server sends no token over plain http.
    """
    folder.mkdir()
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}
    (folder / "policy.json").write_bytes(msgspec.json.encode(policy | {"omitStages": ["RequestReceived"]}))
    webhook = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sink",
        "clusters": [{"name": "sink", "cluster": {"server": sink, "certificate-authority": str(ca_file)}}],
        "users": [{"name": "sink", "user": {"token": token}}],
        "contexts": [{"name": "sink", "context": {"cluster": "sink", "user": "sink"}}],
    }
    (folder / "webhook.json").write_bytes(msgspec.json.encode(webhook))
    with _control_plane(
        folder / "control-plane",
        f"--audit-policy-file={folder}/policy.json",
        f"--audit-webhook-config-file={folder}/webhook.json",
        "--audit-webhook-mode=batch",
        "--audit-webhook-batch-max-wait=200ms",
    ) as found:
        yield found


@contextlib.contextmanager
def own_control_plane(folder: Path) -> Iterator[ControlPlane]:
    """Run a control plane of one's own, for what would change the answers of others: kinds, defaults of a cluster."""
    with _control_plane(folder) as found:
        yield found


@contextlib.contextmanager
def _control_plane(folder: Path, *flags: str) -> Iterator[ControlPlane]:
    programs = control_plane_programs()
    if programs is None:
        raise RuntimeError("no kube-apiserver and etcd: run `make control-plane`")
    folder.mkdir()
    _certificates(folder)
    token = secrets.token_urlsafe(24)
    (folder / "tokens.csv").write_text(f'{token},test-admin,test-admin,"system:masters"\n')
    etcd, peer, port = _free_port(), _free_port(), _free_port()
    found = ControlPlane(f"https://127.0.0.1:{port}", token, str(folder / "ca.crt"), str(folder / "kubeconfig"))
    (folder / "kubeconfig").write_text(_kubeconfig(found))
    with (
        _running(
            str(programs / "etcd"),
            f"--data-dir={folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
        _running(
            str(programs / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={folder}/tls.crt",
            f"--tls-private-key-file={folder}/tls.key",
            f"--cert-dir={folder}/certs",
            f"--service-account-key-file={folder}/sa.key",
            f"--service-account-signing-key-file={folder}/sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={folder}/tokens.csv",
            "--authorization-mode=Node,RBAC",
            "--service-cluster-ip-range=10.0.0.0/16",
            "--allow-privileged",
            # Nothing runs controllers here, so no namespace would ever get its default service account.
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
            *flags,
        ),
    ):
        if not _wait_until(lambda: _is_ready(found), START_TIMEOUT_SECONDS):
            raise RuntimeError("kube-apiserver does not become ready")
        _keep_params_watched(found)
        yield found


def _is_ready(control_plane: ControlPlane) -> bool:
    try:
        return _call(control_plane, "/readyz") == HTTPStatus.OK
    except (OSError, urllib.error.URLError):
        return False


def _call(control_plane: ControlPlane, path: str, body: bytes | None = None) -> int:
    """Make a request as the administrator, a POST if there is a body, and return the status."""
    request = urllib.request.Request(  # noqa: S310 - https, our own address
        control_plane.url + path,
        data=body,
        headers={"Authorization": f"Bearer {control_plane.token}", "Content-Type": "application/json"},
    )
    context = ssl.create_default_context(cafile=control_plane.ca_file)
    with urllib.request.urlopen(request, context=context, timeout=5) as answer:  # noqa: S310 - as above
        status: int = answer.status
        return status


def _keep_params_watched(control_plane: ControlPlane) -> None:
    """Keep a ValidatingAdmissionPolicy with ConfigMaps as params, in force where there is nothing.

    When the last policy of a param kind is deleted, the API server stops watching that kind and does not begin anew for
    the next one: params that a selector should find are never seen then. One test deletes such a policy, another needs
    one.
    """
    root = "/apis/admissionregistration.k8s.io/v1"
    name = "keep-params-watched"
    nowhere = {"matchLabels": {"kubernetes.io/metadata.name": name}}
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}]
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": {"resourceRules": rules, "namespaceSelector": nowhere},
            "validations": [{"expression": "true"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "paramRef": {"name": "none", "parameterNotFoundAction": "Allow"},
            "matchResources": {"namespaceSelector": nowhere},
            "validationActions": ["Deny"],
        },
    }
    _call(control_plane, f"{root}/validatingadmissionpolicies", msgspec.json.encode(policy))
    _call(control_plane, f"{root}/validatingadmissionpolicybindings", msgspec.json.encode(binding))


def _kubeconfig(control_plane: ControlPlane) -> str:
    config = msgspec.json.encode(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [
                {
                    "name": "test",
                    "cluster": {"server": control_plane.url, "certificate-authority": control_plane.ca_file},
                }
            ],
            "users": [{"name": "test", "user": {"token": control_plane.token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
    )
    return config.decode()


@contextlib.contextmanager
def _postgres(folder: Path) -> Iterator[Postgres]:
    programs = postgres_programs()
    if programs is None:
        raise RuntimeError("no PostgreSQL server: install Debian's package postgresql")
    folder.mkdir()
    # The server refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    port = _free_port()
    subprocess.run(
        [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "--auth=trust", "-N", "-E", "UTF8"],
        check=True,
        user=user,
        cwd="/",
    )
    with _running(
        str(programs / "postgres"),
        *("-D", str(folder / "data"), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)),
        *("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200"),
        user=user,
        stop=signal.SIGINT,
    ):
        if not _wait_until(lambda: _answers(programs, port), START_TIMEOUT_SECONDS):
            raise RuntimeError("PostgreSQL does not become ready")
        yield Postgres("127.0.0.1", port)


def _answers(programs: Path, port: int) -> bool:
    return subprocess.run([str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode == 0  # noqa: PLW1510 - its exit status is the answer


def _supervise(name: str, folder: Path, test_run: int) -> None:
    """Run a service until this process is told to end or the test run is gone."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    services: dict[str, Callable[[Path], contextlib.AbstractContextManager[ControlPlane | Postgres]]] = {
        "control-plane": _control_plane,
        "postgres": _postgres,
    }
    with services[name](folder / name) as found:
        state = folder / f"{name}.json"
        state.with_suffix(".tmp").write_bytes(msgspec.json.encode(found))
        state.with_suffix(".tmp").rename(state)
        while not _has_ended(test_run):
            time.sleep(0.5)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _supervise(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
