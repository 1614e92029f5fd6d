"""Certificates: requesting, approving, signing, and whom workloads trust."""

import base64
import datetime as dt
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scanner.model.policy import Severity
from tests.builders import rule
from tests.conformance.primitives.execute import (
    Attacker,
    Gain,
    NearMiss,
    Primitive,
    Step,
    call,
    everywhere,
    may,
    within,
)

GROUP = "certificates.k8s.io"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING = "kubernetes.io/kubelet-serving"
LEAVES = (f"{REQUESTS}/$NS-request",)
_KEY = ec.generate_private_key(ec.SECP256R1())


def _name(user: str, group: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group), x509.NameAttribute(NameOID.COMMON_NAME, user)]
    )


def request(signer: str, user: str, group: str, usages: tuple[str, ...]) -> dict[str, Any]:
    """Make a CertificateSigningRequest for a user of a group."""
    signed = x509.CertificateSigningRequestBuilder().subject_name(_name(user, group)).sign(_KEY, hashes.SHA256())
    pem = base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "$NS-request"},
        "spec": {"signerName": signer, "request": pem, "usages": list(usages)},
    }


def approved(wanted: dict[str, Any], method: str) -> Callable[[Attacker], None]:
    """Make a step that requests a certificate and approves the request."""
    condition = {"type": "Approved", "status": "True", "reason": "Asked", "message": "so it is"}

    def approve(attacker: Attacker) -> None:
        made = attacker.call("POST", REQUESTS, wanted)
        body = (
            made | {"status": {"conditions": [condition]}}
            if method == "PUT"
            else {"status": {"conditions": [condition]}}
        )
        answer = attacker.call(method, f"{REQUESTS}/$NS-request/approval", body)
        assert answer["status"]["conditions"][0]["type"] == "Approved"

    return approve


#: As a group whose members are cluster administrators in clusters made by kubeadm.
ADMIN = request(CLIENT, "friend", "kubeadm:cluster-admins", ("client auth", "digital signature"))
NODE = request(KUBELET, "system:node:worker-1", "system:nodes", ("client auth", "digital signature"))
KUBELET_SERVING = request(SERVING, "system:node:worker-1", "system:nodes", ("server auth", "digital signature"))
CREATE = rule("create", "certificatesigningrequests", group=GROUP)
UPDATE = rule("update", "certificatesigningrequests/approval", group=GROUP)
PATCH = rule("patch", "certificatesigningrequests/approval", group=GROUP)


def approve(signer: str) -> dict[str, Any]:
    """Make the rule to approve a signer's certificates."""
    return rule("approve", "signers", group=GROUP, names=signer)


def near_misses(signer: str) -> tuple[NearMiss, ...]:
    """Leave out each part in turn, or have it for another signer."""
    return (
        NearMiss(why="no request of its own", given=(everywhere(UPDATE, PATCH, approve(signer)),)),
        NearMiss(why="no approval", given=(everywhere(CREATE, approve(signer)),)),
        NearMiss(why="no signer", given=(everywhere(CREATE, UPDATE, PATCH),)),
        NearMiss(why="another signer", given=(everywhere(CREATE, UPDATE, PATCH, approve("example.com/mesh")),)),
        NearMiss(
            why="a signer bound in a namespace", given=(everywhere(CREATE, UPDATE, PATCH), within(approve(signer)))
        ),
    )


