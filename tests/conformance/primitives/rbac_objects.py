"""Rights on roles and bindings themselves."""

from scanner.model.policy import Severity
from tests.builders import RBAC_V1, binding, cluster_role, role, rule
from tests.conformance.primitives.execute import (
    NS,
    Gain,
    NearMiss,
    Primitive,
    call,
    eventually,
    everywhere,
    reads,
    within,
)
from tests.conformance.primitives.superuser import BIND_ADMIN, RBAC, SECRET, SECRETS

GROUP = "rbac.authorization.k8s.io"
ALL = {"rules": [rule("*", "*", group="*")]}
#: The attacker's own ClusterRole: the first that it is granted.
ESCALATE = call("PATCH", f"{RBAC}/clusterroles/$NS-0", ALL, dry_run=True)
ESCALATE_HERE = call("PATCH", f"{RBAC}/namespaces/$NS/roles/own", ALL, dry_run=True)
OWN_ROLE = (
    role("own", rule("get", "pods"), namespace=NS),
    binding("Role own", "ServiceAccount $NS/robot", namespace=NS),
)
BIND_ADMIN_HERE = call(
    "POST",
    f"{RBAC}/namespaces/$NS/rolebindings",
    binding("ClusterRole cluster-admin", "ServiceAccount $NS/robot", namespace=NS, name="taken"),
    dry_run=True,
)
JOIN_ADMINS = call(
    "PATCH",
    f"{RBAC}/clusterrolebindings/cluster-admin",
    {"subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": NS}]},
    dry_run=True,
)
SHARE = call(
    "POST",
    f"{RBAC}/namespaces/$NS/rolebindings",
    binding("ClusterRole $NS-0", "User friend", namespace=NS, name="shared"),
    dry_run=True,
)
FEED = call(
    "POST",
    f"{RBAC}/clusterroles",
    cluster_role("$NS-feeder", rule("get", "pods"), labels={"rbac.authorization.k8s.io/aggregate-to-view": "true"}),
    dry_run=True,
)
PATCH_VIEW = rule("patch", "clusterroles", group=GROUP, names="system:aggregate-to-view")
FEED_VIEW = call("PATCH", f"{RBAC}/clusterroles/system:aggregate-to-view", {"rules": [PATCH_VIEW]}, dry_run=True)
CONTROLLER = "kube-controller-manager copies the rules on; the API server shows that they can be written"
VICTIM = (
    cluster_role("$NS-victim", rule("get", "pods")),
    binding("ClusterRole $NS-victim", "User joe", name="$NS-victim"),
)
LOCK_OUT = call("DELETE", f"{RBAC}/clusterrolebindings/$NS-victim", dry_run=True)
LOCK_OUT_HERE = call("DELETE", f"{RBAC}/namespaces/$NS/rolebindings", dry_run=True)
FRIEND = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "friend", "namespace": NS}}
WAITING = binding("Role gone", "ServiceAccount $NS/friend", namespace=NS, name="waiting")
READ_AS_FRIEND = reads(
    call("GET", f"{SECRETS}/login", headers={"Impersonate-User": "system:serviceaccount:$NS:friend"}), "aHVudGVyMg=="
)
REVIVE = call(
    "POST",
    f"{RBAC}/namespaces/$NS/roles",
    {"apiVersion": RBAC_V1, "kind": "Role", "metadata": {"name": "gone"}, "rules": [rule("get", "secrets")]},
)


