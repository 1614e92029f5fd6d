"""Cluster administrators under any name, and what is granted to everyone."""

from scanner.model.policy import Severity
from tests.builders import binding, rule
from tests.conformance.primitives.execute import Gain, NearMiss, Primitive, call, everywhere, within

#: Makes the attacker cluster administrator, if it may.
BIND_ADMIN = call(
    "POST",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    binding("ClusterRole cluster-admin", "ServiceAccount $NS/robot", name="$NS-taken"),
    dry_run=True,
)

PRIMITIVES = (
    Primitive(
        rows="1",
        name="everything, by a ClusterRoleBinding",
        policy="rbac/cluster-admin-bound",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(rule("*", "*", group="*")),),
        attempt=(BIND_ADMIN, call("GET", "/api/v1/namespaces/kube-system/secrets")),
        near_misses=(
            NearMiss(why="reads of everything", given=(everywhere(rule("get list watch", "*", group="*")),)),
            NearMiss(why="everything of the core group", given=(everywhere(rule("*", "*")),)),
            NearMiss(why="everything in one namespace", given=(within(rule("get list watch", "*", group="*")),)),
        ),
    ),
)
