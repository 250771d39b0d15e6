"""One Live session: two WebSockets, and two loops that pass messages on, unchanged in type and bytes.

The handler's task reads the client, another one reads Google. A side that takes nothing makes the other wait: at most
one message, and what fits into the connections' buffers, is on its way in each direction.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Protocol

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.http import WebSocketError
from msgspec import Struct

from gateway.errors import BadRequest, GatewayError, TooLarge, forget_frames
from gateway.exchange.cancellation import of_cancellation
from gateway.exchange.context import RequestContext
from gateway.exchange.incoming.client_address import client_address
from gateway.exchange.incoming.websocket_frames import Socket
from gateway.exchange.offload import HEAVY, offload
from gateway.exchange.replies.delivery import limit_buffers
from gateway.plugin import Services
from gateway.plugins.native.live.closing import Ending, ending_of, error_of, passed_on
from gateway.plugins.native.live.config import LiveConfig
from gateway.plugins.native.live.messages import NOTHING, Seen, read_message
from gateway.plugins.native.live.turns import Turns
from gateway.upstream.aiohttp_transport import Message, UpstreamSocket

TO_BEGIN = 20.0
"""Seconds in which a client sends `setup`, and Google answers it."""
_TO_CLOSE = 2.0
"""Seconds in which a client takes a close frame."""
_PING = 20.0
"""Seconds without a byte after which a client is pinged; it is lost if half of it passes without a pong."""
_COPIES = 2
"""Copies of a message that exist at once: its pieces, and its bytes."""
_DATA = (WSMsgType.TEXT, WSMsgType.BINARY)


class Link(Struct, frozen=True):
    """A session that Google has accepted."""

    socket: UpstreamSocket
    turns: Turns
    answer: Message | None = None
    """Google's first message, if it has been read."""
    read: Callable[[bytes], Seen] = read_message
    """Reads a message of Google's."""
    check: Callable[[bytes], Awaitable[None]] | None = None
    """Checks a later message of the client. Raises GatewayError."""
    keep: Callable[[str], Awaitable[None]] | None = None
    """Stores a handle of the session, before the client gets it."""


class Ways(Protocol):
    """The surroundings of a session."""

    async def connect(self, data: bytes, kind: WSMsgType) -> Link:
        """Connect to Google with a client's first message. Raises GatewayError, and ClosedError."""

    def shown(self, error: GatewayError) -> GatewayError | None:
        """Return the error that the client gets in place of one of Google's, or None where Google's words are its."""


class ClosedError(Exception):
    """Google has closed the session instead of answering the first message."""

    def __init__(self, ending: Ending, error: GatewayError) -> None:
        self.ending, self.error = ending, error


