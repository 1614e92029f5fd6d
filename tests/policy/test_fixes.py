"""Every finding of every policy about RBAC has a fix that ends it and does nothing else, or a reason why there is none.

Made-up worlds show that no fix ever widens anything; the fixtures of all policies, that the real API server takes each.
"""

import random
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.bootstrap import rights_of
from scanner.analysis.rbac.changed import _settled, changed, object_name
from scanner.analysis.rbac.edits import name_of
from scanner.model.change import Create, Delete, Operation, Patch
from scanner.model.finding import Finding, Outcome
from scanner.model.objects import KubeObject
from scanner.model.policy import PolicyId
from scanner.model.rbac import Subject
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.policy.evaluate import evaluate
from scanner.policy.fixes import EXPECTED, NOT_JUDGED, Fixes, fixes_of
from scanner.policy.load import load_policies
from tests.analysis.rbac.worlds import random_world
from tests.builders import NOW, binding, snapshot
from tests.kube import Kube, kube
from tests.policies.fixtures import FOLDERS, ROOT, objects_of, snapshot_of
from tests.services import ControlPlane

POLICIES = load_policies(ROOT, only=("rbac/*",))
FILES = [
    file
    for name, folder in FOLDERS
    if name.startswith("rbac/")
    for file in sorted(folder.glob("*.yaml"))
    if file.name != "policy.yaml"
]
IDS = [f"{file.parent.name}/{file.stem}" for file in FILES]
#: Findings that no change of roles and bindings ends, with the reason.
UNFIXED: Mapping[tuple[str, str], str] = {}
#: Where a fix deletes a role, what only that role named has no use any more: a finding that it hid.
HIDDEN = PolicyId("rbac/unused-role")

Key = tuple[str, str, str]


def _judged(seen: Snapshot) -> dict[Key, Finding]:
    found = evaluate(seen, POLICIES, now=NOW, all_outcomes=True).findings
    return {(f.policy, str(f.resource), f.key): f for f in found}


def _fixes(seen: Snapshot, found: Mapping[Key, Finding]) -> Fixes:
    return fixes_of(seen, POLICIES, found.values(), now=NOW)


def _standing_out(found: Mapping[Key, Finding]) -> set[Key]:
    return {key for key, finding in found.items() if finding.stands_out}


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_every_finding_has_a_fix_or_a_reason(file: Path) -> None:
    """Of the fixtures' findings, by whatever policy, only those listed here have no fix."""
    seen = snapshot_of(file)
    found = _judged(seen)
    fixes = _fixes(seen, found)
    unfixed = {key[:2]: fixes.of(found[key]).reason for key in _standing_out(found)}
    assert {key: reason for key, reason in unfixed.items() if reason} == {
        key: UNFIXED[key] for key in unfixed if key in UNFIXED
    }


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_a_fix_ends_its_finding_and_begins_no_other(file: Path) -> None:
    """Evaluated again, all policies find what they found but for this; no pass became unknown."""
    seen = snapshot_of(file)
    before = _judged(seen)
    fixes = _fixes(seen, before)
    for key in sorted(_standing_out(before)):
        operations = fixes.of(before[key]).operations
        if operations:
            after = _judged(changed(seen, operations))
            hidden = {k for k in after if k[0] == HIDDEN} if _deletes_role(operations) else set()
            assert key not in _standing_out(after), key
            assert _standing_out(after) - hidden <= _standing_out(before), key
            assert _unknown(after) <= _unknown(before), key


def _deletes_role(operations: Iterable[Operation]) -> bool:
    return any(isinstance(o, Delete) and o.resource.kind.endswith("Role") for o in operations)


def _unknown(found: Mapping[Key, Finding]) -> set[Key]:
    return {key for key, finding in found.items() if finding.outcome is Outcome.UNKNOWN}


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_what_is_expected_or_unknown_has_no_fix(file: Path) -> None:
    """Nothing is to be done about Kubernetes' own grants, and nothing can be about what nobody judged."""
    seen = snapshot_of(file)
    found = _judged(seen)
    fixes = _fixes(seen, found)
    rest = [finding for finding in found.values() if not finding.stands_out]
    assert {fixes.of(finding).reason for finding in rest} <= {EXPECTED, NOT_JUDGED}


