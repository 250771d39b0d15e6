"""WebSocket connections on `GET /v1/responses`, as https://developers.openai.com/api/docs/guides/websocket-mode says.

Each text message `response.create` is a request of its own, one after another, and its events come back as JSON
messages. It goes the way of a POST: the same limits, deadlines, exchange and log. Beyond that, a connection remembers
its last response, which the next message may continue although it was not stored.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from time import monotonic
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web
from aiohttp.http import WebSocketWriter

from gateway.errors import (
    BadRequest,
    Forbidden,
    GatewayError,
    Overloaded,
    forget_frames,
    of_cancellation,
    openai_error,
    retry_headers,
)
from gateway.exchange.context import CONTEXT, RequestContext
from gateway.exchange.delivery import UNDRAINED, TimedReply, limit_buffers
from gateway.exchange.offload import HEAVY, offload
from gateway.exchange.request_body import COPIES, Body
from gateway.plugin import Services
from gateway.plugins.responses import wire
from gateway.policy.memory import MemoryHold

MAX_AGE = 3600.0
"""Seconds after which a connection is closed, as OpenAI closes its own; a response in progress is completed first."""
_LOOK = 1.0
"""Seconds between two looks for connections to close."""
_CLOSE_TIMEOUT = 1.0
"""Seconds in which a client may answer a close frame."""
_OK = 200
_CLIENT_GONE = 499
"""nginx's status for a client that closed the connection."""
_CREATE = "response.create"
_TRANSPORT = ("type", "generate", "stream", "background")
"""Fields of a message that only say how it is answered."""
_logger = logging.getLogger("gateway.plugins.responses")
_text = msgspec.json.Decoder(str).decode

Create = Callable[["Connection", bytes], Awaitable[None]]
"""Answers one message over its connection. Raises GatewayError while no event was sent."""


def unwrapped(message: Body) -> Body:
    """Return the body of a `response.create`, as a POST has it. Raises BadRequest for any other message."""
    try:
        kind = _text(message.fields.get("type", b'""'))
    except msgspec.ValidationError:
        kind = ""
    if kind != _CREATE:
        raise BadRequest(
            f"Invalid value: '{kind[:80]}'. Supported values are: '{_CREATE}'.",
            param="type",
            code="invalid_value",
        )
    if "stream_id" in message.fields:
        raise BadRequest(
            "Unsupported parameter: 'stream_id'. Messages of one connection are answered one after another: open"
            " a connection for each conversation.",
            param="stream_id",
            code="unsupported_parameter",
        )
    fields = {name: value for name, value in message.fields.items() if name not in _TRANSPORT}
    return Body(message.data, fields)


def generates(message: Body) -> bool:
    """Return whether a message asks for output; one with `generate: false` is only to be remembered."""
    return bytes(message.fields.get("generate", b"true")) != b"false"


def events(frames: bytes) -> Iterator[bytes]:
    """Yield the payloads of server-sent events. Comments have none, and JSON has no line end of its own."""
    for frame in frames.split(b"\n\n"):
        payload = frame.partition(b"\ndata: ")[2]
        if payload:
            yield payload


def check_origin(request: web.Request, allowed: Sequence[str]) -> None:
    """Raise Forbidden for a page of another origin: browsers let every page open a WebSocket (RFC 6455, 10.2)."""
    origin = request.headers.get("Origin")
    if origin is not None and "*" not in allowed and origin not in allowed:
        raise Forbidden("This origin is not in the gateway's `cors.origins`.")


class Remembered:
    """The last response of a connection with everything before it, as JSON: the input that the next one continues."""

    def __init__(self, memory: MemoryHold) -> None:
        self._memory = memory
        self._name: str | None = None
        self._items = b""

    def is_heavy(self, name: str | None) -> bool:
        """Return whether the items up to a response are so many bytes that they are translated in a thread."""
        return name == self._name and len(self._items) > HEAVY

    async def items(self, name: str, memory: MemoryHold) -> list[Any] | None:
        """Return the items up to a response, or None for another one than the last.

        Raises Overloaded if `memory` cannot hold them and what is made of them.
        """
        if name != self._name:
            return None
        memory.admit(len(self._items) * COPIES)
        memory.covered += len(self._items)
        items: list[Any] = await offload(len(self._items) > HEAVY, msgspec.json.decode, self._items)
        return items

    async def put(self, name: str, items: list[Any], *, heavy: bool) -> None:
        """Remember a response in place of the last one; nothing if there is no memory for it."""
        data = await offload(heavy, wire.encode, items)
        self.forget()
        try:
            self._memory.take(len(data))
        except Overloaded:
            return
        self._memory.keep()
        self._name, self._items = name, data

    def forget(self) -> None:
        """Remember nothing."""
        self._name, self._items = None, b""
        self._memory.release()


