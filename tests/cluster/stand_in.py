"""A small real HTTP server that misbehaves on demand, as API servers and the proxies before them do."""

import contextlib
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from scanner.cluster.access import Access
from scanner.cluster.client import Client, Limits

JSON = "application/json"
TOKEN = "Bearer stand-in-token"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    #: Say that the body is this much longer than it is, and close.
    missing_bytes: int = 0
    #: Send no answer at all: close with a reset.
    is_reset: bool = False
    #: After the body, send a byte at a time until the client has enough of it.
    is_endless: bool = False
    #: Say nothing until the client has enough of it.
    is_silent: bool = False


@dataclass(frozen=True)
class Request:
    """What was asked."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


#: Replies in order, the last one again and again; or a function of the request.
Script = list[Reply] | Callable[[Request], Reply]


@dataclass
class StandIn:
    """The server: what it answers on each path, and what it was asked."""

    url: str = ""
    scripts: dict[str, Script] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    #: How long the client waited between its attempts.
    waits: list[float] = field(default_factory=list)
    _asked: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reply_to(self, request: Request) -> Reply:
        """Take the next answer; a path without any is not found."""
        with self._lock:
            self.requests.append(request)
            count = self._asked[request.path]
            self._asked[request.path] += 1
        script = self.scripts.get(
            request.path, [Reply(status=404, body=b"404 page not found", content_type="text/plain")]
        )
        return script(request) if callable(script) else script[min(count, len(script) - 1)]

    def asked(self, path: str) -> list[Request]:
        """Return the requests for a path."""
        return [r for r in self.requests if r.path == path]

    def client(self, *, cluster: str = "stand-in", token: str = TOKEN, **limits: Any) -> Client:
        """Return a client of this server that notes its waits instead of waiting."""
        from kubernetes.client import Configuration  # noqa: PLC0415 - slow to import

        def load() -> Access:
            configuration = Configuration(host=self.url, api_key={"BearerToken": token} if token else {})
            return Access(configuration, cluster, "")

        return Client(load, limits=Limits(**limits), wait=self.waits.append)


@contextlib.contextmanager
def running() -> Iterator[StandIn]:
    """Run a server for as long as the block takes."""
    stand_in = StandIn()
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # the name is http.server's
            parts = urlsplit(self.path)
            query = {k: v[0] for k, v in parse_qs(parts.query).items()}
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            with contextlib.suppress(OSError):  # the client had enough
                self.send(stand_in.reply_to(Request(parts.path, query, dict(self.headers.items()))))

        do_POST = do_GET  # noqa: N815 - the name is http.server's

        def send(self, reply: Reply) -> None:
            self.close_connection = self.close_connection or not is_whole(reply)
            if reply.is_silent:
                done.wait()
                return
            if reply.is_reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if not reply.is_endless:
                self.send_header("Content-Length", str(len(reply.body) + reply.missing_bytes))
            self.end_headers()
            self.wfile.write(reply.body)
            while reply.is_endless and not done.wait(0.01):
                self.wfile.write(b" ")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: connections break on purpose."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stand_in
    finally:
        done.set()
        server.shutdown()
        thread.join()
        server.server_close()


def is_whole(reply: Reply) -> bool:
    """Tell whether the connection can go on after an answer."""
    return not (reply.missing_bytes or reply.is_reset or reply.is_endless or reply.is_silent)


def status(code: int, message: str = "", **headers: str) -> Reply:
    """Make an error as the API server words it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return Reply(
        status=code, body=msgspec.json.encode(body), headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def pods(*names: str, token: str = "", remaining: int | None = None) -> Reply:
    """Make a page of pods."""
    meta = {"resourceVersion": "1"} | ({"continue": token, "remainingItemCount": remaining} if token else {})
    items = [{"metadata": {"name": n, "namespace": "shop"}, "spec": {}} for n in names]
    return Reply(body=msgspec.json.encode({"kind": "PodList", "apiVersion": "v1", "metadata": meta, "items": items}))
