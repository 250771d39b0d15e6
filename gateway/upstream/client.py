"""HTTP client for Gemini. The only place that converts aiohttp's exceptions into GatewayError."""

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from functools import lru_cache
from time import monotonic
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from gateway import __version__
from gateway.config.sections import UpstreamConfig
from gateway.errors import (
    GatewayError,
    OutOfDescriptors,
    UpstreamDropped,
    UpstreamError,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnreachable,
)
from gateway.gemini import errors as failure
from gateway.gemini.call import GeminiCall
from gateway.gemini.large_error import shortened
from gateway.policy.memory import MemoryHold
from gateway.policy.ssrf import is_private_name
from gateway.upstream import descriptors
from gateway.upstream.connector import Connector, was_reused
from gateway.upstream.resolver import Resolver
from gateway.upstream.upload import Upload

MAX_BODY = 64 * 1024 * 1024
"""Bytes of an answer that is read as a whole."""
_MAX_ERROR_BODY = 256 * 1024
_WRITTEN_AT_ONCE = 64 * 1024
"""Bytes that fit into the buffer of a connection. A larger body is sent in pieces, each with a deadline."""
_PIECE = 16 * 1024
"""Bytes of a stream that are read at once, and that wait in a connection before reading is paused.

A client that does not read makes the gateway stop reading, and what has been read by then takes memory.
"""
_UNCOUNTED = 64 * 1024
"""Bytes of an answer up to which it is not accounted for."""
ANSWER_COPIES = 4
"""Copies of a whole answer that exist at once: its pieces and bytes, its decoded text, and the client's answer."""
_LONGEST_CACHED = 512
"""Characters of a path whose URL is kept: twice those of a model name."""
_TOO_SLOW = "The upstream did not complete its answer in time."
_KNOWN_TYPES = ("application/json", "text/event-stream")
_API_CLIENT = f"gemini-gateway/{__version__}"
_SILENT = "The upstream did not answer in time."
_UNREACHABLE = "The upstream cannot be reached."

HOP = "x-gemini-gateway-hop"
"""Header of every call, which the gateway refuses in a request: `upstream.base_url` must not be its own address."""

_HEADERS = {
    HOP: "1",
    "Content-Type": "application/json",
    "User-Agent": _API_CLIENT,
    "x-goog-api-client": _API_CLIENT,
    # A decompressor may hold back events until its window is full.
    "Accept-Encoding": "identity",
}