def _certificate() -> str:
    """Return a certificate of the attacker's own, as PEM in base64."""
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(_name("attacker", "ca"))
        .issuer_name(_name("attacker", "ca"))
        .public_key(_KEY.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(_KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


PEM = _certificate()
SIGN = call(
    "PATCH", f"{REQUESTS}/$NS-request/status", {"status": {"certificate": base64.b64encode(PEM.encode()).decode()}}
)
STATUS = rule("patch", "certificatesigningrequests/status", group=GROUP)
BUNDLE: Step = call(
    "POST",
    "/apis/certificates.k8s.io/v1/clustertrustbundles",
    {"metadata": {"name": "$NS-roots"}, "spec": {"trustBundle": PEM}},
    dry_run=True,
)

PRIMITIVES = (
    Primitive(
        rows="31",
        name="request, approve and the signer of clients",
        policy="rbac/approve-client-certificates",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(CREATE), everywhere(UPDATE), everywhere(approve(CLIENT))),
        attempt=(approved(ADMIN, "PUT"),),
        leaves=LEAVES,
        not_executable="kube-controller-manager signs; the API server shows that the request is approved",
        near_misses=near_misses(CLIENT),
    ),
    Primitive(
        rows="31",
        name="request, approve and all signers of kubernetes.io",
        policy="rbac/approve-client-certificates",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(CREATE, PATCH, approve("kubernetes.io/*")),),
        attempt=(approved(ADMIN, "PATCH"),),
        leaves=LEAVES,
        not_executable="kube-controller-manager signs; the API server shows that the request is approved",
        near_misses=(
            NearMiss(why="all signers of a domain", given=(everywhere(CREATE, PATCH, approve("example.com/*")),)),
        ),
    ),
    Primitive(
        rows="31",
        name="request, approve and the signer of kubelets",
        policy="rbac/obtain-node-certificates",
        gains=Gain.NODE,
        severity=Severity.CRITICAL,
        given=(everywhere(CREATE), everywhere(UPDATE), everywhere(approve(KUBELET))),
        attempt=(approved(NODE, "PUT"),),
        leaves=LEAVES,
        not_executable="kube-controller-manager signs; the API server shows that the request is approved",
        near_misses=near_misses(KUBELET),
    ),
    Primitive(
        rows="31",
        name="request what is approved by itself",
        policy="rbac/obtain-node-certificates",
        gains=Gain.NODE,
        severity=Severity.CRITICAL,
        given=(everywhere(CREATE, rule("create", "certificatesigningrequests/nodeclient", group=GROUP)),),
        attempt=(
            call("POST", REQUESTS, NODE, dry_run=True),
            may("create", "certificatesigningrequests/nodeclient", group=GROUP),
        ),
        not_executable="kube-controller-manager approves and signs, when a review like this one says yes",
        near_misses=(
            NearMiss(
                why="renewal alone",
                given=(everywhere(CREATE, rule("create", "certificatesigningrequests/selfnodeclient", group=GROUP)),),
            ),
            NearMiss(
                why="no request",
                given=(everywhere(rule("create", "certificatesigningrequests/nodeclient", group=GROUP)),),
            ),
        ),
    ),
    Primitive(
        rows="32",
        name="sign for kubernetes.io and write the status of requests",
        policy="rbac/sign-certificates",
        gains=Gain.DENIAL,
        severity=Severity.MEDIUM,
        given=(everywhere(STATUS), everywhere(rule("sign", "signers", group=GROUP, names="kubernetes.io/*"))),
        world=(NODE,),
        attempt=(SIGN,),
        near_misses=(
            NearMiss(why="the status alone", given=(everywhere(STATUS),)),
            NearMiss(why="the signer alone", given=(everywhere(rule("sign", "signers", group=GROUP)),)),
            NearMiss(
                why="another signer",
                given=(everywhere(STATUS, rule("sign", "signers", group=GROUP, names="example.com/mesh")),),
            ),
            NearMiss(why="approving for the signer", given=(everywhere(STATUS, approve(KUBELET)),)),
        ),
    ),
    Primitive(
        rows="33",
        name="request, approve and the signer of kubelets' servers",
        policy="rbac/approve-serving-certificates",
        gains=Gain.TRAFFIC,
        severity=Severity.HIGH,
        given=(everywhere(CREATE), everywhere(UPDATE), everywhere(approve(SERVING))),
        attempt=(approved(KUBELET_SERVING, "PUT"),),
        leaves=LEAVES,
        not_executable="kube-controller-manager signs; the API server shows that the request is approved",
        near_misses=near_misses(SERVING),
    ),
    Primitive(
        rows="34",
        name="create clustertrustbundles",
        policy="rbac/change-trust-bundles",
        gains=Gain.TRAFFIC,
        severity=Severity.HIGH,
        given=(everywhere(rule("create", "clustertrustbundles", group=GROUP)),),
        attempt=(BUNDLE,),
        near_misses=(
            NearMiss(why="the verb attest alone", given=(everywhere(rule("attest", "signers", group=GROUP)),)),
            NearMiss(
                why="create limited to a name",
                given=(everywhere(rule("create", "clustertrustbundles", group=GROUP, names="$NS-roots")),),
            ),
            NearMiss(
                why="a RoleBinding, for bundles have no namespace",
                given=(within(rule("create", "clustertrustbundles", group=GROUP)),),
            ),
        ),
    ),
)
