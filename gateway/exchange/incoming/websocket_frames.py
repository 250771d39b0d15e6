"""The receiving side of a client's WebSocket (RFC 6455, section 5): the memory of messages, their deadline, their mask.

aiohttp's parser tells neither where a message begins nor how much of it has arrived. So the heads of frames are read
beside it.
"""

from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web
from aiohttp.http import WS_CLOSING_MESSAGE, WebSocketError, WebSocketWriter

from gateway.errors import BadRequest, Forbidden, GatewayError, Overloaded, forget_frames
from gateway.exchange.incoming.request_body import COPIES
from gateway.exchange.replies.delivery import UNDRAINED
from gateway.policy.load.memory import MemoryHold

_CLOSE_TIMEOUT = 1.0
"""Seconds in which a client may answer a close frame."""
_OVERHEAD = 256
"""Bytes of the objects that a message or control frame becomes, however short it is."""
_STEADY = 32 * 1024
"""Bytes of a message that arrive within its time limit at least, on average."""
_LAST, _CONTROL, _MASKED, _LENGTH = 0x80, 0x08, 0x80, 0x7F
"""Bits of the first byte of a frame, and of the second (RFC 6455, section 5.2)."""
_LENGTH_BYTES = {126: 2, 127: 8}
_HEAD = 10
"""Most bytes of a head without its mask."""
_MASK = 4
_MOST_FRAGMENTS = 1000
"""Fragments of a message beside one for each 256 bytes of it: clients fragment by their buffers, if at all."""
_FRAGMENT = 256
_MOST_CONTROL = 125
"""Most bytes of a control frame's payload (RFC 6455, section 5.5)."""