class GeminiClient:
    """Client for Gemini's API. An async context manager that owns the session."""

    def __init__(self, config: UpstreamConfig) -> None:
        self._config = config
        self._base = f"{config.base_url.rstrip('/')}/{config.api_version}/"
        self._short_url = lru_cache(1024)(self._new_url)
        self._resolver = Resolver(self._refuses_private)
        self._session: aiohttp.ClientSession | None = None

    def _new_url(self, path: str) -> URL:
        return URL(self._base + path, encoded=True)

    def _url(self, path: str) -> URL:
        """Return the URL of a path below the API version, from a cache if it is short: clients choose the paths."""
        return self._short_url(path) if len(path) <= _LONGEST_CACHED else self._new_url(path)

    def is_stuck(self, seconds: float) -> bool:
        """Return whether one lookup in DNS has taken so long."""
        return self._resolver.is_stuck(seconds)

    async def __aenter__(self) -> Self:
        timeouts = self._config.timeouts
        self._connector = Connector(self._resolver)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            # `connect` bounds name, all addresses and TLS together; pooled connections start no timer.
            timeout=aiohttp.ClientTimeout(total=None, connect=timeouts.connect, sock_read=timeouts.idle),
            headers=_HEADERS,
            read_bufsize=_PIECE,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def _refuses_private(self, host: str) -> bool:
        """Return whether a private address is refused for a host: it would receive the keys."""
        own = URL(self._config.base_url).raw_host
        return host == own and not (self._config.private_addresses or is_private_name(host))

    async def send(self, call: GeminiCall, key: str, memory: MemoryHold | None = None) -> bytes:
        """Return the whole body of a 200, accounted for in `memory`. Raises GatewayError for anything else."""
        until = self._deadline()
        try:
            with _converted_errors():
                async with await self._post(call, key) as response:
                    return await _read(response, MAX_BODY, until, memory)
        except UpstreamTruncated as error:
            error.most_attempts = 2  # Google has made the whole answer, and bills each one
            raise

    async def open(self, call: GeminiCall, key: str) -> "Incoming":
        """Return a 200 whose body is yet to be read. Raises GatewayError for anything else."""
        until = self._deadline()
        with _converted_errors():
            return Incoming(await self._post(call, key), until)

    async def ask(self, path: str, body: bytes | None, key: str, memory: MemoryHold | None = None) -> bytes:
        """Return the body of a 200, to a POST if there is a body, otherwise to a GET.

        It is accounted for in `memory`. Raises GatewayError for anything else.
        """
        until = self._deadline()
        with _converted_errors():
            async with await self._request(path, body, key) as response:
                return await _read(response, MAX_BODY, until, memory)

    async def forward(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None,
        key: str,
    ) -> "Forwarded":
        """Return the answer to any call, whatever its status. An empty key sends no key header.

        Raises GatewayError if there is no answer.
        """
        url = URL(self._config.base_url.rstrip("/") + path, encoded=True)
        until = self._deadline()
        with _converted_errors():
            response = await self._send(
                method, url, body, {**headers, "x-goog-api-key": key} if key else headers
            )
        if not 200 <= response.status < 600:
            response.close()
            raise UpstreamError(
                f"The upstream answered {response.status}, which is no status of an answer.",
                code="upstream_bad_response",
            )
        return Forwarded(response, until)

    def _payload(self, body: bytes | AsyncIterator[bytes] | None) -> bytes | Upload | None:
        """Return a body as it is to be sent: a large or streamed one in pieces, each with a deadline."""
        if body is None or (isinstance(body, bytes) and len(body) < _WRITTEN_AT_ONCE):
            return body
        return Upload(body, self._config.timeouts.write)

    async def _post(self, call: GeminiCall, key: str) -> aiohttp.ClientResponse:
        return await self._request(call.path, call.encode(), key)

    async def _request(self, path: str, body: bytes | None, key: str) -> aiohttp.ClientResponse:
        method = "GET" if body is None else "POST"
        response = await self._send(method, self._url(path), body, {"x-goog-api-key": key})
        if response.status == 200 and response.content_type in _KNOWN_TYPES:
            return response
        async with response:
            raise await _refusal(response, self._deadline())

    async def _send(
        self, method: str, url: URL, body: bytes | AsyncIterator[bytes] | None, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """Return the head of an answer. Raises UpstreamDropped if a request on a pooled connection can be repeated."""
        assert self._session is not None, "used outside its context"  # noqa: S101
        try:
            return await self._session.request(
                method,
                url,
                data=self._payload(body),
                headers=headers,
                proxy=self._config.proxy,
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

    def _deadline(self) -> float:
        """Return when an answer that begins now must have ended."""
        return monotonic() + self._config.timeouts.total


class Incoming:
    """Streamed answer: an async iterator of bytes within `async with`, which closes the connection."""

    def __init__(self, response: aiohttp.ClientResponse, until: float) -> None:
        self._response = response
        self._until = until

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._response.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        with _converted_errors():
            data = await self._response.content.read(_PIECE)
        if not data:
            raise StopAsyncIteration
        if monotonic() > self._until:
            raise UpstreamTimeout(_TOO_SLOW)
        return data


class Forwarded(Incoming):
    """Streamed answer with its status and headers."""

    def __init__(self, response: aiohttp.ClientResponse, until: float) -> None:
        super().__init__(response, until)
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def refusal(self) -> bytes:
        """Return the body of an error. One that is larger than 256 KiB is replaced by its first words."""
        return await _error_body(self._response, self._until)

    async def whole(self) -> bytes:
        """Return the rest of the body. Raises UpstreamError if it is larger than 256 KiB."""
        with _converted_errors():
            return await _read(self._response, _MAX_ERROR_BODY, self._until)


def _unsent(error: Exception) -> GatewayError:
    """Return the error for a connection that could not be made: Google has not got the call."""
    result: UpstreamError
    by_name = isinstance(
        error, aiohttp.ClientConnectorDNSError
    )  # the resolver hides the lack of a descriptor
    if descriptors.is_shortage(error) or (by_name and descriptors.are_short()):
        return OutOfDescriptors()
    if isinstance(error, TimeoutError):
        result = UpstreamTimeout(_SILENT)
    else:
        result = UpstreamUnreachable(_UNREACHABLE)
        if isinstance(error, aiohttp.ClientConnectorDNSError | aiohttp.ClientSSLError):
            result.most_attempts = 1  # the next attempt would meet the same name or certificate
    result.sent = False
    return result


async def _refusal(response: aiohttp.ClientResponse, until: float) -> GatewayError:
    """Return the error for an answer that is not a usable 200."""
    status = response.status
    if status < 400:
        return UpstreamError(
            f"The upstream answered {status} {response.content_type}, which is not a Gemini answer.",
            code="upstream_bad_response",
            upstream_status=status,
        )
    return failure.from_response(status, await _error_body(response, until), response.headers)


async def _error_body(response: aiohttp.ClientResponse, until: float) -> bytes:
    """Return the body of an error, as far as it arrives in time.

    A body above the bound is replaced by its first words. Google repeats what a client wrote, so a client decides how
    large it is: the status alone says whether the client or Google is at fault.
    """
    pieces, size = [], 0
    with suppress(aiohttp.ClientError, OSError):  # TimeoutError is an OSError
        while size <= _MAX_ERROR_BODY and monotonic() <= until and (data := await response.content.readany()):
            pieces.append(data)
            size += len(data)
    body = b"".join(pieces)
    return body if size <= _MAX_ERROR_BODY else shortened(response.status, body)


async def _read(
    response: aiohttp.ClientResponse, limit: int, until: float = math.inf, memory: MemoryHold | None = None
) -> bytes:
    """Return the body. Raises UpstreamError above `limit` bytes, UpstreamTimeout after `until`, and Overloaded."""
    content = response.content
    pieces, size, taken = [], 0, 0
    try:
        while data := await content.readany():
            if monotonic() > until:
                raise UpstreamTimeout(_TOO_SLOW)
            size += len(data)
            if size > limit:
                raise UpstreamError(
                    f"The upstream's answer is larger than {limit} bytes.", code="upstream_bad_response"
                )
            if memory is not None and size > _UNCOUNTED:
                memory.take((size - taken) * ANSWER_COPIES)
                taken = size
            pieces.append(data)
    except BaseException:
        if memory is not None:
            memory.give(taken * ANSWER_COPIES)
        raise
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _converted_errors:  # noqa: N801 - used as a statement
    """Context that converts aiohttp's exceptions into GatewayError. Messages contain no address and no key."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None or isinstance(error, GatewayError):
            return
        if isinstance(error.__cause__, GatewayError):  # of the client's upload, which aiohttp reads
            raise error.__cause__
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            raise _unsent(error) from error
        if isinstance(error, TimeoutError):
            raise UpstreamTimeout(_SILENT) from error
        if isinstance(error, aiohttp.ClientPayloadError):
            raise UpstreamTruncated("The upstream stream ended before completion.") from error
        if isinstance(error, aiohttp.ClientConnectionError | OSError):
            raise UpstreamError(_UNREACHABLE, code="upstream_unreachable") from error
        if isinstance(error, aiohttp.ClientError | ValueError):
            raise UpstreamError(
                "The upstream's answer cannot be read.", code="upstream_bad_response"
            ) from error
