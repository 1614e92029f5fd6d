"""The composition root: from settings to a service that runs, and back down in good order.

Going down: a signal makes `/readyz` say no, then the scheduler stops, a running scan is told to stop at its next step
(it then counts as failed, and nothing of it is stored), requests are answered to their end, and the pools are closed.
All of that within the grace; a second signal ends the process at once. What is killed loses nothing either: a scan is
stored whole or not at all, a message that was not acknowledged is sent again.
"""

import asyncio
import contextlib
import datetime as dt
import fnmatch
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from apscheduler.schedulers.background import BackgroundScheduler
from fastapi import FastAPI
from sqlalchemy import Engine

from scanner import schedule
from scanner.api.application import create_app
from scanner.api.dependencies import AuditWebhook, Services
from scanner.api.middleware import Limits, allowed_hosts
from scanner.api.routes import audit
from scanner.errors import PolicyError, SettingsError, StoreError
from scanner.model.policy import Policy, Severity
from scanner.notify.http import Sender
from scanner.policy.load import builtin_policies_root, load_policies
from scanner.posture.news import Subscription
from scanner.schedule import Job
from scanner.service.deliver import Deliverer
from scanner.service.runner import ScanRunner, ScanSetup, Source
from scanner.service.sources import LiveSource, ManifestSource
from scanner.settings import Settings
from scanner.store.database import open_database, reading, require_head, upgrade, writing
from scanner.store.scans import fail_abandoned_scans, list_scans
from scanner.telemetry import Metrics, configure_logging, log
from scanner.version import VERSION

#: How often the outbox is looked into; a message is that late at most.
_DELIVERY_INTERVAL = dt.timedelta(seconds=5)
#: Idle connections are closed after this; longer than most proxies wait between requests costs nothing here.
_KEEP_ALIVE_SECONDS = 5
_BACKLOG = 128

_log = log(__name__)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)  # noqa: TID251 - the shell asks the clock


@dataclass(frozen=True, kw_only=True)
class Service:
    """Everything that runs."""

    settings: Settings
    engine: Engine
    runner: ScanRunner
    scheduler: BackgroundScheduler
    app: FastAPI
    #: Why a scan starts at once, or empty: `start` or `catch-up`.
    first_scan: str
    #: Set when it is about to end.
    draining: threading.Event


def serve(settings: Settings) -> None:
    """Serve until told to stop by SIGTERM or SIGINT.

    Raises:
        ScannerError: It cannot start; the message says why.
    """
    configure_logging(settings.log_level)
    with _listening(settings) as listener, built(settings) as service:
        is_clean = asyncio.run(_serve(service, listener))
    _log.info("stopped")
    if not is_clean:
        os._exit(0)  # Python would wait for the threads that did not end in time


@contextlib.contextmanager
def built(settings: Settings) -> Iterator[Service]:
    """Make everything that the settings ask for; nothing runs yet. Pools are closed at the end."""
    metrics, draining = Metrics(VERSION), threading.Event()
    policies = policies_of(settings)
    source = source_of(settings, metrics)
    with _database(settings) as engine, _delivery_jobs(settings, engine, metrics, draining) as jobs:
        runner = ScanRunner(
            ScanSetup(
                engine=engine,
                source=source,
                policies=policies,
                subscriptions=subscriptions_of(settings),
                clock=_now,
                metrics=metrics,
                network_states_kept=settings.network_states_kept,
            )
        )
        last, now = _last_scan(engine), _now()
        services = Services(
            engine=engine,
            policies={policy.id: policy for policy in policies},
            start_scan=lambda: runner.start("api"),
            check_ready=lambda: require_head(engine),
            is_draining=draining.is_set,
            clock=_now,
            metrics=metrics,
            audit=AuditWebhook(token=settings.audit_token, cluster=source.cluster) if settings.audit_token else None,
        )
        limits = Limits(
            hosts=allowed_hosts(settings.listen_host, settings.public_url, settings.allowed_hosts),
            concurrency=settings.api_max_concurrency,
            body_bytes=settings.api_max_body_bytes,
            larger_bodies={audit.PATH: settings.audit_max_body_bytes},
        )
        yield Service(
            settings=settings,
            engine=engine,
            runner=runner,
            scheduler=schedule.scheduler_of([*_scan_jobs(settings, runner, last, now), *jobs]),
            app=create_app(services, limits, version=VERSION),
            first_scan=first_scan(settings, last, now),
            draining=draining,
        )


