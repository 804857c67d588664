"""Names, ports and interfaces: how the ranks of several pods find each other."""

import fcntl
import socket
import struct
import time
from collections.abc import Callable

SIOCGIFADDR = 0x8915


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[v6]:port"; raises ValueError naming the text."""
    host, colon, port = endpoint.rpartition(":")
    if not colon or not host or not port.isdigit():
        raise ValueError(f"--master {endpoint!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def free_port() -> int:
    """A free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_name(host: str, deadline: float, resolve: Callable[[str, None], object] = socket.getaddrinfo, pause: float = 1.0) -> None:
    """Returns when `host` has an address: pods of one job start at different times, and their names appear with them.

    Raises TimeoutError at `deadline` (monotonic seconds).
    """
    while True:
        try:
            resolve(host, None)
            return
        except socket.gaierror as exc:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{host} has no address: {exc.strerror}") from exc
            time.sleep(pause)


def interface_towards(host: str) -> str | None:
    """Name of the network interface that reaches `host` (IPv4), None if unknown.

    Gloo would take the one that the machine's own name stands for, which in many pods is none or the loopback.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
            address = probe.getsockname()[0]
            names = [name for _, name in socket.if_nameindex()]
            return next((name for name in names if address_of(probe, name) == address), None)
    except OSError:
        return None


def address_of(any_socket: socket.socket, interface: str) -> str | None:
    """IPv4 address of an interface."""
    request = struct.pack("256s", interface[:15].encode())
    try:
        return socket.inet_ntoa(fcntl.ioctl(any_socket.fileno(), SIOCGIFADDR, request)[20:24])
    except OSError:
        return None
