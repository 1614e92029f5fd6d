"""Settings: one frozen value, read once at the start from the environment and, if there is one, a TOML file.

The environment wins over the file, defaults come last. A key that does not exist is an error that names it, so that no
misspelt setting is silently without effect. A secret may be given by value or, under its name with `_file` (`_FILE` in
the environment), by the path of a file that holds it; no secret is ever part of a message or a `repr`.

`docs/reference/configuration.md` is generated from the fields below; each has one line of help.
"""

import datetime as dt
import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from scanner.errors import SettingsError

#: Every variable that we read starts with this.
PREFIX = "PLIMSOLL_"
#: The variable that names the file.
CONFIG_VARIABLE = "PLIMSOLL_CONFIG"
#: Refused beyond this: a settings file or a secret's file of that size is a wrong path.
MAX_FILE_BYTES = 1024 * 1024

#: Variables that Kubernetes sets in every pod of a namespace for a Service whose name starts with `plimsoll`.
#: Source: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE_LINK = re.compile(
    r"PLIMSOLL_(?:.*_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_LINK_URL = re.compile(r"(?:tcp|udp|sctp)://")

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

LevelName = Literal["debug", "info", "warning", "error"]
SeverityName = Literal["low", "medium", "high", "critical"]


def duration(text: str) -> dt.timedelta:
    """Read `30s`, `5m`, `6h` or `1d`."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    if match is None:
        msg = "write a duration as a number with s, m, h or d, such as 30s or 6h"
        raise ValueError(msg)
    return dt.timedelta(seconds=int(match[1]) * _UNIT_SECONDS[match[2]])


def _parsed_duration(value: Any) -> Any:
    return duration(value) if isinstance(value, str) else value


def _split(value: Any) -> Any:
    """Split a list that came as one variable at its commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _known_schedule(text: str) -> str:
    """Check the form of a schedule; whether a cron expression's fields make sense is told when it is first used."""
    if text == "off" or len(text.split()) == len(("minute", "hour", "day of month", "month", "day of week")):
        return text
    if not duration(text):
        msg = "an interval must be longer than nothing"
        raise ValueError(msg)
    return text


def _address(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"https?://[^\s/?#]+\S*", value.get_secret_value()):
        msg = "must be an address that starts with https:// or http://"
        raise ValueError(msg)
    return value


def _signing_secret(value: SecretStr) -> SecretStr:
    """Check the form that Standard Webhooks gives a secret: 24 to 64 bytes in base64."""
    if not re.fullmatch(r"whsec_[A-Za-z0-9+/]{32,86}={0,2}", value.get_secret_value()):
        msg = "must be `whsec_` and the base64 of 24 to 64 random bytes"
        raise ValueError(msg)
    return value


def _embedded_database(settings: Mapping[str, Any]) -> SecretStr:
    """Return the SQLite database in the state directory."""
    return SecretStr(f"sqlite:///{settings['state_directory'].absolute() / 'plimsoll.sqlite'}")


Duration = Annotated[dt.timedelta, BeforeValidator(_parsed_duration)]
Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(_split)]
SigningSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]
#: An address that may carry a credential, as those of Slack do.
SecretAddress = Annotated[SecretStr, AfterValidator(_address)]


