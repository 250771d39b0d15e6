"""The calls of Gemini: what is sent, which answers are usable, and how long they may take."""

import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Self

from yarl import URL

from gateway import __version__
from gateway.config.sections import UpstreamConfig
from gateway.errors import GatewayError, UpstreamError, UpstreamTruncated
from gateway.gemini import errors as failure
from gateway.gemini.call import GeminiCall
from gateway.gemini.large_error import shortened
from gateway.policy.memory import MemoryHold
from gateway.policy.ssrf import is_private_name
from gateway.upstream.aiohttp_transport import AiohttpTransport, UpstreamSocket
from gateway.upstream.causes import Reach
from gateway.upstream.http1.pool import Http1Pool
from gateway.upstream.resolver import Resolver
from gateway.upstream.transport import Body, Response, Transport, tls_context, too_slow

MAX_BODY = 64 * 1024 * 1024
"""Bytes of an answer that is read as a whole."""
_MAX_ERROR_BODY = 256 * 1024
_UNCOUNTED = 64 * 1024
"""Bytes of an answer up to which it is not accounted for."""
ANSWER_COPIES = 4
"""Copies of a whole answer that exist at once: its pieces and bytes, its decoded text, and the client's answer."""
_KNOWN_TYPES = ("application/json", "text/event-stream")
_API_CLIENT = f"gemini-gateway/{__version__}"

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
    """Client for Gemini's API. An async context manager that owns its connections."""

    def __init__(self, config: UpstreamConfig) -> None:
        self._config = config
        base = URL(config.base_url)
        self._host = base.raw_host
        self._root = base.raw_path.rstrip("/")
        """Path of `base_url`."""
        self._base = f"{self._root}/{config.api_version}/"
        self._resolver = Resolver(self._refuses_private)
        self._reach = Reach(config)

    def is_stuck(self, seconds: float) -> bool:
        """Return whether one lookup in DNS has taken so long."""
        return self._resolver.is_stuck(seconds)

    async def __aenter__(self) -> Self:
        config, times = self._config, self._config.timeouts
        url = config.base_url
        tls = tls_context() if url.startswith("https:") else None
        own = not config.proxy and config.transport == "http1"
        self._uploads = AiohttpTransport(url, _HEADERS, self._resolver, times, tls, config.proxy)
        self._transport: Transport = (
            Http1Pool(url, _HEADERS, self._resolver, times, tls) if own else self._uploads
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()
        await self._uploads.close()

    def _refuses_private(self, host: str) -> bool:
        """Return whether a private address is refused for a host: it would receive the keys."""
        return host == self._host and not (self._config.private_addresses or is_private_name(host))

    async def send(self, call: GeminiCall, key: str, memory: MemoryHold | None = None) -> bytes:
        """Return the whole body of a 200, accounted for in `memory`. Raises GatewayError for anything else."""
        until = monotonic() + self._config.timeouts.total
        try:
            response = await self._request(call.path, call.encode(), key, whole=True)
            data = response.arrived(_UNCOUNTED)
            return data if data is not None else await _read(response, MAX_BODY, until, memory)
        except UpstreamTruncated as error:
            error.most_attempts = 2  # Google has made the whole answer, and bills each one
            raise

    async def open(self, call: GeminiCall, key: str) -> "Incoming":
        """Return a 200 whose body is yet to be read. Raises GatewayError for anything else."""
        until = self._deadline()
        return Incoming(await self._request(call.path, call.encode(), key, whole=False), until)

    async def ask(self, path: str, body: bytes | None, key: str, memory: MemoryHold | None = None) -> bytes:
        """Return the body of a 200, to a POST if there is a body, otherwise to a GET.

        It is accounted for in `memory`. Raises GatewayError for anything else.
        """
        until = self._deadline()
        return await _read(await self._request(path, body, key, whole=True), MAX_BODY, until, memory)

    async def forward(
        self, method: str, path: str, headers: Mapping[str, str], body: Body, key: str
    ) -> "Forwarded":
        """Return the answer to any call, whatever its status. An empty key sends no key header.

        Raises GatewayError if there is no answer.
        """
        until = self._deadline()
        # the parser of `http1` would wait for the body whose length the answer to a HEAD announces
        is_plain = (body is None or isinstance(body, bytes)) and method != "HEAD"
        try:
            response = await (self._transport if is_plain else self._uploads).request(
                method, self._root + path, {**headers, "x-goog-api-key": key} if key else headers, body
            )
        except UpstreamError as error:
            self._reach.explain(error)
            raise
        self._reach.succeeded()
        if not 200 <= response.status < 600:
            response.close()
            raise UpstreamError(
                f"The upstream answered {response.status}, which is no status of an answer.",
                code="upstream_bad_response",
            )
        return Forwarded(response, until)

    async def websocket(self, path: str, headers: Mapping[str, str], largest: int) -> UpstreamSocket:
        """Open a WebSocket whose messages have at most `largest` bytes. Raises GatewayError."""
        try:
            socket = await self._uploads.websocket(self._root + path, headers, largest)
        except UpstreamError as error:
            self._reach.explain(error)
            raise
        self._reach.succeeded()
        return socket

    async def _request(self, path: str, body: bytes | None, key: str, *, whole: bool) -> Response:
        """Return a 200 of a known type. Raises GatewayError for anything else."""
        try:
            response = await self._transport.request(
                "GET" if body is None else "POST",
                self._base + path,
                {"x-goog-api-key": key},
                body,
                whole=whole,
            )
        except UpstreamError as error:
            self._reach.explain(error)
            raise
        self._reach.succeeded()
        if response.status == 200 and response.content_type in _KNOWN_TYPES:
            if not whole:  # a stream may live for an hour
                response.forget_headers()
            return response
        try:
            raise await _refusal(response, self._deadline())
        finally:
            response.close()

    def _deadline(self) -> float:
        """Return when an answer that begins now must have ended."""
        return monotonic() + self._config.timeouts.total


class Incoming:
    """Streamed answer. A context manager, which closes the connection unless all of the answer was read."""

    __slots__ = (
        "_response", "_until",
    )  # fmt: skip

    def __init__(self, response: Response, until: float) -> None:
        self._response = response
        self._until = until

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()

    def read(self) -> Awaitable[bytes]:
        """Return the next bytes; b"" at the end. Raises UpstreamError, and UpstreamTimeout after `timeouts.total`."""
        if monotonic() > self._until:
            raise too_slow()
        return self._response.read()

    @property
    def is_over(self) -> bool:
        """Whether all of the answer was read; only the end is left to read, where the transport knows it."""
        return self._response.is_over

    def push_to(self, take: Callable[[bytes], bool]) -> Awaitable[None] | None:
        """Give what arrives to `take`, see `Response.push_to`."""
        return self._response.push_to(take)


class Forwarded(Incoming):
    """Streamed answer with its status and headers."""

    def __init__(self, response: Response, until: float) -> None:
        super().__init__(response, until)
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def refusal(self) -> bytes:
        """Return the body of an error. One that is larger than 256 KiB is replaced by its first words."""
        return await _error_body(self._response, self._until)

    async def whole(self) -> bytes:
        """Return the rest of the body. Raises UpstreamError if it is larger than 256 KiB."""
        return await _read(self._response, _MAX_ERROR_BODY, self._until)


async def _refusal(response: Response, until: float) -> GatewayError:
    """Return the error for an answer that is not a usable 200."""
    status = response.status
    if status < 400:
        return UpstreamError(
            f"The upstream answered {status} {response.content_type}, which is not a Gemini answer.",
            code="upstream_bad_response",
            upstream_status=status,
        )
    return failure.from_response(status, await _error_body(response, until), response.headers)


async def _error_body(response: Response, until: float) -> bytes:
    """Return the body of an error, as far as it arrives in time.

    A body above the bound is replaced by its first words. Google repeats what a client wrote, so a client decides how
    large it is: the status alone says whether the client or Google is at fault.
    """
    pieces, size = [], 0
    with suppress(GatewayError):
        while size <= _MAX_ERROR_BODY and monotonic() <= until and (data := await response.read()):
            pieces.append(data)
            size += len(data)
    body = b"".join(pieces)
    return body if size <= _MAX_ERROR_BODY else shortened(response.status, body)


async def _read(
    response: Response, limit: int, until: float = math.inf, memory: MemoryHold | None = None
) -> bytes:
    """Return the body. Raises UpstreamError above `limit` bytes, UpstreamTimeout after `until`, and Overloaded."""
    pieces, size, taken = [], 0, 0
    try:
        while data := await response.read():
            if monotonic() > until:
                raise too_slow()
            size += len(data)
            if size > limit:
                raise UpstreamError(
                    f"The upstream's answer is larger than {limit} bytes.", code="upstream_bad_response"
                )
            if memory is not None and size > _UNCOUNTED:
                memory.take((size - taken) * ANSWER_COPIES)
                taken = size
            pieces.append(data)
            if response.is_over:
                break
    except BaseException:
        if memory is not None:
            memory.give(taken * ANSWER_COPIES)
        raise
    finally:
        response.close()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
