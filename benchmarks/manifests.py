"""Measures a scan of manifests against kube-score on the same files, in one run on one machine.

    python -m benchmarks.manifests --generator FOLDER [--size S|M] [--rounds 5]

FOLDER (or PLIMSOLL_GENERATOR) holds `gen_cluster.py`, which writes a cluster as YAML files with all that a live cluster
adds to them: managed fields, status, owners. kube-score is built by Go into the cache folder. Its run, our reading
alone and our whole scan take turns; each writes its report to nowhere. Memory is the peak of all processes of a run.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KUBE_SCORE = "github.com/zegl/kube-score/cmd/kube-score@v1.20.0"
CACHE = Path("~/.cache/plimsoll/kube-score").expanduser()
#: How often memory is looked at.
SAMPLE_SECONDS = 0.02
READ = """
import datetime as dt, sys
from scanner.cluster.manifests import read_manifests
snapshot = read_manifests(sys.argv[1:], cluster="files", now=dt.datetime(2026, 11, 23, tzinfo=dt.UTC))
assert sum(map(len, snapshot.objects.values())) > 0
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one program."""

    seconds: float
    peak_mib: float


def main() -> None:
    """Make the files, measure, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", default=os.environ.get("PLIMSOLL_GENERATOR"), help="folder of the generator")
    parser.add_argument("--size", default="S", choices=["S", "M"])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if not arguments.generator:
        parser.error("--generator or PLIMSOLL_GENERATOR is needed")
    with tempfile.TemporaryDirectory(prefix="plimsoll-manifests-") as folder:
        generator = Path(arguments.generator) / "gen_cluster.py"
        generate = [sys.executable, str(generator), "--size", arguments.size, "--format", "yaml", "--out", folder]
        subprocess.run(generate, check=True, stdout=subprocess.DEVNULL)
        report(sorted(Path(folder, "yaml").rglob("*.yaml")), Path(folder, "yaml"), arguments.rounds)


def report(files: Sequence[Path], folder: Path, rounds: int) -> None:
    """Measure every program and print what came of it."""
    programs = {
        "kube-score": [str(kube_score()), "score", "-o", "json", *map(str, files)],
        "reading": [sys.executable, "-c", READ, str(folder)],
        "scan": [sys.executable, "-m", "scanner", "scan", "--manifests", str(folder), "-o", "json"],
    }
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, command in programs.items():
            runs[name].append(measured(command))
    print(f"{len(files)} files, {sum(f.stat().st_size for f in files) / 1e6:.1f} MB, {rounds} rounds")
    base = runs["kube-score"]
    for name, found in runs.items():
        seconds = statistics.median(run.seconds for run in found)
        ratio = statistics.median(b.seconds / f.seconds for b, f in zip(base, found, strict=True))
        peak = statistics.median(run.peak_mib for run in found)
        print(f"{name:12} {seconds:7.2f} s  {ratio:6.2f} times as fast as kube-score  {peak:7.0f} MiB")


def kube_score() -> Path:
    """Return the program, built if it is not yet there."""
    program = CACHE / "kube-score"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["go", "install", KUBE_SCORE], check=True, env=os.environ | {"GOBIN": str(CACHE)})
    return program


def measured(command: Sequence[str]) -> Run:
    """Run a program to its end. Its status is not looked at: to find something is one."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while True:
        peak = max(peak, resident_bytes(process.pid))
        try:
            process.wait(SAMPLE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return Run(time.perf_counter() - started, peak / 2**20)


def resident_bytes(pid: int) -> int:
    """Return the memory of a process and of all that it started, pages that they share counted once for each."""
    try:
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        threads = Path(f"/proc/{pid}/task").iterdir()
        children = [c for thread in threads for c in (thread / "children").read_text().split()]
    except (OSError, IndexError):
        return 0
    return resident + sum(resident_bytes(int(child)) for child in children)


if __name__ == "__main__":
    main()
