"""One connection to the upstream: writes requests, and parses what comes back into their responses."""

import asyncio
import socket
from contextlib import suppress
from functools import lru_cache
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from gateway.errors import UpstreamDropped, UpstreamError, UpstreamTruncated
from gateway.upstream.http1.response import Http1Response
from gateway.upstream.transport import (
    HIGH_WATER,
    STREAMED_AT_ONCE,
    UNKNOWN_TYPE,
    WRITTEN_AT_ONCE,
    lost,
    silent,
    too_slow,
    unreadable,
)

_MOST_HEAD = 64 * 1024
"""Bytes of a response's status and headers, informational responses included."""
_MOST_TYPE = 256
"""Bytes of `Content-Type` that are read."""
_SWITCHING = 101
_FRAMING = (b"content-length", b"transfer-encoding")
_LENGTHS = frozenset(map(len, (*_FRAMING, b"content-type", b"content-encoding")))


class Owner(Protocol):
    """The pool, as its connections see it."""

    idle: float
    """Seconds of silence after which a request has failed."""
    total: float
    """Seconds after which a request has failed although its answer still arrives."""
    write: float
    """Seconds in which the upstream has to take each piece of a large body."""
    buffer: memoryview
    """Memory that all connections read into: a read is parsed before the next one begins."""

    def give_back(self, connection: "Connection") -> None:
        """Keep a connection for the next request."""

    def lost(self, connection: "Connection") -> None:
        """Forget a connection that has ended."""


