"""Bindings, roles and scopes: what the authorizer makes of them, and the laws that hold in every world."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.analysis.rbac.authorizer import Authorizer, Verdict, authorizer_of
from scanner.analysis.rbac.requests import Identity, Request, identity_of, subjects_of
from scanner.model.snapshot import SourceKind
from tests.analysis.rbac.worlds import World, random_identity, random_request, random_world
from tests.builders import binding, cluster_role, role, rule, snapshot

READ_SECRETS = Request(verb="get", resource="secrets", namespace="shop")
ELSEWHERE = replace(READ_SECRETS, namespace="stage")
EVERYWHERE = replace(READ_SECRETS, namespace="")
READER = cluster_role("reader", rule("get", "secrets"))
JANE = identity_of("jane")

worlds = (
    st.integers(0, 2**32 - 1).map(random.Random).map(lambda rng: (rng, random_world(rng, "x", roles=4, bindings=12)))
)


def _authorizer(*objects: dict[str, object], source: SourceKind = SourceKind.LIVE) -> Authorizer:
    return authorizer_of(snapshot(*objects, source=source))


def test_a_cluster_role_through_a_role_binding_holds_in_its_namespace() -> None:
    """In the binding's namespace the ClusterRole grants."""
    assert (
        _authorizer(READER, binding("ClusterRole reader", "User jane", namespace="shop"))
        .can(JANE, READ_SECRETS)
        .is_allowed
    )


def test_a_cluster_role_through_a_role_binding_holds_nowhere_else() -> None:
    """Neither in another namespace nor in the whole cluster."""
    authorizer = _authorizer(READER, binding("ClusterRole reader", "User jane", namespace="shop"))
    assert not any(authorizer.can(JANE, request).is_allowed for request in (ELSEWHERE, EVERYWHERE))


def test_a_role_binding_finds_roles_of_its_own_namespace_alone() -> None:
    """A Role of the same name in another namespace grants nothing."""
    authorizer = _authorizer(
        role("reader", rule("get", "secrets"), namespace="stage"), binding("Role reader", "User jane", namespace="shop")
    )
    assert not authorizer.can(JANE, READ_SECRETS).is_allowed


def test_a_binding_to_a_missing_role_grants_nothing() -> None:
    """In a live cluster, what was not read does not exist."""
    assert not _authorizer(binding("ClusterRole admin", "User jane")).can(JANE, READ_SECRETS).is_allowed


def test_a_chain_names_binding_role_and_rule() -> None:
    """Each yes can be checked by hand."""
    objects = (
        cluster_role("two", rule("list", "pods"), rule("get", "secrets")),
        binding("ClusterRole two", "Group ops", "User jane", name="both"),
    )
    (chain,) = _authorizer(*objects).can(JANE, READ_SECRETS).chains
    assert (str(chain), chain.subject_index) == ("ClusterRoleBinding both -> ClusterRole two -> rules[1]", 1)


def test_a_user_named_as_a_service_account_is_that_account() -> None:
    """A User subject with a service account's user name binds the account."""
    authorizer = _authorizer(READER, binding("ClusterRole reader", "User system:serviceaccount:shop:cart"))
    assert authorizer.can(identity_of("system:serviceaccount:shop:cart"), READ_SECRETS).is_allowed


def test_groups_count_only_if_the_identity_has_them() -> None:
    """A SubjectAccessReview names its groups; the authorizer adds none."""
    authorizer = _authorizer(READER, binding("ClusterRole reader", "Group system:authenticated"))
    assert not authorizer.can(Identity("jane"), READ_SECRETS).is_allowed


def test_a_node_is_not_denied_by_rbac_alone() -> None:
    """The Node authorizer may allow what RBAC does not, so the answer is unknown."""
    node = Identity("system:node:worker-1", frozenset({"system:nodes"}))
    assert _authorizer().can(node, READ_SECRETS).verdict is Verdict.UNKNOWN


