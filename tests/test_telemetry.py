"""Log lines are JSON that no name can break, without secrets; metrics have few series."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client import generate_latest

from scanner.telemetry import REDACTED, Metrics, configure_logging, log, metric_name, redact, status_class


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Catch the log as text, and put logging back."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logging("info", stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def test_event_is_one_json_line(lines: io.StringIO) -> None:
    """An event has its time in UTC, its level and its fields."""
    log("scanner.test").info("scan_ended", findings=3)
    event = json.loads(lines.getvalue())
    assert event.pop("time").endswith("Z")
    assert event == {"event": "scan_ended", "findings": 3, "level": "info", "logger": "scanner.test"}


def test_scan_id_is_bound_to_every_line(lines: io.StringIO) -> None:
    """What is logged during a scan carries its id, the libraries' lines included."""
    with structlog.contextvars.bound_contextvars(scan="0191"):
        log("scanner.test").info("ours")
        logging.getLogger("some.library").warning("theirs %s", 1)
    assert [json.loads(line)["scan"] for line in lines.getvalue().splitlines()] == ["0191", "0191"]


def test_control_characters_stay_inside_their_string(lines: io.StringIO) -> None:
    """A name with line ends and terminal codes is one line of plain ASCII."""
    name = 'a\n{"event":"forged"}\x1b[2J\u2028\u202e\x00é'
    log("scanner.test").info("read", name=name)
    text = lines.getvalue()
    assert text.count("\n") == 1
    assert text.isascii()
    assert json.loads(text)["name"] == name


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Authorization: Bearer abc.def-ghi", f"Authorization: Bearer {REDACTED}"),
        ("postgresql+psycopg://plimsoll:s3cret@db/x", f"postgresql+psycopg://{REDACTED}@db/x"),
        ("https://hooks.slack.com/services/T0/B0/XXX", f"https://hooks.slack.com/{REDACTED}"),
        ("https://x.example.com/a?sig=abc&token=def rest", f"https://x.example.com/a?{REDACTED} rest"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", f"whsec_{REDACTED}"),
        ("eyJhbGciOi.eyJpc3Mi.c2ln", REDACTED),
        ("Deployment shop/checkout", "Deployment shop/checkout"),
    ],
)
def test_credentials_are_redacted(text: str, kept: str) -> None:
    """What looks like a credential is not logged, the rest is."""
    assert redact(text) == kept


def test_traceback_is_redacted(lines: io.StringIO) -> None:
    """An error that tells an address with a password does not log it."""
    try:
        raise ConnectionError("postgresql://u:s3cret@db")  # noqa: TRY301 - an error needs to be raised to be logged
    except ConnectionError:
        log("scanner.test").exception("database_down")
    assert "s3cret" not in lines.getvalue()


def test_secret_keys_are_redacted_in_depth(lines: io.StringIO) -> None:
    """A key named like a secret is not logged, whatever it holds."""
    log("scanner.test").info("called", headers={"Authorization": "x", "accept": "y"})
    assert json.loads(lines.getvalue())["headers"] == {"Authorization": REDACTED, "accept": "y"}


def test_level_filters(lines: io.StringIO) -> None:
    """Below the chosen level nothing is written."""
    log("scanner.test").debug("detail")
    assert lines.getvalue() == ""


def test_metric_names_are_those_exported() -> None:
    """The names of the reference are those that Prometheus reads."""
    metrics = Metrics("1.2.3")
    exported = generate_latest(metrics.registry).decode()
    assert all(f"# TYPE {metric_name(m)} " in exported for m in metrics.all())


@pytest.mark.parametrize(("status", "name"), [(204, "2xx"), (404, "4xx"), (503, "5xx"), (0, "none")])
def test_status_class(status: int, name: str) -> None:
    """Statuses are counted in classes."""
    assert status_class(status) == name
