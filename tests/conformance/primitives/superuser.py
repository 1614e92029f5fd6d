"""Cluster administrators under any name, and what is granted to everyone."""

from scanner.model.policy import Severity
from tests.builders import binding, rule
from tests.conformance.primitives.execute import (
    NS,
    Gain,
    Grant,
    NearMiss,
    Primitive,
    call,
    everywhere,
    reads,
    within,
)

RBAC = "/apis/rbac.authorization.k8s.io/v1"
SECRETS = "/api/v1/namespaces/$NS/secrets"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "login", "namespace": NS},
    "data": {"password": "aHVudGVyMg=="},
}
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "boss", "namespace": NS}}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "own", "namespace": NS},
    "spec": {"serviceAccountName": "boss", "containers": [{"name": "app", "image": "registry.example.com/app:1"}]},
}
#: Makes the attacker cluster administrator, if it may.
BIND_ADMIN = call(
    "POST",
    f"{RBAC}/clusterrolebindings",
    binding("ClusterRole cluster-admin", "ServiceAccount $NS/robot", name="$NS-taken"),
    dry_run=True,
)
READ_CLUSTER_SECRETS = call("GET", "/api/v1/secrets?limit=1")
READ_SECRET = reads(call("GET", f"{SECRETS}/login"), "aHVudGVyMg==")
READ_ANONYMOUSLY = reads(call("GET", f"{SECRETS}/login", headers={"Authorization": ""}), "aHVudGVyMg==")
CREATE_POD = call("POST", "/api/v1/namespaces/$NS/pods", POD, dry_run=True)
CREATE_TOKEN = call("POST", "/api/v1/namespaces/$NS/serviceaccounts/boss/token", {"spec": {}})
EVERYTHING = rule("*", "*", group="*")
READ_EVERYTHING = rule("get list watch", "*", group="*")
PROFILE = call("GET", "/debug/pprof/goroutine?debug=1")
METRICS = call("GET", "/metrics")
AS_MASTER = call(
    "GET", "/api/v1/secrets?limit=1", headers={"Impersonate-User": "nobody", "Impersonate-Group": "system:masters"}
)
AS_NAMESAKE = call(
    "GET", "/api/v1/secrets?limit=1", headers={"Impersonate-User": "nobody", "Impersonate-Group": "masters"}
)
IMPERSONATE = everywhere(rule("impersonate", "users", names="nobody"), rule("impersonate", "groups"))