class Connection(asyncio.BufferedProtocol):
    """One connection. While `_response` is None, it waits in the pool or has been cut.

    A transport hands a plain `asyncio.Protocol` up to 256 KB at once, which is more than may wait for a slow client.
    """

    __slots__ = (
        "_began", "_body", "_buffer", "_drained", "_has_answered", "_is_clean", "_is_full", "_is_paused", "_is_whole",
        "_is_writing", "_keeps", "_owner", "_parser", "_pieces", "_received", "_response", "_trailers", "_transport",
        "_until_close", "loop", "on_body", "since",
    )  # fmt: skip

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._buffer = owner.buffer
        """Part of the memory that the next read may fill."""
        self.loop = loop
        self._transport: asyncio.Transport | None = None
        self._response: Http1Response | None = None
        self._body: list[bytes] = []
        """Body of the read that is being parsed."""
        self.on_body = self._body.append
        """httptools calls it for each piece."""
        self._parser = HttpResponseParser(self)
        self._began = 0.0
        """Time of the beginning of the request."""
        self.since = 0.0
        """Time of the last sending or receiving, by the loop's clock."""
        self._has_answered = False
        """Whether it has carried a response before."""
        self._trailers = 0
        """Bytes of names and values after the body."""
        self._received = 0
        """Bytes up to the end of the response's head."""
        self._is_whole = False
        """Whether the response has ended within this read."""
        self._pieces = 0
        """Number of pieces of `_body` that belong to the response that has ended."""
        self._keeps = False
        """Whether the upstream keeps the connection after the response."""
        self._is_clean = True
        """Whether nothing came after the end of the response."""
        self._until_close = True
        """Whether the response has neither a length nor chunks: it ends with the connection."""
        self._is_paused = False
        """Whether reading waits for the response's reader."""
        self._is_writing = False
        self._is_full = False
        """Whether the transport's buffer is full."""
        self._drained: asyncio.Future[None] | None = None

    @property
    def is_usable(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes, *, whole: bool) -> Http1Response:
        """Send a request, or its beginning, and return the response, whose head is not there yet."""
        response = Http1Response(self, HIGH_WATER if whole else 1)
        self._response = response
        self._buffer = self._owner.buffer if whole else self._owner.buffer[:STREAMED_AT_ONCE]
        self._received = self._trailers = 0
        self._until_close = True
        self.since = self._began = self.loop.time()
        transport = self._transport
        assert transport is not None  # noqa: S101 - the pool gives no other
        transport.write(data)
        return response

    async def send_large(self, head: bytes, body: bytes, *, whole: bool) -> Http1Response:
        """Send a request whose body takes a while, and return the response. Raises UpstreamTimeout."""
        self._is_writing = True
        response = self.send(head, whole=whole)
        try:
            await self._write_slowly(response, body)
        except BaseException:
            response.close()
            raise
        return response

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    async def _write_slowly(self, response: Http1Response, body: bytes) -> None:
        """Write a large body, so that other requests run meanwhile. A response that comes before ends the writing.

        Raises UpstreamTimeout.
        """
        view, transport = memoryview(body), self._transport
        for start in range(0, len(view), WRITTEN_AT_ONCE):
            if response.status or response.error is not None or transport is None or transport.is_closing():
                return
            transport.write(view[start : start + WRITTEN_AT_ONCE])
            await self._drain()
            self.since = self.loop.time()
        self._is_writing = False

    async def _drain(self) -> None:
        """Wait until the transport's buffer has room. Raises UpstreamTimeout."""
        if not self._is_full:
            await asyncio.sleep(0)
            return
        self._drained = self.loop.create_future()
        try:
            async with asyncio.timeout(self._owner.write):
                await self._drained
        except TimeoutError:
            raise silent() from None
        finally:
            self._drained = None

    def _stop_waiting(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def leave(self) -> None:
        """Cut the connection: the reader does not want the rest of the response."""
        self._response = None
        self.abort()

    def read_on(self) -> None:
        """Resume reading, because the reader has caught up."""
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
            self.since = self.loop.time()

    def acknowledge_later(self) -> None:
        """Let the kernel acknowledge every second of the small pieces of a stream (tcp(7), TCP_QUICKACK).

        Otherwise it sends a packet for each of them when it is read. The kernel ends this by itself when an
        acknowledgement has waited for 40 ms: a sender that waits for it (Nagle's algorithm) waits once.
        """
        own = self._transport.get_extra_info("socket") if self._transport is not None else None
        if own is not None:
            with suppress(OSError):  # of a connection that has just been lost
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)

    def check_time(self, now: float) -> None:
        """End a request whose answer takes too long, or whose upstream is silent while the reader waits for it."""
        if self._response is None:
            return
        if now - self._began > self._owner.total:
            self._fail(too_slow())
        elif self._is_paused:
            self.since = now
        elif now - self.since > self._owner.idle:
            self._fail(silent())

    def _fail(self, error: UpstreamError) -> None:
        response, self._response = self._response, None
        self.abort()
        self._stop_waiting()
        if response is not None:
            response.fail(error)

    # called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport of a new connection."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next read goes."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what has arrived. Bytes that nobody has asked for cut the connection."""
        response = self._response
        if response is None:
            self.abort()
            return
        self.since = self.loop.time()
        if not response.status:
            self._received += nbytes
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except (HttpParserError, HttpParserUpgrade) as error:
            self._is_clean = False
            if not self._is_whole:
                reason = error.__context__
                self._fail(reason if isinstance(reason, UpstreamError) else unreadable())
                return
        if not response.status and self._received > _MOST_HEAD:
            self._fail(unreadable())
            return
        if self._is_whole:
            del self._body[self._pieces :]  # of another response, which nobody has asked for
        if self._body:
            has_room = response.feed(self._body, last=self._is_whole)
            self._body.clear()
            if not (has_room or self._is_paused or self._is_whole) and self._transport is not None:
                self._is_paused = True
                self._transport.pause_reading()
        if self._is_whole:
            self._finish(response)

    def _finish(self, response: Http1Response) -> None:
        """End the response, and keep the connection if it is as good as new."""
        transport = self._transport
        self._response, self._is_whole = None, False
        if self._is_paused:
            self.read_on()
        if self._drained is not None:
            self._stop_waiting()
        if (
            self._is_clean
            and not self._is_writing
            and transport is not None
            and not transport.get_write_buffer_size()
            and self._keeps
        ):
            self._has_answered = True
            self._owner.give_back(self)
        else:
            self.abort()
        response.end()

    def connection_lost(self, error: Exception | None) -> None:
        """End the request in progress. Only a response without a length or chunks may end with the connection."""
        self._transport = None
        self._stop_waiting()
        self._owner.lost(self)
        response, self._response = self._response, None
        if response is None:
            return
        if not response.status:
            is_dropped = self._has_answered and not self._received
            failure = _dropped() if is_dropped else lost()
            failure.__cause__ = error
            response.fail(failure)
        elif self._until_close and error is None:
            response.end()
        else:
            response.fail(UpstreamTruncated("The upstream stream ended before completion."))

    def pause_writing(self) -> None:
        """Note that the transport's buffer is full."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Note that the transport's buffer has room."""
        self._is_full = False
        self._stop_waiting()

    # called by httptools

    def on_message_begin(self) -> None:
        """Note a response after the end of the one that was asked for."""
        if self._is_whole:
            self._is_clean = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. Trailers are only counted (RFC 9110, section 6.5.1): nothing depends on them."""
        response = self._response
        if response is None or self._is_whole:
            return
        if not response.status:
            response.raw_headers.append((name, value))
            return
        self._trailers += len(name) + len(value)
        if self._trailers > _MOST_HEAD:
            raise unreadable()

    def on_headers_complete(self) -> None:
        """Begin the response, unless it is an informational one. Raises UpstreamError."""
        response = self._response
        if response is None or self._is_whole:
            return
        status = self._parser.get_status_code()
        if status == _SWITCHING or (self._received > _MOST_HEAD and _size(response.raw_headers) > _MOST_HEAD):
            raise unreadable()
        if status < 200:
            response.raw_headers.clear()
            return
        content_type, coding = UNKNOWN_TYPE, b""
        for name, value in response.raw_headers:
            if len(name) not in _LENGTHS:  # most headers
                continue
            name = name.lower()
            if name == b"content-type":
                content_type = _media_type(value)
            elif name == b"content-encoding":
                coding = value
            elif name in _FRAMING:
                self._until_close = False
        response.begin(status, content_type, coding)
        if self._drained is not None:
            self._stop_waiting()

    def on_message_complete(self) -> None:
        """Note the end of the response; what the same read brings after it is not parsed into it."""
        response = self._response
        if response is not None and response.status and not self._is_whole:
            self._is_whole, self._pieces = True, len(self._body)
            self._keeps = self._parser.should_keep_alive()


@lru_cache(64)
def _media_type(value: bytes) -> str:
    """Return the media type in lower case, without parameters."""
    return value[:_MOST_TYPE].partition(b";")[0].strip().lower().decode("latin-1")


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    """Return the bytes of names and values."""
    return sum(len(name) + len(value) for name, value in headers)


def _dropped() -> UpstreamDropped:
    return UpstreamDropped("The upstream closed a connection instead of answering.")
