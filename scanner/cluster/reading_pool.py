"""Reads batches of manifests in several processes, one batch each at a time, so that what waits takes no memory."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from scanner.cluster.masking import key_of_process
from scanner.cluster.reading import Outcome, Reader
from scanner.cluster.reading_worker import Batch, read_batch, receive, send

#: Taste: beyond this, decoding what the workers send takes longer than their reading.
MAX_WORKERS = 4
_COMMAND = "from scanner.cluster.reading_worker import main; main()"

_outcome_decoder = msgspec.msgpack.Decoder(Outcome)


class _Worker:
    """One process, started when first needed and again after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, batch: Batch) -> Outcome:
        """Return what comes of a batch; if the process dies of it, it is read here, by the exact reader alone."""
        self._process = self._process or _start()
        answer = _ask(self._process, msgspec.msgpack.encode(batch))
        if answer:
            return _outcome_decoder.decode(answer)
        self.stop()
        return read_batch(batch, Reader())

    def stop(self) -> None:
        """End the process; it holds nothing that would be lost."""
        if self._process is None:
            return
        with self._process as process:  # closes the pipes and waits
            process.kill()
        self._process = None


def _ask(process: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Return the answer, empty if the process is gone."""
    if process.stdin is None or process.stdout is None:
        return b""
    try:
        send(process.stdin, request)
        return receive(process.stdout)
    except BrokenPipeError:
        return b""


def read_in_workers(batches: Iterator[Batch], told: Callable[[Batch, Outcome], Outcome]) -> list[Outcome]:
    """Return what comes of each batch, in their order; `told` hears of each when it is done, one at a time."""
    numbered = enumerate(batches)
    done: dict[int, Outcome] = {}
    taking, telling, stopped = threading.Lock(), threading.Lock(), threading.Event()

    def work() -> None:
        worker = _Worker()
        try:
            while True:
                with taking:
                    number, batch = next(numbered, (-1, Batch()))
                if number < 0 or stopped.is_set():
                    return
                outcome = worker.read(batch)
                with telling:
                    done[number] = told(batch, outcome)
        finally:
            worker.stop()

    count = min(MAX_WORKERS, len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(count) as threads:
        try:
            for future in [threads.submit(work) for _ in range(count)]:
                future.result()
        finally:
            # Also on Ctrl-C, or when one of them failed: the others end after the batch that they have.
            stopped.set()
    return [done[number] for number in sorted(done)]


def _start() -> subprocess.Popen[bytes]:
    """Start a process that finds the same modules as this one."""
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109 - text is what is needed
    process = subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-c", _COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": paths},
    )
    if process.stdin is not None:
        # Over the pipe: arguments and environment of a process can be seen by others.
        with contextlib.suppress(BrokenPipeError):
            send(process.stdin, key_of_process().value)
    return process