def policies_of(settings: Settings) -> tuple[Policy, ...]:
    """Load the policies that scans judge by: ours and those of the operator's folders, as far as they are chosen.

    Raises PolicyError for what is wrong in a file, SettingsError for a folder or a glob that names nothing.
    """
    for folder in settings.policy_directories:
        if not folder.is_dir():
            raise SettingsError(f"setting policy_directories: {folder} is no folder")
    roots = [builtin_policies_root(), *settings.policy_directories]
    loaded: dict[str, Policy] = {}
    for root in roots:
        for policy in load_policies(root):
            if policy.id in loaded:
                raise PolicyError(f"{root}: a policy {policy.id} is there already; ids are unique")
            loaded[policy.id] = policy
    for glob in settings.policies:
        if not any(_is_named(policy, [glob]) for policy in loaded.values()):
            raise SettingsError(f"setting policies: no policy is named {glob!r}")
    return tuple(
        policy
        for _, policy in sorted(loaded.items())
        if _is_named(policy, settings.policies or ["*"]) and not _is_named(policy, settings.skip_policies)
    )


def _is_named(policy: Policy, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(id_, glob) for id_ in (policy.id, *policy.formerly) for glob in globs)


def source_of(settings: Settings, metrics: Metrics) -> Source:
    """Return where scans read from: manifests if any are set, else the cluster."""
    if settings.manifests:
        if missing := [path for path in settings.manifests if not Path(path).exists()]:
            raise SettingsError(f"setting manifests: {missing[0]}: no such file or folder")
        return ManifestSource(paths=settings.manifests, name=settings.cluster, clock=_now)
    return LiveSource(
        kubeconfig=settings.kubeconfig or "",
        context=settings.context,
        name=settings.cluster,
        namespaces=settings.namespaces,
        read_secrets=settings.read_secrets,
        read_certificates=settings.read_certificates,
        clock=_now,
        metrics=metrics,
    )


def subscriptions_of(settings: Settings) -> tuple[Subscription, ...]:
    """Return who is told of what."""
    return tuple(Subscription(d.name, Severity(d.min_severity)) for d in settings.all_destinations)


def first_scan(settings: Settings, last: dt.datetime | None, now: dt.datetime) -> str:
    """Tell why a scan starts at once: because it is asked for, or because one was missed; empty if it does not."""
    if settings.scan_at_start:
        return "start"
    if schedule.is_missed(settings.schedule, last, now):
        return "start" if last is None else "catch-up"
    return ""


def _scan_jobs(settings: Settings, runner: ScanRunner, last: dt.datetime | None, now: dt.datetime) -> list[Job]:
    # If one was missed, one starts now: the next is due an interval after that.
    counted = now if first_scan(settings, last, now) else last
    trigger = schedule.scan_trigger(settings.schedule, counted, now, settings.schedule_jitter)
    return [Job(name="scan", run=lambda: runner.try_start("schedule"), trigger=trigger)] if trigger else []


@contextlib.contextmanager
def _delivery_jobs(
    settings: Settings, engine: Engine, metrics: Metrics, draining: threading.Event
) -> Iterator[list[Job]]:
    """Make what sends the outbox, if there is anyone to send to."""
    destinations = {destination.name: destination for destination in settings.all_destinations}
    if not destinations:
        yield []
        return
    with Sender(allow_private=settings.allow_private_destinations) as sender:
        deliverer = Deliverer(
            engine=engine,
            destinations=destinations,
            sender=sender,
            clock=_now,
            random=random.Random(),  # noqa: S311 - spreads retries, guards nothing
            public_url=settings.public_url,
        )
        yield [
            Job(
                name="deliver",
                run=lambda: deliver(deliverer, metrics, draining),
                trigger=schedule.every(_DELIVERY_INTERVAL),
            )
        ]


