"""Limit of connections per client address."""

from collections import Counter
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any

from gateway.config.sections import ConnectionsConfig
from gateway.exchange.incoming.client_address import host_of


class AddressLimit:
    """Counts the connections of each address. Proxies that are trusted, and Unix sockets, are not counted.

    An IPv6 address counts as its /64: a host chooses freely in it (RFC 4291, 2.5.4).
    """

    def __init__(self, limits: ConnectionsConfig) -> None:
        self._most = limits.per_address
        self._counts: Counter[str] = Counter()
        self._places: dict[object, str] = {}
        self.refused = 0
        """Connections refused since the start."""
        networks = limits.networks()

        @lru_cache(4096)
        def place(host: str) -> str:
            """Return the name under which an address counts; "" for a trusted proxy."""
            address = ip_address(host.partition("%")[0])
            if isinstance(address, IPv6Address):
                address = address.ipv4_mapped or address
            return "" if any(address in network for network in networks) else host_of(host)

        self._place = place

    def enter(self, connection: object, peer: Any) -> bool:
        """Count a connection. Return False, and count nothing, if its address has too many.

        `peer` is the socket's address: a tuple that begins with the host, or another value for a Unix socket.
        """
        place = self._place(peer[0]) if isinstance(peer, tuple) else ""
        if not place:
            return True
        if self._counts[place] >= self._most:
            self.refused += 1
            return False
        self._counts[place] += 1
        self._places[connection] = place
        return True

    def leave(self, connection: object) -> None:
        """Forget a connection."""
        place = self._places.pop(connection, "")
        if place:
            self._counts[place] -= 1
            if not self._counts[place]:
                del self._counts[place]
