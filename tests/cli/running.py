"""Runs `plimsoll` as a script would."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "company"


@dataclass(frozen=True)
class Run:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.out)


def plimsoll(*arguments: str | Path, stdin: bytes | None = None, environment: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end."""
    ended = subprocess.run(
        [sys.executable, "-m", "scanner", *map(str, arguments)],
        input=stdin or b"",
        capture_output=True,
        cwd=REPOSITORY,
        env={**os.environ, "HOME": "/nonexistent", "KUBECONFIG": "", **(environment or {})},
        timeout=120,
        check=False,
    )
    return Run(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
