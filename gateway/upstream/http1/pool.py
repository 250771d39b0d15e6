"""The connections to one origin."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM, AddressFamily, SocketKind

import aiohappyeyeballs
from yarl import URL

from gateway.config.sections import TimeoutsConfig
from gateway.errors import BadRequest, OutOfDescriptors, UpstreamDropped
from gateway.upstream import descriptors
from gateway.upstream.http1.connection import Connection
from gateway.upstream.http1.inflated import InflatedResponse
from gateway.upstream.resolver import Resolver
from gateway.upstream.transport import (
    IDLE_SECONDS,
    READ_AT_ONCE,
    WRITTEN_AT_ONCE,
    Body,
    Response,
    check_path,
    unsent,
)
from gateway.upstream.turns import in_turns

_NEXT_ADDRESS = 0.25
"""Seconds after which the next address is tried beside a silent one (RFC 8305, section 5)."""
_MOST_FORMS = 256
"""Heads of requests that are remembered: most name one of a few models, and have the same headers."""
_LONG_PATH = 200
_TICK = 1.0
"""Seconds between two looks at all connections."""

AddressInfo = tuple[AddressFamily, SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]]


class Http1Pool:
    """Transport for the origin of `url`. The connection that was used last is used next.

    `headers` are sent with every request. `tls` is None for plain HTTP.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        resolver: Resolver,
        timeouts: TimeoutsConfig,
        tls: ssl.SSLContext | None,
    ) -> None:
        origin = URL(url)
        self._host = origin.raw_host or ""
        self._port = origin.port or 0
        self._tls = tls
        host = f"[{self._host}]" if ":" in self._host else self._host
        fixed = {"Host": host if origin.is_default_port() else f"{host}:{self._port}", **headers}
        self._headers = {name.lower(): f"{name}: {value}\r\n" for name, value in fixed.items()}
        self._form = lru_cache(_MOST_FORMS)(self._new_form)
        self._resolver = resolver
        self._connect = timeouts.connect
        self.idle = timeouts.idle
        self.total = timeouts.total
        self.write = timeouts.write
        self.buffer = memoryview(bytearray(READ_AT_ONCE))
        self._free: dict[Connection, None] = {}
        """Connections that wait for a request, the one that was used last at the end."""
        self._all: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        """Looks at all connections: one timer for all is cheaper than one for each."""
        self._tick = min(_TICK, self.idle / 4, self.total / 4)
        self._loop = asyncio.get_running_loop()

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: Body, *, whole: bool = False
    ) -> Response:
        """Send a request; see `Transport.request`. The body is bytes or None."""
        if not (body is None or isinstance(body, bytes)):
            raise TypeError("uploads go by aiohttp's client")
        head = self._head(method, path, headers, body)
        connection = self._take() or await self._new()
        try:
            if body is None or len(body) < WRITTEN_AT_ONCE:
                response = connection.send(head + body if body else head, whole=whole)
            else:
                response = await connection.send_large(head, body, whole=whole)
            try:
                await response.head()
            except BaseException:  # whoever is cancelled here does not want the response
                response.close()
                raise
            response.raise_early()
        except UpstreamDropped:
            self.close_idle()  # the others have most likely been closed, too
            raise
        return InflatedResponse(response) if response.is_compressed else response

    async def close(self) -> None:
        """Cut all connections."""
        if self._timer is not None:
            self._timer.cancel()
        if self._all:
            for connection in self._all:
                connection.abort()
            await asyncio.sleep(0)  # the loop closes their sockets

    def close_idle(self) -> None:
        """Cut the connections that wait for a request."""
        for connection in self._free:
            connection.abort()
        self._free.clear()

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._free[connection] = None

    def lost(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self._all.discard(connection)
        self._free.pop(connection, None)

    def _head(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        """Return the request line and the headers. Raises BadRequest for a character that could end one of them."""
        form = self._form if len(path) < _LONG_PATH else self._new_form
        head = form(method, path, *headers)
        for name, value in headers.items():
            _check(value)
            head += f"{name}: {value}\r\n"
        length = f"Content-Length: {len(body)}\r\n\r\n" if body is not None else "\r\n"
        return (head + length).encode("utf-8", "surrogateescape")

    def _new_form(self, method: str, path: str, *names: str) -> str:
        """Return the head of a request before some headers. Raises BadRequest, also for one of their names."""
        check_path(path)
        _check(method + "".join(names))
        own = {name.lower() for name in names}
        fixed = "".join(line for name, line in self._headers.items() if name not in own)
        return f"{method} {path} HTTP/1.1\r\n{fixed}"

    def _take(self) -> Connection | None:
        """Return the connection that was used last and still lives."""
        while self._free:
            connection, _ = self._free.popitem()
            if not connection.is_usable:
                continue
            if self._loop.time() - connection.since > IDLE_SECONDS:
                connection.abort()
                continue
            return connection
        return None

    def _watch(self) -> None:
        """Cut connections that have waited for a request for too long, and end requests of silent upstreams."""
        self._timer = self._loop.call_later(self._tick, self._watch) if self._all else None
        in_turns(self._loop, self._all, self._check_times)

    def _check_times(self, connections: Sequence[Connection]) -> None:
        now, free = self._loop.time(), self._free
        for connection in connections:
            if connection not in free:
                connection.check_time(now)
            elif now - connection.since > IDLE_SECONDS:
                del free[connection]
                connection.abort()

    async def _new(self) -> Connection:
        """Return a new connection. Raises UpstreamError or OutOfDescriptors."""
        by_name = False
        try:
            async with asyncio.timeout(self._connect):
                by_name = True
                addresses = await self._addresses()
                by_name = False
                return await self._connected(addresses)
        except TimeoutError:
            raise unsent(timeout=True) from None
        except OSError as error:
            # the resolver hides the lack of a descriptor
            if descriptors.is_shortage(error) or (by_name and descriptors.are_short()):
                raise OutOfDescriptors from error
            raise unsent(final=by_name or isinstance(error, ssl.SSLError)) from error

    async def _connected(self, addresses: list[AddressInfo]) -> Connection:
        loop = self._loop
        sock = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS, interleave=1, loop=loop
        )
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self, loop),
                sock=sock,
                ssl=self._tls,
                server_hostname=self._host if self._tls else None,
            )
        except BaseException:
            sock.close()
            raise
        self._keep(connection)
        return connection

    def _keep(self, connection: Connection) -> None:
        self._all.add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick, self._watch)

    async def _addresses(self) -> list[AddressInfo]:
        """Return the addresses of the origin. Raises OSError."""
        try:
            is_v6 = ip_address(self._host).version == 6
        except ValueError:
            results = await self._resolver.resolve(self._host, self._port, AddressFamily.AF_UNSPEC)
            return [_info(result["host"], self._port, result["family"] == AF_INET6) for result in results]
        return [_info(self._host, self._port, is_v6)]


def _check(text: str) -> None:
    """Raise BadRequest for a character that could end a line of the head."""
    if "\r" in text or "\n" in text or "\0" in text:
        raise BadRequest("A header of the request has a character that HTTP does not allow there.")


def _info(host: str, port: int, is_v6: bool) -> AddressInfo:
    if is_v6:
        return AF_INET6, SOCK_STREAM, IPPROTO_TCP, "", (host, port, 0, 0)
    return AF_INET, SOCK_STREAM, IPPROTO_TCP, "", (host, port)
