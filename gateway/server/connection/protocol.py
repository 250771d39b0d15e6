"""Connections of clients, below the application: time limits, a limit per address, and errors in JSON.

aiohttp limits neither the time of a request's headers nor that of its body, and its own answer to a request that its
parser refuses repeats the offending line and logs it. The line may contain a key.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.streams import StreamReader

from gateway.config.sections import ConnectionsConfig
from gateway.errors import BadRequest, GatewayError
from gateway.exchange.context import ADDRESS
from gateway.exchange.replies.delivery import error_response
from gateway.exchange.replies.event_stream import EventStream
from gateway.exchange.replies.json_response import JsonResponse
from gateway.exchange.replies.unserved import API_PATHS
from gateway.plugin import SERVICES
from gateway.policy.api_paths import Address, ApiPaths, family_of_headers
from gateway.server.connection.addresses import AddressLimit
from gateway.server.connection.awaited_body import AwaitedBody, is_awaited, without_expect
from gateway.server.connection.dispatch import Dispatcher, Request
from gateway.server.connection.in_turn import InTurn
from gateway.server.connection.overload import CLOSED, DISCARD, Gate
from gateway.server.connection.write_deadline import WriteDeadline
from gateway.server.cors import allow_any_origin
from gateway.upstream import descriptors
from gateway.upstream.turns import in_turns

SHIPPED = ConnectionsConfig()
"""Limits without a configuration."""
_MESSAGES = {
    400: "The request is not valid HTTP.",
    404: "Unknown request URL.",
    405: "The specified HTTP method is not allowed for the requested resource",
    408: "The request was not complete in time.",
    413: "The request body is too large.",
    414: "The request URL is too long.",
    415: "Content-Encoding is not supported, or the body is not in it: send the body uncompressed.",
    417: "The header Expect has a value other than 100-continue.",
    429: "Too many connections from this address.",
    431: "The request's headers are too large.",
}
_OWN = JsonResponse, EventStream  # a union would be made anew for each request
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TICK = 1.0
"""Seconds between two looks at all connections: one timer for all is cheaper than one for each."""
_REPORT = 60
"""Ticks between two lines of the log about connections."""
_LINGER = 5.0
"""Seconds in which the rest of an unread body is discarded, so that the client can read the answer first."""


def _error(status: int) -> web.Response:
    """Return an error that repeats nothing of the request, and closes the connection."""
    if status >= 500:
        error = GatewayError("Internal gateway error.")
    else:
        error = BadRequest(_MESSAGES.get(status, _MESSAGES[400]), status=status, code="invalid_request")
    response = error_response(error)
    allow_any_origin(response)
    response.headers.update({"Server": "gemini-gateway", "Connection": "close"})
    response.force_close()
    return response


def _bytes(status: int, reason: str) -> bytes:
    """Return the same as bytes, for a connection that has no request to answer."""
    body = _error(status).body
    assert isinstance(body, bytes)  # noqa: S101 - of a JSON response
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\nServer: gemini-gateway\r\n\r\n".encode() + body


_TIMED_OUT = _bytes(408, "Request Timeout")
_TOO_MANY = _bytes(429, "Too Many Requests")


class _Messages(list[Any]):
    """Requests that wait for their turn. An empty deque, as aiohttp has, takes 760 bytes of each connection."""

    __slots__ = ()

    def popleft(self) -> Any:
        """Return the oldest one, and remove it."""
        return self.pop(0)


class Protocol(InTurn):
    """aiohttp's connection handler with time limits, and with error answers that repeat nothing.

    Times are ticks of the server's clock.
    """

    __slots__ = ("_began", "_body", "_generation", "_heard", "_is_between", "_server")

    def __init__(self, server: "Server", **options: Any) -> None:
        super().__init__(server, **options)
        self._messages = _Messages()  # type: ignore[assignment]  # it has all methods that aiohttp calls
        self._server = server
        self._began = server.tick
        """Tick of the first byte of an incomplete request, or of the connection; -1 while none is awaited."""
        self._heard = -1
        """Tick of the last bytes; -1 before the first."""
        self._body: StreamReader | None = None
        """Body of the request in progress."""
        self._is_between = True
        """Whether the next byte is the first of a request."""
        self._generation = 0
        """Generation of the request in progress, for the gate."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse the connection if its address has too many."""
        if not self._server.addresses.enter(self, transport.get_extra_info("peername")):
            assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream
            self._force_close = True
            transport.write(_TOO_MANY)
            transport.close()
            return
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.addresses.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        server = self._server
        self._heard = server.tick
        if (
            self._is_between
            and not self._request_in_progress
            and not self._messages
            and server.gate is not None
        ):
            if server.successor is not None and self.is_idle:
                self.move_to(server.newest)
                self.data_received(data)
                return
            answer = server.gate.refusal(data)
            if answer is not None:
                self._refuse(answer)
                return
            self._is_between = False
            self._generation = server.gate.begin()
        if self._began < 0:
            self._began = self._heard
        super().data_received(data)

    @property
    def is_idle(self) -> bool:
        """True between two requests, and before the first."""
        waiter = self._waiter
        return self._is_between and not self._messages and waiter is not None and not waiter.done()

    def move_to(self, server: "Server") -> None:
        """Continue an idle connection under another server, whose application answers its next request.

        aiohttp looks up handler and factory for each request, so that nothing else refers to the former server.
        """
        former, transport = self._server, self.transport
        if transport is None:
            return
        former.addresses.leave(self)
        del former._connections[self]  # noqa: SLF001 - aiohttp moves no connections
        server.addresses.enter(self, transport.get_extra_info("peername"))
        server._connections[self] = transport  # noqa: SLF001
        self._server = self._manager = server
        self._request_handler, self._request_factory = server.request_handler, server.request_factory
        self._began += server.tick - former.tick if self._began >= 0 else 0
        self._heard = server.tick

    def _refuse(self, answer: bytes) -> None:
        """Answer a request that is not begun. Its rest is discarded, so that the client can read the answer first."""
        self._began = self._heard
        if self.transport is None or self._force_close:
            return
        self.transport.write(answer)
        if answer is CLOSED:
            self._force_close = True
            self._loop.call_later(DISCARD, self.transport.close)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on. aiohttp calls it for each piece of a body that is read, whether or not reading was paused."""
        self._heard = self._server.tick  # the silence was ours
        if self._reading_paused or (resume_parser and (self._body is None or not self._body.is_eof())):
            super().resume_reading(resume_parser)

    def begin(self, body: StreamReader | None) -> None:
        """Note that a request's headers are complete, and that its body is awaited unless it is None."""
        self._began = -1
        self._heard = self._server.tick
        self._body = body

    def continue_with(self, body: StreamReader) -> None:
        """Tell a client that waits for it to send its body (RFC 9110, 10.1.1)."""
        if self.transport is not None and not body.is_eof():
            self.transport.write(_CONTINUE)
        self._heard = self._server.tick
        self._body = body

    def finish_sent(self, request: web.BaseRequest, response: web.StreamResponse) -> bool:
        """Finish a response of the gateway's own that is sent whole; the request's body was read."""
        content: Any = request._payload  # noqa: SLF001 - the property costs a call
        if not (
            isinstance(response, _OWN)
            and response.is_sent
            and not self._upgraded
            and request._post is None  # noqa: SLF001 - of a form
            and content.is_eof()
            and content.exception() is None
        ):
            return False
        self._end()
        self._is_between = True
        return True

    def _end(self) -> None:
        self._began, self._body = -1, None
        if self._server.gate is not None:
            self._server.gate.end(self._generation)
            self._generation = 0

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Write a response. The connection is closed if the body was not read: its rest would be the next request.

        An error that aiohttp raised outside all middlewares is answered in JSON.
        """
        if self.finish_sent(request, resp):
            return _sent(resp)
        self._end()
        content: Any = request.content
        if isinstance(resp, web.HTTPException):
            resp = _error(resp.status)
        if not content.is_eof() or content.exception() is not None:
            resp.force_close()
            if isinstance(content, AwaitedBody) and content.is_awaited:
                self._lingering_time = 0.0  # there is no rest to discard
        else:
            self._is_between = True
        return super().finish_response(request, resp, start_time)

    def check_time(self, tick: int, limits: ConnectionsConfig) -> None:
        """Cut a client that does not complete its headers, or does not go on with its body."""
        waiter, body = self._waiter, self._body
        if waiter is not None:
            if self._began >= 0 and tick - self._began > limits.header_timeout and not waiter.done():
                if self._heard >= 0 and self.transport is not None:
                    self.transport.write(_TIMED_OUT)
                self._server.timed_out += 1
                self.force_close()
        elif body is not None and tick - self._heard > limits.body_timeout:
            if not body.is_eof() and not self._reading_paused and not self._buffer_paused:
                body.set_exception(BadRequest(_MESSAGES[408], status=408, code="request_timeout"))
                self._server.timed_out += 1
            self._body = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the error response and close the connection. Raises ConnectionError if an answer has begun."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun: the connection can only be closed")
        return _error(415 if isinstance(exc, ContentEncodingError) else status)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log nothing: tracebacks of parser errors contain the client's bytes."""


