"""Settings come from the environment and a file, and what does not fit is named."""

import base64
import datetime as dt
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from scanner.errors import SettingsError
from scanner.settings import Settings, WebhookDestination, duration, load_settings

SIGNING_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test without any of our variables."""
    for variable in [name for name in os.environ if name.startswith("PLIMSOLL_")]:
        monkeypatch.delenv(variable)


def write_config(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> Path:
    """Write a settings file and point at it."""
    path = folder / "plimsoll.toml"
    path.write_text(text)
    monkeypatch.setenv("PLIMSOLL_CONFIG", str(path))
    return path


def test_defaults_listen_on_this_machine_only() -> None:
    """Without any setting, only this machine can reach the service."""
    assert load_settings().listens_locally


def test_default_database_lies_in_the_state_directory(tmp_path: Path) -> None:
    """The embedded database lies in the folder for state."""
    url = load_settings(state_directory=tmp_path).database_url.get_secret_value()
    assert url == f"sqlite:///{tmp_path}/plimsoll.sqlite"


def test_environment_wins_over_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment is more specific than the file."""
    write_config(monkeypatch, tmp_path, 'cluster = "from-file"\nlisten_port = 9000\n')
    monkeypatch.setenv("PLIMSOLL_CLUSTER", "from-environment")
    settings = load_settings()
    assert (settings.cluster, settings.listen_port) == ("from-environment", 9000)


def test_lists_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list fits in one variable."""
    monkeypatch.setenv("PLIMSOLL_NAMESPACES", "shop, billing")
    assert load_settings().namespaces == ("shop", "billing")


def test_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that leaves a variable empty does not break the start."""
    monkeypatch.setenv("PLIMSOLL_SLACK_WEBHOOK_URL", "")
    assert load_settings().slack_webhook_url is None


