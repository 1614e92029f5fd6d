"""An announcement as a signed webhook.

Source: Standard Webhooks 1.0.0 (https://github.com/standard-webhooks/standard-webhooks): the headers, the signed
content and the shape `{type, timestamp, data}` of the payload.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import msgspec
from standardwebhooks.webhooks import Webhook

from scanner.model.news import Announcement
from scanner.notify.attempt import Post
from scanner.notify.links import finding_link

SUMMARY_TYPE = "posture.summary"
CHANGED_TYPE = "posture.changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """The secret of one destination: `whsec_` and base64."""

    secret: str

    def __repr__(self) -> str:
        """Leave the secret out."""
        return "SigningKey(***)"


def webhook_post(body: bytes, *, url: str, key: SigningKey, delivery_id: str, now: dt.datetime) -> Post:
    """Sign the exact bytes that are sent; the delivery's id, the receiver's idempotency key, stays over retries."""
    # The library replaces the zone instead of converting: only UTC signs the time that is sent.
    at = now.astimezone(dt.UTC)
    signature = Webhook(key.secret).sign(msg_id=delivery_id, timestamp=at, data=body.decode())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }
    return Post(url=url, headers=headers, body=body)


def webhook_body(announcement: Announcement, public_url: str = "") -> bytes:
    """Return the body: the announcement as it is, each change with a link if people can reach the service."""
    data: dict[str, Any] = msgspec.to_builtins(announcement)
    if public_url:
        for change in data.get("changes", ()):
            change["url"] = finding_link(public_url, change["finding"])
    kind = SUMMARY_TYPE if announcement.is_summary else CHANGED_TYPE
    return msgspec.json.encode({"type": kind, "timestamp": data["at"], "data": data})