async def _sent(response: web.StreamResponse) -> tuple[web.StreamResponse, bool]:
    return response, False


class Server(web.Server):
    """Server that creates a Protocol for each connection, or passes connections on to its successor.

    New connections go to the successor, and so do others as soon as they are idle.
    """

    successor: "Server | None" = None

    def __init__(self, stock: web.Server, limits: ConnectionsConfig) -> None:
        loop = stock._loop  # noqa: SLF001 - aiohttp has no other way to another protocol
        super().__init__(
            stock.request_handler,
            request_factory=self._request,  # type: ignore[arg-type]  # `__call__` makes no other than Protocol
            handler_cancellation=stock.handler_cancellation,
            loop=loop,
            **stock._kwargs,  # noqa: SLF001
        )
        self._make = stock.request_factory
        self._limits = limits
        self.gate: Gate | None = None
        """Refuses requests while the process is overloaded."""
        self.paths: ApiPaths | None = None
        """The spelling of each path under which it is served."""
        self.addresses = AddressLimit(limits)
        self.tick = 0
        """Seconds since the start."""
        self.timed_out = 0
        """Connections cut since the start, because headers or a body did not arrive."""
        self._reported = (0, 0)
        self._timer = loop.call_later(_TICK, self._advance)

    def __call__(self) -> Protocol:
        if self.successor is not None:
            return self.successor()
        return Protocol(self, loop=self._loop, **self._kwargs)

    @property
    def newest(self) -> "Server":
        """The last of the line of successors, or this server."""
        server = self
        while server.successor is not None:
            server = server.successor
        return server

    def hand_over(self) -> None:
        """Move idle connections to the newest server, if there is a successor."""
        newest = self.newest
        for protocol in self.connections if newest is not self else ():
            if isinstance(protocol, Protocol) and protocol.is_idle:
                protocol.move_to(newest)

    def pre_shutdown(self) -> None:
        """Close idle connections, except those that a successor continues."""
        self.hand_over()
        super().pre_shutdown()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's signature
        """Close all connections, and stop the clock."""
        self._timer.cancel()
        await super().shutdown(timeout)

    def _advance(self) -> None:
        self.tick += 1
        self._timer = self._loop.call_later(_TICK, self._advance)
        in_turns(self._loop, self._connections, self._check_times)  # type: ignore[arg-type]  # all are Protocol
        descriptors.are_short()  # reports it: accept(2) fails, which no handler sees
        if self.tick % _REPORT == 0:
            self._report()

    def _check_times(self, protocols: Sequence[Protocol]) -> None:
        for protocol in protocols:
            if protocol in self._connections:
                protocol.check_time(self.tick, self._limits)

    def _report(self) -> None:
        """Log how many connections were cut or refused since the last line."""
        counts, before = (self.timed_out, self.addresses.refused), self._reported
        self._reported = counts
        if counts != before:
            text = "connections: %d cut by header_timeout or body_timeout, %d refused by per_address"
            logging.getLogger("gateway.server").warning(text, counts[0] - before[0], counts[1] - before[1])

    def _request(
        self, message: RawRequestMessage, payload: StreamReader, protocol: Protocol, *others: Any
    ) -> web.BaseRequest:
        """Return the request for a message, and start the time limit of its body.

        Other values of Expect than `100-continue` are left to aiohttp, which refuses them.
        """
        protocol.begin(payload)
        body = payload
        if hdrs.EXPECT in message.headers and is_awaited(message):
            body = AwaitedBody(payload, protocol.continue_with)  # type: ignore[assignment]  # it has all methods
            protocol.begin(None)
            message = without_expect(message)
        if self.paths is not None:
            address = self.paths.read(message.url.raw_path)
            if not address.is_plain:
                request = self._make(_readdressed(message, address), body, protocol, *others)
                request[ADDRESS] = address
                return request
        return self._make(message, body, protocol, *others)


