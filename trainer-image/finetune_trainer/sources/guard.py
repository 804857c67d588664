"""Which addresses a stage may fetch from: public ones, and what the administrator lists.

A pod stands inside the cluster's network. Whoever may write a FineTuneJob must not be able to read through it what only that
network can reach: other pods, the API server, the metadata service that hands out the node's credentials.
Knows addresses and names, no HTTP.
"""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from finetune_trainer.sources.subject import Subject

IP = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal"})
METADATA_ADDRESSES = frozenset(
    map(
        ipaddress.ip_address,
        # of AWS, its containers and pods, Alibaba, Azure (public by its number), AWS and Google by IPv6
        ("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"),
    )
)

_CARRIER_NAT = ipaddress.ip_network("100.64.0.0/10")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        # what Python's is_global lets through: protocol assignments, 6to4 relays, Teredo and other tunnels, documentation
        ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)


class Guard:
    """The administrator's list, and what holds without one."""

    def __init__(self, allowed: Iterable[str], subject: Subject) -> None:
        self.subject = subject
        self.networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self.names: set[str] = set()
        for entry in allowed:
            try:
                self.networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self.names.add(plain(entry))

    def check_host(self, host: str) -> None:
        """Raises StageFailure for a host that may not be asked, as far as its name or its literal address tells."""
        if self.lists(host):
            return
        address = literal(host)
        if address is not None:
            self.check_address(host, address)
        elif plain(host) in METADATA_NAMES:
            raise self.refusal(host, "is the name of a cloud's metadata service")

    def check_address(self, host: str, address: IP) -> None:
        """Raises StageFailure for an address of a host that may not be connected to."""
        real = embedded(address)
        if self.lists(host) or any(one in network for network in self.networks for one in (address, real)):
            return
        what = not_public(real)
        if what:
            raise self.refusal(host, f"is {what}" if literal(host) == address else f"has the address {address}, which is {what}")

    def lists(self, host: str) -> bool:
        """True for a host that the administrator names, by its name or as a literal address."""
        address = literal(host)
        if address is None:
            return plain(host) in self.names
        return any(one in network for network in self.networks for one in (address, embedded(address)))

    def refusal(self, host: str, why: str) -> Exception:
        """The words of a refusal, which the administrator can lift."""
        return self.subject.unusable(
            f"{host} {why}; data is fetched from public addresses only, unless the administrator lists the host or its network in the "
            "chart's value sources.allowedPrivate"
        )


def check_endpoint(url: str, subject: Subject) -> None:
    """Raises StageFailure for an endpoint in a Secret that cannot be intended: a metadata service, or a link-local address.

    Private addresses are allowed: object stores stand in the cluster. What its name resolves to later is not followed.
    """
    host = urlsplit(url).hostname
    if not host:
        return  # the cloud's own
    if plain(host) in METADATA_NAMES:
        raise subject.unusable(f"the Secret names the server {host}, which is the name of a cloud's metadata service")
    for address in addresses(host):
        if address in METADATA_ADDRESSES or address.is_link_local:
            raise subject.unusable(f"the Secret names the server {host}, which is {not_public(address)}")


@dataclass(frozen=True)
class Hops:
    """Where the answers of a source's own server may lead a client that follows them by itself."""

    own: str
    """Host of the server that the source or its Secret names; its subdomains are its own, too. Empty: the cloud's."""
    guard: Guard

    def check(self, url: str) -> None:
        """Raises StageFailure for a server that may not be asked: another one must be public, or listed by the administrator."""
        host = plain(urlsplit(url).hostname or "")
        own = plain(self.own)
        if own and (host == own or host.endswith(f".{own}")):
            return
        self.guard.check_host(host)
        for address in addresses(host):
            self.guard.check_address(host, address)


class GuardedResolver(AbstractResolver):
    """Resolves a name once and hands out addresses that have been checked: a second answer of the name server is never asked for."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.system = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """See aiohttp."""
        found = await self.system.resolve(host, port, family)
        for answer in found:
            self.guard.check_address(host, ipaddress.ip_address(answer["host"]))
        return found

    async def close(self) -> None:
        """See aiohttp."""
        await self.system.close()


def addresses(host: str) -> list[IP]:
    """What a host is or resolves to; nothing where that does not work, which the connection will tell."""
    try:
        return [embedded(ipaddress.ip_address(str(answer[4][0]))) for answer in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, ValueError):
        return []


def plain(host: str) -> str:
    """A host name as it is compared."""
    return host.strip("[]").rstrip(".").lower()


def literal(host: str) -> IP | None:
    """The address that a host is written as, or None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def embedded(address: IP) -> IP:
    """The IPv4 address that an IPv6 one stands for (IPv4-mapped, NAT64); any other is itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def not_public(address: IP) -> str:
    """What an address is instead of public; empty for a public one."""
    if address in METADATA_ADDRESSES:
        return "a cloud's metadata service"
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if address in _CARRIER_NAT:
        return "an address of carrier NAT"
    public = address.is_global and not any(address in network for network in _NOT_PUBLIC)
    if public and (address.version == 4 or address in _PUBLIC_V6):
        return ""
    return "a private or reserved address"
