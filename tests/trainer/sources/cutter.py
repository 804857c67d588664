"""A way to a server that breaks off: a TCP proxy on loopback that closes an answer in its middle."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

BLOCK = 1 << 16


class Cutter:
    """Forwards connections to a server, and closes those of its answers that grow beyond a length."""

    def __init__(self, server: str, after: int, times: int) -> None:
        parts = urlsplit(server)
        assert parts.hostname and parts.port
        self.server = (parts.hostname, parts.port)
        self.after = after
        """Bytes of a connection's answers that pass."""
        self.times = times
        """How many connections are cut; the others are left alone."""
        self.cuts = 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]

    def run(self) -> None:
        """Until it is closed."""
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listening.accept()
                far = socket.create_connection(self.server)
                threading.Thread(target=self.forward, args=(near, far), daemon=True).start()
                threading.Thread(target=self.answer, args=(far, near), daemon=True).start()

    def forward(self, near: socket.socket, far: socket.socket) -> None:
        """Requests pass as they are."""
        with contextlib.suppress(OSError):
            while block := near.recv(BLOCK):
                far.sendall(block)
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_WR)

    def answer(self, far: socket.socket, near: socket.socket) -> None:
        """Answers pass up to a length."""
        passed = 0
        with contextlib.suppress(OSError), near, far:
            while block := far.recv(BLOCK):
                passed += len(block)
                if passed > self.after and self.cuts < self.times:
                    self.cuts += 1
                    near.shutdown(socket.SHUT_RDWR)
                    return
                near.sendall(block)


@contextlib.contextmanager
def cutting(server: str, after: int, times: int) -> Iterator[Cutter]:
    """A proxy for as long as it is needed."""
    cutter = Cutter(server, after, times)
    threading.Thread(target=cutter.run, daemon=True).start()
    try:
        yield cutter
    finally:
        cutter.listening.close()