class _Destination(BaseModel):
    """What every destination has."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[
        str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", description="Its name in logs and the outbox.")
    ]
    url: Annotated[SecretAddress, Field(description="Where announcements go; `url_file` names a file that holds it.")]
    min_severity: Annotated[SeverityName, Field(description="Findings below this severity are not told.")] = "high"

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: Any) -> Any:
        return with_secret_files(values, SECRETS) if isinstance(values, dict) else values


class WebhookDestination(_Destination):
    """A receiver of signed JSON (Standard Webhooks)."""

    type: Annotated[Literal["webhook"], Field(description="Signed JSON as Standard Webhooks describes.")]
    secret: Annotated[
        SigningSecret,
        Field(description="Signing secret, `whsec_` and base64; `secret_file` names a file that holds it."),
    ]


class SlackDestination(_Destination):
    """A Slack incoming webhook."""

    type: Annotated[Literal["slack"], Field(description="A message through a Slack incoming webhook.")]


Destination = Annotated[WebhookDestination | SlackDestination, Field(discriminator="type")]


class Settings(BaseSettings):
    """Everything that an operator can decide; see each field."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX, hide_input_in_errors=True)

    # What is scanned
    cluster: Annotated[
        str,
        Field(
            pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?)?$",
            description="Name under which the cluster's findings are kept; if empty, its name in the kubeconfig, in a "
            "pod one made of the uid of kube-system.",
        ),
    ] = ""
    kubeconfig: Annotated[
        str | None,
        Field(description="Kubeconfig file; if unset, the pod's service account, else the usual kubeconfig files."),
    ] = None
    context: Annotated[str, Field(description="Context of the kubeconfig; if empty, its current one.")] = ""
    manifests: Annotated[
        Names, Field(description="Files or folders of manifests to scan in place of a live cluster.")
    ] = ()
    namespaces: Annotated[Names, Field(description="Namespaces to scan; if empty, the whole cluster.")] = ()
    read_secrets: Annotated[
        bool,
        Field(
            description="Read which Secrets exist, by metadata alone; needs the right to list Secrets. Off: unknown."
        ),
    ] = False
    read_certificates: Annotated[
        bool,
        Field(
            description="Inspect the certificates of the TLS Secrets that Ingresses and Gateways name; needs `get` on "
            "these, see `plimsoll secrets tls-rights`. Off: unknown."
        ),
    ] = False
    policies: Annotated[Names, Field(description="Globs of policy ids to judge by, such as `rbac/*`; empty: all.")] = ()
    skip_policies: Annotated[Names, Field(description="Globs of policy ids to leave out.")] = ()
    policy_directories: Annotated[Paths, Field(description="Folders with policies of your own, added to ours.")] = ()

    # When it is scanned
    schedule: Annotated[
        str,
        BeforeValidator(_known_schedule),
        Field(description="When to scan: an interval (`6h`), a cron expression in UTC (`0 */6 * * *`), or `off`."),
    ] = "1h"
    schedule_jitter: Annotated[
        Duration, Field(ge=dt.timedelta(0), description="Scheduled scans start up to this much later, at random.")
    ] = dt.timedelta(seconds=60)
    scan_at_start: Annotated[
        bool, Field(description="Scan at every start; off, only if no scan was made yet or one was missed.")
    ] = False

    # Where it is kept
    state_directory: Annotated[Path, Field(description="Folder of the embedded database.")] = Path()
    database_url: Annotated[
        SecretStr,
        Field(
            min_length=1,
            default_factory=_embedded_database,
            description="Database, `postgresql+psycopg://…` or `sqlite:///…`; if unset, SQLite in the state directory.",
        ),
    ]
    database_upgrade: Annotated[
        bool,
        Field(description="Upgrade PostgreSQL's schema at start; off, run `plimsoll db upgrade`. SQLite always does."),
    ] = False

    network_states_kept: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="To compare scans by who could connect to whom, so many different states are kept of each "
            "cluster; scans that saw no change share one.",
        ),
    ] = 20

    # How it is served
    listen_host: Annotated[
        str,
        Field(min_length=1, description="Address to listen on; this release has no authentication, so keep it local."),
    ] = "127.0.0.1"
    listen_port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8080
    public_url: Annotated[
        str,
        Field(
            pattern=r"^(https?://[^\s/?#]+[^\s?#]*)?$",
            description="Address under which people reach this service, for links in messages.",
        ),
    ] = ""
    allowed_hosts: Annotated[
        Names,
        Field(
            description="Host names that requests may name, against DNS rebinding; if empty: when listening on a "
            "loopback address its names and that of `public_url`, else any."
        ),
    ] = ()
    api_max_body_bytes: Annotated[int, Field(ge=0, description="Larger request bodies are refused with 413.")] = 65536
    api_max_concurrency: Annotated[
        int, Field(ge=1, description="Requests answered at a time; more are refused with 503, health checks never.")
    ] = 64
    audit_token: Annotated[
        SecretStr | None,
        Field(
            min_length=16,
            description="Bearer token of the API server's audit webhook, which posts to `/api/v1/audit`; if unset, "
            "nobody may post there.",
        ),
    ] = None
    audit_max_body_bytes: Annotated[
        int, Field(ge=0, description="Larger posts of the audit webhook are refused with 413.")
    ] = 16 * 1024 * 1024
    shutdown_grace: Annotated[
        Duration,
        Field(ge=dt.timedelta(0), description="After SIGTERM, a running scan and open requests may take this long."),
    ] = dt.timedelta(seconds=20)
    log_level: Annotated[LevelName, Field(description="Least level of the log lines on stdout.")] = "info"

    # Who is told
    webhook_url: Annotated[
        SecretAddress | None, Field(description="Webhook that is told of changes; a destination named `webhook`.")
    ] = None
    webhook_secret: Annotated[
        SigningSecret | None,
        Field(description="Signing secret of that webhook: `whsec_` and base64 of 24 to 64 bytes."),
    ] = None
    slack_webhook_url: Annotated[
        SecretAddress | None, Field(description="Slack incoming webhook; a destination named `slack`.")
    ] = None
    notify_min_severity: Annotated[
        SeverityName, Field(description="These two are told of findings at or above this severity.")
    ] = "high"
    allow_private_destinations: Annotated[
        bool, Field(description="Allow destinations at private, loopback and link-local addresses, and plain http.")
    ] = False
    destinations: Annotated[
        tuple[Destination, ...], Field(description="Any number of destinations; in the file, as `[[destinations]]`.")
    ] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - ours refuses unknown variables
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - no hidden files
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - `_FILE` does it
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments before the environment, the environment before the file."""
        return (
            init_settings,
            InitSettingsSource(settings_cls, environment_values(os.environ)),
            InitSettingsSource(settings_cls, file_values(os.environ.get(CONFIG_VARIABLE, ""))),
        )

    @model_validator(mode="after")
    def _check_destinations(self) -> Self:
        if (self.webhook_url is None) != (self.webhook_secret is None):
            msg = "webhook_url and webhook_secret belong together: set both or none"
            raise ValueError(msg)
        names = [destination.name for destination in self.all_destinations]
        if len(set(names)) < len(names):
            msg = "destinations: two of them have the same name"
            raise ValueError(msg)
        return self

    @property
    def all_destinations(self) -> tuple[WebhookDestination | SlackDestination, ...]:
        """Every destination: those with variables of their own first, then the file's."""
        short: list[WebhookDestination | SlackDestination] = []
        if self.webhook_url is not None and self.webhook_secret is not None:
            short.append(
                WebhookDestination(
                    type="webhook",
                    name="webhook",
                    url=self.webhook_url,
                    secret=self.webhook_secret,
                    min_severity=self.notify_min_severity,
                )
            )
        if self.slack_webhook_url is not None:
            short.append(
                SlackDestination(
                    type="slack", name="slack", url=self.slack_webhook_url, min_severity=self.notify_min_severity
                )
            )
        return (*short, *self.destinations)

    @property
    def listens_locally(self) -> bool:
        """Tell whether only this machine can reach the service."""
        return is_loopback(self.listen_host)


