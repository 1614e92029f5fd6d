"""Credentials are planted in every field that may hold one; after a scan in every mode none is anywhere else."""

import base64
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from docs.generate import openapi
from tests.canaries import Canaries, unpacked
from tests.certificates import certificate
from tests.cli.running import plimsoll
from tests.kube import Kube, kube
from tests.receiver import receiving
from tests.services import ControlPlane
from tests.serving import Process, Start

pytestmark = pytest.mark.control_plane

NAMESPACE = "canaries"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: A text that no rule takes for a credential: that a Secret holds it is reason enough to show it nowhere.
PLAIN = "the owl of the east tower sleeps until noon"
AUDIT_TOKEN = "hoopoe-Zq81kTn04pWx72bVd5"
DATABASE_PASSWORD = "wagtail4Kd8Qm1Zx6Rb3Tn9"
SIGNING = base64.b64encode(b"lapwing-signs-with-these-32-byte").decode()

#: What a scan may be told to read of Secrets.
MODES = {
    "default": (),
    "metadata": ("--read-secrets",),
    "certificates": ("--read-certificates",),
    "both": ("--read-secrets", "--read-certificates"),
}

#: Every command that reads a whole cluster, by a name for each way to write its answer.
COMMANDS: dict[str, tuple[str, ...]] = {
    "scan table": ("scan", "--all-outcomes", "--show-expected"),
    "scan json": ("scan", "-o", "json", "--patches", "--all-outcomes"),
    "readiness table": ("readiness",),
    "readiness json": ("readiness", "-o", "json"),
    "readiness html": ("readiness", "-o", "html"),
    "fix diff": ("fix", "-o", "diff"),
    "fix yaml": ("fix", "-o", "yaml"),
    "fix json": ("fix", "-o", "json"),
    "secrets usage": ("secrets", "usage"),
    "secrets usage json": ("secrets", "usage", "-o", "json"),
    "secrets access": ("secrets", "access"),
    "secrets access json": ("secrets", "access", "-o", "json"),
    "secret access": ("secrets", "access", "database", "-n", NAMESPACE, "-o", "json"),
    "at rest": ("secrets", "at-rest", "-o", "json"),
    "tls rights": ("secrets", "tls-rights"),
    "pss": ("pss", "--level", "restricted"),
    "who can": ("rbac", "who-can", "get", "secrets"),
    "exposure": ("network", "exposure", "-o", "json"),
    "propose": ("network", "propose"),
    "graph": ("network", "graph"),
}


def _meta(canaries: Canaries, name: str, kind: str, *, is_namespaced: bool = True) -> dict[str, Any]:
    """Name an object, with credentials in annotations of several kinds."""
    applied = {"metadata": {"name": name}, "spec": {"password": canaries.plant(f"{kind}: last applied")}}
    annotations = {
        LAST_APPLIED: json.dumps(applied),
        "example.com/api-token": canaries.plant(f"{kind}: annotation by its name"),
        "example.com/notes": canaries.plant(f"{kind}: annotation by its look", "github"),
        "checksum/password": canaries.plant(f"{kind}: annotation of a checksum's name", "url"),
        "example.com/config": f"log: debug\npassword: {canaries.plant(f'{kind}: file in an annotation')}\n",
    }
    return {"name": name, "annotations": annotations} | ({"namespace": NAMESPACE} if is_namespaced else {})


