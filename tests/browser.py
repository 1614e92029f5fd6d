"""A real browser for what people look at: headless Chromium, driven by its own command line.

Each call is a process of its own with an empty profile, so that tests share nothing and need no driver library.
"""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: A page takes about 2 s on an idle machine; a busy one may need thirty times that.
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Browser:
    """A browser that opens one file at a time."""

    program: str
    profiles: Path

    def dom(self, page: Path) -> str:
        """Return the document as it is after its scripts have run, as HTML."""
        return self._run(page, "--dump-dom")

    def screenshot(self, page: Path, to: Path, *, width: int = 1280, height: int = 800, dark: bool = False) -> Path:
        """Write a PNG of a page as a window of this size in pixels shows it; `dark` is what the reader prefers."""
        # 0 is dark and 1 is light: Chromium's enumeration PreferredColorScheme.
        scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        self._run(page, f"--screenshot={to}", f"--window-size={width},{height}", scheme, "--hide-scrollbars")
        return to

    def _run(self, page: Path, *options: str) -> str:
        with tempfile.TemporaryDirectory(dir=self.profiles, ignore_cleanup_errors=True) as profile:
            command = (
                self.program,
                "--headless=new",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-sandbox",  # CI runs as root, whom Chromium's sandbox refuses; pages are our own
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--host-resolver-rules=MAP * ~NOTFOUND",  # a page that needs the network is wrong
                f"--user-data-dir={profile}",
                *options,
                page.resolve().as_uri(),
            )
            shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
        return shown.stdout


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """A real Chromium; tests that use it carry the mark `browser`."""
    program = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if program is None:
        missing = "SKIPPED LOUDLY: no Chromium; install Debian's package chromium"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return Browser(program, tmp_path_factory.mktemp("browser"))