class Session:
    """One session, from its handshake to its end."""

    def __init__(
        self, request: web.Request, services: Services, config: LiveConfig, context: RequestContext
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a handler always runs in one
        self._request = request
        self._services = services
        self._config = config
        self._context = context
        self._task = task
        arriving = services.memory.open()
        arriving.owner = context.memory.owner
        self._client = Socket(request, arriving, largest=config.message, copies=_COPIES, heartbeat=_PING)
        self.key = context.client.id or context.client.scope
        self.address = client_address(request)
        self.ending = Ending(WSCloseCode.ABNORMAL_CLOSURE)
        """Its close frame."""
        self._failure: BaseException | None = None
        """The reason of its end, unless one side has closed it."""
        self._link: Link | None = None
        self._began = self._heard = monotonic()
        self._over: Ending | None = None
        """The end that a look at its time has decided on."""
        self._warning: asyncio.Task[None] | None = None
        self._is_closing = False

    async def run(self, ways: Ways) -> web.StreamResponse:
        """Serve the session to its end."""
        try:
            await self._client.prepare(self._request)
            limit_buffers(self._request)
            self.ending = await self._serve(ways)
        except ClosedError as closed:
            self.ending = closed.ending
            self._context.report.fail(forget_frames(closed.error))
        except GatewayError as error:
            self._fail(error)
        except asyncio.CancelledError as cancelled:
            self._failure = forget_frames(cancelled)
            if not self._was_ended(cancelled):
                raise
        except ConnectionError as error:
            self._failure = forget_frames(error)
        finally:
            await self._close_all()
        return self._client

    def check_time(self, now: float) -> None:
        """End the session if it is too old or silent, or if a message does not arrive in time."""
        config = self._config
        if self._over is not None or self._is_closing:
            return
        if self._link is None and now - self._began > TO_BEGIN:
            self._end(WSCloseCode.POLICY_VIOLATION, f"No answered `setup` within {TO_BEGIN:g} seconds.")
        elif now - self._heard > config.idle:
            self._end(WSCloseCode.OK, f"No message for {config.idle:g} seconds.")
        elif now - self._began > config.total:
            self._end(WSCloseCode.OK, f"The session has lasted {config.total:g} seconds.")
        elif self._client.is_late(now, self._services.config.connections.body_timeout):
            self._client.cut(
                BadRequest("The message was not complete in time.", status=408, code="request_timeout")
            )

    def warn(self) -> None:
        """Send Google's announcement of the end, once, so that the client goes on in another connection in time."""
        if self._warning is None and self._link is not None and not self._is_closing:
            self._warning = asyncio.create_task(self._send_warning(), name="live goAway")

    async def _send_warning(self) -> None:
        """Send `goAway` (https://ai.google.dev/gemini-api/docs/live-session#goaway-message)."""
        data = b'{"goAway":{"timeLeft":"%ds"}}' % int(self._services.config.drain)
        with suppress(ConnectionError):
            await self._client.send_frame(data, WSMsgType.BINARY)

    def _end(self, code: WSCloseCode, reason: str) -> None:
        self._over = Ending(code, reason)
        self._task.cancel()

    def _fail(self, error: GatewayError) -> None:
        self._failure = forget_frames(error)
        self.ending = ending_of(error)
        self._context.report.fail(error)

    def _was_ended(self, cancelled: asyncio.CancelledError) -> bool:
        """Note why the session has ended; return False where the connection of the client was lost."""
        error = of_cancellation(cancelled)
        if error is not None:
            self.ending = ending_of(error)
            self._context.report.fail(error)
        elif self._over is not None:
            self.ending = self._over
        elif self._client.close_code not in (None, WSCloseCode.ABNORMAL_CLOSURE):
            self.ending = passed_on(
                self._client.close_code, ""
            )  # it has left when its close frame was answered
            self._failure = None
        else:
            self.ending = Ending(WSCloseCode.ABNORMAL_CLOSURE)
            return False
        return True

    async def _serve(self, ways: Ways) -> Ending:
        """Connect, and pass messages on. Return the close frame."""
        message = await self._client.next_message()
        if message.type not in _DATA:
            return self._left(message)
        hold = self._client.taken()
        try:
            self._link = await ways.connect(message.data, message.type)
        finally:
            hold.release()
        self._heard = monotonic()
        ending = await self._pass_on(self._link)
        if ending.code in (WSCloseCode.OK, WSCloseCode.GOING_AWAY) or self._client.closed:
            return ending
        error = error_of(ending)
        shown = ways.shown(error)
        self._fail(error if shown is None else shown)
        self._failure = error
        return ending if shown is None else ending_of(shown)

    async def _pass_on(self, link: Link) -> Ending:
        """Pass messages on until either side closes. Return the close frame for the other."""
        down = asyncio.create_task(self._to_client(link), name="live")
        try:
            ending = await self._to_google(link)
        except BaseException:
            down.cancel()
            await asyncio.wait({down})
            raise
        if ending is None:
            return await down
        down.cancel()
        await asyncio.wait({down})
        return ending

    async def _to_google(self, link: Link) -> Ending | None:
        """Pass the client's messages on. Return its close frame, or None where Google's side has ended."""
        client, socket, turns, check = self._client, link.socket, link.turns, link.check
        while True:
            message = await client.next_message()
            if message.type not in _DATA:
                return None if message.type is WSMsgType.CLOSING else self._left(message)
            hold = client.taken()
            try:
                self._heard = monotonic()
                data: bytes = message.data
                if check is not None:
                    await check(data)
                if not turns.is_open:
                    await turns.begin()
                turns.sent(data)
                await socket.send_frame(data, message.type)
            except ConnectionError:
                return None  # the other loop sees why
            finally:
                hold.release()

    async def _to_client(self, link: Link) -> Ending:
        """Pass Google's messages on. Return its close frame; nothing more is read from the client then."""
        message, read = link.answer, link.read
        try:
            if message is None:
                message = await link.socket.receive()
            self._context.first_byte()
            while message.type in _DATA:
                self._heard = monotonic()
                if len(message.data) > HEAVY:
                    await self._pass_heavy(link, message)
                else:
                    await self._pass(link, message, read(message.data))
                message = await link.socket.receive()
            return passed_on(link.socket.close_code, _reason(message))
        finally:
            self._client.stop()

    async def _pass(self, link: Link, message: Message, seen: Seen) -> None:
        """Pass one of Google's messages on, and count it. A handle is stored before the client gets it."""
        if link.keep is not None and seen.handle:
            await link.keep(seen.handle)
        await self._client.send_frame(message.data, message.type)
        if seen is not NOTHING:
            await link.turns.read(seen)

    async def _pass_heavy(self, link: Link, message: Message) -> None:
        memory, size = self._context.memory, len(message.data)
        memory.take(size)
        try:
            await self._pass(link, message, await offload(True, link.read, message.data))
        finally:
            memory.give(size)

    def _left(self, message: Message) -> Ending:
        """Return how the client has ended the session."""
        error = message.data if message.type is WSMsgType.ERROR else None
        if isinstance(error, WebSocketError):
            kind = TooLarge if error.code == WSCloseCode.MESSAGE_TOO_BIG else BadRequest
            self._context.report.fail(kind("A message of the WebSocket is too large, or is none."))
        return passed_on(self._client.close_code, _reason(message))

    async def _close_all(self) -> None:
        """Close both sides and settle the turn in progress, also while the client's connection ends meanwhile."""
        self._is_closing = True
        closing = asyncio.create_task(self._close(), name="live closing")
        while not closing.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(closing)
        closing.result()

    async def _close(self) -> None:
        if self._warning is not None:
            self._warning.cancel()
        if self._client.error is not None:
            self._context.report.fail(self._client.error)
        link, failure = self._link, self._failure
        if failure is None and self.ending.code != WSCloseCode.OK:
            failure = asyncio.CancelledError()
        try:
            if link is not None:
                await link.turns.end(failure)
        finally:
            if link is not None:
                code = self.ending.code if self.ending.code == WSCloseCode.OK else WSCloseCode.GOING_AWAY
                with suppress(Exception):
                    await link.socket.close(code=code)
            await self._close_client()
            self._client.release()

    async def _close_client(self) -> None:
        """Send the close frame. A client that takes nothing is cut off."""
        if not self._client.prepared or self._client.closed:
            return
        try:
            async with asyncio.timeout(_TO_CLOSE):
                await self._client.close(code=self.ending.code, message=self.ending.payload)
        except (TimeoutError, ConnectionError):
            if self._request.transport is not None:
                self._request.transport.abort()


def _reason(message: Message) -> str:
    return str(message.extra or "") if message.type is WSMsgType.CLOSE else ""
