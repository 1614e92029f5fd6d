"""Write what is made from code: `make docs`.

`PAGES` names each file and the function that writes its text; a test compares them with what is committed, so that no
page says something that the code no longer does.
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from docs.coverage import page as coverage
from docs.pictures import scan_picture
from scanner.api.application import create_app
from scanner.api.dependencies import Services
from scanner.api.middleware import Limits
from scanner.export.admission import admission_manifests
from scanner.export.cluster_role import cluster_role
from scanner.export.reference import policy_reference
from scanner.policy.generate import to_admission
from scanner.policy.load import builtin_policies_root, load_policies
from scanner.settings import PREFIX, SECRETS, Settings, SlackDestination, WebhookDestination
from scanner.store.database import open_database
from scanner.telemetry import Metrics, metric_name
from scanner.version import VERSION
from tests.conformance.hardening import page as hardening
from tests.conformance.primitives.table import page as rbac_primitives

ROOT = Path(__file__).parents[1]


def configuration() -> str:
    """Write the reference of all settings, from the fields' own help."""
    rows = "\n".join(_row(name) for name in Settings.model_fields)
    kinds: tuple[type[WebhookDestination | SlackDestination], ...] = (WebhookDestination, SlackDestination)
    destinations = "\n".join(
        f"| `{kind.model_fields['type'].annotation.__args__[0]}` | "  # type: ignore[union-attr]  # a Literal
        f"`{name}` | {field.description} {_default(field)} |"
        for kind in kinds
        for name, field in kind.model_fields.items()
    )
    return _PAGE.format(rows=rows, destinations=destinations)


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    variable = f"`{PREFIX}{name.upper()}`" + (f", `{PREFIX}{name.upper()}_FILE`" if name in SECRETS else "")
    return f"| `{name}` | {variable if name != 'destinations' else ''} | {field.description} | {_default(field)} |"


def _default(field: Any) -> str:
    """Write a default as the file would have it."""
    if field.is_required():
        return "Required."
    if field.default_factory:
        return "see there"
    match field.default:
        case None | () | "":
            return "—"
        case bool():
            return f"`{str(field.default).lower()}`"
        case dt.timedelta():
            return f"`{int(field.default.total_seconds())}s`"
        case _:
            return f"`{field.default}`"


_PAGE = """\
# Configuration

Every setting can be given in the environment or in a TOML file that `PLIMSOLL_CONFIG` names. The environment wins. A
setting that does not exist is an error, at start, that names it. Lists are separated by commas in the environment;
durations are written `30s`, `5m`, `6h` or `1d`. A secret can be given by value, or by the path of a file that holds it:
the same name with `_FILE` in the environment, `_file` in the file.

> This release has no authentication. Therefore it listens on the loopback address alone; whoever can reach the address
> you give in `listen_host` reads every finding and can start scans. Put a proxy that authenticates in front of it.

| Setting | Environment | What it decides | Default |
|---|---|---|---|
{rows}

## Destinations

One destination of each kind can be set by the variables above; any number of them in the file:

```toml
[[destinations]]
type = "webhook"
name = "on-call"
url = "https://alerts.example.com/plimsoll"
secret_file = "/run/secrets/on-call"
min_severity = "critical"
```

| Type | Key | What it is |
|---|---|---|
{destinations}
"""


def metrics() -> str:
    """Write the list of metrics."""
    rows = "\n".join(
        f"| `{metric_name(metric)}` | {metric._type} | {', '.join(f'`{n}`' for n in metric._labelnames) or '—'} | "  # noqa: SLF001 - the library has no public word for it
        f"{metric._documentation} |"  # noqa: SLF001 - same
        for metric in Metrics("").all()
    )
    return _METRICS_PAGE.format(rows=rows)


_METRICS_PAGE = """\
# Metrics

`/metrics` serves these to Prometheus, and those of the process and the Python interpreter. Labels never hold a name
from the cluster: the number of series does not grow with it. With several replicas, figures from the database
(`plimsoll_open_findings`, `plimsoll_outbox_deliveries`, `plimsoll_coverage_reads`,
`plimsoll_last_successful_scan_timestamp_seconds`) are the same in each: take the maximum, not the sum.

| Metric | Type | Labels | What it counts |
|---|---|---|---|
{rows}
"""


def openapi() -> str:
    """Write the description of the HTTP API."""
    services = Services(
        engine=open_database("sqlite:///never-opened.sqlite"),
        policies={},
        start_scan=_never,
        check_ready=_never,
        is_draining=lambda: False,
        clock=_never,
        metrics=Metrics(VERSION),
    )
    app = create_app(services, Limits(), version=VERSION)
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


def _never() -> NoReturn:
    raise AssertionError("nothing is called to describe the API")


def policies() -> str:
    """Write the reference of all policies."""
    return policy_reference(load_policies(builtin_policies_root()))


def admission() -> str:
    """Write the policies that admission can enforce, with their bindings."""
    found = load_policies(builtin_policies_root())
    manifests = admission_manifests(to_admission(policy) for policy in found if policy.forbid)
    return f"# Made by `make docs` from policies/: each stops what its policy would find.\n{manifests}"


#: File to what writes it.
PAGES: Mapping[str, Callable[[], str]] = {
    "docs/coverage.md": coverage,
    "docs/reference/configuration.md": configuration,
    "docs/reference/metrics.md": metrics,
    "docs/reference/openapi.json": openapi,
    "docs/reference/policies.md": policies,
    "docs/conformance/pods.md": hardening,
    "docs/conformance/rbac-primitives.md": rbac_primitives,
    "docs/images/scan.svg": scan_picture,
    "deploy/cluster-role.yaml": cluster_role,
    "deploy/admission/policies.yaml": admission,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
