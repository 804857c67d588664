"""A web server on loopback whose paths answer as a table says, and what it was asked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """One answer; the body may be shorter than Content-Length says, and then the connection is closed."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = -1
    """Of Content-Length: -1 as long as the body is, None leaves the header out."""


Behaviour = Answer | Callable[[dict[str, str], int], Answer]
"""An answer, or what makes one of the request's headers and of how many requests for this path came before."""


@dataclass
class WebServer:
    """Its address, its table and its memory."""

    port: int
    paths: dict[str, Behaviour] = field(default_factory=dict)
    otherwise: Answer = field(default_factory=lambda: Answer(404))
    """For a path that is not in the table."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers of each request, in lower case."""

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Address of a path."""
        return f"http://{host}:{self.port}{path}"

    def redirect(self, path: str, target: str, status: int = 302) -> None:
        """Makes a path lead elsewhere."""
        self.paths[path] = Answer(status, headers={"Location": target})


@contextmanager
def serving() -> Iterator[WebServer]:
    """A server on a free port, for as long as it is needed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Answers as the table says."""
            headers = {name.lower(): value for name, value in self.headers.items()}
            before = sum(path == self.path for path, _ in server.asked)
            server.asked.append((self.path, headers))
            behaviour = server.paths.get(self.path, server.otherwise)
            answer = behaviour if isinstance(behaviour, Answer) else behaviour(headers, before)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.length is not None and "Transfer-Encoding" not in answer.headers:
                self.send_header("Content-Length", str(len(answer.body) if answer.length < 0 else answer.length))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = True

        def do_PUT(self) -> None:
            """What is sent is read; the answer is the one for what the table does not have."""
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(server.otherwise.status)
            for name, value in {"Content-Length": str(len(server.otherwise.body)), **server.otherwise.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(server.otherwise.body)

        do_POST = do_PUT

        def do_HEAD(self) -> None:
            """As GET, without a body."""
            self.send_response(server.otherwise.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server = WebServer(listening.server_port)
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        listening.shutdown()