def deliver(deliverer: Deliverer, metrics: Metrics, draining: threading.Event) -> None:
    """Send everything that is due; a database that is away for a moment is asked again at the next turn."""
    try:
        while not draining.is_set() and (ended := deliverer.deliver_due()):
            for outcome, number in ended.items():
                metrics.deliveries.labels(outcome).inc(number)
            _log.info("delivered", **ended)
    except StoreError as error:
        _log.error("delivery_postponed", error=str(error))


@contextlib.contextmanager
def _database(settings: Settings) -> Iterator[Engine]:
    """Open the database at this release's schema."""
    engine = open_database(settings.database_url.get_secret_value())
    try:
        embedded = engine.dialect.name == "sqlite"
        if embedded or settings.database_upgrade:
            upgrade(engine)
        require_head(engine)
        if embedded:  # alone with its database: no scan of another process can be alive
            with writing(engine) as connection:
                fail_abandoned_scans(connection, _now(), lease=dt.timedelta(0))
        yield engine
    finally:
        engine.dispose()


def _last_scan(engine: Engine) -> dt.datetime | None:
    """Return when the last scan started that did not fail; a failed one is no reason to wait for the next."""
    with reading(engine) as session:
        found = [
            scan.started_at
            for state in ("complete", "partial", "running")
            for scan in list_scans(session, state=state, limit=1)
        ]
    return max(found, default=None)


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Take the address before anything else: a port that is taken is told at once."""
    family = socket.AF_INET6 if ":" in settings.listen_host else socket.AF_INET
    address = (settings.listen_host.strip("[]"), settings.listen_port)
    try:
        listener = socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise SettingsError(f"cannot listen on {address[0]} port {address[1]}: {reason}") from error
    with listener:
        yield listener


class _Server(uvicorn.Server):
    """A server that leaves signals to us: it would end the process by the signal, not with status 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def _serve(service: Service, listener: socket.socket) -> bool:
    """Serve until a signal, and tell whether everything had ended within the grace."""
    server = _server(service.app)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, number, stopped)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    _announce(service.settings, listener)
    service.scheduler.start()
    if service.first_scan:
        # In a thread of its own: a cluster that does not answer must not hold up the stop.
        threading.Thread(target=service.runner.try_start, args=(service.first_scan,), daemon=True).start()
    await asyncio.wait({serving, asyncio.create_task(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
    is_clean = await _stop(service, server)
    await serving
    return is_clean


def _server(app: FastAPI) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
    )


def _announce(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    _log.info("listening", host=host, port=port, version=VERSION)
    if not settings.listens_locally:
        _log.warning("listening_without_authentication", host=host, advice="put a proxy that authenticates in front")


def _on_signal(number: int, stopped: asyncio.Event) -> None:
    """Begin to stop at the first signal, end at the second."""
    if stopped.is_set():
        os._exit(128 + number)
    _log.info("stopping", signal=signal.Signals(number).name)
    stopped.set()


async def _stop(service: Service, server: uvicorn.Server) -> bool:
    """Go down: no new work, the running work ended, then no new requests, and the open ones answered.

    Health checks see the service draining while its work ends. Returns whether it ended within the grace.
    """
    deadline = time.monotonic() + service.settings.shutdown_grace.total_seconds()
    service.draining.set()
    is_clean = await asyncio.to_thread(_end_work, service, deadline)
    if not is_clean:
        _log.warning("work_abandoned", reason="it did not end within shutdown_grace; nothing of it is lost")
    server.config.timeout_graceful_shutdown = max(1, int(deadline - time.monotonic()))
    server.should_exit = True
    return is_clean


def _end_work(service: Service, deadline: float) -> bool:
    """Stop scheduler and scan, and tell whether both had ended by the deadline."""
    scheduler = threading.Thread(target=service.scheduler.shutdown, daemon=True)
    scheduler.start()
    is_scan_ended = service.runner.stop(deadline - time.monotonic())
    scheduler.join(max(0.0, deadline - time.monotonic()))
    return is_scan_ended and not scheduler.is_alive()
