"""What people install holds everything that it needs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.running import EXAMPLE, REPOSITORY


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel; its dependencies come from the environment of the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    return folder / "installed"


def _run(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Safe-path mode and an empty folder keep the checkout out of sight.
    program = "import sys; from scanner.cli.main import main; sys.exit(main())"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "HOME": str(installed)}
    return subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        cwd=installed,
        env=environment | {"PLIMSOLL_STATE_DIRECTORY": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )


def test_an_installed_scan_finds_what_a_checkout_finds(installed: Path) -> None:
    """With the policies that came along."""
    shown = _run(installed, "scan", "--manifests", str(EXAMPLE), "-o", "json", "--policies", "rbac/cluster-admin-bound")
    assert '"deploy-bot"' in shown.stdout


def test_an_installed_release_migrates_its_database(installed: Path) -> None:
    """With the migrations that came along."""
    assert "this release's schema" in _run(installed, "db", "upgrade").stderr
    assert list(installed.glob("*.sqlite"))


def test_an_installed_release_has_the_example(installed: Path) -> None:
    """For a first look without a cluster."""
    program = "from scanner.cli.serve import example_cluster as e; print(e())"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed)}
    shown = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=installed,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(shown.stdout.strip()) == installed / "scanner" / "_data" / "examples" / "company"
    assert (installed / "scanner" / "_data" / "examples" / "company" / "shop.yaml").is_file()
