"""Every policy about pods has a fix or names the decision of a person; the real API server takes every fix."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml

from scanner.analysis.pods.standards.verdicts import verdicts
from scanner.analysis.pods.standards.versions import NEWEST, Level
from scanner.model.change import Create, Delete, Patch
from scanner.model.finding import Finding, Outcome
from scanner.model.policy import Policy
from scanner.model.snapshot import Snapshot
from scanner.policy.edits import edited
from scanner.policy.evaluate import evaluate
from scanner.policy.field_fixes import NOT_ENOUGH, RUNNING_ONLY, FieldFixes
from scanner.policy.fixes import repair_of
from scanner.policy.load import load_policies
from tests.builders import NOW, snapshot
from tests.kube import Kube, kube
from tests.policies.fixtures import FOLDERS, ROOT, objects_of, snapshot_of
from tests.services import ControlPlane

POLICIES = load_policies(ROOT, only=("pods/*", "readiness/*", "secrets/*"))
BY_ID = {policy.id: policy for policy in POLICIES}
FIXED = [policy for policy in POLICIES if policy.fix]
FILES = [
    (BY_ID[policy.id], file)
    for name, folder in FOLDERS
    for policy in FIXED
    if policy.id == name
    for file in sorted(folder.glob("fail*.yaml"))
]
IDS = [f"{policy.id}/{file.stem}" for policy, file in FILES]
#: What a worse fault hides: policies that leave out pods which have it, and judge them once it is gone.
REVEALED = {"pods/seccomp-missing", "pods/root-without-user-namespace"}
#: Fixtures whose finding the values of the fix do not end, with why.
UNFIXED: Mapping[str, str] = {}


def test_every_policy_about_pods_has_a_fix_or_names_a_decision() -> None:
    """There is no third state."""
    assert [p.id for p in POLICIES if p.area == "pods" and bool(p.fix) == bool(p.decision)] == []


@pytest.mark.parametrize(("policy", "file"), FILES, ids=IDS)
def test_a_fix_ends_each_finding_of_its_fixtures(policy: Policy, file: Path) -> None:
    """The policy, asked again about the fixed objects, has nothing to tell."""
    seen = snapshot_of(file)
    found = _failing(seen, [policy])
    repair = repair_of(seen, [policy], found, now=NOW)
    unfixed = {f"{policy.id}/{file.stem}": fix.reason for _, fix in repair.steps if fix.reason}
    assert unfixed == {name: why for name, why in UNFIXED.items() if name in unfixed}
    left = {str(f.resource) for f in _failing(repair.after, [policy])}
    assert left <= {str(f.resource) for f, fix in repair.steps if fix.reason}


@pytest.mark.parametrize(("policy", "file"), FILES, ids=IDS)
def test_a_fix_leaves_what_passes_as_it_is(policy: Policy, file: Path) -> None:
    """What passes, in files beside it, is not touched."""
    for beside in sorted(file.parent.glob("pass*.yaml")):
        seen = snapshot_of(beside)
        if policy.forbid:
            for thing in seen.by_name.values():
                assert edited(policy, thing.as_dict(), {}) == thing.as_dict()


@pytest.mark.control_plane
@pytest.mark.parametrize(("policy", "file"), FILES, ids=IDS)
def test_the_api_server_takes_every_fix(control_plane: ControlPlane, policy: Policy, file: Path) -> None:
    """Applied on the server and read back, the policy passes, and no other fails that passed.

    So it is by server-side apply, first as a dry run, where that can do it, and by JSON Patch.
    """
    for way in ("apply", "patch"):
        with kube(control_plane) as client, _stored(client, file) as things:
            before = snapshot(*(_read(client, thing) for thing in things))
            failing = _failing(before, [policy])
            fixes = FieldFixes(before, BY_ID)
            mended = {str(f.resource) for f in failing if _mend(client, fixes, f, way)}
            after = snapshot(*(_read(client, thing) for thing in things))
            left = {str(f.resource) for f in _failing(after, [policy])}
            new = {(f.policy, str(f.resource)) for f in _failing(after, POLICIES)}
            new -= {(f.policy, str(f.resource)) for f in _failing(before, POLICIES)}
        assert mended or f"{policy.id}/{file.stem}" in UNFIXED or way == "apply"
        assert not left & mended
        assert {name for name, _ in new} <= REVEALED


def _mend(client: Kube, fixes: FieldFixes, finding: Finding, way: str) -> bool:
    """Carry out one fix; tell whether there is one that this way can carry out."""
    fix = fixes.of(finding)
    if fix.reason:
        assert fix.reason in {NOT_ENOUGH, RUNNING_ONLY}
        return False
    if way == "apply" and fix.applied is not None:
        if fix.removed:
            return False
        for dry in ({"dryRun": "All"}, {}):
            _done(
                client.client.patch(
                    _path(client, fix.applied),
                    params={"fieldManager": "plimsoll", "force": "true", "fieldValidation": "Strict", **dry},
                    content=msgspec.json.encode(fix.applied),
                    headers={"Content-Type": "application/apply-patch+yaml"},
                )
            )
        return True
    for operation in fix.operations:
        match operation:
            case Patch():
                whole = fixes.snapshot.by_name[
                    finding.resource.group_kind, finding.resource.namespace, finding.resource.name
                ]
                _done(
                    client.client.patch(
                        _path(client, whole.as_dict()),
                        params={"fieldValidation": "Strict"},
                        content=msgspec.json.encode(operation.patch),
                        headers={"Content-Type": "application/json-patch+json"},
                    )
                )
            case Create():
                _done(client.create(operation.object))
            case Delete():
                whole = fixes.snapshot.by_name[
                    finding.resource.group_kind, finding.resource.namespace, finding.resource.name
                ]
                _done(_gone(client, whole.as_dict()))
    return True


def _done(answer: httpx.Response) -> None:
    assert answer.is_success, answer.text


def _gone(client: Kube, thing: Mapping[str, Any]) -> httpx.Response:
    return client.client.delete(
        _path(client, thing), params={"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
    )


def _path(client: Kube, thing: Mapping[str, Any]) -> str:
    return f"{client.path(thing)}/{thing['metadata']['name']}"


def _read(client: Kube, thing: Mapping[str, Any]) -> dict[str, Any]:
    answer = client.client.get(_path(client, thing))
    assert answer.status_code == HTTPStatus.OK, answer.text
    found: dict[str, Any] = answer.json()
    return found


@contextmanager
def _stored(client: Kube, file: Path) -> Iterator[list[dict[str, Any]]]:
    """Create what a fixture has that this API server knows, in namespaces of its own."""
    suffix = uuid.uuid4().hex[:8]
    things = []
    for thing in objects_of(file):
        own = msgspec.json.decode(msgspec.json.encode(thing))
        if own["kind"] in {"Namespace", "PersistentVolume", "StorageClass"} or client.path(own) is None:
            continue
        if "namespace" in own["metadata"] or "/namespaces/" in str(client.path(own)):
            own["metadata"]["namespace"] = f"{own['metadata'].get('namespace', 'default')}-{suffix}"
        else:
            own["metadata"]["name"] += f"-{suffix}"
        things.append(own)
    spaces = sorted({t["metadata"]["namespace"] for t in things if "namespace" in t["metadata"]})
    first = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in spaces]
    accounts = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": space}}
        for space in spaces
        for name in _accounts(things)
    ]
    debugging = {
        id(t): t["spec"].pop("ephemeralContainers") for t in things if "ephemeralContainers" in t.get("spec", {})
    }
    try:
        client.install([*first, *accounts, *things])
        for thing in things:
            if id(thing) in debugging:
                patch = {"spec": {"ephemeralContainers": debugging[id(thing)]}}
                _done(
                    client.client.patch(
                        f"{_path(client, thing)}/ephemeralcontainers",
                        content=msgspec.json.encode(patch),
                        headers={"Content-Type": "application/strategic-merge-patch+json"},
                    )
                )
        yield things
    finally:
        for thing in (*things, *first):
            _gone(client, thing)


def _accounts(things: list[dict[str, Any]]) -> list[str]:
    own = {t["metadata"]["name"] for t in things if t["kind"] == "ServiceAccount"}
    return sorted(
        {"default", *(t["spec"].get("serviceAccountName", "default") for t in things if t["kind"] == "Pod")} - own
    )


def _failing(seen: Snapshot, policies: list[Policy] | tuple[Policy, ...]) -> list[Finding]:
    return [f for f in evaluate(seen, policies, now=NOW).findings if f.outcome is Outcome.FAIL and not f.expected]


def test_fixed_templates_are_allowed_by_the_restricted_standard(corpus: Path) -> None:
    """Of the published pods that a standard refuses, as Deployments, only those stay refused that need a decision."""
    things = []
    for number, file in enumerate(sorted((corpus / "pss" / "testdata").glob(f"*/v1.{NEWEST}/fail/*.yaml"))):
        pod = yaml.safe_load(file.read_text())
        meta = {"labels": {"app": "web"}, "annotations": pod["metadata"].get("annotations") or {}}
        things.append(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": f"{pod['metadata']['name']}-{number}", "namespace": "shop"},
                "spec": {
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": {"metadata": meta, "spec": pod["spec"]},
                },
            }
        )
    seen = snapshot(*things)
    pods = [policy for policy in POLICIES if policy.area == "pods"]
    after, failing = seen, _failing(seen, pods)
    for _ in range(2):  # once more for what a worse fault hid
        repair = repair_of(after, pods, _failing(after, pods), now=NOW)
        after = repair.after
    refused = {
        str(v.resource): {f.check for f in v.forbidden}
        for v in verdicts(after.workloads, Level.RESTRICTED)
        if v.forbidden
    }
    decided = {str(f.resource) for f in failing if f.policy in VOLUMES}
    left = {name.partition("/")[2].rpartition("-")[0] for name in refused.keys() - decided}
    assert len(things) > 80
    assert left == NOT_FOUND


#: Policies on volumes, where a person decides where data belongs.
VOLUMES = {"pods/host-path-volume", "pods/inline-storage-volume"}
#: What the standard refuses and no policy finds: SELinux options of a pod that no container takes, and capabilities
#: that the baseline allows, added by name.
NOT_FOUND = {"selinuxoptions0", "selinuxoptions3", "selinuxoptions4", "capabilities_restricted3"}
