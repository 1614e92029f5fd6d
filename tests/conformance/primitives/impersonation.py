"""Acting as somebody else."""

from typing import Any

from scanner.model.policy import Severity
from tests.builders import rule
from tests.conformance.primitives.execute import (
    Gain,
    NearMiss,
    Primitive,
    Step,
    call,
    everywhere,
    reads,
    within,
)
from tests.conformance.primitives.superuser import ACCOUNT, SECRET, SECRETS

AUTHENTICATION = "authentication.k8s.io"
WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
#: Someone with a right worth having.
BOSS_USER = within(rule("get list", "secrets"), to="User $NS-boss")
BOSS_ACCOUNT = within(rule("get list", "secrets"), to="ServiceAccount $NS/boss")
ACCOUNT_NAME = "system:serviceaccount:$NS:boss"


def read_as(**headers: str) -> Step:
    """Make a step that reads the Secret as somebody: `read_as(User="jane")`."""
    sent = {f"Impersonate-{name}": value for name, value in headers.items()}
    return reads(call("GET", f"{SECRETS}/login", headers=sent), "aHVudGVyMg==")


def as_masters(**headers: str) -> Step:
    """Make a step that only a member of `system:masters` succeeds in."""
    sent: dict[str, Any] = {f"Impersonate-{name}": value for name, value in headers.items()}
    return call("GET", "/api/v1/secrets?limit=1", headers=sent | {"Impersonate-Group": "system:masters"})


def be(text: str, **headers: str) -> Step:
    """Make a step that asks the API server who it is, as somebody, and finds a text in the answer."""
    sent = {f"Impersonate-{name}": value for name, value in headers.items()}
    return reads(call("POST", WHO_AM_I, {}, headers=sent), text)


ANY_MASTER = (rule("impersonate", "groups", names="system:masters"), rule("impersonate", "users", names="nobody"))
USER_INFO = rule("impersonate:user-info", "users", group=AUTHENTICATION, names="$NS-boss")
ON_SECRETS = rule("impersonate-on:user-info:get", "secrets")
ACCOUNTS = rule("impersonate:serviceaccount", "serviceaccounts", group=AUTHENTICATION)
ANY_NODE = rule("impersonate:arbitrary-node", "nodes", group=AUTHENTICATION)
REVIEW = "selfsubjectreviews"

