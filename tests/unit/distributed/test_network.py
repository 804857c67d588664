"""Addresses, names, interfaces and ports of the launchers."""

import socket
import time

import pytest

from finetune_trainer.distributed.network import free_port, interface_towards, split_endpoint, wait_for_name

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("10.0.0.1:29400", ("10.0.0.1", 29400)), ("job-0.job:1", ("job-0.job", 1)), ("[fd00::1]:80", ("fd00::1", 80))],
)
def test_endpoint(endpoint: str, expected: tuple[str, int]) -> None:
    """HOST:PORT, with brackets around an IPv6 address."""
    assert split_endpoint(endpoint) == expected


@pytest.mark.parametrize("endpoint", ["", "host", ":1", "host:", "host:x"])
def test_wrong_endpoint(endpoint: str) -> None:
    """The message repeats what was given."""
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        split_endpoint(endpoint)


def test_a_name_that_appears_later_is_waited_for() -> None:
    """Pods start at different times, and their names with them."""
    asked = []

    def resolve(host: str, port: None) -> None:
        asked.append(host)
        if len(asked) < 3:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    wait_for_name("job-0.job", time.monotonic() + 10, resolve, pause=0.01)
    assert asked == ["job-0.job"] * 3


def test_a_name_that_never_appears_ends_the_wait() -> None:
    """At the deadline, with the name in the message."""
    with pytest.raises(TimeoutError, match=r"no-such-host\.invalid has no address"):
        wait_for_name("no-such-host.invalid", time.monotonic(), pause=0.01)


def test_interface() -> None:
    """The loopback's address is reached through the loopback; an unknown name through nothing."""
    assert interface_towards("127.0.0.1") == "lo"
    assert interface_towards("no-such-host.invalid") is None


def test_free_port() -> None:
    """Somebody can listen there."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", free_port()))
