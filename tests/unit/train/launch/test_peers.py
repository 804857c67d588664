"""Links between the launchers of several nodes."""

import socket
import time
from collections.abc import Callable

import pytest

from finetune_trainer.distributed.network import free_port
from finetune_trainer.train.launch.peers import PORT_OFFSET, Peers

pytestmark = pytest.mark.unit


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback address."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


IPV6 = has_ipv6()


def eventually(true: Callable[[], object], seconds: float = 10) -> bool:
    """Whether it becomes true in time."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(true())


def pair(patience: float = 5, host: str = "127.0.0.1") -> tuple[Peers, Peers]:
    """The launchers of two nodes, connected."""
    port = free_port() - PORT_OFFSET  # the links are above it
    first, second = (Peers(rank, host, port, period=0.1, patience=patience) for rank in (0, 1))
    second.open()  # it waits for the first
    first.open()
    assert eventually(lambda: first.connected and second.connected)
    return first, second


def test_a_peer_that_ends_in_order_is_not_lost() -> None:
    """Whatever its exit code is: its ranks have told the others."""
    first, second = pair()
    second.close()
    time.sleep(0.3)
    assert (first.lost, second.lost) == ("", "")
    first.close()


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not IPV6, reason="no IPv6 on this machine"))])
@pytest.mark.parametrize("gone", [0, 1])
def test_a_killed_peer_is_lost_at_once(gone: int, host: str) -> None:
    """The kernel closes its connections, and no goodbye came before."""
    peers = pair(host=host)
    peers[gone].drop()
    assert eventually(lambda: peers[1 - gone].lost == host, 3)
    peers[1 - gone].close()


def test_a_silent_peer_is_lost_after_a_while() -> None:
    """A node without power closes nothing."""
    first, second = pair(patience=0.5)
    second.mute()
    assert first.lost == ""
    assert eventually(lambda: first.lost, 3)
    first.close()
    second.close()


def test_a_stranger_is_no_peer() -> None:
    """A port scan or a probe connects and leaves: nothing is lost, and the launchers still find each other."""
    port = free_port() - PORT_OFFSET  # the links are above it
    first = Peers(0, "127.0.0.1", port, period=0.1)
    first.open()

    def visit(data: bytes) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", first.port)) as stranger:
                stranger.sendall(data)
        except OSError:
            return False
        return True

    assert eventually(lambda: visit(b""))
    assert visit(b"GET / HTTP/1.1\r\n\r\n")
    second = Peers(1, "127.0.0.1", port, period=0.1)
    second.open()
    assert eventually(lambda: first.connected and second.connected)
    assert first.lost == ""
    second.close()
    first.close()


def test_a_port_in_use_only_costs_the_heartbeat(capsys: pytest.CaptureFixture[str]) -> None:
    """Training does not depend on it."""
    first, second = pair()
    other = Peers(0, "127.0.0.1", first.port - 1)
    other.open()
    said: list[str] = []
    assert eventually(lambda: said.append(capsys.readouterr().out) or "no heartbeat between nodes" in "".join(said))  # type: ignore[func-returns-value]
    assert other.lost == ""
    for peers in (first, second, other):
        peers.close()
