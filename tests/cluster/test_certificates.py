"""What each mode reads of Secrets from a real API server, with exactly the rights that are handed out for it."""

import base64
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from scanner.analysis.secrets.served import served
from scanner.cluster.client import FORBIDDEN, Client, RequestError
from scanner.cluster.collect import NO_CERTIFICATES, collect
from scanner.cluster.decode import decode_object
from scanner.export.cluster_role import cluster_role
from scanner.export.tls_rights import tls_rights
from scanner.model.coverage import ReadState
from scanner.model.finding import Outcome
from scanner.model.refs import ClusterName
from scanner.model.resources import RESOURCES
from scanner.model.secret import SecretBody
from scanner.model.snapshot import Snapshot
from scanner.policy.evaluate import evaluate
from scanner.policy.load import builtin_policies_root, load_policies
from tests.builders import NOW
from tests.certificates import certificate
from tests.cluster.live import Api, rights, thing, unique

pytestmark = pytest.mark.control_plane

METADATA_RIGHTS = Path(__file__).parents[2] / "deploy" / "secret-metadata" / "rights.yaml"
ISSUER = certificate("issuer", is_authority=True)
SHOP = certificate("shop", "shop.example.com", issuer=ISSUER)


def tls_secret(name: str, namespace: str) -> dict[str, Any]:
    """Make a Secret with a certificate."""
    data = {"tls.crt": SHOP.pem + ISSUER.pem, "tls.key": SHOP.key_pem}
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return thing("v1", "Secret", name, namespace, type="kubernetes.io/tls", data=encoded)


def ingress(namespace: str, *secrets: str) -> dict[str, Any]:
    """Make an Ingress that serves certificates."""
    tls = [{"hosts": ["shop.example.com"], "secretName": secret} for secret in secrets]
    backend = {"service": {"name": "shop", "port": {"number": 80}}}
    return thing("networking.k8s.io/v1", "Ingress", "shop", namespace, spec={"tls": tls, "defaultBackend": backend})


@pytest.fixture
def shop(api: Api, namespace: str) -> Iterator[str]:
    """An Ingress that serves a Secret with a certificate and names one that does not exist, and a Secret beside it."""
    with api.having(
        tls_secret("shop-tls", namespace),
        thing("v1", "Secret", "db", namespace, stringData={"password": "hunter2"}),
        ingress(namespace, "shop-tls", "gone-tls"),
    ):
        yield namespace


@pytest.fixture
def robot(api: Api, namespace: str) -> Iterator[str]:
    """The token of a service account with the rights that are always handed out."""
    rules = yaml.safe_load(cluster_role())["rules"]
    with api.having(*rights(unique("scanner"), rules, "robot", namespace)):
        token = api.token(namespace, "robot")
        wait_for(api.client(token), "/api/v1/pods", "/apis/storage.k8s.io/v1/storageclasses")
        yield token


def scan(client: Client, *, read_secrets: bool = False, read_certificates: bool = False) -> Snapshot:
    """Read a cluster and close the client."""
    with contextlib.closing(client):
        return collect(
            client,
            cluster=ClusterName("test"),
            now=NOW,
            read_secrets=read_secrets,
            read_certificates=read_certificates,
        )


def wait_for(client: Client, *paths: str) -> None:
    """Wait until the API server has noticed that these may be read."""
    with contextlib.closing(client):
        waited = threading.Event()
        for _ in range(1000):
            if all(_status(client, path) != FORBIDDEN for path in paths):
                return
            waited.wait(0.02)
    pytest.fail("the API server never noticed")


def certificate_reads(found: Snapshot) -> list[tuple[str, ReadState, str]]:
    """Return what the coverage says of certificates in the namespaces that are told apart."""
    return [(r.namespace, r.state, r.reason) for r in found.coverage if r.resource == "TLS Secrets"]