@pytest.mark.parametrize("seed", range(10))
def test_no_fix_widens_anything(seed: int) -> None:
    """In random worlds, whatever a fix for anything leaves to anyone, word by word, they had before."""
    seen, fixes, found = _random(seed)
    before = _rights(seen)
    for key in sorted(_standing_out(found)):
        after = _rights(changed(seen, fixes.of(found[key]).operations))
        assert all(rights <= before[holder] for holder, rights in after.items()), key


@pytest.mark.parametrize("seed", range(10))
def test_a_fix_takes_nothing_from_others(seed: int) -> None:
    """Who does not fail by the same policy keeps all that they had."""
    seen, fixes, found = _random(seed)
    before = _rights(seen)
    for key in sorted(_standing_out(found)):
        after = _rights(changed(seen, fixes.of(found[key]).operations))
        failing = {resource for policy, resource, _ in _standing_out(found) if policy == key[0]}
        robbed = {str(s) for (s, scope), rights in before.items() if rights != after.get((s, scope), frozenset())}
        if not key[1].split(" ")[0].endswith(("Role", "Binding")):
            assert robbed <= failing, key


@pytest.mark.parametrize("seed", range(10))
def test_fixes_end_findings_of_random_worlds(seed: int) -> None:
    """Not one finding there is without a fix, and each is ended by its own."""
    seen, fixes, found = _random(seed)
    for key in sorted(_standing_out(found)):
        operations = fixes.of(found[key]).operations
        assert operations, key
        assert key not in _standing_out(_judged(changed(seen, operations)))


@cache
def _random(seed: int) -> tuple[Snapshot, Fixes, dict[Key, Finding]]:
    world = random_world(random.Random(seed), "world", roles=6, bindings=14)
    unsettled = snapshot(*world.objects)
    # As the controller leaves it, which runs in every cluster: aggregated roles have their rules.
    seen = _settled(unsettled, {role.ref.name for role in unsettled.roles.values() if role.aggregation})
    found = _judged(seen)
    assert _standing_out(found)
    return seen, _fixes(seen, found), found


def _rights(seen: Snapshot) -> dict[tuple[Subject, str], frozenset[tuple[str, ...]]]:
    """Return what each subject holds in each scope; a path in a namespace is nothing."""
    index = authorizer_of(seen).index
    return {
        (subject, scope): frozenset(
            right
            for chain in index.chains_of(subject, scope)
            for right in rights_of([chain.rule])
            if len(right) > 2 or not scope
        )
        for subject, scope in index.by_subject
    }


@pytest.mark.control_plane
@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_the_api_server_takes_every_fix(control_plane: ControlPlane, file: Path) -> None:
    """Objects as in the fixtures, under names of their own, are created; every operation passes as a dry run.

    Roles and bindings of Kubernetes' own cannot have other names, so theirs is only tried as what it becomes.
    """
    _try(control_plane, list(objects_of(file)))


@pytest.mark.control_plane
@pytest.mark.parametrize("namespace", ["", "shop"])
def test_the_api_server_takes_a_role_made_anew(control_plane: ControlPlane, namespace: str) -> None:
    """Who is bound to `edit`, which nobody may narrow, gets a Role of the namespace, or a ClusterRole."""
    bound = binding("ClusterRole edit", "User jane", "Group ops", namespace=namespace)
    changes = _try(control_plane, [bound], source=SourceKind.MANIFESTS)
    created = {object_name(o).kind for operations in changes for o in operations if isinstance(o, Create)}
    assert created == ({"Role", "RoleBinding"} if namespace else {"ClusterRole", "ClusterRoleBinding"})


def _try(
    control_plane: ControlPlane, objects: list[dict[str, Any]], source: SourceKind = SourceKind.LIVE
) -> list[tuple[Operation, ...]]:
    """Create what fixes are about, try each as a dry run, and return them."""
    seen = snapshot(*_renamed(objects, uuid.uuid4().hex[:8]), source=source)
    found = _judged(seen)
    fixes = _fixes(seen, found)
    changes = [fixes.of(found[key]).operations for key in sorted(_standing_out(found))]
    touched = {name_of(object_name(o)) for operations in changes for o in operations if not isinstance(o, Create)}
    needed = [seen.by_name[name] for name in sorted(touched)]
    namespaces = {object_name(o).namespace for operations in changes for o in operations} - {""}
    with kube(control_plane) as client, _created(client, namespaces, [o for o in needed if not _is_own(o)]):
        for operations in changes:
            after = changed(seen, operations)
            for operation in operations:
                name = name_of(object_name(operation))
                if name in touched and _is_own(seen.by_name[name]):
                    answer = _applied(client, after.by_name[name])
                else:
                    answer = _tried(client, operation)
                assert answer.is_success, (operation, answer.text)
    return changes


