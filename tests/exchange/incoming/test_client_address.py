"""The address of a client, over TCP and over nginx's Unix socket."""

from typing import Any
from unittest.mock import Mock

from aiohttp.test_utils import make_mocked_request

from gateway.exchange.incoming.client_address import client_address, host_of


def request(peer: Any) -> Any:
    transport = Mock()
    transport.get_extra_info.side_effect = lambda name, default=None: peer if name == "peername" else default
    return make_mocked_request("GET", "/", headers={"X-Real-IP": "198.51.100.7"}, transport=transport)


def test_the_header_counts_on_a_unix_socket_only() -> None:
    assert client_address(request(("203.0.113.5", 4711))) == "203.0.113.5"
    assert client_address(request("")) == "198.51.100.7"


def test_a_host_of_ipv6_has_one_name() -> None:
    assert host_of("2001:db8::1") == host_of("2001:db8:0:0:ffff::2%eth0") == "2001:0db8:0000:0000"
    assert host_of("2001:db8:0:1::1") != host_of("2001:db8::1")
    assert host_of("::ffff:203.0.113.5") == "203.0.113.5"
    assert host_of("") == ""
    assert host_of("unknown") == "unknown"
