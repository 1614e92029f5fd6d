"""An announcement as a Slack message (Block Kit) for an incoming webhook.

Limits kept: 50 blocks, 150 characters of header, 3,000 of a section, and about 13,200 in all, which Slack enforces
without documenting it (https://github.com/slackapi/bolt-js/issues/2509). What does not fit is counted and linked.
"""

from itertools import groupby

import msgspec
from slack_sdk.models.blocks import Block, ContextBlock, HeaderBlock, MarkdownTextObject, PlainTextObject, SectionBlock

from scanner.model.news import Announcement, Change, Transition
from scanner.model.policy import Severity
from scanner.notify.attempt import Post
from scanner.notify.links import finding_link, findings_link

#: Changes listed of each kind; with the longest names of Kubernetes this stays far below Slack's total.
LISTED_CHANGES = 8
#: A title or an object's name is cut here; Kubernetes allows names of 253 characters.
MAX_TEXT = 160

TITLES = {
    Transition.OPENED: "New",
    Transition.REGRESSED: "Back again",
    Transition.WORSENED: "Worse",
    Transition.RESOLVED: "Resolved",
}
MARKS = {
    Severity.CRITICAL: ":red_circle:",
    Severity.HIGH: ":large_orange_circle:",
    Severity.MEDIUM: ":large_yellow_circle:",
    Severity.LOW: ":large_blue_circle:",
}


def slack_post(announcement: Announcement, *, url: str, public_url: str = "") -> Post:
    """Write the request; the address is the credential."""
    body = {"text": fallback(announcement), "blocks": [block.to_dict() for block in blocks(announcement, public_url)]}
    return Post(url=url, headers={"Content-Type": "application/json"}, body=msgspec.json.encode(body))


def fallback(announcement: Announcement) -> str:
    """Return the text of a notification that shows no blocks."""
    if announcement.is_summary:
        return f"Plimsoll scanned {escape(announcement.cluster)} for the first time: {_open(announcement)}"
    counts = [
        f"{sum(c.transition is t for c in announcement.changes)} {TITLES[t].lower()}"
        for t in Transition
        if any(c.transition is t for c in announcement.changes)
    ]
    return f"Plimsoll on {escape(announcement.cluster)}: {', '.join(counts)}"


def blocks(announcement: Announcement, public_url: str = "") -> list[Block]:
    """Lay out the message: what happened, the changes by kind, how it stands."""
    title = "First scan" if announcement.is_summary else "Posture changed"
    header = PlainTextObject(text=_cut(f"{title}: {announcement.cluster}", 150), emoji=False)
    laid: list[Block] = [HeaderBlock(text=header)]
    order = {t: i for i, t in enumerate(TITLES)}
    ordered = sorted(announcement.changes, key=lambda c: order[c.transition])
    for transition, group in groupby(ordered, key=lambda c: c.transition):
        laid.append(_section(transition, list(group), public_url))
    laid.append(ContextBlock(elements=[MarkdownTextObject(text=_standing(announcement, public_url))]))
    return laid


def escape(text: str) -> str:
    """Escape what Slack reads as markup in any text; without `<` no mention, link or channel can be forged.

    Source: https://docs.slack.dev/messaging/formatting-message-text/#escaping
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _section(transition: Transition, changes: list[Change], public_url: str) -> SectionBlock:
    lines = [f"*{TITLES[transition]}* ({len(changes)})"]
    for change in sorted(changes, key=lambda c: (-c.severity.rank, c.policy, c.resource))[:LISTED_CHANGES]:
        title = escape(_cut(change.title))
        linked = f"<{finding_link(public_url, change.finding)}|{title}>" if public_url else title
        lines.append(f"{MARKS[change.severity]} {linked}: `{escape(_cut(str(change.resource))).replace('`', '')}`")
    if len(changes) > LISTED_CHANGES:
        more = f"… and {len(changes) - LISTED_CHANGES} more"
        lines.append(f"<{findings_link(public_url)}|{more}>" if public_url else more)
    return SectionBlock(text=MarkdownTextObject(text="\n".join(lines)))


def _standing(announcement: Announcement, public_url: str) -> str:
    stands = _open(announcement)
    linked = f"<{findings_link(public_url)}|{stands}>" if public_url else stands
    incomplete = "" if announcement.is_complete else " · :warning: the scan could not read everything"
    at = int(announcement.at.timestamp())
    return f"{linked} · <!date^{at}^{{date_short_pretty}} {{time}}|{announcement.at:%Y-%m-%d %H:%M} UTC>{incomplete}"


def _open(announcement: Announcement) -> str:
    counts = [f"{announcement.open_by_severity.get(s, 0)} {s.value}" for s in reversed(Severity)]
    return f"{', '.join(counts)} open"


def _cut(text: str, limit: int = MAX_TEXT) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
