"""The report as a page, in a real browser."""

from pathlib import Path

import pytest

from tests.browser import Browser
from tests.cli.running import EXAMPLE, plimsoll

HOSTILE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  annotations: {meta.helm.sh/release-name: "<img src=x onerror=document.title='broken-in'>"}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: "<script>document.title='broken-in'</script>", image: "registry.example.com/a:1"}]
"""


@pytest.mark.browser
def test_a_browser_shows_every_chapter(browser: Browser, tmp_path: Path) -> None:
    """By light and in the dark, with the table and the reasons."""
    page = tmp_path / "readiness.html"
    page.write_text(plimsoll("readiness", "--manifests", EXAMPLE, "-o", "html").out, encoding="utf-8")
    dom = browser.dom(page)
    for chapter in (
        "High availability",
        "Performance and scalability",
        "Security",
        "Monitoring",
        "Logging",
        "Operations",
    ):
        assert f'<th scope="col">{chapter}</th>' in dom
    light = browser.screenshot(page, tmp_path / "light.png").read_bytes()
    dark = browser.screenshot(page, tmp_path / "dark.png", dark=True).read_bytes()
    assert light != dark


@pytest.mark.browser
def test_a_hostile_manifest_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    """Its markup is text, and its script does not change the page."""
    (tmp_path / "web.yaml").write_text(HOSTILE)
    page = tmp_path / "readiness.html"
    page.write_text(plimsoll("readiness", "--manifests", tmp_path / "web.yaml", "-o", "html").out, encoding="utf-8")
    dom = browser.dom(page)
    assert "<title>Readiness of manifests</title>" in dom
    assert "&lt;script&gt;" in dom
    assert "<img" not in dom
