"""Pod Security Standards against the published fixtures, and against the admission plugin of a real API server."""

import itertools
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from scanner.analysis.pods.standards.verdicts import Verdict, verdicts
from scanner.analysis.pods.standards.versions import NEWEST, Level, minor_of
from tests.builders import snapshot
from tests.conformance import pss_pods
from tests.kube import Kube, kube
from tests.services import ControlPlane

VERSIONS = (*(f"v1.{minor}" for minor in range(NEWEST + 1)), "latest")
STANDARDS = tuple(itertools.product(Level, VERSIONS))
#: Enough to meet each check many times, few enough for the clock.
GENERATED = settings(
    max_examples=120,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
#: Namespaces that each pod is created in.
ASKED = 6

_WARNING = re.compile(r'299 - "would violate PodSecurity \\"[^"]*\\": (?P<said>.*)"$')
_REFUSAL = re.compile(r'violates PodSecurity "[^"]*": (?P<said>.*)$', re.DOTALL)


def test_every_published_fixture_is_judged_as_the_library_judges_it(corpus: Path) -> None:
    """Verdict and wording, of 1858 pods of versions 1.24 to 1.37."""
    cases = _cases(corpus / "pss")
    wrong = {
        case["id"]: found for case in cases if (found := _judged(corpus / "pss", case)) != [case.get("forbidden", [])]
    }
    assert (len(cases), wrong) == (1858, {})


def test_fixtures_are_refused_exactly_where_they_are_said_to_fail(corpus: Path) -> None:
    """The verdict by upstream's own file name, not by what the library says."""
    cases = _cases(corpus / "pss")
    wrong = [case["id"] for case in cases if (_judged(corpus / "pss", case) == [[]]) != (case["expect"] == "pass")]
    assert (len(cases), wrong) == (1858, [])


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize(
    ("source", "prefix", "number"),
    [
        ("badpods", "pss_", 128),
        ("realworld/argo-cd", "", 15),
        ("realworld/kube-prometheus", "", 6),
        ("realworld/microservices-demo", "", 12),
    ],
)
def test_pod_templates_of_workloads_are_judged_alike(
    corpus: Path, source: str, prefix: str, number: int, level: Level
) -> None:
    """Verdict and wording, for templates in every kind of workload."""
    cases = [case | {"level": level} for case in _cases(corpus / source)]
    wrong = {
        case["id"]: found
        for case in cases
        if (found := _judged(corpus / source, case)) != [case[f"{prefix}{level.value}"]]
    }
    assert (len(cases), wrong) == (number, {})


@dataclass(frozen=True)
class Plugin:
    """The API server's own admission plugin, with a namespace for each standard."""

    server: Kube
    prefix: str

    def namespace(self, level: str, version: str) -> str:
        """Name the namespace that enforces a standard."""
        return f"{self.prefix}-{level}-{version.replace('.', '-')}"

    def create(self, thing: Mapping[str, Any], level: str, version: str, *, dry_run: bool = True) -> httpx.Response:
        """Create an object where a standard is enforced, and warned of."""
        metadata = thing["metadata"] | {"namespace": self.namespace(level, version)}
        return self.server.create({**thing, "metadata": metadata}, dry_run=dry_run)

    def stored(self, thing: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an object with defaults, as it is stored where nothing is enforced; discard one that is invalid."""
        answer = self.create(thing, "privileged", "latest")
        assume(answer.status_code not in {HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST})
        assert answer.is_success, answer.text
        stored: Mapping[str, Any] = answer.json()
        return stored


@pytest.fixture(scope="module")
def plugin(control_plane: ControlPlane) -> Iterator[Plugin]:
    """Namespaces for all standards."""
    with kube(control_plane) as server:
        made = Plugin(server, f"pss-{uuid.uuid4().hex[:8]}")
        for level, version in (*STANDARDS, ("privileged", "latest")):
            modes = ("enforce", "warn")
            labels = {f"pod-security.kubernetes.io/{mode}": str(level) for mode in modes}
            labels |= {f"pod-security.kubernetes.io/{mode}-version": version for mode in modes}
            metadata = {"name": made.namespace(level, version), "labels": labels}
            answer = server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
            assert answer.is_success, answer.text
        yield made


@pytest.mark.control_plane
@pytest.mark.parametrize("level", Level)
def test_every_version_draws_its_lines_where_the_api_server_does(plugin: Plugin, level: Level) -> None:
    """A pod for each check and each relaxation, in each of the 39 versions, as a template: without other defaults."""
    templates = {name: _workload("ReplicationController", pod) for name, pod in pss_pods.PROBES.items()}
    wrong = {
        (version, name): (ours, theirs)
        for name, template in templates.items()
        for version in VERSIONS
        if (ours := _words(_verdict(template, level, version)))
        != (theirs := _warning(plugin.create(template, level, version)))
    }
    assert wrong == {}


_asked = st.randoms(use_true_random=True).map(lambda random: random.sample(STANDARDS, k=ASKED))


@pytest.mark.control_plane
@GENERATED
@given(pod=pss_pods.pods, standards=_asked)
def test_the_api_server_refuses_exactly_the_pods_that_are_forbidden(
    plugin: Plugin, pod: Mapping[str, Any], standards: Sequence[tuple[Level, str]]
) -> None:
    """Where they are enforced, of the stored pod in the same words; as it stands in a file, by the same checks."""
    stored = plugin.stored(pod)
    for level, version in standards:
        answer = plugin.create(pod, level, version)
        written, kept = _verdict(pod, level, version), _verdict(stored, level, version)
        assert _words(kept) == _refusal(answer), (level, version)
        assert [f.check for f in written.forbidden] == [f.check for f in kept.forbidden], (level, version)


@pytest.mark.control_plane
@GENERATED
@given(
    pod=pss_pods.pods,
    kind=st.sampled_from(["ReplicationController", "Deployment", "DaemonSet", "StatefulSet", "Job", "CronJob"]),
    standards=_asked,
)
def test_the_api_server_warns_of_exactly_the_templates_that_are_forbidden(
    plugin: Plugin, pod: Mapping[str, Any], kind: str, standards: Sequence[tuple[Level, str]]
) -> None:
    """In the same words, for every kind that holds a template."""
    thing = _workload(kind, pod)
    plugin.stored(thing)
    for level, version in standards:
        answer = plugin.create(thing, level, version)
        assert _words(_verdict(thing, level, version)) == _warning(answer), (level, version)


@pytest.mark.control_plane
@pytest.mark.parametrize("level", Level)
def test_the_api_server_takes_exactly_the_debug_containers_that_are_allowed(plugin: Plugin, level: Level) -> None:
    """Added to running pods, which differ in what they say for all of their containers."""
    running = [
        created
        for version in ("v1.24", "v1.30", "v1.34", "v1.35", "latest")
        for base in _running_pods()
        if (created := _started(plugin, base, level, version))
    ]
    assert len(running) >= 12

    @GENERATED
    @given(pod=st.sampled_from(running), container=pss_pods.ephemeral_containers)
    def asks(pod: tuple[str, Mapping[str, Any]], container: Mapping[str, Any]) -> None:
        version, created = pod
        debugged = {**created, "spec": {**created["spec"], "ephemeralContainers": [container]}}
        answer = plugin.server.client.put(
            f"{plugin.server.path(created)}/{created['metadata']['name']}/ephemeralcontainers",
            params={"dryRun": "All"},
            json=debugged,
        )
        assume(answer.status_code != HTTPStatus.UNPROCESSABLE_ENTITY)
        assert _words(_verdict(debugged, level, version)) == _refusal(answer)

    asks()


def _cases(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "cases.jsonl").read_text().splitlines()]


def _judged(folder: Path, case: Mapping[str, Any]) -> list[list[dict[str, str]]]:
    """Return what is forbidden in each workload that a case is about, as the library reports it."""
    texts = [(folder / file).read_text() for file in case["input"]]
    seen = snapshot(*(o for text in texts for o in yaml.load_all(text, yaml.CSafeLoader) if o))
    minor = minor_of(case["version"])
    assert minor is not None
    return [
        [{"reason": f.reason, "detail": f.detail} for f in verdict.forbidden]
        for verdict in verdicts(seen.workloads, Level(case["level"]), minor)
        if _listed(verdict) in (case["objects"] if isinstance(case["objects"], list) else [case["objects"]])
    ]


def _listed(verdict: Verdict) -> str:
    resource = verdict.resource
    return f"{resource.kind}/{resource.namespace or 'default'}/{resource.name}"


def _verdict(thing: Mapping[str, Any], level: Level, version: str) -> Verdict:
    minor = minor_of(version)
    assert minor is not None
    (verdict,) = verdicts(snapshot(thing).workloads, level, minor)
    return verdict


def _words(verdict: Verdict) -> str:
    """Put a verdict as the admission plugin puts it."""
    return ", ".join(f"{forbidden.reason} ({forbidden.detail})" for forbidden in verdict.forbidden)


def _refusal(answer: httpx.Response) -> str:
    """Return what the plugin said when it refused; empty if it did not. Fails for any other refusal."""
    if answer.is_success:
        return ""
    found = _REFUSAL.search(answer.json()["message"])
    assert found, answer.text
    return found["said"]


def _warning(answer: httpx.Response) -> str:
    """Return what the plugin warned of; empty if of nothing. The API server warns of other things too."""
    assert answer.is_success, answer.text
    said = [found["said"] for text in answer.headers.get_list("Warning") if (found := _WARNING.match(text))]
    return "".join(said).replace('\\"', '"').replace("\\\\", "\\")


def _workload(kind: str, pod: Mapping[str, Any]) -> dict[str, Any]:
    """Put a pod into a template."""
    metadata = {"labels": {"app": "made-up"}} | {k: v for k, v in pod["metadata"].items() if k != "name"}
    is_job = kind in {"Job", "CronJob"}
    template = {"metadata": metadata, "spec": pod["spec"] | ({"restartPolicy": "Never"} if is_job else {})}
    spec: dict[str, Any] = {"template": template}
    if kind in {"Deployment", "DaemonSet", "StatefulSet"}:
        spec["selector"] = {"matchLabels": {"app": "made-up"}}
    if kind == "CronJob":
        spec = {"schedule": "0 0 * * *", "jobTemplate": {"spec": spec}}
    version = "v1" if kind == "ReplicationController" else "batch/v1" if is_job else "apps/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "made-up"}, "spec": spec}


def _running_pods() -> list[dict[str, Any]]:
    """Return pods that differ in what their debug containers inherit."""
    container = {
        "name": "app",
        "image": pss_pods.IMAGE,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    plain = {"name": "app", "image": pss_pods.IMAGE, "securityContext": {"runAsNonRoot": True}}
    whole = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    specs: list[dict[str, Any]] = [
        {"containers": [container]},
        {"containers": [container], "securityContext": whole},
        {"containers": [container], "hostUsers": False},
        {"containers": [plain], "os": {"name": "windows"}},
    ]
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"running-{number}"}, "spec": spec}
        for number, spec in enumerate(specs)
    ]


def _started(
    plugin: Plugin, pod: Mapping[str, Any], level: Level, version: str
) -> tuple[str, Mapping[str, Any]] | None:
    """Create a pod for real; None where the standard does not take it, as those before 1.25 do not for Windows."""
    answer = plugin.create(pod, level, version, dry_run=False)
    return (version, answer.json()) if not _refusal(answer) else None
