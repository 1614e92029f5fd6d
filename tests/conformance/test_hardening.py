"""Published cases of other scanners against the policies on pods that the coverage page maps their controls to."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docs.coverage import peers
from scanner.cluster.manifests import read_manifests
from scanner.model.finding import Outcome
from scanner.model.policy import Policy
from scanner.model.refs import ClusterName
from scanner.policy.evaluate import evaluate
from scanner.policy.load import load_policies
from tests.builders import NOW
from tests.conformance.hardening import COUNTS, DIFFERENCES
from tests.policies.fixtures import ROOT

PEERS = {"polaris": "Polaris", "regolibrary": "Kubescape"}


def test_cases_agree_but_where_we_say_why_not(corpus: Path) -> None:
    """A case that the peer fails fails one of the mapped policies, one that it passes passes all of them."""
    policies = {str(policy.id): policy for policy in load_policies(ROOT, only=("pods/*",))}
    counted: Counter[str] = Counter()
    differing = set()
    for source, case, mapped in _cases(corpus):
        counted[source] += 1
        files = [str(corpus / source / file) for file in case["input"]]
        if _fails(files, [policies[name] for name in mapped]) != (case["expect"] == "fail"):
            differing.add(case["id"])
    assert (counted, differing) == (COUNTS, {case for cases in DIFFERENCES.values() for case in cases})


def _cases(corpus: Path) -> Iterator[tuple[str, Mapping[str, Any], list[str]]]:
    """Yield the cases on ordinary objects whose controls are mapped to policies on pods, with those."""
    for source, name in PEERS.items():
        controls = next(peer.controls for peer in peers() if peer.name == name)
        for line in (corpus / source / "cases.jsonl").read_text().splitlines():
            case = json.loads(line)
            named = case["controls"] if source == "regolibrary" else [case["check_hint"].partition(":")[0]]
            ours = [controls.get(control.split()[0], "") for control in named if control]
            mapped = sorted({p for o in ours if not isinstance(o, str) for p in o if p.startswith("pods/")})
            if mapped and case.get("core_k8s", True):
                yield source, case, mapped


def _fails(files: list[str], policies: list[Policy]) -> bool:
    read = read_manifests(files, cluster=ClusterName("case"), now=NOW)
    return any(f.outcome is Outcome.FAIL for f in evaluate(read, policies, now=NOW).findings)