def _is_own(thing: KubeObject) -> bool:
    return (thing.meta.labels or {}).get("kubernetes.io/bootstrapping") == "rbac-defaults"


def _renamed(objects: list[dict[str, Any]], suffix: str) -> list[dict[str, Any]]:
    """Give namespaces and what lies in none names that no other test has; Kubernetes' own keep theirs."""
    own = {"kube-system", "kube-public", "default"}
    cluster_roles = {
        o["metadata"]["name"]
        for o in objects
        if o["kind"] == "ClusterRole"
        and (o["metadata"].get("labels") or {}).get("kubernetes.io/bootstrapping") != "rbac-defaults"
    }
    renamed = []
    for original in objects:
        o = msgspec.json.decode(msgspec.json.encode(original))
        metadata = o["metadata"]
        is_own = (metadata.get("labels") or {}).get("kubernetes.io/bootstrapping") == "rbac-defaults"
        for place in (metadata, *(o.get("subjects") or ())):
            if place.get("namespace") and place["namespace"] not in own:
                place["namespace"] += f"-{suffix}"
        if o["kind"] in {"ClusterRole", "ClusterRoleBinding", "Namespace"} and not is_own:
            metadata["name"] += f"-{suffix}"
        if o.get("roleRef", {}).get("name") in cluster_roles and o["roleRef"]["kind"] == "ClusterRole":
            o["roleRef"]["name"] += f"-{suffix}"
        renamed.append(o)
    return renamed


@contextmanager
def _created(client: Kube, namespaces: Iterable[str], things: Iterable[KubeObject]) -> Iterator[None]:
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(namespaces)]
    made = [*spaces, *(thing.as_dict() for thing in things)]
    try:
        client.install(made)
        yield
    finally:
        for thing in reversed(made):
            if thing["metadata"]["name"] not in {"kube-system", "kube-public", "default"}:
                client.client.delete(f"{client.path(thing)}/{thing['metadata']['name']}")


def _tried(client: Kube, operation: Operation) -> httpx.Response:
    """Carry an operation out as a dry run."""
    if isinstance(operation, Create):
        return client.create(operation.object, dry_run=True)
    path = _path(client, operation)
    if isinstance(operation, Patch):
        return client.client.patch(
            path,
            params={"dryRun": "All", "fieldValidation": "Strict"},
            content=msgspec.json.encode(operation.patch),
            headers={"Content-Type": "application/json-patch+json"},
        )
    return client.client.delete(path, params={"dryRun": "All"})


def _path(client: Kube, operation: Patch | Delete) -> str:
    ref = operation.resource
    place = client.path({"apiVersion": ref.api_version, "kind": ref.kind, "metadata": {"namespace": ref.namespace}})
    return f"{place}/{ref.name}"


def _applied(client: Kube, thing: KubeObject) -> httpx.Response:
    """Apply an object as a dry run."""
    return client.client.patch(
        f"{client.path(thing.as_dict())}/{thing.meta.name}",
        params={"dryRun": "All", "fieldManager": "test", "force": "true"},
        content=msgspec.json.encode(thing.as_dict()),
        headers={"Content-Type": "application/apply-patch+yaml"},
    )


@pytest.mark.control_plane
def test_a_stale_patch_fails(control_plane: ControlPlane) -> None:
    """Who changed the rule since the scan is not overruled: the API server refuses what tests what it was."""
    file = ROOT / "rbac/read-secrets/fail.yaml"
    seen = snapshot(*_renamed(list(objects_of(file)), uuid.uuid4().hex[:8]))
    found = _judged(seen)
    patches = [
        operation
        for key in sorted(_standing_out(found))
        for operation in _fixes(seen, found).of(found[key]).operations
        if isinstance(operation, Patch) and operation.resource.kind == "ClusterRole"
    ]
    stored = seen.by_name[name_of(patches[0].resource)].as_dict()
    stored["rules"][0]["verbs"] = ["update"]
    with (
        kube(control_plane) as client,
        _created(client, {patches[0].resource.namespace} - {""}, [_as_object(stored)]),
    ):
        assert _tried(client, patches[0]).status_code == httpx.codes.UNPROCESSABLE_ENTITY


def _as_object(whole: Mapping[str, Any]) -> KubeObject:
    (thing,) = snapshot(whole).by_name.values()
    return thing
