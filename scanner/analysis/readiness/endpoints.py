"""What a container is told to connect to: addresses in the environment, the command and the arguments of its template.

Only literals are seen; what comes from a ConfigMap or a Secret is not in the template. No value leaves this module but
hosts, ports and pool sizes: the rest of a connection string may be a credential.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from scanner.model.snapshot import Snapshot
from scanner.model.workload import Container

#: Longer values are no connection strings; it bounds what a hostile manifest costs.
_LONGEST_VALUE = 4096

#: `postgres://user:password@host:5432/…`, with what stands before the scheme (`jdbc:`) left out.
_URL = re.compile(
    r"\b([a-zA-Z][a-zA-Z0-9+.-]{0,30})://(?:[^\s/@\"']*@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?([^\s\"']*)"
)
#: Go's MySQL driver (`user:password@tcp(host:3306)/db`), libpq (`host=db port=5432`), ADO.NET (`Server=db,1433;`).
_MYSQL_DSN = re.compile(r"@tcp\(([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?\)")
_LIBPQ = re.compile(r"(?:^|\s)host=([A-Za-z0-9._-]+)(?=\s.*dbname=|\s.*user=)(?:.*?\sport=([0-9]{1,5}))?")
_ADO = re.compile(
    r"(?:^|;)\s*(?:server|data source)\s*=\s*(?:tcp:)?([A-Za-z0-9._-]+)(?:,([0-9]{1,5}))?\s*;", re.IGNORECASE
)
#: Other forms than URLs: a text that each has, which is quicker to look for, and the scheme that it stands for.
_OTHER_FORMS = (("@tcp(", _MYSQL_DSN, "mysql"), ("host=", _LIBPQ, "postgres"), (";", _ADO, "sqlserver"))
_HOST_VARIABLE = re.compile(r"(?:^|_)(?:HOST|HOSTNAME|ADDR|ADDRESS|SERVER|ENDPOINT)$")
_HOST = re.compile(r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?$")
#: Addresses that a program listens on, or that are about other things than connecting.
_NOT_A_PEER = re.compile(r"BIND|LISTEN|ADVERTISE|NO_PROXY|CIDR|SUBNET|ALLOWED|TRUSTED|POD_|NODE_|MY_")
_DATABASE_VARIABLE = re.compile(
    r"(?:^|_)(?:DB|DATABASE|DATASOURCE|POSTGRES|POSTGRESQL|PG|PGSQL|MYSQL|MARIADB|MONGO|MONGODB|MSSQL|SQLSERVER|ORACLE|"
    r"REDIS|AMQP|RABBITMQ)(?:_|$)|^PGHOST$"
)

#: Schemes of servers with sessions of their own, of which each copy of a program opens a pool.
RELATIONAL = frozenset(
    {"postgres", "postgresql", "mysql", "mariadb", "sqlserver", "oracle", "cockroachdb", "mysql2", "postgis"}
)
#: Schemes of all that keeps data.
DATABASES = RELATIONAL | {"mongodb", "mongodb+srv", "redis", "rediss", "amqp", "amqps"}

#: Variables that say how many connections one process opens, as frameworks document them.
_POOL_VARIABLE = re.compile(
    r"^(?:DB_POOL|DB_POOL_SIZE|DB_POOL_MAX|DB_MAX_CONNECTIONS|DB_MAX_OPEN_CONNS|DB_CONNECTION_LIMIT|DATABASE_POOL|"
    r"DATABASE_POOL_SIZE|DATABASE_POOL_MAX|DATABASE_MAX_CONNECTIONS|POOL_SIZE|RAILS_MAX_THREADS|"
    r"SPRING_DATASOURCE_HIKARI_MAXIMUM_?POOL_?SIZE|HIKARI_MAXIMUM_?POOL_?SIZE|SQLALCHEMY_POOL_SIZE|"
    r"QUARKUS_DATASOURCE_JDBC_MAX_SIZE|PGPOOL_MAX|PG_POOL_MAX|PG_POOL_SIZE)$"
)
_POOL_PARAMETER = re.compile(
    r"[?&;](?:pool|pool_size|pool_max_conns|connection_limit|maxPoolSize|max pool size|connectionLimit)=([0-9]{1,6})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One peer that a container is told of, and where."""

    #: Lower case; of an IPv6 address without its brackets.
    host: str
    port: int | None
    #: Lower case; empty where only a host is named.
    scheme: str
    #: Path below the container, `env[3].value`.
    path: str
    is_database: bool
    #: Connections that one copy opens, where the same text says it.
    pool: int | None = None

    @property
    def is_local(self) -> bool:
        """Tell whether it is the pod itself."""
        return self.host == "localhost" or bool(self.address and self.address.is_loopback)

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The host as an address; None if it is a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None


@dataclass(frozen=True)
class Told:
    """What one container is told."""

    container: Container

    @cached_property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every peer, in the order of environment, command and arguments."""
        return tuple(
            endpoint
            for path, name, value in _texts(self.container)
            if len(value) <= _LONGEST_VALUE and not _NOT_A_PEER.search(name)
            for endpoint in _endpoints(path, name, value)
        )

    @cached_property
    def pool(self) -> int | None:
        """Connections that one copy may open, as a variable says; None if none does."""
        for _, name, value in _texts(self.container):
            if name and _POOL_VARIABLE.match(name) and value.isascii() and value.isdecimal() and len(value) <= 6:  # noqa: PLR2004 - no pool
                return int(value)
        return next((endpoint.pool for endpoint in self.endpoints if endpoint.pool is not None), None)


def told(snapshot: Snapshot, container: Container) -> Told:
    """Return what a container of a workload's template is told; equal templates are read once."""
    return snapshot.derive(_told_by_spec)[id(container.spec)]


def _told_by_spec(snapshot: Snapshot) -> Mapping[int, Told]:
    """Return what containers are told by the identity of their spec, which the snapshot keeps and equal ones share."""
    return {
        id(container.spec): Told(container)
        for workload in snapshot.workloads
        for container in workload.template.containers
    }


def _texts(container: Container) -> Iterator[tuple[str, str, str]]:
    """Yield path, name (empty for arguments) and text of each literal."""
    for index, variable in enumerate(container.spec.get("env") or ()):
        if variable.get("value"):
            yield f"env[{index}].value", str(variable.get("name") or "").upper(), str(variable["value"])
    for field in ("command", "args"):
        for index, word in enumerate(container.spec.get(field) or ()):
            yield f"{field}[{index}]", "", str(word)


def _endpoints(path: str, name: str, value: str) -> Iterator[Endpoint]:
    for scheme, host, port, rest in _URL.findall(value) if "://" in value else ():
        parameter = _POOL_PARAMETER.search(rest)
        yield Endpoint(
            host=_plain(host),
            port=_number(port),
            scheme=scheme.lower(),
            path=path,
            is_database=scheme.lower() in DATABASES,
            pool=int(parameter[1]) if parameter else None,
        )
    for sign, pattern, scheme in _OTHER_FORMS:
        for host, port in pattern.findall(value) if sign in value else ():
            yield Endpoint(host=_plain(host), port=_number(port), scheme=scheme, path=path, is_database=True)
    if _HOST_VARIABLE.search(name) or name == "PGHOST":
        named = _HOST.match(value)
        if named:
            yield Endpoint(
                host=_plain(named[1]),
                port=_number(named[2]),
                scheme="",
                path=path,
                is_database=bool(_DATABASE_VARIABLE.search(name)),
            )


def _plain(host: str) -> str:
    return host.strip("[]").lower().rstrip(".")


def _number(port: str | None) -> int | None:
    return int(port) if port else None
