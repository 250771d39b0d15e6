"""Limit of connections per client address."""

import pytest

from gateway.config.sections import ConnectionsConfig
from gateway.server.connection.addresses import AddressLimit


def limit(most: int = 2, *trusted: str) -> AddressLimit:
    return AddressLimit(ConnectionsConfig(per_address=most, trusted_proxies=trusted))


@pytest.mark.row("A27")
def test_a27_an_address_has_so_many_connections_and_no_more() -> None:
    addresses = limit()
    peer = ("192.0.2.1", 50000)

    assert [addresses.enter(name, peer) for name in "abc"] == [True, True, False]
    assert addresses.enter("d", ("192.0.2.2", 50000))
    addresses.leave("c")  # it never entered
    assert not addresses.enter("e", peer)
    addresses.leave("a")
    addresses.leave("a")
    assert [addresses.enter(name, peer) for name in "fg"] == [True, False]
    assert addresses.refused == 3


@pytest.mark.row("A27")
@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_a27_one_host_s_addresses_are_one(first: str, second: str, together: bool) -> None:
    addresses = limit(1)

    assert addresses.enter(1, (first, 1, 0, 0))
    assert addresses.enter(2, (second, 1, 0, 0)) is not together


@pytest.mark.row("A27")
@pytest.mark.parametrize(
    "peer", ["", None, b"", ("127.0.0.1", 1), ("10.1.2.3", 1), ("::ffff:10.1.2.3", 1, 0, 0)]
)
def test_a27_proxies_and_unix_sockets_are_not_counted(peer: object) -> None:
    addresses = limit(1, "127.0.0.0/8", "10.0.0.0/8")

    assert all(addresses.enter(number, peer) for number in range(5))


def test_what_has_left_is_not_kept() -> None:
    addresses = limit(10)
    for number in range(100):
        addresses.enter(number, (f"192.0.2.{number}", 1))
    for number in range(100):
        addresses.leave(number)

    assert not addresses._counts
    assert not addresses._places
