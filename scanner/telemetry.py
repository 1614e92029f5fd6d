"""What the service tells its operators: JSON log lines on stdout, and metrics for Prometheus.

One event is one line. No line holds a control character, a secret or a query string; what the libraries log passes
through the same processors. Metrics have labels of few values: never a name from the cluster. The names of both stand
here and nowhere else, and `docs/reference/metrics.md` is made from them.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

#: In a log line, in place of a secret.
REDACTED = "***"

#: What looks like a credential wherever it stands, and what stays of it. Addresses lose user, password and query; those
#: of Slack also the path, which is the credential itself.
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)(bearer\s+)[\w.~+/=-]+"), rf"\1{REDACTED}"),
    (re.compile(r"wh(sec|sk)_[A-Za-z0-9+/=]+"), rf"wh\1_{REDACTED}"),
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*"), REDACTED),
    (re.compile(r"(https://hooks\.slack\.com/)\S+"), rf"\1{REDACTED}"),
    (re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s@]+@"), rf"\1{REDACTED}@"),
    (re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']+"), rf"\1?{REDACTED}"),
)
#: A key with such a name is never logged, whatever it holds.
_SECRET_KEY = re.compile(r"(?i)(password|passwd|secret$|token|authorization|api_?key|cookie)")


def redact(text: str) -> str:
    """Replace whatever looks like a credential."""
    for pattern, kept in _SECRETS:
        text = pattern.sub(kept, text)
    return text


def _redacted(value: Any) -> Any:
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {key: REDACTED if _SECRET_KEY.search(str(key)) else _redacted(v) for key, v in value.items()}
        case list() | tuple():
            return [_redacted(item) for item in value]
        case bool() | int() | float() | None:
            return value
        case _:
            return redact(str(value))


def _redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Take credentials out of an event, the last thing before it is written."""
    cleaned: Mapping[str, Any] = _redacted(event)
    return cleaned


#: For our own events and for what the libraries log alike.
_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.format_exc_info,
]


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Write one JSON object a line to stdout, for our loggers and those of every library.

    JSON in ASCII: a name from the cluster can neither break a line nor move a terminal's cursor.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder(allow=())],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _redact_event,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # tests configure more than once
    )


#: Libraries whose information is ours already (each request, each job) or is noise.
_QUIET = ("uvicorn.access", "uvicorn.error", "apscheduler", "httpx", "httpcore", "alembic", "urllib3")


def log(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def metric_name(metric: MetricWrapperBase) -> str:
    """Return the name under which Prometheus knows a metric."""
    suffix = {"counter": "_total", "info": "_info"}.get(str(metric._type), "")  # noqa: SLF001 - the library has no public word for it
    return f"{metric._name}{suffix}"  # noqa: SLF001 - same


class Metrics:
    """Every metric of one process, in a registry of its own."""

    def __init__(self, version: str) -> None:
        """Make all metrics at zero, and those of process and interpreter."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        r = self.registry
        self.build = Info("plimsoll_build", "Release that runs.", registry=r)
        self.build.info({"version": version})
        self.scans = Counter(
            "plimsoll_scans", "Scans that ended, by state, and those that could not start.", ["state"], registry=r
        )
        self.scan_running = Gauge("plimsoll_scan_running", "1 while a scan runs.", registry=r)
        self.scan_phase_seconds = Histogram(
            "plimsoll_scan_phase_seconds",
            "Time that each phase of a scan took.",
            ["phase"],
            buckets=(0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600),
            registry=r,
        )
        self.last_success = Gauge(
            "plimsoll_last_successful_scan_timestamp_seconds",
            "When the last scan ended that was complete or partial; 0 if none was.",
            registry=r,
        )
        self.coverage_reads = Gauge(
            "plimsoll_coverage_reads", "Reads of the last scan, by how they ended.", ["state"], registry=r
        )
        self.open_findings = Gauge(
            "plimsoll_open_findings",
            "Findings that stand, by severity, area and outcome; unknown ones are not passes.",
            ["severity", "area", "outcome"],
            registry=r,
        )
        self.outbox = Gauge("plimsoll_outbox_deliveries", "Deliveries in the outbox, by state.", ["state"], registry=r)
        self.deliveries = Counter(
            "plimsoll_deliveries", "Attempts to deliver, by how they ended.", ["outcome"], registry=r
        )
        self.database_up = Gauge(
            "plimsoll_database_up", "1 if the database answered when these metrics were read.", registry=r
        )
        self.api_requests = Counter(
            "plimsoll_api_requests",
            "Requests that were answered, by route, method and class of status.",
            ["route", "method", "status"],
            registry=r,
        )
        self.api_seconds = Histogram(
            "plimsoll_api_request_seconds",
            "Time from request to the end of its answer, by route.",
            ["route"],
            buckets=(0.005, 0.02, 0.1, 0.5, 2, 10),
            registry=r,
        )
        self.cluster_requests = Counter(
            "plimsoll_cluster_requests",
            "Questions to the Kubernetes API server, by class of status once retries are done.",
            ["status"],
            registry=r,
        )

    def all(self) -> tuple[MetricWrapperBase, ...]:
        """Return our own metrics, sorted by name."""
        ours = [value for value in vars(self).values() if isinstance(value, MetricWrapperBase)]
        return tuple(sorted(ours, key=metric_name))


def status_class(status: int) -> str:
    """Return `2xx` for 204; `none` for 0, where no answer came."""
    return f"{status // 100}xx" if status else "none"