def test_unknown_variable_is_named_with_its_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable is refused and the right one offered."""
    monkeypatch.setenv("PLIMSOLL_SHEDULE", "1h")
    with pytest.raises(SettingsError, match=r"unknown setting PLIMSOLL_SHEDULE; did you mean PLIMSOLL_SCHEDULE"):
        load_settings()


def test_unknown_key_of_the_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A misspelt key is refused with its file."""
    path = write_config(monkeypatch, tmp_path, "listen_prot = 1\n")
    with pytest.raises(SettingsError, match=f"unknown setting listen_prot in {path}; did you mean listen_port?"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PLIMSOLL_SERVICE_HOST", "10.0.0.1"),
        ("PLIMSOLL_SERVICE_PORT_HTTP", "8080"),
        ("PLIMSOLL_PORT", "tcp://10.0.0.1:8080"),
        ("PLIMSOLL_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("PLIMSOLL_POSTGRES_SERVICE_HOST", "10.0.0.2"),
        ("PLIMSOLL_POSTGRES_PORT", "tcp://10.0.0.2:5432"),
    ],
)
def test_service_links_of_kubernetes_are_passed_over(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """A Service named `plimsoll` does not break the pods beside it."""
    monkeypatch.setenv(variable, value)
    assert load_settings() == Settings()


def test_misspelt_port_is_no_service_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what looks like a Service's address is passed over."""
    monkeypatch.setenv("PLIMSOLL_PORT", "9000")
    with pytest.raises(SettingsError, match="PLIMSOLL_PORT"):
        load_settings()


def test_secret_is_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A secret's file may end its line."""
    path = tmp_path / "url"
    path.write_text("postgresql+psycopg://plimsoll:s3cret@db/plimsoll\n")
    monkeypatch.setenv("PLIMSOLL_DATABASE_URL_FILE", str(path))
    assert load_settings().database_url.get_secret_value() == "postgresql+psycopg://plimsoll:s3cret@db/plimsoll"


def test_secret_by_value_and_by_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two answers to one question are a mistake."""
    monkeypatch.setenv("PLIMSOLL_DATABASE_URL", "sqlite://")
    monkeypatch.setenv("PLIMSOLL_DATABASE_URL_FILE", "/nowhere")
    with pytest.raises(SettingsError, match="both set"):
        load_settings()


def test_missing_secret_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which file."""
    monkeypatch.setenv("PLIMSOLL_DATABASE_URL_FILE", "/nowhere/url")
    with pytest.raises(SettingsError, match="/nowhere/url: No such file"):
        load_settings()


def test_repr_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings can be logged."""
    monkeypatch.setenv("PLIMSOLL_DATABASE_URL", "postgresql+psycopg://u:s3cret@db/x")
    assert "s3cret" not in repr(load_settings())


def test_complaint_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that does not fit is not repeated."""
    monkeypatch.setenv("PLIMSOLL_WEBHOOK_SECRET", "hunter2")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_every_complaint_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two wrong settings take one attempt to find."""
    monkeypatch.setenv("PLIMSOLL_LISTEN_PORT", "http")
    monkeypatch.setenv("PLIMSOLL_SCHEDULE", "sometimes")
    with pytest.raises(SettingsError, match=r"schedule.*listen_port"):
        load_settings()


def test_settings_are_frozen() -> None:
    """What was read at the start holds to the end."""
    with pytest.raises(ValidationError):
        load_settings().cluster = "other"  # type: ignore[misc]  # that is the claim


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("6h", 21600), ("1d", 86400)])
def test_duration_reads_units(text: str, seconds: int) -> None:
    """Durations carry their unit."""
    assert duration(text) == dt.timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["5", "h", "-1h", "1.5h", "1w", "", "1h30m", "99999999999d"])
def test_duration_refuses(text: str) -> None:
    """A number without unit, or anything else, is refused."""
    with pytest.raises(ValueError, match="duration"):
        duration(text)


@pytest.mark.parametrize("schedule", ["off", "15m", "0 */6 * * *"])
def test_schedule_accepts(schedule: str) -> None:
    """A schedule is an interval, a cron expression or off."""
    assert load_settings(schedule=schedule).schedule == schedule


def test_interval_of_nothing_is_refused() -> None:
    """A scan without pause is no schedule."""
    with pytest.raises(SettingsError, match="longer than nothing"):
        load_settings(schedule="0s")


def test_variables_make_destinations(monkeypatch: pytest.MonkeyPatch) -> None:
    """One destination of each kind needs no file."""
    monkeypatch.setenv("PLIMSOLL_WEBHOOK_URL", "https://alerts.example.com/x")
    monkeypatch.setenv("PLIMSOLL_WEBHOOK_SECRET", SIGNING_SECRET)
    monkeypatch.setenv("PLIMSOLL_SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T/B/x")
    monkeypatch.setenv("PLIMSOLL_NOTIFY_MIN_SEVERITY", "medium")
    assert [(d.name, d.type, d.min_severity) for d in load_settings().all_destinations] == [
        ("webhook", "webhook", "medium"),
        ("slack", "slack", "medium"),
    ]


def test_file_makes_destinations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Any number of destinations stand in the file, their secrets in files of their own."""
    (tmp_path / "secret").write_text(SIGNING_SECRET + "\n")
    write_config(
        monkeypatch,
        tmp_path,
        f'[[destinations]]\ntype = "webhook"\nname = "on-call"\nurl = "https://alerts.example.com"\n'
        f'secret_file = "{tmp_path}/secret"\nmin_severity = "critical"\n',
    )
    (destination,) = load_settings().all_destinations
    assert isinstance(destination, WebhookDestination)
    assert destination.secret.get_secret_value() == SIGNING_SECRET


def test_webhook_without_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No webhook goes out unsigned."""
    monkeypatch.setenv("PLIMSOLL_WEBHOOK_URL", "https://alerts.example.com")
    with pytest.raises(SettingsError, match="belong together"):
        load_settings()


def test_destinations_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A destination's name tells deliveries apart."""
    entry = '[[destinations]]\ntype = "slack"\nname = "ops"\nurl = "https://hooks.slack.com/x"\n'
    write_config(monkeypatch, tmp_path, entry * 2)
    with pytest.raises(SettingsError, match="same name"):
        load_settings()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_has_one_line_of_help(name: str) -> None:
    """A setting without help text does not exist for its user."""
    help_text = Settings.model_fields[name].description or ""
    assert help_text.endswith(".")
    assert "\n" not in help_text
