"""Proposals grant what was used, nothing that was not granted before, and say what of the grants is too wide."""

import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.least_privilege import MANY_NAMESPACES, Proposal, proposals
from scanner.analysis.rbac.proof import applied, manifests_of, prove
from scanner.analysis.rbac.requests import Identity, Request, identity_of, user_of
from scanner.analysis.rbac.usage import MAX_NAMES, Observed, Usage, usages_of
from scanner.model.rbac import Subject
from scanner.model.snapshot import Snapshot, SourceKind
from tests.analysis.rbac.worlds import random_request, random_world
from tests.builders import NOW, binding, cluster_role, role, rule, snapshot

CART = Subject("ServiceAccount", "cart", "shop")
CART_USER = identity_of(user_of("shop", "cart"))


def used(*words: str, identity: Identity = CART_USER) -> tuple[Usage, ...]:
    """Make a record of allowed requests in words: `get shop configmaps prices`, `list - nodes`, `get /metrics`."""
    return usages_of(Observed(identity=identity, request=asked(each), is_allowed=True, at=NOW) for each in words)


def asked(words: str) -> Request:
    """Read a request in words."""
    verb, place, *rest = words.split()
    if place.startswith("/"):
        return Request(verb=verb, path=place)
    what, *name = rest
    plain, _, group = what.partition(".")
    resource, _, subresource = plain.partition("/")
    return Request(
        verb=verb,
        group=group,
        resource=resource,
        subresource=subresource,
        namespace="" if place == "-" else place,
        name=name[0] if name else "",
    )


def world(*rules: Mapping[str, Any], namespace: str = "") -> Snapshot:
    """Make a cluster in which the service account cart has these rules, cluster-wide or in a namespace."""
    bound = binding("ClusterRole wide", "ServiceAccount shop/cart", namespace=namespace, name="wide")
    return snapshot(cluster_role("wide", *rules), bound, source=SourceKind.MANIFESTS)


def proposed(seen: Snapshot, record: Iterable[Usage], **options: Any) -> Proposal:
    """Return the proposal for cart."""
    (found,) = proposals(seen, record, subjects={CART}, **options)
    return found


def rules_of(proposal: Proposal) -> list[tuple[str, Any]]:
    """Return the proposed rules by namespace."""
    return [
        (thing["metadata"].get("namespace", ""), thing["rules"]) for thing in manifests_of(proposal) if "rules" in thing
    ]


EVERYTHING = rule("*", "*", group="*")


def test_what_was_used_is_proposed() -> None:
    """One request makes one right, in its namespace."""
    found = proposed(world(EVERYTHING), used("get shop configmaps prices"))
    assert rules_of(found) == [("shop", [rule("get", "configmaps")])]


def test_verbs_on_one_resource_are_one_rule() -> None:
    """A role reads like one that a person wrote."""
    found = proposed(world(EVERYTHING), used("watch shop pods", "list shop pods", "get shop pods a"))
    assert rules_of(found) == [("shop", [rule("get list watch", "pods")])]


def test_resources_with_equal_verbs_are_one_rule() -> None:
    """Resources of one group share a rule."""
    found = proposed(world(EVERYTHING), used("list shop pods", "list shop services", "get shop pods/log a"))
    assert rules_of(found) == [("shop", [rule("list", "pods services"), rule("get", "pods/log")])]


def test_api_groups_stay_apart() -> None:
    """A rule of two groups would grant each resource in both."""
    found = proposed(world(EVERYTHING), used("list shop pods", "list shop deployments.apps"))
    assert rules_of(found) == [("shop", [rule("list", "pods"), rule("list", "deployments", group="apps")])]


def test_each_namespace_has_its_role() -> None:
    """What was cluster-wide and used in two namespaces is granted in these."""
    found = proposed(world(EVERYTHING), used("list shop pods", "list store pods"))
    assert rules_of(found) == [("shop", [rule("list", "pods")]), ("store", [rule("list", "pods")])]


