"""Reads a request's JSON body, and accounts for the memory that it takes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from time import monotonic
from typing import TypeVar

import msgspec
from aiohttp import hdrs, web
from aiohttp.compression_utils import HAS_ZSTD
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.streams import StreamReader
from msgspec import Raw, Struct

from gateway.conversation.foreign.originals import NO_PLACEHOLDERS, Placeholders, fitted
from gateway.conversation.invalid import not_json, place_of, undecodable
from gateway.conversation.plain import MOST_BYTES
from gateway.errors import BadRequest, GatewayError, TooLarge
from gateway.exchange.context import CONTEXT, RequestContext
from gateway.exchange.offload import HEAVY, offload
from gateway.gemini import json_shape
from gateway.policy.load.memory import MemoryHold

T = TypeVar("T")


class _Named(msgspec.Struct):
    """The one field of a body that a refusal's log line needs."""

    model: str


TOO_LARGE = "The request body is larger than `limits.body` allows."
_PLAIN = ("", "identity")
ENCODINGS = ("gzip", "deflate", *(("zstd",) if HAS_ZSTD else ()))
"""Content codings that aiohttp decompresses, piece by piece, each bounded. Codex compresses with zstd."""
COPIES = 4
"""Copies of a body that exist at once: its pieces or bytes, the decoded text, and the encoded call of Gemini."""
_WIDE_COPIES = 3
"""More of them, by size, for text that Python stores with four bytes for each character."""
_VALUE = 200
"""Bytes of the objects that a JSON value becomes, at most."""
_SMALL = 8 * 1024
"""Bytes up to which a body is not looked at: it counts as if it consisted of the smallest values."""
_SMALL_COPIES = 12
_STEADY = 32 * 1024
"""Bytes of a streamed body that arrive within its time limit at least."""
_ANNOUNCED = 5.0
"""Seconds for which the memory of a body that has not arrived is reserved."""
_RECEIVED: web.RequestKey[bool] = web.RequestKey("received", bool)
"""Set while the request object keeps the body for `read_bytes`."""
_decode_named = msgspec.json.Decoder(_Named).decode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class Body(Struct, eq=False):
    """A JSON object as it was received: its bytes, and its fields undecoded."""

    data: bytes
    _fields: dict[str, Raw] | None = None
    """Without them, they are read and checked when they are needed."""

    @property
    def fields(self) -> dict[str, Raw]:
        """The fields. Raises BadRequest as `parse` does."""
        if self._fields is None:
            self._fields = parse(self.data).fields
        return self._fields

    @property
    def heavy(self) -> bool:
        """True for a body so large that it is decoded and translated in a thread."""
        return len(self.data) > HEAVY

    def decode(self, decoder: Callable[[bytes], T], placeholders: Placeholders = NO_PLACEHOLDERS) -> T:
        """Return the decoded body. Raises BadRequest with the path of the first field that is wrong.

        What does not fit its type and has a placeholder is left for `conversation.foreign`.
        """
        try:
            return decoder(self.data)
        except msgspec.ValidationError as error:
            if not placeholders:
                raise undecodable(*place_of(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise not_json(error) from None
        try:
            return decoder(fitted(self.fields, placeholders))
        except msgspec.ValidationError as error:
            raise undecodable(*place_of(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise not_json(error) from None


async def read_body(request: web.Request, message: bytes | None = None) -> Body:
    """Return the JSON object that a client sent, whatever its Content-Type says.

    `message` has come in a WebSocket, in place of a body; its bytes are accounted for as a body's are.

    Raises TooLarge over `limits.body`, Overloaded when `limits.memory` is in use, and BadRequest for anything that is
    not a JSON object.
    """
    if message is None:
        check_encoding(request)
        data = await read_bytes(request)
    else:
        data = message
    context = request.get(CONTEXT)
    body = await _accounted(data, context)
    if context is None or context.hooks is None:
        return body
    changed = await context.hooks.request(data, context)
    if changed is None:
        return body
    context.memory.admit(len(changed))
    return await offload(len(changed) > HEAVY, parse, changed)


async def _accounted(data: bytes, context: RequestContext | None) -> Body:
    """Return a JSON object, with the memory that decoding it takes in the request's account."""
    body, size = await offload(len(data) > HEAVY, _parse_and_size, data)
    if context is not None:
        context.memory.covered += len(data)
        if size:
            context.memory.admit(size)
    return body


async def read_plain(request: web.Request, decode: Callable[[bytes], T]) -> tuple[Body, T | None]:
    """Return what `read_body` returns, and the small body that `decode` takes, decoded.

    `decode` raises msgspec.DecodeError for all but the plainest JSON objects. A body of which it has read each byte
    needs no other look.
    """
    context = request.get(CONTEXT)
    if context is None or context.hooks is not None:
        return await read_body(request), None
    data = _arrived(request, context.memory)
    if data is None:
        check_encoding(request)
        data = await read_bytes(request, context.memory)
    if len(data) <= MOST_BYTES and not json_shape.has_long_number(data, json_shape.MOST_LONG_DIGITS):
        try:
            plain = decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        else:
            context.memory.covered += len(data)
            if len(data) > _SMALL:
                context.memory.admit(_decoded_size(data))
            return Body(data), plain
    return await _accounted(data, context), None


def check_encoding(request: web.Request, readable: Sequence[str] = ENCODINGS) -> None:
    """Raise BadRequest (415) for a body in another coding than the readable ones (RFC 9110, section 15.5.16)."""
    encoding = request.headers.get("Content-Encoding", "").lower()
    if encoding not in _PLAIN and encoding not in readable:
        names = f", or as {', '.join(readable)}" if readable else ""
        raise BadRequest(
            f"Content-Encoding is not supported: send the body uncompressed{names}.",
            status=415,
            code="unsupported_encoding",
        )


async def receive(request: web.Request) -> None:
    """Wait for a whole body, which `read_bytes` or aiohttp's `request.read` then returns.

    Raises as `read_bytes` does. A body that `check_encoding` refuses is not waited for.
    """
    if request.headers.get("Content-Encoding", "").lower() in (*_PLAIN, *ENCODINGS):
        request._read_bytes = await read_bytes(request)  # noqa: SLF001
        request[_RECEIVED] = True


async def read_bytes(request: web.Request, hold: MemoryHold | None = None) -> bytes:
    """Return the bytes that a client sent. Raises TooLarge over `limits.body`, and Overloaded.

    The request object does not keep them, as it would after aiohttp's `request.read`. `hold` is the request's memory.
    """
    data = request._read_bytes  # noqa: SLF001
    if data is not None:  # `receive` or a plugin's `around` has read the body
        if request.pop(_RECEIVED, False):
            request._read_bytes = None  # noqa: SLF001
        return data
    most = request.client_max_size
    length = 0 if "Content-Encoding" in request.headers else request.content_length or 0
    if length > most:
        raise TooLarge(TOO_LARGE)
    hold = hold or memory(request)
    if 0 < length <= _SMALL:
        hold.admit(length * _SMALL_COPIES)
        return await _joined(request, most, lambda _: None)
    with _Reservation(hold, length) as reservation:
        return await _joined(request, most, reservation.arrived)


def _arrived(request: web.Request, hold: MemoryHold) -> bytes | None:
    """Return a small body that has arrived in one piece, and that nothing has read; None for another.

    It is taken as it lies in aiohttp's reader, whose methods resume reading, which nothing has paused.
    """
    content = request._payload  # noqa: SLF001
    if (
        type(content) is not StreamReader
        or not content._eof  # noqa: SLF001
        or len(content._buffer) != 1  # noqa: SLF001
        or content._buffer_offset  # noqa: SLF001
        or content._size > _SMALL  # noqa: SLF001
        or content._size > request.client_max_size  # noqa: SLF001
        or request._read_bytes is not None  # noqa: SLF001
        or hdrs.CONTENT_ENCODING in request._message.headers  # noqa: SLF001
    ):
        return None
    hold.admit(content._size * _SMALL_COPIES)  # noqa: SLF001
    content._size = 0  # noqa: SLF001
    return content._buffer.popleft()  # noqa: SLF001


async def named_model(request: web.Request) -> str | None:
    """Return the model in a body that has arrived and is not read, for the log line of a request that is refused.

    None for a body that names none, is large, compressed or no JSON.
    """
    if (request.content_length or 0) > HEAVY or "Content-Encoding" in request.headers:
        return None
    try:
        return _decode_named(await read_bytes(request)).model
    except (GatewayError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


async def read_pieces(request: web.Request, timeout: float) -> AsyncIterator[bytes]:  # noqa: ASYNC109
    """Yield a body as it arrives. Raises BadRequest (408) if it brings less than 32 KiB per `timeout` seconds.

    Only time in which the client is waited for counts, on average since the beginning.
    """
    content, pace = request.content, Pace(timeout)
    while True:
        began = monotonic()
        data = await content.readany()
        if not data:
            return
        pace.arrived(len(data), began)
        yield data


class Pace:
    """Pace of a streamed body, which must bring 32 KiB per `timeout` seconds, on average since the beginning."""

    def __init__(self, timeout: float) -> None:
        self.size = 0
        """Bytes that have arrived."""
        self._timeout = timeout
        self._waited = 0.0

    def arrived(self, size: int, began: float) -> None:
        """Count bytes that were waited for since `began`. Raises BadRequest (408) for a body that is too slow."""
        self._waited += monotonic() - began
        self.size += size
        if self._waited > self._timeout * (1 + self.size / _STEADY):
            raise BadRequest(
                "The request was not complete in time: its body arrives too slowly.",
                status=408,
                code="request_timeout",
            )


def memory(request: web.Request) -> MemoryHold:
    """Return the memory that a request holds. A request of the admin API is not accounted for."""
    context = request.get(CONTEXT)
    return context.memory if context is not None else MemoryHold.uncounted()


async def _joined(request: web.Request, most: int, arrived: Callable[[int], None]) -> bytes:
    content = request.content
    pieces, size = [], 0
    try:
        while data := await content.readany():
            size += len(data)
            if size > most:
                raise TooLarge(TOO_LARGE)
            arrived(len(data))
            pieces.append(data)
    except (ContentEncodingError, web.RequestPayloadError):
        if "Content-Encoding" not in request.headers:
            raise
        raise BadRequest(
            "The request body is not in its Content-Encoding.", status=415, code="invalid_encoding"
        ) from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Reservation:
    """Memory of a body that arrives: reserved as its length was announced, or taken as it grows.

    A client that announces much and sends little holds the reservation for a few seconds only.
    """

    def __init__(self, hold: MemoryHold, announced: int) -> None:
        self._hold = hold
        self._size = 0
        self._taken = announced
        hold.admit(announced * COPIES)

    def __enter__(self) -> "_Reservation":
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_ANNOUNCED, self._release) if self._taken > HEAVY else None
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._release()

    def arrived(self, size: int) -> None:
        """Count bytes that have arrived. Raises Overloaded."""
        self._size += size
        if self._size > self._taken:
            self._hold.admit((self._size - self._taken) * COPIES)
            self._taken = self._size

    def _release(self) -> None:
        """Give back what is reserved for bytes that have not arrived."""
        self._hold.give((self._taken - self._size) * COPIES)
        self._taken = self._size


def _parse_and_size(data: bytes) -> tuple[Body, int]:
    """Return a JSON object, and the bytes that decoding it takes beyond `COPIES` of it, estimated from above."""
    body = parse(data)
    return body, _decoded_size(data) if len(data) > _SMALL else 0


def _decoded_size(data: bytes) -> int:
    # one byte is looked for much faster than two, and a picture has none
    wide = not data.isascii() or (b"\\" in data and b"\\u" in data)
    return _VALUE * min(json_shape.count(data, b","), json_shape.MOST_MARKS) + (
        _WIDE_COPIES * len(data) if wide else 0
    )


def parse(data: bytes) -> Body:
    """Return a JSON object whose shape has been checked. Raises BadRequest for anything else."""
    json_shape.check(data)
    try:
        fields = _decode_fields(data)
        json_shape.check_text(data, fields)
        return Body(data, fields)
    except msgspec.ValidationError:
        raise BadRequest("The request body must be a JSON object.", code="invalid_type") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from None
