"""TCP links between the launchers of a training's nodes, so that a node that vanishes ends the others in a minute.

The ranks notice a lost peer by a broken connection. A node that loses power or network breaks none: the ranks of the others would
wait in NCCL or gloo until stallTimeout. Here each launcher holds a connection to that of node 0 and sends a byte now and then.
Links are an extra: where none can be made, nothing happens.
"""

import contextlib
import socket
import threading
import time

PERIOD = 5.0
"""Seconds between two bytes."""
PATIENCE = 60.0
"""Seconds of silence after which a peer is lost."""
ALIVE, LEAVING = b".", b"q"
HELLO = b"finetune-launcher 1\n"
"""First bytes in both directions: only a launcher can be a lost peer."""
PORT_OFFSET = 1
"""Above the port of the process group."""


class Peers:
    """The links of one launcher, each served by threads of its own."""

    def __init__(self, node_rank: int, host: str, port: int, *, period: float = PERIOD, patience: float = PATIENCE) -> None:
        self._node_rank = node_rank
        self._endpoint = (host, port + PORT_OFFSET)
        self._period = period
        self._patience = patience
        self._links: list[socket.socket] = []
        self._closed = threading.Event()
        self._server: socket.socket | None = None
        self.lost = ""
        """Address of a launcher that was connected and is gone without having said so; "" while there is none."""

    @property
    def port(self) -> int:
        """Where node 0 listens."""
        return self._endpoint[1]

    @property
    def connected(self) -> bool:
        """True once there is a link."""
        return bool(self._links)

    def open(self) -> None:
        """Listens on node 0, connects on the others; returns at once."""
        run = self._accept if self._node_rank == 0 else self._connect
        for target in (run, self._send):
            threading.Thread(target=target, daemon=True).start()

    def close(self) -> None:
        """Says goodbye: an orderly end, whatever its exit code, loses no peer."""
        self.mute()
        for link in self._links:
            with contextlib.suppress(OSError):
                link.sendall(LEAVING)
        self.drop()

    def mute(self) -> None:
        """Sends nothing any more, as a node without power does."""
        self._closed.set()

    def drop(self) -> None:
        """Breaks all links, as the kernel does for a process that was killed."""
        self.mute()
        for link in [*self._links, *([self._server] if self._server else [])]:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
            link.close()

    def _accept(self) -> None:
        try:
            with listener(self.port) as self._server:
                while not self._closed.is_set():
                    with contextlib.suppress(ConnectionAbortedError):  # by a client that left before it was accepted
                        link, _ = self._server.accept()
                        threading.Thread(target=self._serve, args=(link,), daemon=True).start()
        except OSError as exc:
            if not self._closed.is_set():
                print(f"train: no heartbeat between nodes: port {self.port}: {exc.strerror}", flush=True)

    def _connect(self) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(OSError):  # it has not started yet
                if self._serve(socket.create_connection(self._endpoint, timeout=self._period)):
                    return
            time.sleep(self._period / 5)

    def _serve(self, link: socket.socket) -> bool:
        """Listens until the link ends; False for a connection that is not a launcher's (a port scan, a probe, a proxy)."""
        try:
            peer = link.getpeername()[0].removeprefix("::ffff:")  # an IPv4 address as IPv6 writes it
            link.settimeout(self._patience)
            link.sendall(HELLO)
            greeted = self._received(link) == HELLO
        except OSError:
            greeted = False
        if not greeted:
            link.close()
            return False
        self._links.append(link)
        self._listen(link, peer)
        return True

    def _received(self, link: socket.socket) -> bytes:
        """The first bytes, as many as a greeting has; fewer if the link ends before."""
        received = b""
        while len(received) < len(HELLO) and (data := link.recv(len(HELLO) - len(received))):
            received += data
        return received

    def _listen(self, link: socket.socket, peer: str) -> None:
        with contextlib.suppress(OSError):
            while data := link.recv(64):
                if LEAVING in data:
                    return
        if not self._closed.is_set():
            self.lost = self.lost or peer

    def _send(self) -> None:
        while not self._closed.wait(self._period):
            for link in self._links:
                with contextlib.suppress(OSError):  # the listener sees it
                    link.sendall(ALIVE)


def listener(port: int) -> socket.socket:
    """Listens on all addresses, IPv6 and IPv4 where the kernel has both."""
    both = socket.has_dualstack_ipv6()
    return socket.create_server(("", port), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both)
