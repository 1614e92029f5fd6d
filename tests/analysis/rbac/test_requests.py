"""Who asks: implicit groups, and the one form of a subject."""

import pytest

from scanner.analysis.rbac.requests import Identity, canonical_subject, identity_of, implied_groups
from scanner.model.rbac import RBAC_GROUP, Subject

ROBOT = Subject("ServiceAccount", "robot", "shop")


@pytest.mark.parametrize(
    ("user", "groups"),
    [
        ("jane", {"system:authenticated"}),
        ("system:anonymous", {"system:unauthenticated"}),
        (
            "system:serviceaccount:shop:robot",
            {"system:authenticated", "system:serviceaccounts", "system:serviceaccounts:shop"},
        ),
        ("system:serviceaccount:shop", {"system:authenticated"}),
        ("system:serviceaccount:shop:robot:x", {"system:authenticated"}),
    ],
)
def test_groups_come_by_themselves(user: str, groups: set[str]) -> None:
    """Authentication adds the groups that the user's name tells; a name that is none is a plain user's."""
    assert identity_of(user) == Identity(user, frozenset(groups))


@pytest.mark.parametrize(
    ("subject", "namespace", "canonical"),
    [
        (Subject("ServiceAccount", "robot", "shop"), "", ROBOT),
        (Subject("ServiceAccount", "robot"), "shop", ROBOT),
        (Subject("ServiceAccount", "robot"), "", None),
        (Subject("User", "system:serviceaccount:shop:robot", "", RBAC_GROUP), "", ROBOT),
        (Subject("User", "jane", "", "wrong.example.com"), "", Subject("User", "jane", "", RBAC_GROUP)),
        (Subject("Group", "ops"), "", Subject("Group", "ops", "", RBAC_GROUP)),
        (Subject("Robot", "jane"), "shop", None),
    ],
)
def test_a_subject_has_one_form(subject: Subject, namespace: str, canonical: Subject | None) -> None:
    """Service accounts are found however a binding names them; kinds that Kubernetes does not know are nobody."""
    assert canonical_subject(subject, namespace) == canonical


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        (ROBOT, ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:shop"]),
        (Subject("Group", "ops"), ["system:authenticated"]),
        (Subject("Group", "system:serviceaccounts:shop"), ["system:authenticated", "system:serviceaccounts"]),
        (Subject("Group", "system:authenticated"), []),
        (Subject("Group", "system:unauthenticated"), []),
        (Subject("User", "system:anonymous"), ["system:unauthenticated"]),
    ],
)
def test_members_are_in_other_groups_too(subject: Subject, names: list[str]) -> None:
    """What every member of a subject holds besides is known from its name."""
    assert [group.name for group in implied_groups(subject)] == names


def test_who_is_unauthenticated_is_not_authenticated_besides() -> None:
    """One of the two groups, as authentication gives them."""
    groups = frozenset({"system:unauthenticated"})
    assert identity_of("jane", groups).groups == groups
