"""A real HTTP receiver for the tests, that answers as it is told to."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """How to answer one request."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    #: Close the connection with a reset in place of an answer.
    reset: bool = False
    #: Send nothing until the receiver stops.
    hang: bool = False
    #: Send the head, then one byte at a time without end.
    drip: bool = False


@dataclass(frozen=True)
class Received:
    """One request as it came; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """Answers with `answers` in turn, then with 204; keeps every request."""

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[Received] = []
        self._answers = list(answers)
        self._arrived = threading.Condition()
        self.stopped = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def take(self, request: Received) -> Answer:
        """Keep a request and choose its answer."""
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
            return self._answers.pop(0) if self._answers else Answer()

    def wait_for(self, requests: int, timeout_seconds: float = 30.0) -> bool:
        """Wait until so many requests have come; tell whether they have."""
        with self._arrived:
            return self._arrived.wait_for(lambda: len(self.requests) >= requests, timeout_seconds)

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def stop(self) -> None:
        """End every connection and the server."""
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    receiver: Receiver
    daemon_threads = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients of these tests break connections on purpose."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.receiver.take(Received(self.path, headers, body))
        if answer.hang:
            self.server.receiver.stopped.wait()
            return
        if answer.reset:
            # Linger of zero seconds makes closing a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)) if not answer.drip else "1000000")
        self.end_headers()
        self.wfile.write(answer.body)
        while answer.drip and not self.server.receiver.stopped.wait(0.05):
            self.wfile.write(b".")
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@contextlib.contextmanager
def receiving(*answers: Answer) -> Iterator[Receiver]:
    """Run a receiver for as long as the block lasts."""
    receiver = Receiver(*answers)
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()