def is_loopback(host: str) -> bool:
    """Tell whether a host, by address or name, is this machine itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


#: Names of the fields that hold a secret, in the settings and in destinations; each also exists with `_file`.
SECRETS = frozenset(
    {"audit_token", "database_url", "webhook_url", "webhook_secret", "slack_webhook_url", "url", "secret"}
)


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; arguments win over the environment.

    Raises SettingsError in one line that names every setting that is unknown, missing or does not fit.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("; ".join(_complaint(detail) for detail in error.errors(include_url=False))) from None


def _complaint(detail: Any) -> str:
    """Say what is wrong with one setting, without its value: that may be a secret."""
    where = ".".join(str(part) for part in detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        return f"unknown setting {where}"
    return f"setting {where}: {message}" if where else f"settings: {message}"


def environment_values(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that the environment has, by field.

    Raises SettingsError for a variable with our prefix that is no setting; variables that Kubernetes makes for
    Services are passed over.
    """
    values: dict[str, Any] = {}
    for variable, value in sorted(environment.items()):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE or _is_service_link(variable, value):
            continue
        if value == "":
            continue  # a template that leaves a variable empty means the default
        values[_known(variable.removeprefix(PREFIX).lower(), variable)] = value
    return with_secret_files(values, SECRETS)


def file_values(path: str) -> dict[str, Any]:
    """Return the settings that a TOML file has, by field; none without a path.

    Raises SettingsError if it cannot be read or has a key that is no setting.
    """
    if not path:
        return {}
    try:
        values = tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    return with_secret_files({_known(key, f"{key} in {path}"): value for key, value in values.items()}, SECRETS)


def with_secret_files(values: Mapping[str, Any], secrets: frozenset[str]) -> dict[str, Any]:
    """Replace `<secret>_file` entries by what their files hold, without the line end."""
    read = {name: values[f"{name}_file"] for name in sorted(secrets) if f"{name}_file" in values}
    if twice := [name for name in read if name in values]:
        raise SettingsError(f"{twice[0]} and {twice[0]}_file are both set; keep one")
    kept = {key: value for key, value in values.items() if key.removesuffix("_file") not in read}
    return kept | {name: _read(str(path)).rstrip("\r\n") for name, path in read.items()}


def _known(name: str, shown: str) -> str:
    names = [*Settings.model_fields, *(f"{field}_file" for field in Settings.model_fields if field in SECRETS)]
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {PREFIX + near[0].upper() if shown.startswith(PREFIX) else near[0]}?" if near else ""
    raise SettingsError(f"unknown setting {shown}{hint}")


def _is_service_link(variable: str, value: str) -> bool:
    by_name = _SERVICE_LINK.fullmatch(variable) is not None
    return by_name or (variable.endswith("_PORT") and _SERVICE_LINK_URL.match(value) is not None)


def _read(path: str) -> str:
    """Read a small text file."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise SettingsError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
        return content.decode()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8") from error
