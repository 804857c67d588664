"""Links between the launchers of several nodes."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from finetune_trainer.distributed.network import free_port
from finetune_trainer.train.launch.peers import PORT_OFFSET, Gone, Peers

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
    """Whatever its exit code is: its ranks have informed the others."""
    first, second = pair()
    second.close()
    time.sleep(0.3)
    assert (first.gone, second.gone) == (None, None)
    first.close()


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not IPV6, reason="no IPv6 on this machine"))])
@pytest.mark.parametrize("gone", [0, 1])
def test_a_killed_peer_is_lost_at_once(gone: int, host: str) -> None:
    """The kernel closes its connections, and no goodbye came before."""
    peers = pair(host=host)
    peers[gone].drop()
    assert eventually(lambda: peers[1 - gone].gone == Gone(host, "lost"))
    peers[1 - gone].close()


def test_a_silent_peer_is_lost_after_a_while() -> None:
    """A node without power closes nothing."""
    first, second = pair(patience=0.5)
    second.mute()
    assert first.gone is None
    assert eventually(lambda: first.gone)
    first.close()
    second.close()


@pytest.mark.parametrize("failed", [0, 1])
def test_a_failed_rank_is_announced_at_once(failed: int) -> None:
    """Its launcher lives and says so: the peer's ranks may wait in NCCL."""
    peers = pair(patience=60)
    peers[failed].announce_failure()
    assert eventually(lambda: peers[1 - failed].gone == Gone("127.0.0.1", "failed"))
    assert peers[failed].gone is None
    for each in peers:
        each.close()


PEER = """
import sys, time
from finetune_trainer.train.launch.peers import Peers
peers = Peers(int(sys.argv[1]), "127.0.0.1", int(sys.argv[2]), period=0.1, patience=float(sys.argv[3]))
peers.open()
while peers.gone is None:
    time.sleep(0.02)
    if peers.connected:
        print("connected", flush=True)
        break
while peers.gone is None:
    time.sleep(0.02)
print(peers.gone.how, flush=True)
"""
"""A launcher's links in a process of their own."""


@contextmanager
def launchers(count: int, patience: float) -> Iterator[list[subprocess.Popen[str]]]:
    """As many processes, all connected to the first."""
    port = str(free_port() - PORT_OFFSET)
    command = [sys.executable, "-c", PEER]
    processes = [subprocess.Popen([*command, str(rank), port, str(patience)], stdout=subprocess.PIPE, text=True) for rank in range(count)]
    try:
        assert [said(process) for process in processes] == ["connected"] * count
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    """Its next line, "" if it ended without one."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
@pytest.mark.parametrize("victim", [0, 1])
def test_all_nodes_hear_of_a_lost_one(number: signal.Signals, victim: int) -> None:
    """A process that is stopped breaks no connection, as a node without power; nodes 1 and 2 have no link between them."""
    with launchers(3, patience=2) as processes:
        processes[victim].send_signal(number)
        assert [said(process) for rank, process in enumerate(processes) if rank != victim] == ["lost", "lost"]


def test_a_pause_within_the_patience_loses_nobody() -> None:
    """A launcher that gets no processor for a while is not lost; nor are the others for it, once it goes on."""
    with launchers(2, patience=5) as processes:
        processes[1].send_signal(signal.SIGSTOP)
        time.sleep(2)
        processes[1].send_signal(signal.SIGCONT)
        processes[0].send_signal(signal.SIGSTOP)
        time.sleep(2)
        processes[0].send_signal(signal.SIGCONT)
        time.sleep(0.5)
        assert [process.poll() for process in processes] == [None, None]


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
    assert first.gone is None
    second.close()
    first.close()


def test_a_port_in_use_only_costs_the_heartbeat(capsys: pytest.CaptureFixture[str]) -> None:
    """Training does not depend on it."""
    first, second = pair()
    other = Peers(0, "127.0.0.1", first.port - 1)
    other.open()
    said: list[str] = []
    assert eventually(lambda: said.append(capsys.readouterr().out) or "no heartbeat between nodes" in "".join(said))  # type: ignore[func-returns-value]
    assert other.gone is None
    for peers in (first, second, other):
        peers.close()
