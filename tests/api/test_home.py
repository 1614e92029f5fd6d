"""The page for people shows how it stands, what is not known, and runs nothing."""

import base64
import hashlib
import re

from scanner.api.routes.home import shown
from scanner.model.coverage import Read, ReadState
from tests.api.conftest import Api, deployment, scan
from tests.builders import snapshot


def test_page_shows_the_worst_findings(api: Api) -> None:
    """A person who opens the address sees what to look at first."""
    scan(api.engine, deployment("cart"))
    text = api.get("/").raise_for_status().text
    assert text.index("pods/privileged-container") < text.index("readiness/unpinned-image")
    assert "Deployment shop/cart" in text


def test_hostile_names_are_text(api: Api) -> None:
    """A name from the cluster is shown, not run."""
    scan(api.engine, deployment('"><script>alert(1)</script><img src=x onerror=alert(2)>', "a\u202eb\x1b"))
    text = api.get("/").text
    assert not re.search(r"<(script|img)", text)
    assert r"a\u202eb\x1b" in text


def test_policy_lets_nothing_run_but_the_style(sqlite_api: Api) -> None:
    """The style that the page has is the only thing that its policy lets in."""
    answer = sqlite_api.get("/")
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert answer.headers["content-security-policy"].startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


def test_page_without_a_scan_claims_nothing(sqlite_api: Api) -> None:
    """No scan, no good news."""
    assert "No scan was made yet." in sqlite_api.get("/").text


def test_page_names_what_was_not_read(sqlite_api: Api) -> None:
    """Gaps stand above the counts."""
    reads = [Read(resource="pods", state=ReadState.FORBIDDEN, reason="grant <list> on pods")]
    scan(sqlite_api.engine, taken=snapshot(coverage=reads))
    assert "pods not read (forbidden): grant &lt;list&gt; on pods" in sqlite_api.get("/").text


def test_shown_keeps_what_people_write() -> None:
    """Letters of any script stay as they are."""
    assert shown("größe 名前 a&b") == "größe 名前 a&amp;b"
