"""Measures reading a live cluster against a bare paged GET of the same lists, in one run on one machine.

    python -m benchmarks.live_read --generator FOLDER [--size S|M] [--rounds 7]

FOLDER (or PLIMSOLL_GENERATOR) holds `gen_cluster.py`, which writes a cluster as one JSON list, and `load_cluster.py`,
which creates it in an API server. The API server is the tests' own. The bare GET asks for the same lists with the same
limit through urllib3 and looks at nothing but the continue token; it is measured one list after the other, as a plain
client would read them, and with as many connections as the scanner has.
"""

import argparse
import datetime as dt
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import urllib3

from scanner.cluster.client import CONCURRENT
from scanner.cluster.collect import collect
from scanner.cluster.connect import connect
from scanner.cluster.discovery import discover
from scanner.cluster.listing import PAGE_SIZE
from scanner.model.refs import ClusterName
from scanner.model.resources import RESOURCES, SECRETS
from scanner.model.snapshot import Snapshot
from tests import services
from tests.services import ControlPlane

_CONTINUE = re.compile(rb'"continue":"([^"]*)"')
#: The metadata of a list stands before its items.
_HEAD_BYTES = 2000
_NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def main() -> None:
    """Load the cluster, measure, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", default=os.environ.get("PLIMSOLL_GENERATOR"), help="folder of the generator")
    parser.add_argument("--size", default="S", choices=["S", "M"])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    if not arguments.generator:
        parser.error("name the folder of the generator: --generator or PLIMSOLL_GENERATOR")
    os.environ["PLIMSOLL_TEST_PID"] = str(os.getpid())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "services"
        folder.mkdir()
        try:
            control_plane = services.shared_control_plane(folder)
            _load(control_plane, Path(arguments.generator), Path(scratch), arguments.size)
            _measure(control_plane, arguments.size, arguments.rounds)
        finally:
            services.stop_all(folder)


def _load(control_plane: ControlPlane, generator: Path, scratch: Path, size: str) -> None:
    made = scratch / "cluster"
    make = [sys.executable, str(generator / "gen_cluster.py"), "--size", size, "--format", "json", "--out", str(made)]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    load = [sys.executable, str(generator / "load_cluster.py"), "--server", control_plane.url]
    load += ["--token", control_plane.token, "--file", str(made / "cluster.json"), "--status", "Pod,Node"]
    subprocess.run(load, check=True, stdout=subprocess.DEVNULL)


def _measure(control_plane: ControlPlane, size: str, rounds: int) -> None:
    paths = _paths(control_plane)
    bare: list[float] = []
    bare_concurrent: list[float] = []
    ours: list[float] = []
    found = _read(control_plane)  # the API server fills its caches
    for _ in range(rounds):
        bare.append(_timed(lambda: _bare(control_plane, paths, 1)))
        bare_concurrent.append(_timed(lambda: _bare(control_plane, paths, CONCURRENT)))
        ours.append(_timed(lambda: _read(control_plane)))
    total = _bare(control_plane, paths, 1)
    print(f"size {size}: {sum(map(len, found.objects.values()))} objects, {total / 1e6:.1f} MB, {rounds} rounds")
    print(f"bare GET, one connection   {statistics.median(bare):8.3f} s")
    print(f"bare GET, {CONCURRENT} connections    {statistics.median(bare_concurrent):8.3f} s")
    print(f"scanner, {CONCURRENT} connections     {statistics.median(ours):8.3f} s")
    print(f"ratio to one connection    {_ratio(ours, bare):8.2f}")
    print(f"ratio to {CONCURRENT} connections     {_ratio(ours, bare_concurrent):8.2f}")
    print(f"peak memory                {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:8.0f} MiB")


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median of the ratios of each round, so that a slow moment of the machine meets both."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _read(control_plane: ControlPlane) -> Snapshot:
    client = connect(control_plane.kubeconfig)
    try:
        return collect(client, cluster=ClusterName("bench"), now=_NOW)
    finally:
        client.close()


def _paths(control_plane: ControlPlane) -> list[str]:
    """Return the lists that the scanner reads."""
    client = connect(control_plane.kubeconfig)
    catalog = discover(client)
    client.close()
    served = (catalog.find(r) for r in RESOURCES if r != SECRETS)
    return [f"{s.path}/{s.plural}" for s in served if s]


def _bare(control_plane: ControlPlane, paths: list[str], connections: int) -> int:
    """Read every list to its end and return the number of bytes."""
    pool = urllib3.PoolManager(ca_certs=control_plane.ca_file, maxsize=connections)
    headers = {"Authorization": f"Bearer {control_plane.token}", "Accept": "application/json"}

    def read(path: str) -> int:
        size, token = 0, b""
        while True:
            query = f"?limit={PAGE_SIZE}" + (f"&continue={quote(token)}" if token else "")
            body = pool.request("GET", control_plane.url + path + query, headers=headers).data
            size += len(body)
            match = _CONTINUE.search(body[:_HEAD_BYTES])
            if not match or not match[1]:
                return size
            token = match[1]

    with ThreadPoolExecutor(connections) as threads:
        size = sum(threads.map(read, paths))
    pool.clear()
    return size


if __name__ == "__main__":
    main()