PRIMITIVES = (
    Primitive(
        rows="14",
        name="impersonate users",
        policy="rbac/impersonate-identities",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(rule("impersonate", "users")),),
        attempt=(
            call("GET", "/api/v1/secrets?limit=1", headers={"Impersonate-User": "system:kube-controller-manager"}),
        ),
        near_misses=(
            NearMiss(why="a RoleBinding, for users have no namespace", given=(within(rule("impersonate", "users")),)),
            NearMiss(
                why="the group of today's users",
                given=(everywhere(rule("impersonate", "users", group="user.openshift.io")),),
            ),
            NearMiss(why="other verbs", given=(everywhere(rule("get list create update", "users")),)),
        ),
    ),
    Primitive(
        rows="14",
        name="impersonate one user",
        policy="rbac/assume-one-identity",
        gains=Gain.IDENTITY,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("impersonate", "users", names="$NS-boss")), BOSS_USER),
        world=(SECRET,),
        attempt=(read_as(User="$NS-boss"),),
        near_misses=(
            NearMiss(
                why="a RoleBinding, for users have no namespace",
                given=(within(rule("impersonate", "users", names="$NS-boss")), BOSS_USER),
            ),
        ),
    ),
    Primitive(
        rows="3,15",
        name="impersonate groups, with a user",
        policy="rbac/impersonate-groups",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(*ANY_MASTER),),
        attempt=(as_masters(User="nobody"),),
        near_misses=(
            NearMiss(why="groups alone", given=(everywhere(rule("impersonate", "groups")),)),
            NearMiss(why="users alone", given=(everywhere(rule("impersonate", "users")),)),
            NearMiss(
                why="a harmless group",
                given=(everywhere(rule("impersonate", "users"), rule("impersonate", "groups", names="developers")),),
            ),
            NearMiss(
                why="groups bound in a namespace",
                given=(everywhere(rule("impersonate", "users", names="nobody")), within(rule("impersonate", "groups"))),
            ),
        ),
    ),
    Primitive(
        rows="3,15",
        name="impersonate groups, with a service account",
        policy="rbac/impersonate-groups",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(
            everywhere(rule("impersonate", "groups", names="system:masters")),
            within(rule("impersonate", "serviceaccounts", names="robot")),
        ),
        attempt=(as_masters(User="system:serviceaccount:$NS:robot"),),
        near_misses=(NearMiss(why="the account alone", given=(within(rule("impersonate", "serviceaccounts")),)),),
    ),
    Primitive(
        rows="15",
        name="impersonate one group, with one user",
        policy="rbac/assume-one-identity",
        gains=Gain.IDENTITY,
        severity=Severity.MEDIUM,
        given=(
            everywhere(rule("impersonate", "users", names="nobody"), rule("impersonate", "groups", names="$NS-bosses")),
            within(rule("get", "secrets"), to="Group $NS-bosses"),
        ),
        world=(SECRET,),
        attempt=(read_as(User="nobody", Group="$NS-bosses"),),
        near_misses=(
            NearMiss(
                why="the group alone",
                given=(
                    everywhere(rule("impersonate", "groups", names="$NS-bosses")),
                    within(rule("get", "secrets"), to="Group $NS-bosses"),
                ),
            ),
        ),
    ),
    Primitive(
        rows="16",
        name="impersonate service accounts of a namespace",
        policy="rbac/impersonate-identities",
        gains=Gain.NAMESPACE,
        severity=Severity.HIGH,
        given=(within(rule("impersonate", "serviceaccounts")), BOSS_ACCOUNT),
        world=(SECRET, ACCOUNT),
        attempt=(read_as(User=ACCOUNT_NAME),),
        near_misses=(
            NearMiss(
                why="users, which service accounts are not",
                given=(everywhere(rule("impersonate", "users", names=ACCOUNT_NAME)), BOSS_ACCOUNT),
            ),
            NearMiss(
                why="another namespace's",
                given=(within(rule("impersonate", "serviceaccounts", names="other")), BOSS_ACCOUNT),
            ),
        ),
    ),
    Primitive(
        rows="16",
        name="impersonate service accounts everywhere",
        policy="rbac/impersonate-identities",
        gains=Gain.CLUSTER_ADMIN,
        severity=Severity.CRITICAL,
        given=(everywhere(rule("impersonate", "serviceaccounts")), BOSS_ACCOUNT),
        world=(SECRET, ACCOUNT),
        attempt=(read_as(User=ACCOUNT_NAME),),
        near_misses=(
            NearMiss(
                why="a subresource", given=(everywhere(rule("impersonate", "serviceaccounts/token")), BOSS_ACCOUNT)
            ),
        ),
    ),
    Primitive(
        rows="16",
        name="impersonate one service account",
        policy="rbac/assume-one-identity",
        gains=Gain.IDENTITY,
        severity=Severity.MEDIUM,
        given=(within(rule("impersonate", "serviceaccounts", names="boss")), BOSS_ACCOUNT),
        world=(SECRET, ACCOUNT),
        attempt=(read_as(User=ACCOUNT_NAME),),
        near_misses=(
            NearMiss(why="itself", given=(within(rule("impersonate", "serviceaccounts", names="robot")), BOSS_ACCOUNT)),
        ),
    ),
    Primitive(
        rows="17",
        name="impersonate uids and extra attributes",
        policy="rbac/impersonate-attributes",
        gains=Gain.IDENTITY,
        severity=Severity.LOW,
        given=(
            everywhere(
                rule("impersonate", "users", names="nobody"),
                rule("impersonate", "uids userextras/authentication.kubernetes.io/node-name", group=AUTHENTICATION),
            ),
        ),
        attempt=(
            be("42", User="nobody", Uid="42"),
            be("worker-1", **{"User": "nobody", "Extra-authentication.kubernetes.io%2Fnode-name": "worker-1"}),
        ),
        near_misses=(
            NearMiss(
                why="nobody to go with them",
                given=(everywhere(rule("impersonate", "uids userextras/scopes", group=AUTHENTICATION)),),
            ),
            NearMiss(
                why="the core group, where they are not",
                given=(everywhere(rule("impersonate", "users", names="nobody"), rule("impersonate", "uids")),),
            ),
            NearMiss(
                why="what looks like all attributes",
                given=(
                    everywhere(
                        rule("impersonate", "users", names="nobody"),
                        rule("impersonate", "userextras/*", group=AUTHENTICATION),
                    ),
                ),
            ),
        ),
    ),
    Primitive(
        rows="18",
        name="impersonate:user-info, for reading Secrets",
        policy="rbac/impersonate-for-some-verbs",
        gains=Gain.SECRETS_EVERYWHERE,
        severity=Severity.HIGH,
        given=(everywhere(USER_INFO), everywhere(ON_SECRETS), BOSS_USER),
        world=(SECRET,),
        attempt=(read_as(User="$NS-boss"),),
        near_misses=(
            NearMiss(why="as whom, and not for what", given=(everywhere(USER_INFO), BOSS_USER)),
            NearMiss(why="for what, and not as whom", given=(everywhere(ON_SECRETS), BOSS_USER)),
            NearMiss(
                why="halves of different kinds",
                given=(
                    everywhere(USER_INFO),
                    everywhere(rule("impersonate-on:serviceaccount:get", "secrets")),
                    BOSS_USER,
                ),
            ),
            NearMiss(
                why="the core group, where such users are not",
                given=(everywhere(rule("impersonate:user-info", "users"), ON_SECRETS), BOSS_USER),
            ),
        ),
    ),
    Primitive(
        rows="18",
        name="impersonate:serviceaccount, in a namespace",
        policy="rbac/impersonate-for-some-verbs",
        gains=Gain.IDENTITY,
        severity=Severity.MEDIUM,
        given=(within(ACCOUNTS), within(rule("impersonate-on:serviceaccount:get", "secrets")), BOSS_ACCOUNT),
        world=(SECRET, ACCOUNT),
        attempt=(read_as(User=ACCOUNT_NAME),),
        near_misses=(
            NearMiss(why="as whom, and not for what", given=(within(ACCOUNTS), BOSS_ACCOUNT)),
            NearMiss(
                why="for what, and not as whom",
                given=(within(rule("impersonate-on:serviceaccount:get", "secrets")), BOSS_ACCOUNT),
            ),
        ),
    ),
    Primitive(
        rows="18",
        name="impersonate:arbitrary-node",
        policy="rbac/impersonate-for-some-verbs",
        gains=Gain.NODE,
        severity=Severity.HIGH,
        given=(everywhere(ANY_NODE, rule("impersonate-on:arbitrary-node:create", REVIEW, group=AUTHENTICATION)),),
        attempt=(be("system:nodes", User="system:node:$NS"),),
        near_misses=(
            NearMiss(why="as whom, and not for what", given=(everywhere(ANY_NODE),)),
            NearMiss(
                why="nodes, which are no users",
                given=(
                    everywhere(
                        rule("impersonate:user-info", "users", group=AUTHENTICATION),
                        rule("impersonate-on:arbitrary-node:create", REVIEW, group=AUTHENTICATION),
                    ),
                ),
            ),
        ),
    ),
    Primitive(
        rows="18",
        name="every verb where such users are, and where Secrets are",
        policy="rbac/impersonate-for-some-verbs",
        gains=Gain.SECRETS_EVERYWHERE,
        severity=Severity.HIGH,
        given=(
            everywhere(rule("*", "*", group=AUTHENTICATION)),
            within(rule("*", "secrets"), namespace="default"),
            BOSS_USER,
        ),
        world=(SECRET,),
        attempt=(be("$NS-boss", User="$NS-boss"),),
        near_misses=(
            NearMiss(
                why="every verb on Secrets alone", given=(within(rule("*", "secrets"), namespace="default"), BOSS_USER)
            ),
        ),
    ),
)