class SocketReply(TimedReply):
    """The client's side of one response: each event is a message."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        services: Services,
        context: RequestContext,
        keep_alive: Callable[..., bytes],
    ) -> None:
        super().__init__(context, services.config.stream, keep_alive)
        self._socket = socket

    async def finish(self) -> web.StreamResponse:
        """Return the connection, which stays open."""
        return self._socket

    async def _send(self, data: bytes) -> None:
        self._writing = True
        self._last_write = self._loop.time()
        for event in events(data):
            self.begun = True
            await self._socket.send_frame(event, WSMsgType.TEXT)
        self._writing = False


class Connection:
    """One WebSocket. Its messages are answered in the task of its request, which its client's leaving cancels."""

    def __init__(self, request: web.Request, services: Services, create: Create) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a handler always runs in one
        self.request = request
        self.began = monotonic()
        self._task = task
        self._services = services
        self._create = create
        self._context = request[CONTEXT]
        self._arriving, kept = services.memory.open(), services.memory.open()
        self._arriving.owner = kept.owner = self._context.memory.owner
        self.remembered = Remembered(kept)
        self.socket: web.WebSocketResponse = _Accounted(
            self._arriving, request.client_max_size, _offered(request)
        )
        self._receiving: asyncio.Task[WSMessage] | None = None
        self._is_idle = False
        self._is_ending = False
        self._number = 0

    async def run(self) -> web.StreamResponse:
        """Answer messages until either side closes the connection. Return it as the request's response."""
        await self.socket.prepare(self.request)
        limit_buffers(self.request)
        try:
            self._receive()
            while (message := await self._next()) is not None:
                self._receive()  # also notices a client that leaves
                await self._answer(message)
        except ConnectionError:  # a write failed before the client's leaving was noticed
            pass
        except asyncio.CancelledError:
            if not self._is_idle:
                raise
        finally:
            self._services.running.add(self._task)
            await self._stop_receiving()
            self.remembered.forget()
            self._arriving.release()
        await self.socket.close(code=WSCloseCode.GOING_AWAY if self._is_ending else WSCloseCode.OK)
        return self.socket

    def end(self) -> None:
        """Close the connection as soon as no response is in progress."""
        self._is_ending = True
        if self._is_idle and self._receiving is not None:
            self._receiving.cancel()

    def reply(self, context: RequestContext, keep_alive: Callable[..., bytes]) -> SocketReply:
        """Return the client's side of a response."""
        return SocketReply(self.socket, self._services, context, keep_alive)

    async def send(self, frames: bytes) -> None:
        """Send the events of some frames."""
        for event in events(frames):
            await self.socket.send_frame(event, WSMsgType.TEXT)

    def _receive(self) -> None:
        self._receiving = asyncio.create_task(self.socket.receive(), name="websocket")
        self._receiving.add_done_callback(self._received)

    def _received(self, receiving: "asyncio.Task[WSMessage]") -> None:
        """Cancel the response in progress when its client has closed the connection."""
        if not self._is_idle and not receiving.cancelled() and _data(receiving) is None:
            self._task.cancel()

    async def _stop_receiving(self) -> None:
        if self._receiving is not None and not self._receiving.done():
            self._is_idle = True
            self._receiving.cancel()
            await asyncio.wait({self._receiving})

    async def _next(self) -> bytes | None:
        """Wait for a message; None at the end of the connection. A drain does not wait for it."""
        receiving = self._receiving
        if receiving is None or self._is_ending or self._services.draining():
            self._is_ending = True
            return None
        self._is_idle = True
        self._services.running.discard(self._task)
        await asyncio.wait({receiving})
        self._is_idle = False
        self._services.running.add(self._task)
        return None if receiving.cancelled() else _data(receiving)

    async def _answer(self, message: bytes) -> None:
        """Answer one message, and end it with its log line."""
        self._number += 1
        memory = self._arriving.handed_over()
        self.request[CONTEXT] = self._context.on_connection(self._number, memory)
        status = _CLIENT_GONE
        try:
            self._check_overload()
            await self._create(self, message)
            status = _OK
        except GatewayError as error:
            status = await self._fail(forget_frames(error))
        except asyncio.CancelledError as cancelled:
            reason = of_cancellation(forget_frames(cancelled))
            if reason is None:
                if self.request[CONTEXT].report.unsent == 0:  # its client left at the last byte
                    status = _OK
                raise
            status = await self._fail(reason)
        except ConnectionError:
            raise
        except Exception as error:
            _logger.exception("a message failed", exc_info=error)
            status = await self._fail(
                GatewayError("Internal gateway error; see the gateway's log for this request id.")
            )
        finally:
            memory.release()
            self._services.finished(self.request[CONTEXT], status)
            self.request[CONTEXT] = self._context

    def _check_overload(self) -> None:
        """Raise Overloaded where a POST would be refused at its first bytes."""
        overload, now = self._services.metrics.overload, monotonic()
        if not overload.admits_all(now) and overload.refusal(now, has_body=True) is not None:
            raise Overloaded("The gateway is overloaded. Please try again later.", retry_after=1)

    async def _fail(self, error: GatewayError) -> int:
        """Send the error of a message, and return its status."""
        context = self.request[CONTEXT]
        context.report.fail(error)
        body = msgspec.json.decode(openai_error(error), type=dict[str, msgspec.Raw])
        headers = {"x-request-id": context.request_id, **retry_headers(error)}
        event = {"type": "error", "status": error.status, "error": body["error"], "headers": headers}
        await self.socket.send_frame(wire.encode(event), WSMsgType.TEXT)
        return error.status