PRIMITIVES = (
    Primitive(
        rows="8",
        name="escalate and patch clusterroles",
        policy="rbac/escalate-roles",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(
            everywhere(rule("escalate", "clusterroles", group=GROUP)),
            everywhere(rule("patch", "clusterroles", group=GROUP)),
        ),
        attempt=(ESCALATE,),
        near_misses=(
            NearMiss(why="escalate alone", given=(everywhere(rule("escalate", "clusterroles", group=GROUP)),)),
            NearMiss(why="patch alone", given=(everywhere(rule("patch", "clusterroles", group=GROUP)),)),
            NearMiss(
                why="escalate on another kind",
                given=(everywhere(rule("patch", "clusterroles", group=GROUP), rule("escalate", "roles", group=GROUP)),),
            ),
            NearMiss(
                why="escalate bound in a namespace",
                given=(
                    everywhere(rule("patch", "clusterroles", group=GROUP)),
                    within(rule("escalate", "clusterroles", group=GROUP)),
                ),
            ),
        ),
    ),
    Primitive(
        rows="8",
        name="escalate and patch one clusterrole that it holds",
        policy="rbac/escalate-roles",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(rule("escalate patch", "clusterroles", group=GROUP, names="$NS-0")),),
        attempt=(ESCALATE,),
        near_misses=(
            NearMiss(
                why="one that it does not hold",
                given=(everywhere(rule("escalate patch", "clusterroles", group=GROUP, names="$NS-b")),),
            ),
            NearMiss(
                why="names that differ",
                given=(
                    everywhere(
                        rule("escalate", "clusterroles", group=GROUP, names="$NS-b"),
                        rule("patch", "clusterroles", group=GROUP, names="$NS-0"),
                    ),
                ),
            ),
        ),
    ),
    Primitive(
        rows="8",
        name="escalate and patch roles of a namespace",
        policy="rbac/escalate-roles",
        gains=Gain.NAMESPACE,
        severity=Severity.HIGH,
        given=(within(rule("escalate patch", "roles", group=GROUP)),),
        world=OWN_ROLE,
        attempt=(ESCALATE_HERE,),
        near_misses=(
            NearMiss(why="patch alone", given=(within(rule("patch", "roles", group=GROUP)),)),
            NearMiss(why="the wrong API group", given=(within(rule("escalate patch", "roles")),)),
        ),
    ),
    Primitive(
        rows="9",
        name="bind clusterroles and create clusterrolebindings",
        policy="rbac/bind-any-role",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(
            everywhere(rule("bind", "clusterroles", group=GROUP)),
            everywhere(rule("create", "clusterrolebindings", group=GROUP)),
        ),
        attempt=(BIND_ADMIN,),
        near_misses=(
            NearMiss(why="bind alone", given=(everywhere(rule("bind", "clusterroles", group=GROUP)),)),
            NearMiss(why="create alone", given=(everywhere(rule("create", "clusterrolebindings", group=GROUP)),)),
            NearMiss(
                why="bind on a harmless role",
                given=(
                    everywhere(
                        rule("bind", "clusterroles", group=GROUP, names="view"),
                        rule("create", "clusterrolebindings", group=GROUP),
                    ),
                ),
            ),
            NearMiss(
                why="bind on the binding instead of the role",
                given=(everywhere(rule("bind create", "clusterrolebindings", group=GROUP)),),
            ),
        ),
    ),
    Primitive(
        rows="9",
        name="bind clusterroles and patch the binding cluster-admin",
        policy="rbac/bind-any-role",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(
            everywhere(
                rule("bind", "clusterroles", group=GROUP, names="cluster-admin"),
                rule("patch", "clusterrolebindings", group=GROUP, names="cluster-admin"),
            ),
        ),
        attempt=(JOIN_ADMINS,),
        near_misses=(
            NearMiss(
                why="another binding",
                given=(
                    everywhere(
                        rule("bind", "clusterroles", group=GROUP),
                        rule("patch", "clusterrolebindings", group=GROUP, names="$NS-b"),
                    ),
                ),
            ),
        ),
    ),
    Primitive(
        rows="9",
        name="bind and create rolebindings in a namespace",
        policy="rbac/bind-any-role",
        gains=Gain.NAMESPACE,
        severity=Severity.HIGH,
        given=(within(rule("bind", "clusterroles", group=GROUP)), within(rule("create", "rolebindings", group=GROUP))),
        attempt=(BIND_ADMIN_HERE,),
        near_misses=(
            NearMiss(
                why="bind in another namespace",
                world=({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "$NS-b"}},),
                given=(
                    within(rule("bind", "clusterroles", group=GROUP), namespace="$NS-b"),
                    within(rule("create", "rolebindings", group=GROUP)),
                ),
            ),
            NearMiss(
                why="create limited to a name",
                given=(
                    within(
                        rule("bind", "clusterroles", group=GROUP),
                        rule("create", "rolebindings", group=GROUP, names="taken"),
                    ),
                ),
            ),
        ),
    ),
    Primitive(
        rows="10",
        name="create rolebindings without bind",
        policy="rbac/write-bindings",
        gains=Gain.PERSISTENCE,
        severity=Severity.LOW,
        given=(within(rule("create", "rolebindings", group=GROUP)),),
        attempt=(SHARE,),
        near_misses=(
            NearMiss(why="reading them", given=(within(rule("get list watch", "rolebindings", group=GROUP)),)),
            NearMiss(why="the wrong API group", given=(within(rule("create", "rolebindings")),)),
        ),
    ),
    Primitive(
        rows="11",
        name="create clusterroles that are aggregated",
        policy="rbac/feed-aggregated-roles",
        gains=Gain.PERSISTENCE,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("create", "clusterroles", group=GROUP), rule("get", "pods")),),
        attempt=(FEED,),
        not_executable=CONTROLLER,
        near_misses=(
            NearMiss(why="roles", given=(everywhere(rule("create", "roles", group=GROUP), rule("get", "pods")),)),
            NearMiss(
                why="create limited to a name",
                given=(
                    everywhere(rule("create", "clusterroles", group=GROUP, names="$NS-feeder"), rule("get", "pods")),
                ),
            ),
        ),
    ),
    Primitive(
        rows="11",
        name="patch a clusterrole that feeds view",
        policy="rbac/feed-aggregated-roles",
        gains=Gain.PERSISTENCE,
        severity=Severity.MEDIUM,
        given=(everywhere(PATCH_VIEW),),
        attempt=(FEED_VIEW,),
        not_executable=CONTROLLER,
        near_misses=(
            NearMiss(
                why="one that feeds none",
                given=(everywhere(rule("patch", "clusterroles", group=GROUP, names="system:basic-user")),),
            ),
        ),
    ),
    Primitive(
        rows="12",
        name="delete clusterrolebindings",
        policy="rbac/delete-rbac",
        gains=Gain.DENIAL,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("delete", "clusterrolebindings", group=GROUP)),),
        world=VICTIM,
        attempt=(LOCK_OUT,),
        near_misses=(
            NearMiss(
                why="one of its own",
                given=(everywhere(rule("delete", "clusterrolebindings", group=GROUP, names="$NS-b")),),
            ),
            NearMiss(
                why="writing them", given=(everywhere(rule("create update patch", "clusterrolebindings", group=GROUP)),)
            ),
        ),
    ),
    Primitive(
        rows="12",
        name="deletecollection of rolebindings in a namespace",
        policy="rbac/delete-rbac",
        gains=Gain.DENIAL,
        severity=Severity.LOW,
        given=(within(rule("deletecollection", "rolebindings", group=GROUP)),),
        attempt=(LOCK_OUT_HERE,),
        near_misses=(
            NearMiss(
                why="limited to a name, which such a request has not",
                given=(within(rule("deletecollection", "rolebindings", group=GROUP, names="$NS-0")),),
            ),
        ),
    ),
    Primitive(
        rows="13",
        name="create the role that a binding waits for",
        policy="rbac/dangling-binding",
        gains=Gain.PERSISTENCE,
        severity=Severity.MEDIUM,
        given=(
            within(
                rule("create", "roles", group=GROUP),
                rule("get", "secrets"),
                rule("impersonate", "serviceaccounts", names="friend"),
            ),
        ),
        world=(SECRET, FRIEND, WAITING),
        attempt=(REVIVE, eventually(READ_AS_FRIEND)),
        leaves=(f"{RBAC}/namespaces/$NS/roles/gone",),
        about="RoleBinding $NS/waiting",
        near_misses=(
            NearMiss(
                why="a role that exists",
                given=(within(rule("impersonate", "serviceaccounts", names="friend")),),
                world=(SECRET, FRIEND, WAITING, role("gone", rule("get", "pods"), namespace=NS)),
                attempt=(READ_AS_FRIEND,),
            ),
        ),
    ),
)
