"""Published cases of other tools that decide who reaches a Secret; `docs/conformance/secrets.md` tells the outcome."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from scanner.analysis.paths.secret_access import SecretPaths, secret_paths
from scanner.analysis.paths.secret_rights import DIRECT, Means
from scanner.cluster.manifests import read_manifests
from scanner.model.refs import ClusterName
from scanner.model.secret import SecretRef
from scanner.model.snapshot import Snapshot, SourceKind
from tests.builders import NOW, snapshot

#: Edges of KubeHound from a binding, and the step of ours that is the same.
EDGES = {
    "POD_CREATE": Means.RUN_POD,
    "POD_EXEC": Means.EXEC,
    "POD_PATCH": Means.CHANGE_IMAGE,
    "TOKEN_BRUTEFORCE": Means.GET,
    "TOKEN_LIST": Means.LIST,
}
#: Cases of each; upstream's count for one namespace, whose every pod (29) and account (17) is an end of an edge.
KUBEHOUND = {"POD_CREATE": 3, "POD_EXEC": 29, "POD_PATCH": 29, "TOKEN_BRUTEFORCE": 17, "TOKEN_LIST": 17}
#: Kubescape's rule on who reads Secrets.
READERS = "rule-can-list-get-secrets-v1"
REGOLIBRARY = 3
#: The Secret that is planted where a case names none.
PLANTED = "planted"


def _secret(name: str, namespace: str = "default") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}


def _objects(paths: list[Path]) -> list[dict[str, Any]]:
    read = read_manifests(paths, cluster=ClusterName("published"), now=NOW)
    return [o.as_dict() for objects in read.objects.values() for o in objects]


def _given_its_own(thing: dict[str, Any]) -> dict[str, Any]:
    """Give the first container of a pod a Secret of its own."""
    if thing["kind"] == "Pod":
        thing["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": f"of-{thing['metadata']['name']}"}}]
    return thing


def _made(things: list[dict[str, Any]], *namespaces: str) -> Snapshot:
    return snapshot(*things, *(_secret(PLANTED, n) for n in namespaces), source=SourceKind.MANIFESTS)


def _reaching(paths: SecretPaths, name: str, *wanted: Means, namespace: str = "default") -> set[str]:
    """Name who reaches a Secret in one step by one of these means, beside Kubernetes' own."""
    access = paths.access(paths.by_name[SecretRef(namespace, name)])
    return {
        str(r.subject)
        for r in access.reaches
        for t in r.routes
        if len(t.steps) == 1 and t.means in wanted and not r.expected
    }


def _cases(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "cases.jsonl").read_text().splitlines()]


def test_edges_of_kubehound_are_first_steps_to_a_secret(corpus: Path) -> None:
    """Each pod has a Secret of its own; all who have an edge reach it, by the same means, and nobody else does."""
    found = _made([_given_its_own(o) for o in _objects([corpus / "kubehound" / "attacks"])], "default")
    paths = secret_paths(found)
    bound = {b.ref.name: {f"{s.kind} {s.namespace}/{s.name}" for s in b.subjects} for b in found.bindings}
    judged: Counter[str] = Counter()
    for case in _cases(corpus / "kubehound"):
        if case.get("edge") in EDGES:
            judged[case["edge"]] += 1
            name = f"of-{case['dst']['name']}" if case["dst"]["class"] == "Pod" else PLANTED
            expected = bound[case["src"]["name"].partition("::")[2]]
            assert _reaching(paths, name, EDGES[case["edge"]]) == expected, case["id"]
    assert judged == KUBEHOUND


def test_readers_of_secrets_are_those_of_kubescape(corpus: Path) -> None:
    """Every subject that its rule names gets, lists or watches a Secret there, and nobody else does."""
    folder = corpus / "regolibrary"
    cases = [case for case in _cases(folder) if case["check_hint"].startswith(READERS)]
    for case in cases:
        things = _objects([folder / path for path in case["input"]])
        namespaces = {o["metadata"].get("namespace", "default") for o in things if o["kind"] == "RoleBinding"}
        places = namespaces or {"default"}
        paths = secret_paths(_made(things, *places))
        readers = {who for n in places for who in _reaching(paths, PLANTED, *DIRECT, namespace=n)}
        named = {f"{kind} {name}" for kind, _, name in (o.split("/") for o in case["objects"])}
        assert readers == named, case["id"]
    assert len(cases) == REGOLIBRARY
