"""The service in a process of its own, for tests that need the whole of it."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      containers: [{name: app, image: "example.com/cart:1", securityContext: {privileged: true}}]
"""


@dataclass
class Process:
    """The service in a process of its own."""

    process: subprocess.Popen[str]
    url: str = ""
    lines: list[dict[str, Any]] = field(default_factory=list)
    _arriving: "queue.Queue[dict[str, Any]]" = field(default_factory=queue.Queue)
    _reader: threading.Thread | None = None

    def start_reading(self) -> None:
        """Read the log as it comes."""
        self._reader = threading.Thread(target=self.follow, daemon=True)
        self._reader.start()

    def follow(self) -> None:
        """Read the log, every line of which is JSON."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._arriving.put(json.loads(line))

    def wait_for(self, event: str) -> dict[str, Any]:
        """Wait for an event in the log."""
        while True:
            line = self._arriving.get(timeout=60)
            self.lines.append(line)
            if line["event"] == event:
                return line

    def rest(self) -> list[dict[str, Any]]:
        """Return every line of the log of a service that has stopped."""
        assert self._reader is not None
        self._reader.join(60)
        while not self._arriving.empty():
            self.lines.append(self._arriving.get())
        return self.lines

    def get(self, path: str) -> httpx.Response:
        """Send a GET."""
        return httpx.get(self.url + path, timeout=30)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


Start = Callable[..., Process]


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """A folder with one privileged Deployment."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "cart.yaml").write_text(MANIFEST)
    return folder


@pytest.fixture
def start(tmp_path: Path, manifests: Path) -> Iterator[Start]:
    """Start the service on a free port, with its state in a folder of the test."""
    started: list[Process] = []

    def begin(**variables: str) -> Process:
        defaults = {
            "manifests": str(manifests),
            "state_directory": str(tmp_path),
            "listen_port": "0",
            "cluster": "test",
        }
        settings = {f"PLIMSOLL_{name.upper()}": value for name, value in (defaults | variables).items()}
        process = subprocess.Popen(
            [sys.executable, "-m", "scanner", "serve"],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **settings},
            stdout=subprocess.PIPE,
            text=True,
        )
        service = Process(process)
        started.append(service)
        service.start_reading()
        service.url = f"http://127.0.0.1:{service.wait_for('listening')['port']}"
        return service

    yield begin
    for service in started:
        service.process.kill()
        service.process.wait()
        assert service.process.stdout is not None
        service.process.stdout.close()
