"""The response of a streamed answer."""

from collections import deque
from collections.abc import Mapping
from functools import cached_property

from aiohttp import ClientConnectionResetError, web
from aiohttp.http_writer import StreamWriter
from aiohttp.http_writer import _serialize_headers as serialized
from aiohttp.streams import StreamReader
from multidict import CIMultiDict

from gateway.exchange.context import RequestContext

STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
_NO_DATA: deque[bytes] = deque()
"""The data of a body that was read. Nothing is added to it."""
_MOST_SIZES = 512
_SIZES = [b"%x\r\n" % size for size in range(_MOST_SIZES)]
"""Beginnings of chunks (RFC 9112, 7.1), which take a third of an event's framing to format."""
_END = b"0\r\n\r\n"
"""The last chunk of a body (RFC 9112, 7.1)."""


class EventStream(web.StreamResponse):
    """A response whose head waits for the first data, and shares its write.

    Unless aiohttp has more to do than to frame chunks, they are written here: that is several calls less for each.
    """

    is_sent = False
    """Whether it was written to its end, on a connection that stays open."""
    last_write = 0.0
    """Time of the last writing, by the loop's clock."""
    _writer: StreamWriter
    """aiohttp's writer of the body, once `begin` was called."""
    _send_headers_immediately = False
    _head: bytes | None = None
    """The part of the head that was not written yet; None where aiohttp writes."""
    _is_usual = False
    """Whether the server has given the head."""

    def __init__(self) -> None:
        # All that aiohttp's constructor sets, but for the headers, which few streams need.
        self._state = {}
        self._status, self._reason = 200, "OK"

    @cached_property
    def _headers(self) -> CIMultiDict[str]:  # type: ignore[override]  # aiohttp's is an attribute, too
        return CIMultiDict()

    async def begin(self, request: web.Request, headers: Mapping[str, str], context: RequestContext) -> None:
        """Make the head of status 200."""
        headers = {**STREAM_HEADERS, **headers}
        usual = context.stream_head and context.stream_head(request, headers, context)
        writer = request.writer
        assert isinstance(writer, StreamWriter)  # noqa: S101 - aiohttp's server has no other
        self._writer = writer
        if usual:
            # What aiohttp's `prepare` sets.
            self._req, self._payload_writer = request, writer
            self._keep_alive, self._must_be_empty_body = True, False
            self._is_usual = writer.chunked = True
            self._head = serialized("HTTP/1.1 200 OK", usual)  # type: ignore[arg-type]  # any mapping
            return
        self.headers.update(headers)
        await self.prepare(request)
        del self._headers  # the head is made, and a stream may live for an hour
        if writer.chunked and writer._compress is None:  # noqa: SLF001 - aiohttp does not tell
            self._head, writer._headers_buf = writer._headers_buf, None  # noqa: SLF001
            writer._headers_written = True  # noqa: SLF001

    def push(self, data: bytes, now: float) -> bool:
        """Write a chunk after the first one. Return False, having written nothing, if that has to wait.

        `now` is the time of `time.monotonic`, which is the clock of both event loops.
        """
        writer = self._writer
        protocol = writer._protocol  # noqa: SLF001 - each of aiohttp's properties costs a call
        transport = protocol.transport
        if (
            self._head is None
            or protocol._paused  # noqa: SLF001
            or transport is None
            or transport.is_closing()
        ):
            return False
        self.last_write = now
        size = len(data)
        chunk = (_SIZES[size] if size < _MOST_SIZES else b"%x\r\n" % size) + data + b"\r\n"
        writer.output_size += len(chunk)  # WriteDeadline reads it
        transport.write(chunk)
        return True

    async def send(self, data: bytes, undrained: int) -> None:
        """Write a chunk. Waits for the client after `undrained` bytes. Raises ConnectionError."""
        writer = self._writer
        self.last_write = writer.loop.time()
        if self._head is None:
            await writer.write(data, LIMIT=undrained)
            return
        is_first = bool(self._head)
        self._write(data)
        if is_first:
            _rest(self._req)
        if writer.buffer_size > undrained:
            writer.buffer_size = 0
            await writer.drain()

    async def end(self, data: bytes) -> None:
        """Write the last chunk and the end of the body. Raises ConnectionError."""
        writer = self._writer
        self.last_write = writer.loop.time()
        if self._head is None:
            await self.write_eof(data)
            return
        self._write(data, _END)
        self._req = self._payload_writer = None
        self._eof_sent, self.is_sent = True, self._is_usual
        if writer._protocol._paused:  # noqa: SLF001
            await writer.drain()

    def _write(self, data: bytes, end: bytes = b"") -> None:
        """Write what is left of the head, a chunk, and perhaps the end of the body, in one go."""
        writer, head = self._writer, self._head or b""
        transport = writer._protocol.transport  # noqa: SLF001
        if transport is None or transport.is_closing():
            raise ClientConnectionResetError("Cannot write to closing transport")
        self._head = b""
        out = b"".join((head, b"%x\r\n" % len(data), data, b"\r\n", end)) if data else head + end
        if out:
            writer.buffer_size += len(out)
            writer.output_size += len(out)
            transport.write(out)


def _rest(request: web.BaseRequest | None) -> None:
    """Free what aiohttp keeps of a request for the rest of its body, and for idle time: a stream may live for an hour.

    That is the block of an empty deque, and the timer of the time before the first request.
    """
    if request is None:
        return
    content, protocol = request.content, request.protocol
    if type(content) is StreamReader and content.is_eof():
        content._buffer = _NO_DATA  # noqa: SLF001
    protocol.keep_alive(bool(protocol._keepalive))  # noqa: SLF001 - it ends the timer