PRIMITIVES = (
    Primitive(
        rows="1",
        name="everything, in the whole cluster",
        policy="rbac/cluster-admin-bound",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(EVERYTHING),),
        attempt=(BIND_ADMIN, READ_CLUSTER_SECRETS),
        near_misses=(
            NearMiss(why="verbs that read", given=(everywhere(READ_EVERYTHING),)),
            NearMiss(why="the core group alone", given=(everywhere(rule("*", "*")),)),
        ),
    ),
    Primitive(
        rows="1",
        name="everything, in one namespace",
        policy="rbac/cluster-admin-bound",
        gains=Gain.NAMESPACE,
        severity=Severity.HIGH,
        given=(within(EVERYTHING),),
        world=(SECRET, ACCOUNT),
        attempt=(READ_SECRET, CREATE_POD, CREATE_TOKEN),
        near_misses=(
            NearMiss(why="verbs that read", given=(within(READ_EVERYTHING),)),
            NearMiss(why="the group of workloads alone", given=(within(rule("*", "*", group="apps")),)),
        ),
    ),
    Primitive(
        rows="2",
        name="bound to cluster-admin",
        policy="rbac/cluster-admin-bound",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(Grant(role="cluster-admin"),),
        attempt=(BIND_ADMIN, READ_CLUSTER_SECRETS),
        near_misses=(
            NearMiss(
                why="a role of that name in a namespace, with little in it",
                given=(within(rule("get", "pods")),),
                world=(
                    {
                        "apiVersion": "rbac.authorization.k8s.io/v1",
                        "kind": "Role",
                        "metadata": {"name": "cluster-admin", "namespace": NS},
                        "rules": [rule("get", "pods")],
                    },
                    binding("Role cluster-admin", "ServiceAccount $NS/robot", namespace=NS),
                ),
            ),
            NearMiss(why="view of everything", given=(Grant(role="system:discovery"),)),
        ),
    ),
    Primitive(
        rows="2",
        name="equal rules under another name",
        policy="rbac/cluster-admin-bound",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(rule("get", "pods"), EVERYTHING, rule("get", urls="/livez")),),
        attempt=(BIND_ADMIN, READ_CLUSTER_SECRETS),
        near_misses=(
            NearMiss(
                why="its parts in different rules",
                given=(everywhere(rule("*", "pods"), rule("get", "*", group="*"), rule("*", urls="*")),),
            ),
        ),
    ),
    Primitive(
        rows="3",
        name="a member of system:masters",
        policy="rbac/masters-bound",
        gains=Gain.PERSISTENCE,
        severity=Severity.LOW,
        given=(everywhere(rule("get", "pods"), to="Group system:masters"), IMPERSONATE),
        attempt=(AS_MASTER,),
        about="ClusterRoleBinding $NS-0",
        near_misses=(
            NearMiss(
                why="a group of another name",
                given=(everywhere(rule("get", "pods"), to="Group masters"), IMPERSONATE),
                attempt=(AS_NAMESAKE,),
            ),
        ),
    ),
    Primitive(
        rows="4",
        name="rights without login",
        policy="rbac/anonymous-grant",
        gains=Gain.SECRETS,
        severity=Severity.CRITICAL,
        given=(within(rule("get", "secrets"), to="User system:anonymous"),),
        world=(SECRET,),
        attempt=(READ_ANONYMOUSLY,),
        about="User system:anonymous",
        near_misses=(
            NearMiss(why="a user of another name", given=(within(rule("get", "secrets"), to="User anonymous"),)),
            NearMiss(
                why="what everyone may know",
                given=(Grant(role="system:public-info-viewer", to="User system:anonymous"),),
            ),
        ),
    ),
    Primitive(
        rows="4",
        name="rights of the unauthenticated",
        policy="rbac/anonymous-grant",
        gains=Gain.SECRETS,
        severity=Severity.CRITICAL,
        given=(within(rule("get", "secrets"), to="Group system:unauthenticated"),),
        world=(SECRET,),
        attempt=(READ_ANONYMOUSLY,),
        about="Group system:unauthenticated",
        near_misses=(
            NearMiss(
                why="a user of that name",
                given=(within(rule("get", "secrets"), to="User system:unauthenticated"),),
            ),
        ),
    ),
    Primitive(
        rows="5",
        name="rights of everyone who logs in",
        policy="rbac/authenticated-grant",
        gains=Gain.SECRETS,
        severity=Severity.MEDIUM,
        given=(within(rule("get", "secrets"), to="Group system:authenticated"),),
        world=(SECRET,),
        attempt=(READ_SECRET,),
        about="Group system:authenticated",
        near_misses=(
            NearMiss(why="a group of another name", given=(within(rule("get", "secrets"), to="Group authenticated"),)),
            NearMiss(
                why="what Kubernetes gives everyone",
                given=(Grant(role="system:basic-user", to="Group system:authenticated"),),
            ),
        ),
    ),
    Primitive(
        rows="5",
        name="rights of every service account of a namespace",
        policy="rbac/authenticated-grant",
        gains=Gain.SECRETS,
        severity=Severity.MEDIUM,
        given=(within(rule("get", "secrets"), to="Group system:serviceaccounts:$NS"),),
        world=(SECRET,),
        attempt=(READ_SECRET,),
        about="Group system:serviceaccounts:$NS",
        near_misses=(
            NearMiss(
                why="another namespace's accounts",
                given=(within(rule("get", "secrets"), to="Group system:serviceaccounts:$NS-b"),),
            ),
        ),
    ),
    Primitive(
        rows="6",
        name="every verb on Secrets",
        policy="rbac/read-secrets",
        gains=Gain.SECRETS_EVERYWHERE,
        severity=Severity.HIGH,
        given=(everywhere(rule("*", "secrets")),),
        world=(SECRET,),
        attempt=(READ_CLUSTER_SECRETS, call("DELETE", f"{SECRETS}/login", dry_run=True)),
        near_misses=(
            NearMiss(why="another group's Secrets", given=(everywhere(rule("*", "secrets", group="example.com")),)),
        ),
    ),
    *(
        Primitive(
            rows="6",
            name=f"get on every resource ({policy.removeprefix('rbac/')})",
            policy=policy,
            gains=Gain.SECRETS_EVERYWHERE,
            severity=Severity.HIGH,
            given=(everywhere(rule("get", "*")),),
            world=(SECRET,),
            attempt=(READ_SECRET,),
            near_misses=(
                NearMiss(why="one subresource of every resource", given=(everywhere(rule("get", "*/status")),)),
                NearMiss(why="what looks like all of pods", given=(everywhere(rule("get", "pods/*")),)),
            ),
        )
        for policy in ("rbac/wildcard-rights", "rbac/read-secrets")
    ),
    Primitive(
        rows="6",
        name="create on every resource",
        policy="rbac/mint-tokens",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(rule("create", "*")),),
        world=(ACCOUNT,),
        attempt=(CREATE_POD, CREATE_TOKEN),
        near_misses=(
            NearMiss(why="resources without subresources", given=(everywhere(rule("create", "pods serviceaccounts")),)),
        ),
    ),
    Primitive(
        rows="7",
        name="get /debug/*",
        policy="rbac/read-server-internals",
        gains=Gain.DENIAL,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("get", urls="/debug/*")),),
        attempt=(PROFILE,),
        near_misses=(
            NearMiss(
                why="the path without what is below", given=(everywhere(rule("get", urls="/debug /debug/pprof")),)
            ),
            NearMiss(
                why="a RoleBinding, in which paths mean nothing",
                given=(within(rule("get", "pods"), rule("get", urls="/debug/*")),),
            ),
        ),
    ),
    Primitive(
        rows="7",
        name="get on every path",
        policy="rbac/read-server-internals",
        gains=Gain.DENIAL,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("get", urls="*")),),
        attempt=(PROFILE, METRICS),
        near_misses=(
            NearMiss(why="another verb", given=(everywhere(rule("post", urls="*")),)),
            NearMiss(why="health alone", given=(everywhere(rule("get", urls="/livez /readyz /healthz/*")),)),
        ),
    ),
    Primitive(
        rows="7",
        name="get /metrics",
        policy="rbac/read-server-metrics",
        gains=Gain.READING,
        severity=Severity.LOW,
        given=(everywhere(rule("get", urls="/metrics")),),
        attempt=(METRICS,),
        near_misses=(
            NearMiss(why="what would be below it", given=(everywhere(rule("get", urls="/metrics/")),)),
            NearMiss(
                why="a RoleBinding, in which paths mean nothing",
                given=(within(rule("get", "pods"), rule("get", urls="/metrics")),),
            ),
        ),
    ),
)
