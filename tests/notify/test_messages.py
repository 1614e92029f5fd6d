"""What is said: to a webhook, to Slack."""

import base64
import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from scanner.model.finding import Fingerprint
from scanner.model.news import FOUND_BY_SCANS, Announcement, Change, Transition
from scanner.model.policy import PolicyId, Severity
from scanner.model.refs import ClusterName, ObjectRef
from scanner.notify.slack import blocks, escape, fallback, slack_post
from scanner.notify.webhook import SigningKey, webhook_body, webhook_post

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def _change(
    name: str = "checkout", transition: Transition = Transition.OPENED, title: str = "Runs privileged"
) -> Change:
    return Change(
        transition=transition,
        finding=Fingerprint("ab" * 16),
        policy=PolicyId("pods/privileged-container"),
        title=title,
        severity=Severity.HIGH,
        resource=ObjectRef("apps/v1", "Deployment", "shop", name),
        message=title,
    )


def _announcement(*changes: Change, is_summary: bool = False, is_complete: bool = True) -> Announcement:
    return Announcement(
        cluster=ClusterName("prod"),
        scan="0190",
        at=NOW,
        open_by_severity={Severity.CRITICAL: 1, Severity.HIGH: 2, Severity.MEDIUM: 0, Severity.LOW: 4},
        changes=changes,
        is_summary=is_summary,
        is_complete=is_complete,
    )


def test_the_signature_verifies_with_the_standards_own_library() -> None:
    """Over the exact bytes, with id and time of the attempt."""
    now = dt.datetime.now(dt.timezone(dt.timedelta(hours=9)))  # noqa: TID251 - the library checks the clock
    post = webhook_post(
        webhook_body(_announcement(_change())),
        url="https://example.org/hook",
        key=SigningKey(secret=SECRET),
        delivery_id="0190-1",
        now=now,
    )
    verified = Webhook(SECRET).verify(post.body.decode(), dict(post.headers))
    assert verified["type"] == "posture.changed"
    assert post.headers["webhook-id"] == "0190-1"
    assert int(post.headers["webhook-timestamp"]) == int(now.timestamp())


def test_a_webhook_carries_the_changes_with_links() -> None:
    """Everything that a program needs to act."""
    body = json.loads(webhook_body(_announcement(_change()), "https://plimsoll.example.org/"))
    assert body["timestamp"] == "2026-11-23T12:00:00Z"
    assert body["data"]["changes"][0] == {
        "transition": "opened",
        "finding": "ab" * 16,
        "policy": "pods/privileged-container",
        "title": "Runs privileged",
        "severity": "high",
        "resource": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "checkout"},
        "message": "Runs privileged",
        "url": "https://plimsoll.example.org/api/v1/findings/" + "ab" * 16,
    }


def test_slack_is_told_what_changed_and_how_it_stands() -> None:
    """One section a kind of change; the fallback says the same in one line."""
    announcement = _announcement(_change(), _change("cart", Transition.RESOLVED), is_complete=False)
    texts = json.dumps([block.to_dict() for block in blocks(announcement, "https://p.example.org")])
    assert fallback(announcement) == "Plimsoll on prod: 1 new, 1 resolved"
    assert "*New* (1)" in texts
    assert "*Resolved* (1)" in texts
    assert "1 critical, 2 high, 0 medium, 4 low open" in texts
    assert "could not read everything" in texts


@pytest.mark.parametrize("hostile", ["<!channel>", "<https://evil.example|click>", "&lt;", "<@U123>"])
def test_an_objects_name_forges_no_markup(hostile: str) -> None:
    """Without `<` Slack sees text."""
    body = slack_post(_announcement(_change(hostile, title=hostile)), url="https://hooks.example.org").body.decode()
    assert hostile not in body
    assert json.dumps(escape(hostile))[1:-1] in body


@given(
    st.lists(
        st.builds(
            _change, name=st.text(max_size=400), transition=st.sampled_from(FOUND_BY_SCANS), title=st.text(max_size=400)
        ),
        max_size=60,
    ),
    st.booleans(),
)
def test_slacks_limits_are_kept(changes: list[Change], is_summary: bool) -> None:
    """50 blocks, 150 characters of header, 3,000 a section, 13,200 in all: whatever changed."""
    laid = [b.to_dict() for b in blocks(_announcement(*changes, is_summary=is_summary), "https://p.example.org/x")]
    assert len(laid) <= 50
    assert len(laid[0]["text"]["text"]) <= 150
    assert all(len(block["text"]["text"]) <= 3000 for block in laid if block["type"] == "section")
    assert len(json.dumps(laid, ensure_ascii=False)) <= 13_200