def _container(canaries: Canaries, place: str, name: str) -> dict[str, Any]:
    """Return a container with a credential in each field that takes one."""

    def plant(what: str, form: str = "password") -> str:
        return canaries.plant(f"{place}: {what}", form)

    def handler(what: str) -> dict[str, Any]:
        header = {"name": "Authorization", "value": plant(f"{what} header", "header")}
        other = {"name": "X-Api-Key", "value": plant(f"{what} header by its name")}
        return {"httpGet": {"path": "/", "port": 80, "httpHeaders": [header, other]}}

    return {
        "name": name,
        "image": "registry.example.com/canary:1",
        "env": [
            {"name": "DB_PASSWORD", "value": plant("variable by its name")},
            {"name": "SETTINGS", "value": plant("variable by its look", "github")},
            {"name": "BROKER", "value": plant("variable with a URL", "url")},
            {"name": "DATABASE", "value": plant("variable with parameters", "parameter")},
            {"name": "CERTIFICATES", "value": plant("variable with a key", "pem")},
            {"name": "HOOK", "value": plant("variable with a hook", "hook")},
        ],
        "command": ["sh", "-c", f"PGPASSWORD={plant('script')} psql"],
        "args": [
            f"--password={plant('argument')}",
            "--token",
            plant("next argument"),
            plant("bare argument", "github"),
        ],
        "livenessProbe": handler("liveness"),
        "readinessProbe": {"exec": {"command": ["curl", "-H", f"Authorization: {plant('probe command', 'header')}"]}},
        "lifecycle": {
            "postStart": handler("start hook"),
            "preStop": {"exec": {"command": ["sh", "-c", f"curl --password={plant('stop hook')}"]}},
        },
    }


def _template(canaries: Canaries, place: str, **more: Any) -> dict[str, Any]:
    containers = [_container(canaries, place, "app")]
    first = _container(canaries, f"{place} init", "first")
    for field in ("livenessProbe", "readinessProbe", "lifecycle"):
        del first[field]
    volumes = [{"name": "db", "secret": {"secretName": "database"}}]
    annotations = {"example.com/password": canaries.plant(f"{place}: annotation of the template")}
    metadata = {"labels": {"app": place.lower()}, "annotations": annotations}
    return {
        "metadata": metadata,
        "spec": {"containers": containers, "initContainers": [first], "volumes": volumes, **more},
    }


def _workloads(canaries: Canaries) -> Iterator[dict[str, Any]]:
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
        spec = {
            "selector": {"matchLabels": {"app": kind.lower()}},
            "template": _template(canaries, kind),
        } | ({"serviceName": "canary"} if kind == "StatefulSet" else {})
        yield {"apiVersion": "apps/v1", "kind": kind, "metadata": _meta(canaries, "canary", kind), "spec": spec}
    job = {"template": _template(canaries, "Job", restartPolicy="Never"), "suspend": True}
    yield {"apiVersion": "batch/v1", "kind": "Job", "metadata": _meta(canaries, "canary", "Job"), "spec": job}
    nightly = {
        "schedule": "0 0 * * *",
        "jobTemplate": {"spec": {"template": _template(canaries, "CronJob", restartPolicy="Never")}},
    }
    yield {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _meta(canaries, "canary", "CronJob"),
        "spec": nightly,
    }
    pod = _template(canaries, "Pod")["spec"]
    owner = {
        "apiVersion": "canaries.example.com/v1",
        "kind": "Canary",
        "name": "canary",
        "uid": "c-1",
        "controller": True,
    }
    for name, owners in (("canary", []), ("owned", [owner])):
        meta = _meta(canaries, name, f"Pod {name}") | {"ownerReferences": owners}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod}


