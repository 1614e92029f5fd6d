"""Fixtures that all tests share: the real services, and where the published cases lie."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests import services
from tests.services import ControlPlane

pytest_plugins = ["tests.browser", "tests.databases", "tests.serving"]

#: Set in CI: there a real service that is missing is a failure, not a skip.
IN_CI = bool(os.environ.get("CI"))


def pytest_configure(config: pytest.Config) -> None:
    """Make the run's folder in the process that lives longest: the only one, or xdist's controller."""
    if not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="plimsoll-test-"))
        folder.chmod(0o755)  # PostgreSQL runs as another user and must pass through
        os.environ["TEST_RUN_FOLDER"] = str(folder)
        os.environ["TEST_RUN_PID"] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what the run started."""
    if not hasattr(config, "workerinput"):
        services.stop_all(Path(os.environ["TEST_RUN_FOLDER"]))


def _run_folder() -> Path:
    return Path(os.environ["TEST_RUN_FOLDER"])


def _missing(what: str) -> None:
    if IN_CI:
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def control_plane() -> ControlPlane:
    """A real kube-apiserver and etcd, shared by all tests: keep to a namespace and to names of your own."""
    if services.control_plane_programs() is None:
        _missing("SKIPPED LOUDLY: no kube-apiserver and etcd; run `make control-plane`")
    return services.shared_control_plane(_run_folder())


@pytest.fixture(scope="session")
def postgres_server() -> services.Postgres:
    """A real PostgreSQL server."""
    if services.postgres_programs() is None:
        _missing("SKIPPED LOUDLY: no PostgreSQL server; install Debian's package postgresql")
    return services.shared_postgres(_run_folder())


@pytest.fixture
def postgres_url(postgres_server: services.Postgres) -> Iterator[str]:
    """The address of an empty database that is dropped after the test."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(
        host=postgres_server.host, port=postgres_server.port, user="postgres", autocommit=True
    ) as admin:
        admin.execute(f'CREATE DATABASE "{name}"'.encode())
        yield postgres_server.url(name)
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of published cases, which lies beside the repository; its data are never copied into it."""
    folder = Path(os.environ.get("PLIMSOLL_CORPUS") or Path(__file__).parents[2] / "shared" / "corpus")
    if not folder.is_dir():
        pytest.skip(f"no published cases at {folder}; set PLIMSOLL_CORPUS")
    return folder
