"""Transport by aiohttp's client, and WebSockets. Only here, aiohttp's exceptions are converted into GatewayError."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from types import SimpleNamespace, TracebackType
from typing import Literal, TypeAlias

import aiohttp
from aiohttp.http import WSMessageNoDecodeText
from multidict import CIMultiDictProxy
from yarl import URL

from gateway.config.sections import TimeoutsConfig
from gateway.errors import GatewayError, OutOfDescriptors, UpstreamDropped, UpstreamTruncated
from gateway.gemini import errors as failure
from gateway.upstream import descriptors
from gateway.upstream.connector import Connector, was_reused
from gateway.upstream.resolver import Resolver
from gateway.upstream.transport import WRITTEN_AT_ONCE, Body, check_path, lost, silent, unreadable, unsent
from gateway.upstream.upload import Upload

_UNSENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
"""Exceptions of a connection that could not be made."""
UpstreamSocket = aiohttp.ClientWebSocketResponse[Literal[False]]
"""A WebSocket to Google. Text is not decoded."""
Message: TypeAlias = WSMessageNoDecodeText
"""A message of such a WebSocket."""
_HANDSHAKE = 20.0
"""Seconds in which a WebSocket is opened."""
_REFUSAL = 64 * 1024
"""Bytes that are read of the refusal of a handshake."""
_PING = 20.0
"""Seconds without a byte after which a WebSocket is pinged; it is lost if half of it passes without a pong."""
_CLOSE = aiohttp.ClientWSTimeout(ws_close=1.0)
"""Seconds in which Google may answer a close frame."""
_BUFFER = 16 * 1024
"""Half of the bytes that wait in a connection before reading is paused."""


class AiohttpTransport:
    """Transport for the origin of `url`, through a proxy if there is one. `tls` is None for plain HTTP."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        resolver: Resolver,
        timeouts: TimeoutsConfig,
        tls: ssl.SSLContext | None,
        proxy: str | None,
    ) -> None:
        self._origin = str(URL(url).origin())
        self._write = timeouts.write
        self._proxy = proxy
        self._connector = Connector(resolver, tls)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            # `connect` bounds name, all addresses and TLS together; pooled connections start no timer.
            timeout=aiohttp.ClientTimeout(total=None, connect=timeouts.connect, sock_read=timeouts.idle),
            headers=headers,
            read_bufsize=_BUFFER,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
        )
        # aiohttp follows the redirect of a handshake, and would send the key to another host
        stops = aiohttp.TraceConfig()
        stops.on_request_redirect.append(_stop)
        stops.on_request_end.append(_check_handshake)
        self._sockets = aiohttp.ClientSession(
            connector=self._connector,
            connector_owner=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=timeouts.connect),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[stops],
        )

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: Body, *, whole: bool = False
    ) -> "AiohttpResponse":
        """Send a request; see `Transport.request`."""
        check_path(path)
        with _converted_errors():
            return AiohttpResponse(
                await self._send(method, URL(self._origin + path, encoded=True), headers, body)
            )

    async def websocket(self, path: str, headers: Mapping[str, str], largest: int) -> UpstreamSocket:
        """Open a WebSocket whose messages have at most `largest` bytes. Raises GatewayError for a refusal."""
        check_path(path)
        with _converted_errors():
            async with asyncio.timeout(_HANDSHAKE):
                return await self._sockets.ws_connect(
                    URL(self._origin + path, encoded=True),
                    headers=headers,
                    proxy=self._proxy,
                    max_msg_size=largest,
                    heartbeat=_PING,
                    timeout=_CLOSE,
                    decode_text=False,
                )

    async def close(self) -> None:
        """Close all connections."""
        await self._sockets.close()
        await self._session.close()

    def _payload(self, body: Body) -> bytes | Upload | None:
        """Return a body as it is to be sent: a large or streamed one in pieces, each with a deadline."""
        if body is None or (isinstance(body, bytes) and len(body) < WRITTEN_AT_ONCE):
            return body
        return Upload(body, self._write)

    async def _send(
        self, method: str, url: URL, headers: Mapping[str, str], body: Body
    ) -> aiohttp.ClientResponse:
        try:
            return await self._session.request(
                method,
                url,
                data=self._payload(body),
                headers=headers,
                proxy=self._proxy,
                # A redirect would send the key to another host.
                allow_redirects=False,
            )
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if descriptors.is_shortage(error):
                raise OutOfDescriptors from error
            if not was_reused() or not (body is None or isinstance(body, bytes)):
                raise
            self._connector.close_idle()  # the others have most likely been closed, too
            raise UpstreamDropped("The upstream closed a connection instead of answering.") from error


class AiohttpResponse:
    """aiohttp's response, with the errors of the gateway."""

    __slots__ = ("_response", "content_type", "headers", "status")
    is_over = False

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.content_type = response.content_type
        self.headers: CIMultiDictProxy[str] = response.headers

    def forget_headers(self) -> None:
        """Do nothing: aiohttp's response keeps them, too."""

    async def read(self) -> bytes:
        """Return what has arrived, at least one byte; b"" at the end. Raises UpstreamError."""
        with _converted_errors():
            return await self._response.content.readany()

    def arrived(self, most: int) -> None:
        """Return None: aiohttp's response can only be read."""

    def push_to(self, take: Callable[[bytes], bool]) -> None:
        """Return None: aiohttp's response can only be read."""

    def close(self) -> None:
        """Cut the connection, unless all of the response has arrived."""
        self._response.close()


class _converted_errors:  # noqa: N801 - used as a statement
    """Context that converts aiohttp's exceptions into GatewayError. Messages contain no address and no key."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None or isinstance(error, GatewayError):
            return
        if isinstance(error.__cause__, GatewayError):  # of the client's upload, which aiohttp reads
            raise error.__cause__
        if isinstance(error, _UNSENT):
            raise _unsent(error) from error
        if isinstance(error, TimeoutError):
            raise silent() from error
        if isinstance(error, aiohttp.ClientPayloadError):
            raise UpstreamTruncated("The upstream stream ended before completion.") from error
        if isinstance(error, aiohttp.ClientConnectionError | OSError):
            raise lost() from error
        if isinstance(error, aiohttp.ClientError | ValueError):
            raise unreadable() from error


async def _stop(*_: SimpleNamespace | aiohttp.ClientSession | aiohttp.TraceRequestRedirectParams) -> None:
    raise unreadable()


async def _check_handshake(_: object, __: object, ended: aiohttp.TraceRequestEndParams) -> None:
    """Raise GatewayError with Google's words for a handshake that it refuses: aiohttp leaves its body unread."""
    response = ended.response
    if response.status < 400:
        return
    try:
        body = await response.content.read(_REFUSAL)
    finally:
        response.close()
    raise failure.from_response(response.status, body, response.headers)


def _unsent(error: Exception) -> GatewayError:
    """Return the error for a connection that could not be made."""
    by_name = isinstance(error, aiohttp.ClientConnectorDNSError)
    # the resolver hides the lack of a descriptor
    return unsent(
        timeout=isinstance(error, TimeoutError),
        short=descriptors.is_shortage(error) or (by_name and descriptors.are_short()),
        final=by_name or isinstance(error, aiohttp.ClientSSLError),
    )
