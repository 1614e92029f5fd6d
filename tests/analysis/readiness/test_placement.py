"""Where the pods of a workload may run."""

from typing import Any

import pytest

from scanner.analysis.readiness.placement import replicas_sharing_exclusive_volume, replicated_without_spread
from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from tests.analysis.readiness.builders import autoscaler, claim, replicated
from tests.builders import NOW, container, snapshot

OWN = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "cart"}}}
OTHER = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "basket"}}}
VOLUMES = [{"name": "tmp"}, {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]


def _spread(*objects: dict[str, Any]) -> Outcome:
    (answer,) = replicated_without_spread(snapshot(*objects), now=NOW)
    return answer.outcome


def _sharing(*objects: dict[str, Any]) -> Answer:
    (answer,) = replicas_sharing_exclusive_volume(snapshot(*objects), now=NOW)
    return answer


def _apart(**terms: Any) -> dict[str, Any]:
    return {"podAntiAffinity": terms}


def test_replicas_that_nothing_keeps_apart_fail() -> None:
    """The plain case."""
    assert _spread(replicated(2)) is Outcome.FAIL


@pytest.mark.parametrize(
    "fields",
    [
        {"topologySpreadConstraints": [OTHER, OWN]},
        {"affinity": _apart(requiredDuringSchedulingIgnoredDuringExecution=[OWN])},
        {"affinity": _apart(preferredDuringSchedulingIgnoredDuringExecution=[{"weight": 1, "podAffinityTerm": OWN}])},
    ],
    ids=["constraint", "hard anti-affinity", "soft anti-affinity"],
)
def test_a_rule_about_its_own_pods_spreads_them(fields: dict[str, Any]) -> None:
    """Hard or soft."""
    assert _spread(replicated(2, **fields)) is Outcome.PASS


@pytest.mark.parametrize(
    "fields",
    [
        {"topologySpreadConstraints": [OTHER]},
        {"topologySpreadConstraints": [{"topologyKey": "kubernetes.io/hostname"}]},
        {"affinity": _apart(requiredDuringSchedulingIgnoredDuringExecution=[OTHER])},
        {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [OWN]}}},
    ],
    ids=["of others", "of none", "away from others", "together"],
)
def test_a_rule_about_other_pods_spreads_nothing(fields: dict[str, Any]) -> None:
    """It must select the pods that it stands on."""
    assert _spread(replicated(2, **fields)) is Outcome.FAIL


def test_two_pods_cannot_have_one_port_of_a_node() -> None:
    """So that each has a node to itself."""
    listening = container(ports=[{"containerPort": 80, "hostPort": 80}])
    assert _spread(_with(replicated(2), listening)) is Outcome.PASS


def _with(made: dict[str, Any], *containers: dict[str, Any]) -> dict[str, Any]:
    made["spec"]["template"]["spec"]["containers"] = list(containers)
    return made


def test_several_pods_on_an_exclusive_claim_fail() -> None:
    """Only the node of the first one has the volume."""
    answer = _sharing(replicated(2, volumes=VOLUMES), claim("data", "ReadWriteOnce"))
    assert [(fact.path, str(fact.object or "")) for fact in answer.evidence] == [
        ("spec.replicas", ""),
        ("spec.template.spec.volumes[1]", ""),
        ("spec.accessModes", "PersistentVolumeClaim shop/data"),
    ]


def test_an_autoscaler_that_makes_several_counts() -> None:
    """The second pod comes with the load."""
    objects = replicated(1, volumes=VOLUMES), claim("data", "ReadWriteOncePod"), autoscaler()
    assert _sharing(*objects).outcome is Outcome.FAIL


@pytest.mark.parametrize("modes", [["ReadWriteMany"], ["ReadWriteOnce", "ReadOnlyMany"]], ids=str)
def test_a_claim_that_many_nodes_may_have_passes(modes: list[str]) -> None:
    """One such mode is enough."""
    assert _sharing(replicated(2, volumes=VOLUMES), claim("data", *modes)).outcome is Outcome.PASS


def test_one_pod_may_have_a_claim_to_itself() -> None:
    """Nothing is shared."""
    assert _sharing(replicated(1, volumes=VOLUMES), claim("data", "ReadWriteOnce")).outcome is Outcome.PASS


def test_a_claim_that_was_not_seen_is_unknown() -> None:
    """The answer says which one to read."""
    answer = _sharing(replicated(2, volumes=VOLUMES))
    assert (answer.outcome, answer.missing) == (Outcome.UNKNOWN, ("get persistentvolumeclaims shop/data",))