def test_files_mean_the_roles_that_every_cluster_has() -> None:
    """A binding to `view` in a manifest grants what `view` does, aggregated as a controller would."""
    authorizer = _authorizer(binding("ClusterRole view", "User jane"), source=SourceKind.MANIFESTS)
    assert authorizer.can(JANE, Request(verb="list", resource="pods", namespace="shop")).is_allowed


def test_a_file_replaces_a_role_of_kubernetes() -> None:
    """Where a manifest defines `view` itself, that counts."""
    objects = (cluster_role("view", rule("get", "nodes")), binding("ClusterRole view", "User jane"))
    authorizer = _authorizer(*objects, source=SourceKind.MANIFESTS)
    assert not authorizer.can(JANE, Request(verb="list", resource="pods", namespace="shop")).is_allowed


def test_masters_are_among_all_who_can() -> None:
    """`system:masters` needs no binding for anything."""
    assert [str(holder.subject) for holder in _authorizer().who_can(READ_SECRETS)] == ["Group system:masters"]


def test_who_can_somewhere_names_the_namespace() -> None:
    """A grant in one namespace is found without naming it."""
    authorizer = _authorizer(READER, binding("ClusterRole reader", "User jane", namespace="shop"))
    jane = next(h for h in authorizer.who_can_somewhere(EVERYWHERE) if h.subject.name == "jane")
    assert [chain.namespace for chain in jane.chains] == ["shop"]


def _questions(rng: random.Random, world: World) -> list[tuple[Identity, Request]]:
    return [(random_identity(rng, world), random_request(rng, world)) for _ in range(20)]


@settings(max_examples=40, deadline=None)
@given(worlds)
def test_adding_a_binding_removes_no_grant(made: tuple[random.Random, World]) -> None:
    """RBAC only adds: with fewer bindings, nothing more is allowed."""
    rng, world = made
    fewer = [o for o in world.objects if not o["kind"].endswith("Binding") or rng.random() < 0.5]
    less, more = _authorizer(*fewer), _authorizer(*world.objects)
    assert all(more.can(*question).is_allowed for question in _questions(rng, world) if less.can(*question).is_allowed)


@settings(max_examples=40, deadline=None)
@given(worlds)
def test_shuffling_changes_nothing(made: tuple[random.Random, World]) -> None:
    """The order in which objects were read shows in no decision and no chain."""
    rng, world = made
    shuffled = rng.sample(world.objects, len(world.objects))
    one, other = _authorizer(*world.objects), _authorizer(*shuffled)
    assert all(str(one.can(*q).chains) == str(other.can(*q).chains) for q in _questions(rng, world))


@settings(max_examples=40, deadline=None)
@given(worlds)
def test_who_can_agrees_with_can(made: tuple[random.Random, World]) -> None:
    """An identity may do something exactly if one of its subjects is among those who can, by the same chains."""
    rng, world = made
    authorizer = _authorizer(*world.objects)
    for identity, request in _questions(rng, world):
        decision, holders = authorizer.can(identity, request), authorizer.who_can(request)
        mine = [holder for holder in holders if holder.subject in subjects_of(identity)]
        assert decision.is_allowed == bool(mine)
        assert sorted(map(str, decision.chains)) == sorted(str(chain) for holder in mine for chain in holder.chains)


@settings(max_examples=40, deadline=None)
@given(worlds)
def test_who_can_somewhere_is_who_can_anywhere(made: tuple[random.Random, World]) -> None:
    """Asking once for all scopes finds whom asking for each finds."""
    rng, world = made
    authorizer = _authorizer(*world.objects)
    for _, request in _questions(rng, world):
        scopes = ("", *world.namespaces)
        each = {h.subject for scope in scopes for h in authorizer.who_can(replace(request, namespace=scope))}
        assert {holder.subject for holder in authorizer.who_can_somewhere(request)} == each
