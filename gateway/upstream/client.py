"""The calls of Gemini: what is sent, which answers are usable, and how long they may take."""

import math
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Self

import msgspec
from yarl import URL

from gateway import __version__
from gateway.config.sections import ProjectConfig, UpstreamConfig
from gateway.errors import BadRequest, GatewayError, UpstreamError, UpstreamTruncated
from gateway.gemini import errors as failure
from gateway.gemini.call import GeminiCall
from gateway.gemini.large_error import shortened
from gateway.gemini.vertex import gemini_answer, vertex_call
from gateway.policy.load.memory import MemoryHold
from gateway.policy.pool.vertex_key import VertexKey
from gateway.policy.ssrf import is_private_name
from gateway.upstream.aiohttp_transport import AiohttpTransport, UpstreamSocket
from gateway.upstream.causes import Reach
from gateway.upstream.http1.pool import Http1Pool
from gateway.upstream.resolver import Resolver
from gateway.upstream.transport import Body, Response, Transport, tls_context, too_slow
from gateway.upstream.vertex.projects import VertexProjects, hosts

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


_OF_CLIENTS = ("content-type", "accept", "x-server-timeout", "x-goog-api-client")
"""Headers of a native call that Vertex AI is sent. Others could change who pays, as x-goog-user-project does."""


class GeminiClient:
    """Client for Gemini's API. An async context manager that owns its connections.

    A call with a VertexKey goes to that project on Vertex AI.
    """

    def __init__(self, config: UpstreamConfig, projects: Sequence[ProjectConfig] = ()) -> None:
        self._config = config
        self._projects = projects
        base = URL(config.base_url)
        self._hosts = {base.raw_host, *hosts(projects)}
        self._root = base.raw_path.rstrip("/")
        """Path of `base_url`."""
        self._base = f"{self._root}/{config.api_version}/"
        self._resolver = Resolver(self._refuses_private)
        self._reach = Reach(config)

    def is_stuck(self, seconds: float) -> bool:
        """Return whether one lookup in DNS has taken so long."""
        return self._resolver.is_stuck(seconds)

    async def __aenter__(self) -> Self:
        self._uploads = self._by_aiohttp(self._config.base_url)
        self._transport = self._by_http1(self._config.base_url) if self._is_own else self._uploads
        opened = self._by_http1 if self._is_own else self._by_aiohttp
        self._vertex = VertexProjects(self._config, self._projects, opened)
        return self

    @property
    def _is_own(self) -> bool:
        """Whether calls are made by the gateway's own transport."""
        return not self._config.proxy and self._config.transport == "http1"

    def _by_http1(self, url: str) -> Transport:
        return Http1Pool(url, _HEADERS, self._resolver, self._config.timeouts, _tls(url))

    def _by_aiohttp(self, url: str) -> AiohttpTransport:
        config = self._config
        return AiohttpTransport(url, _HEADERS, self._resolver, config.timeouts, _tls(url), config.proxy)

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()
        await self._uploads.close()
        await self._vertex.close()

    def _refuses_private(self, host: str) -> bool:
        """Return whether a private address is refused for a host: it would receive the keys."""
        return host in self._hosts and not (self._config.private_addresses or is_private_name(host))

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
        data = await _read(await self._request(path, body, key, whole=True), MAX_BODY, until, memory)
        return _gemini_answer(path, data) if isinstance(key, VertexKey) else data

    async def forward(
        self, method: str, path: str, headers: Mapping[str, str], body: Body, key: str
    ) -> "Forwarded":
        """Return the answer to any call, whatever its status. An empty key sends no key header.

        Raises GatewayError if there is no answer.
        """
        until = self._deadline()
        if isinstance(key, VertexKey):
            return Forwarded(await self._ask_vertex(_below_version(path), body, key, headers), until)
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
        if isinstance(key, VertexKey):
            response = await self._ask_vertex(path, body, key, None, whole=whole)
        else:
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

    async def _ask_vertex(
        self, path: str, body: Body, key: VertexKey, headers: Mapping[str, str] | None, *, whole: bool = False
    ) -> Response:
        """Return the answer of a project on Vertex AI, whatever its status. `headers` are those of a native call."""
        if not isinstance(body, bytes):
            raise TypeError("the pool chooses Vertex AI for calls with a whole body only")
        try:
            call = vertex_call(path, body, own=headers is None)
        except (ValueError, RecursionError):
            raise BadRequest("The request body must be a JSON object.", code="invalid_type") from None
        sent = {k: v for k, v in headers.items() if k.lower() in _OF_CLIENTS} if headers is not None else None
        return await self._vertex.request(key, "POST", call.path, call.body, sent, whole=whole)

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


def _tls(url: str) -> ssl.SSLContext | None:
    return tls_context() if url.startswith("https:") else None


def _below_version(path: str) -> str:
    """Return the rest of `/v1beta/models/…`."""
    return path.split("/", 2)[-1]


def _gemini_answer(path: str, data: bytes) -> bytes:
    try:
        return gemini_answer(path, data)
    except msgspec.DecodeError:
        raise UpstreamError("The upstream's answer cannot be read.", code="upstream_bad_response") from None


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