def _readdressed(message: RawRequestMessage, address: Address) -> RawRequestMessage:
    """Return a message with the path that routes are registered under."""
    path = address.path
    if address.google and family_of_headers(message.headers, message.url.query) == "google":
        path = address.google
    if path == address.original:
        return message
    url = message.url.with_path(path, encoded=True, keep_query=True)
    return message._replace(path=url.raw_path_qs, url=url)


class Runner(web.AppRunner):
    """aiohttp's runner with our server. A handler is cancelled when its client disconnects."""

    _write_deadline: WriteDeadline | None = None

    def __init__(self, app: web.Application, limits: ConnectionsConfig = SHIPPED) -> None:
        super().__init__(
            app,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=limits.idle_timeout,
            lingering_time=_LINGER,
            shutdown_timeout=1,  # lifecycle.drain has waited for requests before
        )
        self._limits = limits

    async def cleanup(self) -> None:
        """Stop serving, and close all connections."""
        await super().cleanup()
        if self._write_deadline is not None:
            self._write_deadline.stop()

    async def _make_server(self) -> Server:
        stock = await super()._make_server()
        most = self.app._client_max_size  # noqa: SLF001 - `_make_request` of aiohttp takes it from there, too
        stock.request_factory = partial(Request, loop=stock._loop, client_max_size=most)  # noqa: SLF001
        server = Server(stock, self._limits)
        services = self.app.get(SERVICES)
        if services is not None:
            timeout = services.config.stream.write_timeout
            self._write_deadline = WriteDeadline(server, timeout, services.memory)
            server.paths = self.app[API_PATHS]
            server.request_handler = Dispatcher(self.app)  # type: ignore[assignment]  # all requests are web.Request
            server.gate = Gate(services.metrics.overload, asyncio.get_running_loop())
        return server
