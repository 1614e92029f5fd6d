"""Which workloads are one application."""

from typing import Any

import pytest

from scanner.analysis.readiness.applications import application_of
from tests.builders import snapshot, workload


@pytest.mark.parametrize(
    ("metadata", "name", "told_by"),
    [
        ({}, "Deployment/web", ""),
        ({"labels": {"app.kubernetes.io/name": "web"}}, "Deployment/web", ""),
        ({"labels": {"app.kubernetes.io/part-of": "shop", "app.kubernetes.io/instance": "shop-eu"}}, "shop", "part-of"),
        ({"labels": {"app.kubernetes.io/instance": "shop-eu"}}, "shop-eu", "kubernetes.io/instance"),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "shop", "argoproj.io/instance"),
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}},
            "shop",
            "argoproj.io/tracking-id",
        ),
        ({"annotations": {"meta.helm.sh/release-name": "shop"}}, "shop", "helm.sh/release-name"),
        ({"labels": {"app.kubernetes.io/part-of": ""}}, "Deployment/web", ""),
    ],
)
def test_the_first_label_that_names_an_application_counts(metadata: dict[str, Any], name: str, told_by: str) -> None:
    """A workload that nothing names stands for itself."""
    web = workload("web")
    web["metadata"] |= metadata
    (found,) = snapshot(web).workloads
    application = application_of(found)
    assert (application.namespace, application.name) == ("shop", name)
    assert application.told_by.endswith(told_by)
    assert bool(application.told_by) == bool(told_by)