def test_request_of_the_whole_cluster_stays_cluster_wide() -> None:
    """A list of all namespaces needs a ClusterRole, which then covers the single ones too."""
    found = proposed(world(EVERYTHING), used("list - pods", "list shop pods"))
    assert rules_of(found) == [("", [rule("list", "pods")])]


def test_what_serves_all_namespaces_stays_cluster_wide() -> None:
    """Used in very many namespaces, a cluster-wide grant stays so, and that is told."""
    record = used(*(f"list team-{number} pods" for number in range(MANY_NAMESPACES + 1)))
    found = proposed(world(EVERYTHING), record)
    assert (rules_of(found), found.kept_wide) == ([("", [rule("list", "pods")])], ("list pods",))


def test_path_needs_a_cluster_role() -> None:
    """Paths are granted for the whole cluster alone."""
    found = proposed(world(rule("*", urls="*")), used("get /metrics", "get /logs/a"))
    assert rules_of(found) == [("", [{"verbs": ["get"], "nonResourceURLs": ["/logs/a", "/metrics"]}])]


def test_names_of_the_grant_stay() -> None:
    """What was granted for named objects is proposed for those that were used."""
    seen = world(rule("get", "secrets", names="db mail"), namespace="shop")
    assert rules_of(proposed(seen, used("get shop secrets db"))) == [("shop", [rule("get", "secrets", names="db")])]


def test_grant_for_the_empty_name_is_not_for_all() -> None:
    """A rule may name the empty name alone, which lets one list and get nothing."""
    seen = world(rule("list", "secrets") | {"resourceNames": [""]}, namespace="shop")
    found = proposed(seen, used("list shop secrets"))
    assert rules_of(found) == [("shop", [rule("list", "secrets") | {"resourceNames": [""]}])]


def test_names_are_proposed_where_asked_for() -> None:
    """Few names that stay can be made part of the role."""
    found = proposed(world(EVERYTHING), used("get shop secrets db"), with_names=True)
    assert rules_of(found) == [("shop", [rule("get", "secrets", names="db")])]


def test_names_that_come_and_go_are_not_proposed() -> None:
    """Tomorrow's pod has another name."""
    found = proposed(world(EVERYTHING), used("get shop pods cart-7d9f"), with_names=True)
    assert rules_of(found) == [("shop", [rule("get", "pods")])]


def test_creation_is_not_limited_to_names() -> None:
    """The authorizers know no name of what is created."""
    found = proposed(world(EVERYTHING), used("create shop secrets", "get shop secrets db"), with_names=True)
    assert rules_of(found) == [("shop", [rule("create", "secrets"), rule("get", "secrets", names="db")])]


def test_more_names_than_are_kept_get_all_that_was_granted() -> None:
    """A name that was used and forgotten is still allowed."""
    names = [f"c{number}" for number in range(MAX_NAMES + 5)]
    seen = world(rule("get", "configmaps", names=" ".join(names)), namespace="shop")
    found = proposed(seen, used(*(f"get shop configmaps {name}" for name in names)))
    assert rules_of(found) == [("shop", [rule("get", "configmaps", names=" ".join(sorted(names)))])]


def test_discovery_is_left_out() -> None:
    """What Kubernetes gives to everyone needs no role."""
    found = proposed(world(EVERYTHING), used("get /api/v1", "get shop configmaps prices"))
    assert [str(use.request) for use in found.given_to_all] == ["get /api/v1"]


def test_left_out_request_is_not_proposed() -> None:
    """Nothing of discovery is in the roles."""
    assert proposed(world(EVERYTHING, rule("*", urls="*")), used("get /api/v1")).roles == ()


def test_request_that_no_role_allows_is_told() -> None:
    """Another authorizer must have allowed it: it is not granted by us."""
    found = proposed(world(rule("get", "pods")), used("get shop secrets db"))
    assert ([str(use.request) for use in found.unexplained], found.roles) == (["get secrets in shop"], ())


