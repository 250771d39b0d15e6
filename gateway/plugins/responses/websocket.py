"""WebSocket connections on `GET /v1/responses`, as https://developers.openai.com/api/docs/guides/websocket-mode says.

Each text message `response.create` is a request of its own, one after another, and its events come back as JSON
messages. It goes the way of a POST: the same limits, deadlines, exchange and log. Beyond that, a connection remembers
its last response, which the next message may continue although it was not stored.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from time import monotonic
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from gateway.errors import (
    BadRequest,
    GatewayError,
    Overloaded,
    forget_frames,
    openai_error,
    retry_headers,
)
from gateway.exchange.cancellation import of_cancellation
from gateway.exchange.context import CONTEXT, RequestContext
from gateway.exchange.incoming.client_address import client_address
from gateway.exchange.incoming.request_body import COPIES, Body
from gateway.exchange.incoming.websocket_frames import Socket
from gateway.exchange.offload import HEAVY, offload
from gateway.exchange.replies.delivery import limit_buffers
from gateway.exchange.replies.timed_reply import TimedReply
from gateway.plugin import Services
from gateway.plugins.responses import wire
from gateway.policy.load.memory import MemoryHold

MAX_AGE = 3600.0
"""Seconds after which a connection is closed, as OpenAI closes its own; a response in progress is completed first."""
_LOOK = 1.0
"""Seconds between two looks for connections to close."""
_FOR_KEY, _FOR_ADDRESS = 0.25, 0.5
"""Fractions of all connections that one key, and one address, may have."""
_OK = 200
_CLIENT_GONE = 499
"""nginx's status for a client that closed the connection."""
_CREATE = "response.create"
_TRANSPORT = ("type", "generate", "stream", "background")
"""Fields of a message that only say how it is answered."""
_DATA = b"\ndata: "
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
    start = 0
    while start < len(frames):
        end = frames.find(b"\n\n", start)
        end = len(frames) if end < 0 else end
        data = frames.find(_DATA, start, end)
        if 0 <= data < end - len(_DATA):
            yield frames[data + len(_DATA) : end]
        start = end + 2


class Remembered:
    """The last response of a connection with everything before it, as JSON: the input that the next one continues."""

    def __init__(self, memory: MemoryHold) -> None:
        memory.is_shared = True
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

    push = None
    """A message is sent by a coroutine."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        services: Services,
        context: RequestContext,
        keep_alive: Callable[..., bytes],
    ) -> None:
        super().__init__(
            asyncio.get_running_loop(), services.delivery.ticker, context, services.config.stream, keep_alive
        )
        self._socket = socket

    async def finish(self, last: bytes = b"") -> web.StreamResponse:
        """Send the last events. Return the connection, which stays open."""
        if last:
            await self.write(last)
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
        arriving, kept = services.memory.open(), services.memory.open()
        arriving.owner = kept.owner = self._context.memory.owner
        self.remembered = Remembered(kept)
        self.socket = Socket(request, arriving)
        client = self._context.client
        self.shares = {f"key {client.id or client.fingerprint}": _FOR_KEY}
        """Fractions of all connections that those may have to whom this one belongs."""
        if address := client_address(request):
            self.shares[f"address {address}"] = _FOR_ADDRESS
        self._receiving: asyncio.Task[WSMessage] | None = None
        self._is_idle = False
        self._is_ending = False
        self._is_proven = False
        """Whether Gemini has answered a message: the key is one."""
        self._close_code = WSCloseCode.OK
        self._number = 0

    async def run(self) -> web.StreamResponse:
        """Answer messages until either side closes the connection. Return it as the request's response."""
        try:
            await self.socket.prepare(self.request)
            limit_buffers(self.request)
            await self._serve()
            await self.socket.close(code=self._close_code)
        finally:
            self.socket.release()
            if self.socket.error is not None:
                self._context.report.fail(self.socket.error)
        return self.socket

    async def _serve(self) -> None:
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

    def end(self, code: WSCloseCode = WSCloseCode.GOING_AWAY) -> None:
        """Close the connection as soon as no response is in progress."""
        if not self._is_ending:
            self._is_ending, self._close_code = True, code
        if self._is_idle and self._receiving is not None:
            self._receiving.cancel()

    def check_time(self, now: float) -> None:
        """End the connection if it is too old, if a message does not arrive in time, or if nobody uses it.

        Without an answer of Gemini's, it is kept open as long as any other connection without a request.
        """
        limits = self._services.config.connections
        if now - self.began > MAX_AGE:
            self.end()
        elif not self._is_ending and self.socket.is_late(now, limits.body_timeout):
            self._end_late()
        elif (
            self._is_idle
            and not self._is_proven
            and self.socket.is_between
            and now - self.began > limits.idle_timeout
        ):
            self.end()

    def _end_late(self) -> None:
        """End a connection whose message does not arrive; at once if a response is in progress."""
        error = BadRequest(
            "The message was not complete in time: it arrives too slowly, or does not go on.",
            status=408,
            code="request_timeout",
        )
        if self._is_idle:
            self.socket.error = error
            self.end(WSCloseCode.POLICY_VIOLATION)
        else:
            self.socket.cut(error)

    def reply(self, context: RequestContext, keep_alive: Callable[..., bytes]) -> SocketReply:
        """Return the client's side of a response."""
        return SocketReply(self.socket, self._services, context, keep_alive)

    async def send(self, frames: bytes) -> None:
        """Send the events of some frames."""
        for event in events(frames):
            await self.socket.send_frame(event, WSMsgType.TEXT)

    def _receive(self) -> None:
        self._receiving = asyncio.create_task(self.socket.next_message(), name="websocket")
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
            self.end()
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
        memory = self.socket.taken()
        self.request[CONTEXT] = self._context.on_connection(self._number, memory)
        status = _CLIENT_GONE
        try:
            self._check_overload()
            await self._create(self, message)
            status, report = _OK, self.request[CONTEXT].report
            self._is_proven |= report.attempts > 0 and report.error is None
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
    """All WebSockets of the plugin. Those that outstay their time, or whose process is about to stop, are closed."""

    def __init__(self, services: Services, most: int) -> None:
        self._services = services
        self._most = most
        self._open: set[Connection] = set()
        self._counts: Counter[str] = Counter()
        """Connections of each key and address."""
        self._timer: asyncio.TimerHandle | None = None

    def has_room(self, connection: Connection) -> bool:
        """Return whether one more connection may be opened: in all, and of its key and address."""
        return len(self._open) < self._most and all(
            self._counts[name] < max(1, int(self._most * share)) for name, share in connection.shares.items()
        )

    async def run(self, connection: Connection) -> web.StreamResponse:
        """Serve a connection to its end."""
        self._open.add(connection)
        self._counts.update(connection.shares.keys())
        if self._timer is None:
            self._look()
        try:
            return await connection.run()
        finally:
            self._open.discard(connection)
            self._counts.subtract(connection.shares.keys())
            for name in connection.shares:
                if not self._counts[name]:
                    del self._counts[name]

    def _look(self) -> None:
        now, draining = monotonic(), self._services.draining()
        for connection in self._open:
            if draining:
                connection.end()
            connection.check_time(now)
        self._timer = asyncio.get_running_loop().call_later(_LOOK, self._look) if self._open else None


def _data(receiving: "asyncio.Task[WSMessage]") -> bytes | None:
    """Return the bytes of a message; None for the end of the connection."""
    if receiving.exception() is not None:
        return None
    message = receiving.result()
    return bytes(message.data) if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) else None
