"""A certificate that runs out is told of once at each step, however often it is scanned."""

import datetime as dt
from dataclasses import replace

from sqlalchemy import Engine

from scanner.model.news import Announcement, Transition
from scanner.model.policy import PolicyId, Severity
from scanner.policy.load import builtin_policies_root, load_policies
from scanner.posture.news import Subscription
from tests.analysis.secrets.test_certificates import CA, secret
from tests.builders import NOW, snapshot
from tests.certificates import certificate
from tests.service.test_scan import told
from tests.service.worlds import EVERYONE, scan

POLICIES = load_policies(builtin_policies_root(), only=("secrets/certificate-expiring",))
MADE = certificate("shop.example.com", issuer=CA, days=40)


def live(engine: Engine, days: int, subscriptions: tuple[Subscription, ...] = EVERYONE) -> list[Announcement]:
    """Scan twice a day for some days, renew the certificate, scan once more, and return what was told."""
    aging = snapshot(secret(MADE))
    for half in range(2 * days):
        at = NOW + dt.timedelta(hours=12 * half)
        scan(engine, replace(aging, taken_at=at), hour=12 * half, policies=POLICIES, subscriptions=subscriptions)
    renewed = snapshot(secret(certificate("shop.example.com", issuer=CA, days=900)))
    at = NOW + dt.timedelta(days=days)
    scan(engine, replace(renewed, taken_at=at), hour=24 * days, policies=POLICIES, subscriptions=subscriptions)
    return [news for news in told(engine) if not news.is_summary]


def test_each_step_is_told_once(engine: Engine) -> None:
    """At 30, 14 and 3 days and at the end, then that it was renewed; nothing in between."""
    news = live(engine, 45)
    assert [(c.transition, c.severity, (n.at - NOW).days) for n in news for c in n.changes] == [
        (Transition.OPENED, Severity.LOW, 10),
        (Transition.WORSENED, Severity.MEDIUM, 26),
        (Transition.WORSENED, Severity.HIGH, 37),
        (Transition.WORSENED, Severity.CRITICAL, 40),
        (Transition.RESOLVED, Severity.CRITICAL, 45),
    ]
    assert {c.policy for n in news for c in n.changes} == {PolicyId("secrets/certificate-expiring")}


def test_who_hears_of_high_severities_is_told_three_days_before(engine: Engine) -> None:
    """Though the finding was opened as a low one."""
    news = live(engine, 39, (Subscription("pager", Severity.HIGH),))
    assert [(c.transition, (n.at - NOW).days) for n in news for c in n.changes] == [
        (Transition.WORSENED, 37),
        (Transition.RESOLVED, 39),
    ]