def _secrets(canaries: Canaries) -> Iterator[dict[str, Any]]:
    coded = {
        "password": canaries.plant("Secret: data"),
        "plain": canaries.add("Secret: plain text", PLAIN),
        "config.yaml": f"password: {canaries.plant('Secret: file in its data')}",
    }
    data = {key: base64.b64encode(text.encode()).decode() for key, text in coded.items()}
    meta = _meta(canaries, "database", "Secret")
    meta["annotations"] |= {
        LAST_APPLIED: json.dumps({"data": data, "stringData": {"a": canaries.plant("Secret: last applied data")}}),
        "example.com/words": canaries.add("Secret: plain annotation", "the heron waits beside the mill"),
    }
    texts = {"token": canaries.plant("Secret: stringData", "github")}
    yield {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data, "stringData": texts}
    made = certificate("canary.example.com", "canary.example.com")
    key = made.key_pem.decode()
    canaries.add("TLS Secret: key", key.splitlines()[2])
    served = {"tls.crt": base64.b64encode(made.pem).decode(), "tls.key": base64.b64encode(key.encode()).decode()}
    meta = _meta(canaries, "served", "TLS Secret")
    yield {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": meta, "data": served}


def _others(canaries: Canaries) -> Iterator[dict[str, Any]]:
    binary = base64.b64encode(f"password={canaries.plant('ConfigMap: binaryData')}\n\x00".encode()).decode()
    yield {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _meta(canaries, "canary", "ConfigMap"),
        "data": {
            "application.properties": f"spring.datasource.password={canaries.plant('ConfigMap: properties')}\n",
            "config.yaml": f"db:\n  password: {canaries.plant('ConfigMap: YAML')}\n",
            "endpoints.yaml": f"push: {canaries.plant('ConfigMap: URL', 'url')}\n",
            "settings.json": json.dumps({"apiToken": canaries.plant("ConfigMap: JSON")}),
            "key.pem": canaries.plant("ConfigMap: key", "pem"),
            "DB_PASSWORD": canaries.plant("ConfigMap: value by its key"),
        },
        "binaryData": {"app.ini": binary},
    }
    rule = {
        "host": "canary.example.com",
        "http": {
            "paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "canary", "port": {"number": 80}}}}
            ]
        },
    }
    spec = {"tls": [{"hosts": ["canary.example.com"], "secretName": "served"}], "rules": [rule]}
    meta = _meta(canaries, "canary", "Ingress")
    yield {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": spec}
    bot = f"xox{'b'}-1234567890123-1234567890123-" + canaries.plant(
        "ExternalName", alphabet="abcdefghijkmnpqrstuvwxyz23456789"
    )
    external: dict[str, Any] = {"type": "ExternalName", "externalName": f"{bot}.example.com"}
    for name, service in (
        ("external", external),
        ("canary", {"ports": [{"port": 80}], "selector": {"app": "deployment"}}),
    ):
        meta = _meta(canaries, name, f"Service {name}")
        yield {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta(canaries, "canary", "ServiceAccount")}
    custom = {
        "password": canaries.plant("custom resource: field by its name"),
        "connection": canaries.plant("custom resource: URL", "url"),
        "notes": canaries.plant("custom resource: field by its look", "github"),
        "env": [{"name": "API_TOKEN", "value": canaries.plant("custom resource: variable")}],
    }
    meta = _meta(canaries, "canary", "custom resource")
    yield {"apiVersion": "canaries.example.com/v1", "kind": "Canary", "metadata": meta, "spec": custom}


def _cluster_scoped(canaries: Canaries, url: str) -> Iterator[dict[str, Any]]:
    """Yield objects outside namespaces; the webhook is asked about kinds that do not exist."""
    rule = {
        "apiGroups": ["nothing.canaries.example.com"],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["x"],
    }
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        hook = {
            "name": "canary.example.com",
            "clientConfig": {"url": url.format(canaries.plant(f"{kind}: URL", "github"))},
            "rules": [rule],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "failurePolicy": "Ignore",
        }
        meta = _meta(canaries, "canaries", kind, is_namespaced=False)
        yield {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": meta, "webhooks": [hook]}
    role = _meta(canaries, "canaries", "ClusterRole", is_namespaced=False)
    yield {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": role, "rules": []}


def _definition() -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Canary", "plural": "canaries", "singular": "canary"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "canaries.canaries.example.com"},
        "spec": {"group": "canaries.example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _objects(canaries: Canaries, url: str) -> list[dict[str, Any]]:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": _meta(canaries, NAMESPACE, "Namespace", is_namespaced=False),
    }
    return [namespace, *_others(canaries), *_secrets(canaries), *_workloads(canaries), *_cluster_scoped(canaries, url)]


@dataclass(frozen=True)
class Planted:
    """A cluster, or files, with canaries."""

    canaries: Canaries
    kubeconfig: str = ""
    folder: Path = Path()


@pytest.fixture(scope="module")
def planted(control_plane: ControlPlane) -> Iterator[Planted]:
    """Plant canaries in the real API server; its own token is one more."""
    canaries = Canaries()
    canaries.add("kubeconfig: token", control_plane.token)
    with kube(control_plane) as admin:
        made = _objects(canaries, "https://hooks.example.com/{}")
        assert admin.install([_definition(), made[0]]) == []
        _wait_until_served(admin)
        try:
            assert admin.install(made) == []
            _add_ephemeral(admin, canaries)
            yield Planted(canaries, kubeconfig=control_plane.kubeconfig)
        finally:
            for thing in (*(t for t in made if "namespace" not in t["metadata"]), _definition()):
                admin.client.delete(f"{admin.path(thing)}/{thing['metadata']['name']}")


def _wait_until_served(admin: Kube) -> None:
    watched: dict[str, str | int] = {
        "fieldSelector": "metadata.name=canaries.canaries.example.com",
        "watch": "true",
        "timeoutSeconds": 30,
    }
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    with admin.client.stream("GET", path, params=watched) as events:
        for line in events.iter_lines():
            conditions = json.loads(line)["object"].get("status", {}).get("conditions") or ()
            if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
                return


def _add_ephemeral(admin: Kube, canaries: Canaries) -> None:
    """Debug a pod with a credential on the command line."""
    container = _container(canaries, "ephemeral container", "debug")
    for field in ("livenessProbe", "readinessProbe", "lifecycle"):
        del container[field]
    admin.client.patch(
        f"/api/v1/namespaces/{NAMESPACE}/pods/canary/ephemeralcontainers",
        content=json.dumps({"spec": {"ephemeralContainers": [container]}}),
        headers={"Content-Type": "application/strategic-merge-patch+json"},
    ).raise_for_status()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Plant canaries in manifests, where a webhook's URL may have a password too."""
    canaries, folder = Canaries(), tmp_path_factory.mktemp("canaries")
    made = _objects(canaries, "https://robot:{}@hooks.example.com/")
    (folder / "all.yaml").write_text(yaml.safe_dump_all(made))
    (folder / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": made[1:2]}))
    return Planted(canaries, folder=folder)


def _nothing_of(planted: Planted, *arguments: str | Path, snapshot: Path | None = None) -> None:
    """Run a command and see that nothing it prints has a canary in it."""
    source = ("--snapshot", snapshot) if snapshot else ("--kubeconfig", planted.kubeconfig)
    if planted.kubeconfig == "":
        source = ("--manifests", planted.folder)
    run = plimsoll(*arguments, *source)
    assert run.status in {0, 1}, run.err
    assert "Traceback" not in run.err
    assert planted.canaries.found(run.out.encode(), run.err.encode()) == []


@pytest.mark.parametrize("mode", MODES)
def test_no_snapshot_holds_one(planted: Planted, mode: str, tmp_path: Path) -> None:
    """What a scan reads of a cluster, in each of its modes, saved and unpacked."""
    file = tmp_path / "saved"
    _nothing_of(planted, "snapshot", *MODES[mode], "-o", file)
    assert planted.canaries.found(file.read_bytes()) == []
    assert b"canary" in b"".join(unpacked(file.read_bytes()))


@pytest.mark.parametrize("mode", MODES)
def test_no_scan_shows_one(planted: Planted, mode: str) -> None:
    """Every outcome, with patches."""
    _nothing_of(planted, *COMMANDS["scan json"], *MODES[mode])


@pytest.fixture(scope="module")
def saved(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of the cluster with all that may be opted in to."""
    file = tmp_path_factory.mktemp("saved") / "saved"
    assert plimsoll("snapshot", *MODES["both"], "-o", file, "--kubeconfig", planted.kubeconfig).status == 0
    return file


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_one_of_a_cluster(planted: Planted, saved: Path, command: str) -> None:
    """In no format."""
    _nothing_of(planted, *COMMANDS[command], snapshot=saved)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_one_of_manifests(files: Planted, command: str) -> None:
    """In no format, whatever the files hold."""
    _nothing_of(files, *COMMANDS[command])


def test_what_was_planted_is_reported(saved: Path) -> None:
    """The scan did see the credentials that it does not show."""
    found = plimsoll("scan", "-o", "json", "--policies", "secrets/*", "--snapshot", saved).json["results"]
    ours = {f["policy"] for f in found if f["resource"].get("namespace") == NAMESPACE and f["outcome"] == "fail"}
    assert {
        "secrets/literal-credential-in-environment",
        "secrets/credential-in-command",
        "secrets/credential-in-probe",
        "secrets/data-in-last-applied",
    } <= ours


# The service


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[], Iterator[bytes]]]:
    """A database's address, and what gives every value that is in it."""
    if request.param == "sqlite":
        file = tmp_path / "canaries.sqlite"
        return f"sqlite:///{file}", lambda: _sqlite_values(file)
    url: str = request.getfixturevalue("postgres_url")
    plain = url.replace("+psycopg", "")
    return url.replace("postgres@", f"postgres:{DATABASE_PASSWORD}@"), lambda: _postgres_values(plain)


def _sqlite_values(file: Path) -> Iterator[bytes]:
    for part in file.parent.glob(f"{file.name}*"):
        yield part.read_bytes()
    with sqlite3.connect(file) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            for row in connection.execute(f'SELECT * FROM "{name}"'):  # noqa: S608 - names of our own tables
                yield from (_bytes(value) for value in row)


def _postgres_values(url: str) -> Iterator[bytes]:
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in names:
            for row in connection.execute(f'SELECT * FROM "{name}"'.encode()):  # noqa: S608 - names of our own tables
                yield from (_bytes(value) for value in row)


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    return json.dumps(value, default=str, ensure_ascii=False).encode()


def _ids(service: Process) -> Mapping[str, str]:
    """Return for parameters of paths what leads to something."""

    def first(path: str, key: str = "id") -> str:
        return str(service.get(path).json()["items"][0][key])

    return {
        "scan_id": first("/api/v1/scans"),
        "finding_id": first(f"/api/v1/findings?namespace={NAMESPACE}"),
        "resource_id": first(f"/api/v1/resources?namespace={NAMESPACE}"),
        "id": first(f"/api/v1/secrets?namespace={NAMESPACE}"),
        "area": "secrets",
        "name": "credential-in-command",
    }


#: What routes that want to know something are asked.
QUERIES = {
    "/api/v1/findings": f"namespace={NAMESPACE}&limit=500",
    "/api/v1/resources": f"namespace={NAMESPACE}&limit=500",
    "/api/v1/rbac/can": "user=jane&verb=get&resource=secrets",
    "/api/v1/rbac/who-can": "verb=get&resource=secrets",
    "/api/v1/rbac/what-can": "user=jane",
    "/api/v1/network/peers": f"workload={NAMESPACE}/Deployment/canary&direction=ingress",
    "/api/v1/network/explain": f"src={NAMESPACE}/Deployment/canary&dst={NAMESPACE}/DaemonSet/canary",
}


def _answers(service: Process, canaries: Canaries) -> Iterator[bytes]:
    """Ask every route of the description, with a credential in the header; what they say of everything."""
    ids = _ids(service)
    header = {"Authorization": canaries.plant("API: Authorization", "header")}
    asked = {path: json.loads(openapi())["paths"][path] for path in json.loads(openapi())["paths"]}
    for path in (path for path, methods in asked.items() if "get" in methods):
        filled = re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], path)
        answer = httpx.get(f"{service.url}{filled}?{QUERIES.get(path, '')}", headers=header, timeout=60)
        yield answer.content + str(answer.headers).encode()
    for finding in service.get(f"/api/v1/findings?namespace={NAMESPACE}&limit=500").json()["items"]:
        yield service.get(f"/api/v1/findings/{finding['id']}").content


def _post_audit(service: Process, canaries: Canaries) -> Iterator[bytes]:
    """Tell of a request that had a Secret in its body, with the right token and with a wrong one."""
    event = {
        "auditID": "1",
        "stage": "ResponseComplete",
        "level": "RequestResponse",
        "verb": "create",
        "user": {"username": "jane", "extra": {"token": [canaries.plant("audit: extra")]}},
        "requestURI": f"/api/v1/namespaces/shop/secrets?token={canaries.plant('audit: query')}",
        "objectRef": {"resource": "secrets", "namespace": "shop", "name": "db", "apiVersion": "v1"},
        "requestObject": {"stringData": {"password": canaries.plant("audit: request")}},
        "responseObject": {"data": {"password": canaries.plant("audit: response")}},
        "responseStatus": {"code": 201},
        "annotations": {"authorization.k8s.io/decision": "allow"},
        "requestReceivedTimestamp": "2026-08-01T00:00:00.000000Z",
        "stageTimestamp": "2026-08-01T00:00:00.000000Z",
    }
    body = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [event]}
    for token, status in ((AUDIT_TOKEN, 204), (canaries.plant("audit: wrong token"), 403)):
        header = {"Authorization": f"Bearer {token}"}
        answer = httpx.post(f"{service.url}/api/v1/audit", json=body, headers=header, timeout=30)
        assert answer.status_code == status, answer.text
        yield answer.content


def test_the_service_keeps_and_tells_none(
    planted: Planted,
    start: Start,
    database: tuple[str, Callable[[], Iterator[bytes]]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In no table, log line at debug, metric, answer or message, after a scan with all that may be opted in to."""
    url, values = database
    canaries = Canaries(dict(planted.canaries.places))
    canaries.add("setting: audit token", AUDIT_TOKEN)
    canaries.add("setting: signing secret", SIGNING)
    canaries.add("setting: database password", DATABASE_PASSWORD)
    slack, webhook = canaries.plant("setting: Slack's URL"), canaries.plant("setting: webhook's URL")
    with receiving() as receiver:
        address = receiver.url.rpartition("/")[0]
        service = start(
            manifests="",
            kubeconfig=planted.kubeconfig,
            database_url=url,
            database_upgrade="true",
            read_secrets="true",
            read_certificates="true",
            schedule="off",
            scan_at_start="true",
            log_level="debug",
            audit_token=AUDIT_TOKEN,
            webhook_url=f"{address}/hook/{webhook}",
            webhook_secret=f"whsec_{SIGNING}",
            slack_webhook_url=f"{address}/slack/{slack}",
            notify_min_severity="low",
            allow_private_destinations="true",
        )
        assert service.wait_for("scan_ended")["state"] in {"complete", "partial"}
        assert receiver.wait_for(2)
        sinks = {
            "audit": [*_post_audit(service, canaries)],
            "API": [*_answers(service, canaries)],
            "metrics": [service.get("/metrics").content],
            "messages": [r.body + json.dumps(dict(r.headers)).encode() for r in receiver.requests],
        }
        assert service.stop() == 0
    sinks["log"] = [json.dumps(line).encode() for line in service.rest()]
    sinks["stderr"] = [text.encode() for text in capfd.readouterr()]
    sinks["database"] = [*values()]
    assert all(sinks.values())
    assert {name: canaries.found(*texts) for name, texts in sinks.items()} == {name: [] for name in sinks}
