"""TCP links between the launchers of a training's nodes, so that a node that fails, hangs or vanishes ends the others in half a minute.

The ranks notice a lost peer by a broken connection. A node that loses power or network breaks none, and a rank that waits in NCCL may
not look: the ranks of the others would wait until NCCL's own timeout. Here each launcher holds a connection to that of node 0, sends
a line every two seconds, and says at once that one of its ranks has failed; node 0 passes on what it hears. Links are an extra: where
none can be made, nothing happens.
"""

import contextlib
import io
import socket
import threading
import time
from dataclasses import dataclass
from typing import Literal

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure

PERIOD = 2.0
"""Seconds between two signs of life."""
PATIENCE = 15.0
"""Seconds of silence after which a peer is lost. A launcher is a process of its own that hardly computes: on a node whose cores are all
busy it gets its turn within a second. After an outage of the network TCP sends the last line again 0.2, 0.6, 1.4, 3, 6.2, 12.6 and 25.4 s
after the first time: outages of up to 12.6 s are survived, and for longer ones more patience helps only from 28 s on. That would leave no
time for the ranks' own words within half a minute."""
HELLO = b"finetune-launcher 2\n"
"""First bytes in both directions: only a launcher can be a lost peer."""
ALIVE, LEAVING, LOST, FAILED = "alive", "leaving", "lost", "failed"
LONGEST = 256
"""Bytes of a line."""
PORT_OFFSET = 1
"""Above the port of the process group."""


@dataclass(frozen=True)
class Gone:
    """A node that the training cannot go on without."""

    address: str
    how: Literal["lost", "failed"]
    """Its launcher does not answer, or it said that one of its ranks has failed."""

    def failure(self) -> StageFailure:
        """What that means to the ranks of other nodes."""
        if self.how == "lost":
            return StageFailure(ExitCode.PEER_LOST, "PeerLost", f"lost the connection to the node at {self.address}")
        said = f"the training ended early on the node at {self.address}; the message of that node's pod says why"
        return StageFailure(ExitCode.PEER_LOST, "PeerFailed", said)


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
        self.gone: Gone | None = None
        """The first node that was connected and is gone without having said goodbye, or whose ranks failed; None while there is none."""

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

    def announce_failure(self) -> None:
        """Tells the others that a rank of this node has failed."""
        self._tell(FAILED)

    def close(self) -> None:
        """Says goodbye: an orderly end, whatever its exit code, loses no peer."""
        self.mute()
        self._tell(LEAVING)
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
            lines = link.makefile("rb")
            greeted = lines.readline(LONGEST) == HELLO
        except OSError:
            greeted = False
        if not greeted:
            link.close()
            return False
        self._links.append(link)
        with lines:
            gone = heard(lines, peer)
        if gone is not None and not self._closed.is_set():
            self.gone = self.gone or gone
            self._tell(f"{gone.how} {gone.address}", but=link)
        return True

    def _send(self) -> None:
        while not self._closed.wait(self._period):
            self._tell(ALIVE)

    def _tell(self, line: str, but: socket.socket | None = None) -> None:
        for link in self._links:
            if link is not but:
                with contextlib.suppress(OSError):  # its listener sees it
                    link.sendall(f"{line}\n".encode())


def heard(lines: io.BufferedIOBase, peer: str) -> Gone | None:
    """Listens to `peer` until it says goodbye (None), or until it or a node that it speaks of is gone."""
    with contextlib.suppress(OSError):  # a timeout, too
        while line := lines.readline(LONGEST).decode(errors="replace"):
            what, _, address = line.strip().partition(" ")
            if what == LEAVING:
                return None
            if what == FAILED:
                return Gone(address or peer, "failed")
            if what == LOST:
                return Gone(address, "lost")
    return Gone(peer, "lost")


def listener(port: int) -> socket.socket:
    """Listens on all addresses, IPv6 and IPv4 where the kernel has both."""
    both = socket.has_dualstack_ipv6()
    return socket.create_server(("", port), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both)