class Connections:
    """All WebSockets of the plugin. Those that are too old, or whose process is about to stop, are closed."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._open: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    async def run(self, connection: Connection) -> web.StreamResponse:
        """Serve a connection to its end."""
        self._open.add(connection)
        if self._timer is None:
            self._look()
        try:
            return await connection.run()
        finally:
            self._open.discard(connection)

    def _look(self) -> None:
        now, draining = monotonic(), self._services.draining()
        for connection in self._open:
            if draining or now - connection.began > MAX_AGE:
                connection.end()
        self._timer = asyncio.get_running_loop().call_later(_LOOK, self._look) if self._open else None


class _Accounted(web.WebSocketResponse):
    """A WebSocket whose bytes are accounted for as they arrive. Compression is not offered."""

    def __init__(self, memory: MemoryHold, most: int, protocols: tuple[str, ...]) -> None:
        super().__init__(
            timeout=_CLOSE_TIMEOUT, max_msg_size=most, writer_limit=UNDRAINED, compress=False, decode_text=False,
            protocols=protocols,
        )  # fmt: skip
        self._memory = memory

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: WebSocketWriter) -> None:
        super()._post_start(request, protocol, writer)
        request.protocol._payload_parser = _Counted(self._parser, self._memory, request)  # noqa: SLF001


class _Counted:
    """aiohttp's parser of frames; the memory for a message is taken before the message is complete."""

    def __init__(self, parser: Any, memory: MemoryHold, request: web.BaseRequest) -> None:
        self._parser = parser
        self._memory = memory
        self._request = request

    def feed_eof(self) -> None:
        self._parser.feed_eof()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Parse bytes. The connection is cut if there is no memory for them."""
        try:
            self._memory.admit(len(data) * COPIES)
        except Overloaded:
            if self._request.transport is not None:
                self._request.transport.abort()
            return True, b""
        result: tuple[bool, bytes] = self._parser.feed_data(data)
        return result


def _offered(request: web.Request) -> tuple[str, ...]:
    """Return the first subprotocol that a client offers: browsers insist on one, and none changes anything."""
    first = request.headers.get("Sec-WebSocket-Protocol", "").partition(",")[0].strip()
    return (first,) if first else ()


def _data(receiving: "asyncio.Task[WSMessage]") -> bytes | None:
    """Return the bytes of a message; None for the end of the connection."""
    if receiving.exception() is not None:
        return None
    message = receiving.result()
    return bytes(message.data) if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) else None