class Frames:
    """aiohttp's parser of frames with an account of what has arrived and was not taken yet.

    The memory for bytes is taken before they are parsed.
    """

    def __init__(self, parser: Any, memory: MemoryHold, copies: int = COPIES) -> None:
        self._parser = parser
        self._memory = memory
        self._copies = copies
        self._head = b""
        """Bytes of a head that is not complete."""
        self._left = 0
        """Bytes of the frame that have not arrived, with its mask."""
        self._first = 0
        """First byte of the frame."""
        self._begun = -1
        """Bytes that are held for the message that is not complete; -1 without one."""
        self._complete: deque[int] = deque()
        """Bytes that are held for each message that is complete."""
        self._arrived = 0
        """Bytes of the message that is not complete."""
        self._fragments = 0
        """Frames of the message that is not complete."""
        self._since = self._heard = 0.0
        """Time of the first bytes of what is not complete, and of the last ones; 0 while nothing is awaited."""

    def feed_eof(self) -> None:
        self._parser.feed_eof()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Account for bytes, and parse them. Raises Overloaded, and WebSocketError for a frame without a mask.

        Raises WebSocketError as well for a message in too many fragments: each costs time, however short it is.
        """
        before, now = self._arrived, monotonic()
        self._scan(data)
        if self._begun < 0 and not self._left and not self._head:
            self._since = 0.0
        elif not self._since:
            self._since = self._heard = now
        elif self._arrived > before:
            self._heard = now
        result: tuple[bool, bytes] = self._parser.feed_data(data)
        return result

    @property
    def is_between(self) -> bool:
        """Whether nothing has arrived of a next message."""
        return not self._since

    def taken(self) -> MemoryHold:
        """Return what is held for the oldest complete message, as the memory of its request."""
        return self._memory.detached(self._complete.popleft())

    def read_control(self, size: int) -> None:
        """Give back what was held for a control frame with a payload of `size` bytes."""
        self._memory.give(size + _OVERHEAD)

    def is_late(self, now: float, timeout: float) -> bool:
        """Return whether a message does not go on, or brings less than 32 KiB per `timeout` seconds on average."""
        if not self._since:
            return False
        return now - self._heard > timeout or now - self._since > timeout * (1 + self._arrived / _STEADY)

    def pardon(self, now: float) -> None:
        """Begin the deadline anew: the silence was ours."""
        if self._since:
            self._since = self._heard = now

    def _scan(self, data: bytes) -> None:
        at, end = 0, len(data)
        while at < end:
            if not self._left:
                at = self._read_head(data, at)
                continue
            size = min(self._left, end - at)
            at += size
            self._left -= size
            if not self._first & _CONTROL:
                self._hold(size)
                if not self._left and self._first & _LAST:
                    self._complete.append(self._begun)
                    self._begun, self._arrived, self._fragments, self._since = -1, 0, 0, 0.0

    def _read_head(self, data: bytes, at: int) -> int:
        """Read the head of a frame, as far as it has arrived. Return the place after it."""
        before = len(self._head)
        head = self._head + data[at : at + _HEAD - before]
        if len(head) >= 2:
            if not head[1] & _MASKED:
                raise WebSocketError(WSCloseCode.PROTOCOL_ERROR, "A frame of the WebSocket is not masked.")
            length = head[1] & _LENGTH
            size = 2 + _LENGTH_BYTES.get(length, 0)
            if len(head) >= size:
                self._head = b""
                self._begin(head[0], int.from_bytes(head[2:size], "big") if size > 2 else length)
                return at + size - before
        self._head = head
        return len(data)

    def _begin(self, first: int, length: int) -> None:
        """Begin a frame."""
        self._first, self._left = first, _MASK + length
        if first & _CONTROL:
            self._memory.admit(_OVERHEAD + min(length, _MOST_CONTROL))
            return
        self._fragments += 1
        if self._fragments > _MOST_FRAGMENTS + self._arrived // _FRAGMENT:
            raise WebSocketError(WSCloseCode.POLICY_VIOLATION, "A message comes in too many fragments.")
        if self._begun < 0:
            self._memory.admit(_OVERHEAD)
            self._begun = _OVERHEAD

    def _hold(self, size: int) -> None:
        """Hold bytes of the message that has begun."""
        self._memory.admit(size * self._copies)
        self._begun += size * self._copies
        self._arrived += size


def check_origin(request: web.Request, allowed: Sequence[str]) -> None:
    """Raise Forbidden for a page of another origin: browsers let every page open a WebSocket (RFC 6455, 10.2)."""
    origin = request.headers.get("Origin")
    if origin is not None and "*" not in allowed and origin not in allowed:
        raise Forbidden("This origin is not in the gateway's `cors.origins`.")


class Socket(web.WebSocketResponse):
    """A WebSocket whose bytes are accounted for as they arrive. Compression is not offered.

    `largest` is the longest message in bytes, `copies` says how many copies of a message exist at once, and `heartbeat`
    is the time in seconds between two pings, None for none.
    """

    def __init__(
        self,
        request: web.Request,
        memory: MemoryHold,
        *,
        largest: int | None = None,
        copies: int = COPIES,
        heartbeat: float | None = None,
    ) -> None:
        super().__init__(
            timeout=_CLOSE_TIMEOUT, max_msg_size=largest or request.client_max_size, writer_limit=UNDRAINED,
            compress=False, decode_text=False, autoping=False, protocols=_offered(request), heartbeat=heartbeat,
        )  # fmt: skip
        memory.is_shared = True
        self._memory = memory
        self._copies = copies
        self._frames = Frames(None, memory, copies)
        self._protocol = request.protocol
        self._is_released = False
        self.error: GatewayError | None = None
        """Reason for which the gateway has cut the connection."""

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: WebSocketWriter) -> None:
        handler = request.protocol
        early, handler._message_tail = handler._message_tail, b""  # noqa: SLF001 - what came with the handshake
        super()._post_start(request, protocol, writer)
        self._frames = Frames(self._parser, self._memory, self._copies)
        handler._payload_parser = self  # noqa: SLF001 - aiohttp has no other way to what arrives
        if early and self.feed_data(early)[0]:
            handler.close()

    def feed_eof(self) -> None:
        """Note the end of the connection, as a parser of aiohttp's."""
        self._frames.feed_eof()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Parse bytes, as a parser of aiohttp's. The connection is cut if there is no memory for them."""
        if self._is_released:
            return True, b""
        try:
            return self._frames.feed_data(data)
        except Overloaded as error:
            self.cut(error)
        except WebSocketError as error:
            self.error = BadRequest(str(error), code="invalid_request")
            if self._reader is not None:
                self._reader.set_exception(forget_frames(error))
        return True, b""

    def cut(self, error: GatewayError) -> None:
        """End the connection without a close frame, which its client would not read."""
        self.error = forget_frames(error)
        if self._protocol.transport is not None:
            self._protocol.transport.abort()

    async def next_message(self) -> WSMessage:
        """Return the next message, or the end of the connection. Pings are answered."""
        while True:
            message: WSMessage = await self.receive()
            if message.type not in (WSMsgType.PING, WSMsgType.PONG):
                return message
            self._frames.read_control(len(message.data))
            if message.type is WSMsgType.PING:
                await self.pong(message.data)

    def stop(self) -> None:
        """End `next_message` of another task after what has arrived: nothing more is read."""
        if self._reader is not None:
            self._reader.feed_data(WS_CLOSING_MESSAGE, 0)

    def taken(self) -> MemoryHold:
        """Return the memory of the oldest message that was not taken yet, for its request."""
        return self._frames.taken()

    @property
    def is_between(self) -> bool:
        """Whether nothing has arrived of a next message."""
        return self._frames.is_between

    def is_late(self, now: float, timeout: float) -> bool:
        """Return whether a message does not arrive in time. Time in which the client is not read does not count."""
        if self._protocol._reading_paused:  # noqa: SLF001
            self._frames.pardon(now)
        return self._frames.is_late(now, timeout)

    def release(self) -> None:
        """Give all memory back, and read nothing more."""
        self._is_released = True
        self._memory.release()


def _offered(request: web.Request) -> tuple[str, ...]:
    """Return the first subprotocol that a client offers: browsers insist on one, and none changes anything."""
    first = request.headers.get("Sec-WebSocket-Protocol", "").partition(",")[0].strip()
    return (first,) if first else ()
