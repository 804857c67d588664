"""Which addresses a web source may be fetched from."""

import ipaddress

import pytest

from finetune_trainer.failure import StageFailure
from finetune_trainer.sources.guard import Guard, check_endpoint, not_public
from finetune_trainer.sources.subject import Subject

SUBJECT = Subject("https://example.com/rows.jsonl", "dataset.train.source", "DataNotFound")

NOT_PUBLIC = [
    ("127.0.0.1", "loopback"),
    ("127.8.8.8", "loopback"),
    ("::1", "loopback"),
    ("0.0.0.0", "unspecified"),
    ("::", "unspecified"),
    ("10.0.0.1", "private"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.168.1.1", "private"),
    ("fc00::1", "private"),
    ("fd12:3456::1", "private"),
    ("169.254.1.1", "link-local"),
    ("fe80::1", "link-local"),
    ("169.254.169.254", "metadata service"),
    ("169.254.170.2", "metadata service"),
    ("100.100.100.200", "metadata service"),
    ("168.63.129.16", "metadata service"),
    ("169.254.170.23", "metadata service"),
    ("fd20:ce::254", "metadata service"),
    ("fd00:ec2::254", "metadata service"),
    ("100.64.0.1", "carrier NAT"),
    ("100.127.255.255", "carrier NAT"),
    ("224.0.0.1", "multicast"),
    ("ff02::1", "multicast"),
    ("255.255.255.255", "private or reserved"),
    ("240.0.0.1", "private or reserved"),
    ("192.0.0.8", "private or reserved"),
    ("192.0.2.1", "private or reserved"),
    ("198.18.0.1", "private or reserved"),
    ("2001:db8::1", "private or reserved"),
    ("2002:7f00:1::", "private or reserved"),
    ("2001:0:1::1", "private or reserved"),
    ("::7f00:1", "private or reserved"),
    ("fec0::1", "private or reserved"),
    ("64:ff9b:1::7f00:1", "private or reserved"),
]
DISGUISED = [
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:10.0.0.1", "private"),
    ("::ffff:a9fe:a9fe", "metadata service"),
    ("64:ff9b::127.0.0.1", "loopback"),
    ("64:ff9b::a9fe:a9fe", "metadata service"),
    ("64:ff9b::10.1.2.3", "private"),
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.255.255",
    "2606:4700:4700::1111",
    "64:ff9b::8.8.8.8",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize(("address", "words"), NOT_PUBLIC)
def test_what_is_not_public_has_a_name(address: str, words: str) -> None:
    """The refusal says what kind of address it is."""
    assert words in not_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(("address", "words"), NOT_PUBLIC + DISGUISED)
def test_a_literal_address_that_is_not_public_is_refused(address: str, words: str) -> None:
    """In every notation that stands for it, in brackets or not; the words name the value that would allow it."""
    guard = Guard([], SUBJECT)
    with pytest.raises(StageFailure, match=words) as caught:
        guard.check_host(f"[{address}]" if ":" in address else address)
    assert (caught.value.error.code, caught.value.error.param) == ("InvalidSource", "dataset.train.source")
    assert "sources.allowedPrivate" in caught.value.error.message


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_not(address: str) -> None:
    """Also where an IPv6-only network reaches IPv4 through NAT64."""
    guard = Guard([], SUBJECT)
    guard.check_host(address)
    guard.check_address("example.com", ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["metadata.google.internal", "METADATA.google.internal.", "metadata", "instance-data"])
def test_the_names_of_metadata_services_are_refused(host: str) -> None:
    """Whatever they resolve to."""
    with pytest.raises(StageFailure, match="name of a cloud's metadata service"):
        Guard([], SUBJECT).check_host(host)


@pytest.mark.parametrize(
    ("allowed", "host", "address"),
    [
        (["10.0.0.0/8"], "data.internal", "10.1.2.3"),
        (["10.1.2.3"], "10.1.2.3", "10.1.2.3"),
        (["10.0.0.0/8"], "data.internal", "::ffff:10.1.2.3"),
        (["64:ff9b::/96"], "data.internal", "64:ff9b::10.1.2.3"),
        (["fd00::/8"], "data.internal", "fd12::1"),
        (["data.internal"], "data.internal", "192.168.0.7"),
        (["Data.Internal."], "DATA.internal", "127.0.0.1"),
        (["127.0.0.0/8"], "localhost", "127.0.0.1"),
        (["metadata.google.internal"], "metadata.google.internal", "169.254.169.254"),
    ],
)
def test_what_the_administrator_lists_is_allowed(allowed: list[str], host: str, address: str) -> None:
    """By network, by address or by name."""
    guard = Guard(allowed, SUBJECT)
    guard.check_host(host)
    guard.check_address(host, ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("allowed", "host", "address"),
    [
        (["10.0.0.0/8"], "data.internal", "192.168.0.7"),
        (["data.internal"], "other.internal", "10.0.0.1"),
        (["internal"], "data.internal", "10.0.0.1"),
        (["data.internal"], "10.0.0.1", "10.0.0.1"),
        (["169.254.0.0/16"], "data.internal", "fd00:ec2::254"),
    ],
)
def test_the_list_allows_nothing_else(allowed: list[str], host: str, address: str) -> None:
    """A name allows no other name, and not its address when that is written instead of it."""
    guard = Guard(allowed, SUBJECT)
    with pytest.raises(StageFailure, match=f"{host} (has the address|is)"):
        guard.check_address(host, ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254", "http://[fd00:ec2::254]/x", "http://169.254.1.1:9000", "http://[::ffff:a9fe:a9fe]", "http://metadata.goog"],
)
def test_a_secret_names_no_metadata_service(url: str) -> None:
    """Its answer would be read as rows, and shown with what is wrong with them."""
    with pytest.raises(StageFailure, match=r"the Secret names the server .* (metadata service|link-local)"):
        check_endpoint(url, SUBJECT)


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1:9000", "http://127.0.0.1", "https://no-such-host.invalid", "http://localhost:9000", "nonsense"]
)
def test_a_secret_may_name_a_private_server(url: str) -> None:
    """Object stores stand in the cluster; one that is not there is found out by asking."""
    check_endpoint(url, SUBJECT)
