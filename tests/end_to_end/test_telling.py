"""One planted weakness, one finding, one message: from the manifests to the receiver, over restarts."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
from standardwebhooks.webhooks import Webhook

from tests.receiver import Answer, Receiver, receiving
from tests.serving import MANIFEST, Process, Start

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PRIVILEGED = "pods/privileged-container"
PLANTED = MANIFEST.replace("name: cart", "name: planted").replace("app: cart", "app: planted")


def _settings(receiver: Receiver, **more: str) -> dict[str, str]:
    return {
        "webhook_url": receiver.url,
        "webhook_secret": SECRET,
        "notify_min_severity": "high",
        "allow_private_destinations": "true",
        "schedule": "off",
        "scan_at_start": "true",
        **more,
    }


def _scan(service: Process) -> None:
    httpx.post(f"{service.url}/api/v1/scans").raise_for_status()
    assert service.wait_for("scan_ended")["state"] == "complete"


def _message(receiver: Receiver, number: int) -> dict[str, Any]:
    """Wait for the receiver's next message, and check its signature."""
    assert receiver.wait_for(number)
    request = receiver.requests[number - 1]
    verified: dict[str, Any] = Webhook(SECRET).verify(request.body.decode(), dict(request.headers))
    return verified


def _changes(message: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(c["transition"], c["policy"], c["resource"]["name"]) for c in message["data"]["changes"]]


def test_people_hear_of_a_weakness_once_and_of_its_whole_life(start: Start, manifests: Path) -> None:
    """A summary first; then opened, resolved and regressed with one id; nothing on a restart or an unchanged scan."""
    with receiving() as receiver:
        service = start(**_settings(receiver))
        service.wait_for("scan_ended")
        assert _message(receiver, 1)["type"] == "posture.summary"

        planted = manifests / "planted.yaml"
        planted.write_text(PLANTED)
        _scan(service)
        opened = _message(receiver, 2)
        assert _changes(opened) == [("opened", PRIVILEGED, "planted")]

        assert service.stop() == 0
        service = start(**_settings(receiver))
        service.wait_for("scan_ended")

        planted.write_text(PLANTED.replace("privileged: true", "privileged: false"))
        _scan(service)
        resolved = _message(receiver, 3)
        assert _changes(resolved) == [("resolved", PRIVILEGED, "planted")]

        planted.write_text(PLANTED)
        _scan(service)
        regressed = _message(receiver, 4)
        assert _changes(regressed) == [("regressed", PRIVILEGED, "planted")]

        ids = {message["data"]["changes"][0]["finding"] for message in (opened, resolved, regressed)}
        assert len(ids) == 1
        (finding,) = service.get(f"/api/v1/findings?policy={PRIVILEGED}&name=planted").json()["items"]
        assert {finding["id"]} == ids
        events = service.get(f"/api/v1/findings/{finding['id']}").json()["events"]
        assert sorted(event["transition"] for event in events) == ["opened", "regressed", "resolved"]
        assert service.stop() == 0
        assert len(receiver.requests) == 4


def test_a_message_survives_a_kill(start: Start) -> None:
    """Refused at first, then the service is killed: after the restart it is sent under the same id."""
    with receiving(Answer(status=503)) as receiver:
        service = start(**_settings(receiver))
        assert receiver.wait_for(1)
        service.wait_for("delivered")
        service.process.kill()
        service.process.wait()
        start(**_settings(receiver, scan_at_start="false"))
        message = _message(receiver, 2)
        assert message["type"] == "posture.summary"
        assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


def test_slack_gets_blocks(start: Start) -> None:
    """The same news, for people."""
    with receiving() as receiver:
        start(slack_webhook_url=receiver.url, allow_private_destinations="true", scan_at_start="true")
        assert receiver.wait_for(1)
        body = json.loads(receiver.requests[0].body)
        assert body["text"].startswith("Plimsoll scanned test for the first time")
        assert body["blocks"][0]["type"] == "header"
