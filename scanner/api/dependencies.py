"""What the routes need, handed to them by the composition root."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from pydantic import SecretStr
from sqlalchemy import Engine

from scanner.model.policy import Policy
from scanner.model.refs import ClusterName
from scanner.service.fixes import LastFixes
from scanner.service.grants import LastGrants
from scanner.service.networks import KeptNetworks
from scanner.service.secret_paths import LastSecretPaths
from scanner.store.scans import RunningScan
from scanner.telemetry import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditWebhook:
    """Who may post audit events, and of which cluster they are."""

    token: SecretStr
    #: May have to ask the cluster for its name; raises ClusterError if it does not answer.
    cluster: Callable[[], ClusterName]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything behind the API."""

    engine: Engine
    #: The policies that scans judge by, by id.
    policies: Mapping[str, Policy]
    #: Starts a scan in the background.
    start_scan: Callable[[], RunningScan]
    #: Raises StoreError (SchemaError) if requests can't be answered.
    check_ready: Callable[[], None]
    #: Tells whether the service is about to end.
    is_draining: Callable[[], bool]
    clock: Callable[[], dt.datetime]
    metrics: Metrics
    #: Who may do what, as of the last scan.
    grants: LastGrants = field(default_factory=LastGrants)
    #: What ends findings about RBAC, as of the last scan.
    fixes: LastFixes = field(default_factory=LastFixes)
    #: Who could connect to whom, as of the scans that are kept.
    networks: KeptNetworks = field(default_factory=KeptNetworks)
    #: Who reaches which Secret, as of the last scan.
    secrets: LastSecretPaths = field(default_factory=LastSecretPaths)
    #: None if the API server's audit events are not taken.
    audit: AuditWebhook | None = None


def services(request: Request) -> Services:
    """Return what the application was made with."""
    found: Services = request.app.state.services
    return found


Deps = Annotated[Services, Depends(services)]
