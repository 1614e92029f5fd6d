"""Tokens, Secrets and the ConfigMaps that matter."""

from collections.abc import Mapping
from typing import Any

from scanner.model.policy import Severity
from tests.builders import rule
from tests.conformance.primitives.execute import (
    NS,
    Gain,
    NearMiss,
    Primitive,
    Step,
    call,
    everywhere,
    reads,
    within,
)
from tests.conformance.primitives.superuser import (
    ACCOUNT,
    CREATE_POD,
    CREATE_TOKEN,
    READ_SECRET,
    SECRET,
    SECRETS,
)

PASSWORD = "aHVudGVyMg=="
#: Answers of requests that look like writing.
READ_BY_PATCH = reads(call("PATCH", f"{SECRETS}/login", {}, dry_run=True), PASSWORD)
READ_BY_DELETION = reads(call("DELETE", SECRETS, dry_run=True), PASSWORD)
READ_BY_LIST = reads(call("GET", SECRETS), PASSWORD)
READ_BY_WATCH = reads(
    call("GET", f"{SECRETS}?watch=true&fieldSelector=metadata.name%3Dlogin&timeoutSeconds=1"), PASSWORD
)
WATCH_ALL = reads(call("GET", f"{SECRETS}?watch=true&timeoutSeconds=1"), PASSWORD)
LASTING = {
    "metadata": {"name": "lasting", "annotations": {"kubernetes.io/service-account.name": "boss"}},
    "type": "kubernetes.io/service-account-token",
}
CREATE_LASTING = call("POST", SECRETS, LASTING)
READ_LASTING = reads(call("GET", f"{SECRETS}/lasting"), "service-account-token")
PATCH_LASTING = reads(call("PATCH", f"{SECRETS}/lasting", {}), "service-account-token")
CREATE_BOOTSTRAP = call(
    "POST",
    "/api/v1/namespaces/kube-system/secrets",
    {
        "metadata": {"name": "bootstrap-token-abcdef"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "token-id": "abcdef",
            "token-secret": "0123456789abcdef",
            "usage-bootstrap-authentication": "true",
        },
    },
    dry_run=True,
)
SWAP = {"metadata": {"name": "login"}, "data": {"password": "c3dhcHBlZA=="}}
SWAP_SECRET = call("PUT", f"{SECRETS}/login", SWAP, dry_run=True)
ANNOTATE = call(
    "PATCH",
    "/api/v1/namespaces/$NS/serviceaccounts/boss",
    {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/admin"}}},
    dry_run=True,
)
FILLED = "kube-controller-manager fills the token in; the API server shows that the Secret is made and can be read"
READ_BY = "what reads the ConfigMap is no part of the API server, which shows that it can be written"


def config_map(name: str, namespace: str) -> dict[str, Any]:
    """Make a ConfigMap as clusters have it."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"planted": "no"}}


def change(name: str, namespace: str) -> Step:
    """Make a step that changes a ConfigMap."""
    body: Mapping[str, Any] = {"data": {"planted": "yes"}}
    return call("PATCH", f"/api/v1/namespaces/{namespace}/configmaps/{name}", body, dry_run=True)


def system_config(
    name: str, namespace: str = "kube-system", *, rows: str = "29", gains: Gain = Gain.TRAFFIC
) -> Primitive:
    """Make the primitive of one ConfigMap that the cluster runs on."""
    return Primitive(
        rows=rows,
        name=f"patch configmaps {namespace}/{name}",
        policy="rbac/edit-system-config",
        gains=gains,
        severity=Severity.HIGH,
        given=(within(rule("patch", "configmaps", names=name), namespace=namespace),),
        world=(config_map(name, namespace),),
        attempt=(change(name, namespace),),
        not_executable=READ_BY,
        near_misses=(
            NearMiss(why="that name in another namespace", given=(within(rule("patch", "configmaps", names=name)),)),
            NearMiss(
                why="another name there",
                given=(within(rule("patch", "configmaps", names="settings"), namespace=namespace),),
            ),
            NearMiss(why="reading it", given=(within(rule("get list", "configmaps"), namespace=namespace),)),
        ),
    )


PRIMITIVES = (
    Primitive(
        rows="19",
        name="create serviceaccounts/token in a namespace",
        policy="rbac/mint-tokens",
        gains=Gain.NAMESPACE,
        severity=Severity.HIGH,
        given=(within(rule("create", "serviceaccounts/token")),),
        world=(ACCOUNT,),
        attempt=(CREATE_TOKEN,),
        near_misses=(
            NearMiss(why="the account without its token", given=(within(rule("create", "serviceaccounts")),)),
            NearMiss(why="what looks like all subresources", given=(within(rule("create", "serviceaccounts/*")),)),
            NearMiss(why="other verbs", given=(within(rule("get list update patch", "serviceaccounts/token")),)),
        ),
    ),
    Primitive(
        rows="19",
        name="create */token everywhere",
        policy="rbac/mint-tokens",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(rule("create", "*/token")),),
        world=(ACCOUNT,),
        attempt=(CREATE_TOKEN,),
        near_misses=(
            NearMiss(
                why="the wrong API group", given=(everywhere(rule("create", "*/token", group="authentication.k8s.io")),)
            ),
        ),
    ),
    Primitive(
        rows="19",
        name="create serviceaccounts/token of one account",
        policy="rbac/assume-one-identity",
        gains=Gain.IDENTITY,
        severity=Severity.MEDIUM,
        given=(within(rule("create", "serviceaccounts/token", names="boss")),),
        world=(ACCOUNT,),
        attempt=(CREATE_TOKEN,),
        near_misses=(NearMiss(why="its own", given=(within(rule("create", "serviceaccounts/token", names="robot")),)),),
    ),
    *(
        Primitive(
            rows=rows,
            name=f"{verb} secrets",
            policy="rbac/read-secrets",
            gains=Gain.SECRETS,
            severity=Severity.MEDIUM,
            given=(within(rule(verb, "secrets")),),
            world=(SECRET,),
            attempt=(step,),
            near_misses=(
                NearMiss(why="the names of others", given=(within(rule(verb, "secrets", names="other")),)),
                NearMiss(why="a subresource", given=(within(rule(verb, "secrets/status")),)),
                NearMiss(why="another group's", given=(within(rule(verb, "secrets", group="example.com")),)),
            ),
        )
        for rows, verb, step in (
            ("20", "get", READ_SECRET),
            ("20", "patch", READ_BY_PATCH),
            ("21", "list", READ_BY_LIST),
            ("21", "deletecollection", READ_BY_DELETION),
            ("22", "watch", WATCH_ALL),
        )
    ),
    Primitive(
        rows="20-22",
        name="list secrets everywhere",
        policy="rbac/read-secrets",
        gains=Gain.SECRETS_EVERYWHERE,
        severity=Severity.HIGH,
        given=(everywhere(rule("list", "secrets")),),
        world=(SECRET,),
        attempt=(call("GET", "/api/v1/secrets?limit=1"), READ_BY_LIST),
        near_misses=(
            NearMiss(
                why="list limited to a name, as a request for all",
                given=(everywhere(rule("list", "secrets", names="login")),),
            ),
            NearMiss(
                why="writing, whose answer is what was sent",
                given=(everywhere(rule("create update delete", "secrets")),),
                attempt=(reads(SWAP_SECRET, PASSWORD),),
            ),
        ),
    ),
    Primitive(
        rows="23",
        name="create and get secrets",
        policy="rbac/mint-lasting-tokens",
        gains=Gain.NAMESPACE,
        severity=Severity.HIGH,
        given=(within(rule("create", "secrets")), within(rule("get", "secrets", names="lasting"))),
        world=(ACCOUNT,),
        attempt=(CREATE_LASTING, READ_LASTING),
        leaves=(f"{SECRETS}/lasting",),
        not_executable=FILLED,
        near_misses=(
            NearMiss(why="create alone", given=(within(rule("create", "secrets")),)),
            NearMiss(why="get alone", given=(within(rule("get list watch", "secrets")),)),
            NearMiss(why="create limited to a name", given=(within(rule("create get", "secrets", names="lasting")),)),
        ),
    ),
    Primitive(
        rows="23",
        name="create and patch secrets, everywhere",
        policy="rbac/mint-lasting-tokens",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(rule("create patch", "secrets")),),
        world=(ACCOUNT,),
        attempt=(CREATE_LASTING, PATCH_LASTING),
        leaves=(f"{SECRETS}/lasting",),
        not_executable=FILLED,
        near_misses=(
            NearMiss(why="update, which shows nothing", given=(everywhere(rule("create update", "secrets")),)),
        ),
    ),
    Primitive(
        rows="24",
        name="create secrets in kube-system",
        policy="rbac/create-bootstrap-tokens",
        gains=Gain.NODE,
        severity=Severity.HIGH,
        given=(within(rule("create", "secrets"), namespace="kube-system"),),
        attempt=(CREATE_BOOTSTRAP,),
        not_executable="kube-controller-manager signs for such a login; the API server shows that it takes the token",
        near_misses=(
            NearMiss(why="another namespace", given=(within(rule("create", "secrets")),)),
            NearMiss(
                why="changing what exists", given=(within(rule("update patch", "secrets"), namespace="kube-system"),)
            ),
            NearMiss(
                why="create limited to a name",
                given=(within(rule("create", "secrets", names="bootstrap-token-abcdef"), namespace="kube-system"),),
            ),
        ),
    ),
    Primitive(
        rows="25",
        name="update secrets",
        policy="rbac/write-secrets",
        gains=Gain.SECRETS,
        severity=Severity.MEDIUM,
        given=(within(rule("update", "secrets")),),
        world=(SECRET,),
        attempt=(SWAP_SECRET,),
        near_misses=(
            NearMiss(why="one of its own", given=(within(rule("update patch", "secrets", names="own")),)),
            NearMiss(why="reading and creating", given=(within(rule("get list create", "secrets")),)),
        ),
    ),
    Primitive(
        rows="25",
        name="patch secrets everywhere",
        policy="rbac/write-secrets",
        gains=Gain.SECRETS_EVERYWHERE,
        severity=Severity.HIGH,
        given=(everywhere(rule("patch", "secrets")),),
        world=(SECRET,),
        attempt=(call("PATCH", f"{SECRETS}/login", {"data": {"password": "c3dhcHBlZA=="}}, dry_run=True),),
        near_misses=(NearMiss(why="reading them", given=(everywhere(rule("get list watch", "secrets")),)),),
    ),
    Primitive(
        rows="26",
        name="patch serviceaccounts and create pods",
        policy="rbac/change-service-accounts",
        gains=Gain.IDENTITY,
        severity=Severity.MEDIUM,
        given=(within(rule("patch", "serviceaccounts", names="boss")), within(rule("create", "pods"))),
        world=(ACCOUNT,),
        attempt=(ANNOTATE, CREATE_POD),
        not_executable="the cloud gives the role to the pod; the API server shows that both can be written",
        near_misses=(
            NearMiss(why="the account alone", given=(within(rule("create update patch", "serviceaccounts")),)),
            NearMiss(why="the pod alone", given=(within(rule("create", "pods")),)),
            NearMiss(
                why="halves in different namespaces",
                given=(within(rule("patch", "serviceaccounts")), within(rule("create", "pods"), namespace="default")),
            ),
        ),
    ),
    Primitive(
        rows="27",
        name="patch configmaps kube-system/aws-auth",
        policy="rbac/edit-aws-auth",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(within(rule("patch", "configmaps", names="aws-auth"), namespace="kube-system"),),
        world=(config_map("aws-auth", "kube-system"),),
        attempt=(change("aws-auth", "kube-system"),),
        not_executable=READ_BY,
        near_misses=(
            NearMiss(
                why="that name in another namespace", given=(within(rule("patch", "configmaps", names="aws-auth")),)
            ),
            NearMiss(
                why="another name there",
                given=(within(rule("patch", "configmaps", names="settings"), namespace="kube-system"),),
            ),
        ),
    ),
    Primitive(
        rows="27",
        name="patch configmaps of kube-system, on EKS",
        policy="rbac/edit-aws-auth",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(rule("patch", "configmaps")),),
        world=(config_map("aws-auth", "kube-system"),),
        attempt=(change("aws-auth", "kube-system"),),
        not_executable=READ_BY,
        server_version="v1.36.1-eks-0a1b2c3",
        near_misses=(NearMiss(why="another namespace", given=(within(rule("patch", "configmaps")),)),),
    ),
    system_config("coredns", rows="28"),
    system_config("extension-apiserver-authentication"),
    system_config("kube-proxy"),
    system_config("kubeadm-config", gains=Gain.NODE),
    system_config("cluster-info", "kube-public", gains=Gain.NODE),
    Primitive(
        rows="30",
        name="get configmaps",
        policy="rbac/read-configmaps",
        gains=Gain.READING,
        severity=Severity.LOW,
        given=(within(rule("get", "configmaps")),),
        world=(config_map("settings", NS),),
        attempt=(call("GET", "/api/v1/namespaces/$NS/configmaps/settings"),),
        near_misses=(
            NearMiss(why="one of its own", given=(within(rule("get", "configmaps", names="own")),)),
            NearMiss(why="writing them", given=(within(rule("create update delete", "configmaps")),)),
        ),
    ),
)