def certificate_rights(api: Api, namespace: str) -> list[Any]:
    """Return what `plimsoll secrets tls-rights` would hand out to the service account for one namespace."""
    listed = api.call("GET", f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses")["items"]
    version = "networking.k8s.io/v1"
    objects = [decode_object(msgspec.json.encode(item), api_version=version, kind="Ingress") for item in listed]
    text = tls_rights(served(objects, ()), namespace=namespace, account="robot")
    return list(yaml.safe_load_all(text))


@pytest.mark.usefixtures("shop")
def test_by_default_nothing_is_known_of_secrets(api: Api, robot: str) -> None:
    """Neither a name nor a certificate; that is no gap."""
    found = scan(api.client(robot))
    assert found.of("", "Secret") == ()
    assert certificate_reads(found) == [("", ReadState.SKIPPED, NO_CERTIFICATES)]
    # Parameters of admission policies that others left here need a right of their own.
    ours = {resource.name for resource in RESOURCES}
    assert [r for r in found.coverage if r.resource in ours and r.state is ReadState.FORBIDDEN] == []


def test_metadata_gives_names_and_keys_and_no_certificate(api: Api, shop: str, robot: str) -> None:
    """With the rights of `deploy/secret-metadata`."""
    role, _ = yaml.safe_load_all(METADATA_RIGHTS.read_text())
    with api.having(*rights(unique("metadata"), role["rules"], "robot", shop)):
        wait_for(api.client(robot), "/api/v1/secrets")
        found = scan(api.client(robot), read_secrets=True)
    bodies = {o.meta.name: o.decode(SecretBody) for o in found.of("", "Secret") if o.meta.namespace == shop}
    assert all(body.changed_at for body in bodies.values())
    assert {name: msgspec.structs.replace(body, changed_at=None) for name, body in bodies.items()} == {
        "db": SecretBody(type="", keys=("password",)),
        "shop-tls": SecretBody(type="", keys=("tls.crt", "tls.key")),
    }
    assert certificate_reads(found) == [("", ReadState.SKIPPED, NO_CERTIFICATES)]


def test_certificates_are_read_by_name(api: Api, shop: str, robot: str) -> None:
    """With the rights that `plimsoll secrets tls-rights` prints: of the two that are served, the one that exists."""
    with api.having(*certificate_rights(api, shop)):
        wait_for(api.client(robot), f"/api/v1/namespaces/{shop}/secrets/shop-tls")
        found = scan(api.client(robot), read_certificates=True)
    (secret,) = (o for o in found.of("", "Secret") if o.meta.namespace == shop)
    tls = secret.decode(SecretBody).tls
    assert tls is not None
    assert ([c.hosts for c in tls.certificates], tls.key_belongs) == ([("shop.example.com",), ()], True)
    assert [r for r in certificate_reads(found) if r[0] == shop] == []


@pytest.mark.usefixtures("shop")
def test_a_certificate_that_may_not_be_read_is_a_gap(api: Api, namespace: str, robot: str) -> None:
    """Of its namespace, with what the API server said."""
    found = scan(api.client(robot), read_certificates=True)
    (state, reason) = next((s, r) for where, s, r in certificate_reads(found) if where == namespace)
    assert state is ReadState.FORBIDDEN
    assert reason.startswith('gone-tls (and 1 more): HTTP 403: secrets "gone-tls" is forbidden')


def test_the_right_on_certificates_is_on_no_other_secret(api: Api, shop: str, robot: str) -> None:
    """Neither a list nor the Secret beside it."""
    with api.having(*certificate_rights(api, shop)), contextlib.closing(api.client(robot)) as client:
        wait_for(api.client(robot), f"/api/v1/namespaces/{shop}/secrets/shop-tls")
        statuses = [_status(client, f"/api/v1/namespaces/{shop}/secrets{rest}") for rest in ("", "/db", "/shop-tls")]
    assert statuses == [403, 403, 200]


def test_both_modes_together_lose_nothing(api: Api, shop: str, robot: str) -> None:
    """What was read by name takes the place of its metadata."""
    role, _ = yaml.safe_load_all(METADATA_RIGHTS.read_text())
    with api.having(*rights(unique("metadata"), role["rules"], "robot", shop), *certificate_rights(api, shop)):
        wait_for(api.client(robot), "/api/v1/secrets", f"/api/v1/namespaces/{shop}/secrets/shop-tls")
        found = scan(api.client(robot), read_secrets=True, read_certificates=True)
    bodies = {o.meta.name: o.decode(SecretBody) for o in found.of("", "Secret") if o.meta.namespace == shop}
    assert {name: (body.type, bool(body.tls)) for name, body in bodies.items()} == {
        "db": ("", False),
        "shop-tls": ("kubernetes.io/tls", True),
    }


def test_no_key_and_no_value_is_kept(api: Api, shop: str, robot: str) -> None:
    """In no mode: the snapshot holds facts alone."""
    role, _ = yaml.safe_load_all(METADATA_RIGHTS.read_text())
    with api.having(*rights(unique("metadata"), role["rules"], "robot", shop), *certificate_rights(api, shop)):
        wait_for(api.client(robot), "/api/v1/secrets", f"/api/v1/namespaces/{shop}/secrets/shop-tls")
        found = scan(api.client(robot), read_secrets=True, read_certificates=True)
    kept = b"".join(msgspec.json.encode(o) for objects in found.objects.values() for o in objects).decode()
    key = SHOP.key_pem.decode().splitlines()[1]
    encoded = base64.b64encode(SHOP.key_pem).decode()[40:100]
    assert [word for word in ("hunter2", "aHVudGVyMg", key, encoded) if word in kept] == []


def test_the_api_servers_own_certificate_is_seen(api: Api) -> None:
    """On the connection that the scan makes anyway, with the authorities that it was checked by."""
    found = {p.role: p.bundle for p in scan(api.client()).presented}
    assert found.keys() == {"api-server", "authority"}
    assert "127.0.0.1" in found["api-server"].certificates[0].hosts
    assert found["authority"].certificates[0].not_after > NOW


JUDGED = (
    "secrets/certificate-unusable",
    "secrets/certificate-weak",
    "secrets/data-in-last-applied",
    "secrets/legacy-service-account-token",
    "secrets/missing-secret-reference",
)
POLICIES = load_policies(builtin_policies_root(), only=JUDGED)


def outcomes(found: Snapshot, namespace: str) -> dict[str, set[Outcome]]:
    """Return how policies on Secrets judge a namespace, and whether one is unknown for the whole cluster."""
    evaluation = evaluate(found, POLICIES, now=NOW, all_outcomes=True)
    concerned = [f for f in evaluation.findings if namespace in (f.resource.namespace, f.resource.name)]
    whole = [f for f in evaluation.findings if f.resource.kind == "Cluster" and f.missing]
    return {name: {f.outcome for f in (*concerned, *whole) if f.policy == name} for name in JUDGED}


PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN


def test_by_default_nothing_about_secrets_passes(api: Api, shop: str, robot: str) -> None:
    """All that needs more is unknown."""
    assert set().union(*outcomes(scan(api.client(robot)), shop).values()) == {UNKNOWN}


def test_metadata_decides_what_names_and_keys_tell(api: Api, shop: str, robot: str) -> None:
    """References, old tokens and annotations; of certificates nothing."""
    role, _ = yaml.safe_load_all(METADATA_RIGHTS.read_text())
    applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"data": {"password": "aHVudGVyMg=="}}'}
    leaking = thing("v1", "Secret", "applied", shop)
    leaking["metadata"]["annotations"] = applied
    with api.having(leaking, *rights(unique("metadata"), role["rules"], "robot", shop)):
        wait_for(api.client(robot), "/api/v1/secrets")
        found = scan(api.client(robot), read_secrets=True)
    assert outcomes(found, shop) == {
        "secrets/certificate-unusable": {UNKNOWN},
        "secrets/certificate-weak": {UNKNOWN},
        "secrets/data-in-last-applied": {PASS, FAIL},
        "secrets/legacy-service-account-token": {PASS},
        "secrets/missing-secret-reference": {FAIL},
    }


def test_certificates_decide_what_they_tell(api: Api, shop: str, robot: str) -> None:
    """Which is served and missing too; of other Secrets nothing passes."""
    with api.having(*certificate_rights(api, shop)):
        wait_for(api.client(robot), f"/api/v1/namespaces/{shop}/secrets/shop-tls")
        found = scan(api.client(robot), read_certificates=True)
    # Of namespaces of others nothing may be read: there it stays unknown, on those.
    got = outcomes(found, shop)
    assert got["secrets/certificate-unusable"] - {UNKNOWN} == {PASS, FAIL}
    assert got["secrets/certificate-weak"] - {UNKNOWN} == {PASS}
    rest = JUDGED[2:]
    assert set().union(*(got[name] for name in rest)) == {UNKNOWN}


def _status(client: Client, path: str) -> int:
    try:
        client.get(path)
    except RequestError as error:
        return error.status or 0
    return 200