def test_partial_use_makes_no_proposal() -> None:
    """Who left out what was used would break what uses it."""
    (usage,) = used("get shop pods a")
    partial = Usage(identity=usage.identity, uses=usage.uses, is_partial=True)
    found = proposed(world(EVERYTHING), [partial])
    assert (found.roles, found.is_partial) == ((), True)


def test_grant_that_was_never_used_is_told() -> None:
    """Each rule is judged by itself."""
    found = proposed(world(rule("get", "pods"), rule("get", "secrets")), used("get shop pods a"))
    assert [(grant.chain.rule_index, grant.is_used) for grant in found.grants] == [(0, True), (1, False)]


@pytest.mark.parametrize(
    ("granted", "use", "wider"),
    [
        (rule("*", "pods"), "list - pods", "any verb, used: list"),
        (rule("get list", "pods"), "list - pods", "verbs never used: get"),
        (rule("list", "*"), "list - pods", "any resource, used: pods"),
        (rule("list", "pods nodes"), "list - pods", "resources never used: nodes"),
        (rule("list", "pods", group="*"), "list - pods", "any API group, used: the core"),
        (rule("list", "pods"), "list shop pods", "cluster-wide, used in shop"),
        (rule("get", "nodes"), "get - nodes one", "any name, used: one"),
        (rule("get", "nodes", names="one two"), "get - nodes one", "names never used: two"),
        (rule("get", urls="/logs/* /metrics"), "get /metrics", "paths never used: /logs/*"),
        (rule("get", urls="/logs/*"), "get /logs/a", "any path, used: /logs/a"),
    ],
)
def test_what_is_wider_than_its_use_is_told(granted: Mapping[str, Any], use: str, wider: str) -> None:
    """A rule's words are compared with what was used of them."""
    (grant,) = proposed(world(granted), used(use)).grants
    assert grant.wider == (wider,)


def test_grant_that_is_as_narrow_as_its_use_is_not_wide() -> None:
    """Least privilege passes."""
    (grant,) = proposed(world(rule("list", "pods"), namespace="shop"), used("list shop pods")).grants
    assert grant.wider == ()


def test_subject_without_use_has_no_proposal() -> None:
    """Nothing was seen, so nothing is known to be needed: the grants are told as unused."""
    found = proposed(world(EVERYTHING), ())
    assert (found.roles, len(found.unused)) == ((), 1)


def test_group_is_proposed_what_its_members_used() -> None:
    """A group's grants are compared with what its members did."""
    seen = snapshot(cluster_role("wide", EVERYTHING), binding("ClusterRole wide", "Group ops"))
    jane, joe = (Identity(name, frozenset({"ops"})) for name in ("jane", "joe"))
    record = (*used("get shop pods a", identity=jane), *used("list shop pods", identity=joe))
    (found,) = proposals(seen, record)
    assert (found.users, rules_of(found)) == (("jane", "joe"), [("shop", [rule("get list", "pods")])])


def test_own_grant_of_kubernetes_is_left_out() -> None:
    """A controller of Kubernetes, as Kubernetes bound it, is nobody's to narrow."""
    seen = snapshot(source=SourceKind.MANIFESTS)
    assert proposals(seen, used("list - pods")) == ()


def test_binding_that_is_replaced_is_named() -> None:
    """Without taking the subject out of the wide binding nothing is won."""
    found = proposed(world(EVERYTHING), used("get shop pods a"))
    assert [str(replaced.ref) for replaced in found.replaces] == ["ClusterRoleBinding wide"]


def test_second_proposal_replaces_only_what_is_left() -> None:
    """A proposal that is applied already is written anew under its name."""
    seen, record = world(EVERYTHING), used("get shop pods a")
    again = proposed(applied(seen, [proposed(seen, record)]), record)
    assert (rules_of(again), again.replaces) == ([("shop", [rule("get", "pods")])], ())


def test_after_a_proposal_the_rest_is_denied() -> None:
    """The wide grant is gone."""
    seen, record = world(EVERYTHING), used("get shop pods a")
    after = applied(seen, [proposed(seen, record)])
    assert not authorizer_of(after).can(CART_USER, asked("get shop secrets db")).is_allowed


def test_bindings_of_others_stay() -> None:
    """Another subject of the replaced binding keeps what it had."""
    seen = snapshot(
        cluster_role("wide", EVERYTHING), binding("ClusterRole wide", "ServiceAccount shop/cart", "User jane")
    )
    after = applied(seen, [proposed(seen, used("get shop pods a"))])
    assert authorizer_of(after).can(identity_of("jane"), asked("get shop secrets db")).is_allowed


@pytest.mark.parametrize("with_names", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_proposals_allow_what_was_used_and_nothing_new(seed: int, *, with_names: bool) -> None:
    """In any world, everything recorded and allowed stays allowed, and no right is given that was not there."""
    rng = random.Random(seed)
    made = random_world(rng, "w")
    seen = snapshot(*made.objects, source=SourceKind.MANIFESTS)
    record = usages_of(_requests(rng, seen, made))
    found = proposals(seen, record, with_names=with_names)
    assert prove(seen, record, found).failures == ()


def _requests(rng: random.Random, seen: Snapshot, made: Any) -> Iterable[Observed]:
    for _ in range(300):
        groups = frozenset(rng.sample([made.groups[0], "dev"], rng.randrange(2)))
        identity = identity_of(rng.choice(made.users), groups)
        request = random_request(rng, made)
        allowed = authorizer_of(seen).can(identity, request).is_allowed
        yield Observed(identity=identity, request=request, is_allowed=allowed, at=NOW)


def test_random_worlds_are_worth_it() -> None:
    """The property is about hundreds of requests and rights, not about empty worlds."""
    rng = random.Random(1)
    made = random_world(rng, "w")
    seen = snapshot(*made.objects, source=SourceKind.MANIFESTS)
    record = usages_of(_requests(rng, seen, made))
    proof = prove(seen, record, proposals(seen, record))
    assert proof.requests > 30
    assert proof.rights > 30


def test_proof_tells_what_is_lost() -> None:
    """A proposal that grants too little is caught."""
    seen, record = world(EVERYTHING), used("get shop pods a", "list shop pods")
    short = proposed(seen, used("list shop pods"))
    assert prove(seen, record, [short]).failures == (
        "system:serviceaccount:shop:cart could get pods a in shop and no longer can",
    )


def test_proof_tells_what_is_new() -> None:
    """A proposal that grants too much is caught."""
    wide = proposed(world(EVERYTHING), used("list shop pods"))
    assert prove(world(rule("get", "pods")), (), [wide]).failures == (
        "ServiceAccount shop/cart could not list pods in shop before",
    )


def test_name_of_a_role_cannot_be_taken_for_another() -> None:
    """Subjects of all kinds, with any name, have roles of their own with names that the API server takes."""
    seen = snapshot(
        role("all", EVERYTHING, namespace="shop"),
        binding("Role all", "User a/b", "Group a/b", "ServiceAccount shop/a", "User https://id#1%2", namespace="shop"),
    )
    users = (identity_of("a/b", frozenset({"a/b"})), identity_of("https://id#1%2"), identity_of(user_of("shop", "a")))
    record = [usage for user in users for usage in used("get shop pods a", identity=user)]
    names = [role.name for found in proposals(seen, record) for role in found.roles]
    assert names == [
        "least-privilege:group:a_2f_b",
        "least-privilege:shop:a",
        "least-privilege:user:a_2f_b",
        "least-privilege:user:https:_2f__2f_id#1_25_2",
    ]
