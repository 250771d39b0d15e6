"""Writes answers and errors to the client: in one way for every surface, whole or streamed.

A surface brings an `Answer`, which knows its format, and an `ErrorRenderer`. Status, headers, keep-alive comments and
the choice between a whole answer and a stream are here.
"""

import socket
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Protocol

from aiohttp import web
from msgspec import Struct

from gateway.config.sections import StreamConfig
from gateway.conversation.notes import brief
from gateway.errors import GatewayError, MethodNotAllowed, openai_error, retry_headers, scrub
from gateway.exchange.calls.fallback import Choice
from gateway.exchange.calls.plain_call import Write
from gateway.exchange.context import CONTEXT, RequestContext
from gateway.exchange.exchange import Exchange
from gateway.exchange.ids import unique
from gateway.exchange.offload import HEAVY_ANSWER
from gateway.exchange.preparation import PreparedRequest
from gateway.exchange.replies.event_stream import EventStream
from gateway.exchange.replies.json_response import JsonResponse
from gateway.exchange.replies.stream_relay import Reply
from gateway.exchange.replies.timed_reply import Ticker, TimedReply
from gateway.gemini.events import Event, Finished, Reason, TextDelta, TurnStarted
from gateway.gemini.plain_answer import PlainAnswer
from gateway.gemini.sse import comment
from gateway.gemini.stream_translator import Encoder, StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.usage import TokenCounts
from gateway.policy.clients.rate_limits import limit_headers
from gateway.store.response_cache import HEADER as CACHE_HEADER

ErrorRenderer = Callable[[GatewayError, str], tuple[int, bytes]]
"""Takes an error and the request's id; returns the HTTP status and the body in a surface's format."""

ERROR_RENDERER: web.RequestKey[ErrorRenderer] = web.RequestKey("error_renderer", object)  # type: ignore[arg-type]  # a function
"""Set by surfaces whose errors are not in OpenAI's format."""

UPGRADE_REQUIRED = 426
"""Status for a WebSocket's handshake on a path that has none (RFC 9110, 15.5.22)."""
UNDRAINED = 16 * 1024
"""Bytes that may be written without a look at whether the client takes them."""
_UNIX_BUFFER = 32 * 1024
"""Bytes that the kernel holds for a client of a Unix socket; Linux doubles it for its own needs."""
_TCP_BUFFER = 128 * 1024
"""The same for TCP, where it also holds what is sent and not acknowledged: enough for 2 MB a second to a client 100 ms
away. A buffer smaller than a segment, 64 KiB on the loopback device, waits 40 ms for each acknowledgement."""


class Answer(Protocol):
    """One answer in a surface's format, under way to the client. Made anew for each request.

    An answer with a method `keep_alive(*, begun: bool) -> bytes` fills silence with the frames that this returns, in
    place of comments, which the idle timers of some clients ignore. `begun` tells whether anything was sent before.

    One with a method `plain(answer: PlainAnswer, counts: TokenCounts) -> bytes | None` writes the commonest answers of
    Gemini directly: it returns what `whole` returns for their events, or None where that decides.
    """

    @property
    def choices(self) -> list[Choice]:
        """The calls of Gemini that the answer is made of."""

    @property
    def model(self) -> str:
        """The model that answers: the one that was asked until Gemini names it."""

    def reader(self, choice: int) -> TurnReader:
        """Return a reader for the call of one choice. Each attempt gets a new one."""

    def encoder(self) -> Encoder:
        """Return what writes events as frames of a stream."""

    async def whole(self, events: list[Event], *, heavy: bool) -> bytes:
        """Return the body of a whole answer. A heavy one is encoded in a thread."""

    def reply(self, reply: Reply) -> Reply:
        """Return the client's side of a stream: `reply` itself, or a reply around it."""

    def headers(self, model: str, context: RequestContext) -> dict[str, str]:
        """Return the headers of the answer; usually `answer_headers`."""


class WholeAnswer(Struct, frozen=True):
    """A whole answer for a surface that does not stream."""

    events: list[Event]
    model: str
    """The model that answered, also when it is a fallback."""
    headers: dict[str, str]
    """`x-gateway-model` and `x-gateway-notes`."""

    @property
    def text(self) -> str:
        """The text of all choices, without thoughts."""
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def finish_reason(self) -> Reason:
        """Reason of the first choice's end: `content_filter` for a blocked prompt, whose text is empty."""
        return next((event.reason for event in self.events if isinstance(event, Finished)), "stop")


class Delivery:
    """Sends the answers of the generating surfaces."""

    def __init__(self, exchange: Exchange, config: StreamConfig) -> None:
        self._exchange = exchange
        self._config = config
        self.ticker = Ticker(config)
        """Keeps the streams alive."""

    def send(
        self, request: web.Request, context: RequestContext, answer: Answer
    ) -> Coroutine[None, None, web.StreamResponse]:
        """Ask Gemini and return the answer, whole or streamed as the client asked. Raises GatewayError."""
        return (self._stream if context.report.stream else self._whole)(request, context, answer)

    async def _whole(
        self, request: web.Request, context: RequestContext, answer: Answer
    ) -> web.StreamResponse:
        write: Write = getattr(answer, "plain", _by_events)
        body = await self._exchange.answer(answer.choices, context, answer.reader, write)
        if not isinstance(body, bytes):
            body = await answer.whole(body, heavy=context.report.answer_bytes > HEAVY_ANSWER)
        return JsonResponse(body, _headers(context, answer))

    async def ask(self, prepared: PreparedRequest, context: RequestContext) -> WholeAnswer:
        """Ask Gemini for a whole answer, which the caller sends. Raises GatewayError."""
        events = await self._exchange.complete(
            prepared.choices,
            context,
            lambda choice: TurnReader(_call_id, prepared.rules, prepared.keys, choice),
        )
        named = (event.model for event in events if isinstance(event, TurnStarted) and event.model)
        context.report.model = model = next(named, prepared.call.model)
        return WholeAnswer(events, model, answer_headers(model, prepared.notes, context.report.adjusted))

    async def _stream(
        self, request: web.Request, context: RequestContext, answer: Answer
    ) -> web.StreamResponse:
        keep_alive: Callable[..., bytes] = getattr(answer, "keep_alive", _comment)
        reply = StreamReply(
            request, self.ticker, context, lambda: _headers(context, answer), self._config, keep_alive
        )
        async with reply:
            return await self.stream_to(answer.reply(reply), context, answer)

    def stream_to(
        self, reply: Reply, context: RequestContext, answer: Answer
    ) -> Awaitable[web.StreamResponse]:
        """Stream an answer to any reply, also to one without a client."""
        encoder = answer.encoder()
        return self._exchange.stream(
            answer.choices, context, reply, lambda choice: StreamTranslator(answer.reader(choice), encoder)
        )

    def open(
        self, request: web.Request, context: RequestContext, headers: Callable[[], Mapping[str, str]]
    ) -> "StreamReply":
        """Return the client's side of a stream, to be entered by `async with`, with the keep-alive comments of any."""
        return StreamReply(request, self.ticker, context, headers, self._config)

    async def follow(
        self,
        request: web.Request,
        context: RequestContext,
        frames: AsyncIterable[bytes],
        headers: Callable[[], Mapping[str, str]],
    ) -> web.StreamResponse:
        """Send frames from another source, with the keep-alive comments of any stream."""
        async with self.open(request, context, headers) as reply:
            async for data in frames:
                await reply.write(data)
            return await reply.finish()


def _by_events(answer: PlainAnswer, counts: TokenCounts) -> bytes | None:
    """Leave a plain answer to `whole`."""
    return None


def _comment(*, begun: bool) -> bytes:
    """Return the comment that keeps a stream alive, whether it has begun or not."""
    return comment("keep-alive")


def _call_id() -> str:
    return unique("call_")


def json_response(body: bytes, headers: Mapping[str, str], status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return JsonResponse(body, headers, status)


def _headers(context: RequestContext, answer: Answer) -> dict[str, str]:
    context.report.model = model = answer.model
    return answer.headers(model, context)


def answer_headers(model: str, notes: Iterable[str], adjusted: Iterable[str] = ()) -> dict[str, str]:
    """Return the headers that name the model, and the fields that were not honoured or only after a repair."""
    if names := [*notes, *adjusted]:
        return {"x-gateway-model": model, "x-gateway-notes": scrub(",".join(brief(names)))}
    return {"x-gateway-model": model}


def add_gateway_headers(headers: MutableMapping[str, str], context: RequestContext) -> None:
    """Add what every answer of a request carries, errors included: its id, limits, cache result, fallbacks."""
    report = context.report
    headers["x-request-id"] = context.request_id
    if report.limits:
        headers.update(limit_headers(report.limits))
    if report.cached is not None:
        headers[CACHE_HEADER] = report.cached
    if report.fallbacks:
        headers["x-gateway-fallback"] = ", ".join(report.fallbacks)
    if context.hooks is not None:
        headers.update(context.hooks.response_headers)


def error_response(
    error: GatewayError, render: ErrorRenderer | None = None, request_id: str = ""
) -> web.Response:
    """Return an error in a surface's format, OpenAI's without one, with the headers that SDKs obey."""
    status, body = render(error, request_id) if render is not None else (error.status, openai_error(error))
    headers = retry_headers(error)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = error.allow
    if status == UPGRADE_REQUIRED:
        headers["Upgrade"] = "HTTP/1.1"  # required by RFC 9110, 15.5.22
    return json_response(body, headers, status)


def fail(request: web.Request, error: GatewayError) -> web.Response:
    """Record the error that ended a request, and return it in the format of the request's surface."""
    context = request[CONTEXT]
    if error.status != UPGRADE_REQUIRED:  # which is how a client learns what is served: no failure
        context.report.fail(error)
    return error_response(error, request.get(ERROR_RENDERER), context.request_id)


def limit_buffers(request: web.Request) -> None:
    """Keep what a client of a stream has not read small: in the transport, and in the kernel.

    The kernel would buffer megabytes, which count for `MemoryMax` of the unit, and more of the text has passed by then.
    Of TCP's buffer (socket(7), SO_SNDBUF), little may wait to be sent (tcp(7), TCP_NOTSENT_LOWAT).
    """
    transport = request.transport
    if transport is None or transport.get_write_buffer_limits()[1] == 2 * UNDRAINED:  # of an earlier stream
        return
    transport.set_write_buffer_limits(high=2 * UNDRAINED)
    own = transport.get_extra_info("socket")
    with suppress(OSError):  # of a connection that has just been lost
        if own.family == socket.AF_UNIX:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNIX_BUFFER)
        else:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _TCP_BUFFER)
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNDRAINED)


class StreamReply(TimedReply):
    """A streamed answer. Its headers wait for the first content or the grace period; then silence is kept alive."""

    def __init__(
        self,
        request: web.Request,
        ticker: Ticker,
        context: RequestContext,
        headers: Callable[[], Mapping[str, str]],
        config: StreamConfig,
        keep_alive: Callable[..., bytes] = _comment,
    ) -> None:
        # The request's own: `get_running_loop` would ask the system for the process's id, before Python 3.12.
        self._response = EventStream()
        super().__init__(request._loop, ticker, context, config, keep_alive)  # noqa: SLF001
        self._request = request
        self._headers = headers
        self._is_over = False

    @property
    def _last_write(self) -> float:
        return self._response.last_write

    @_last_write.setter
    def _last_write(self, value: float) -> None:
        self._response.last_write = value

    @property
    def push(self) -> Callable[[bytes, float], bool]:
        """Write content after the headers in one call; return False if the client has to read first."""
        return self._response.push

    async def finish(self, last: bytes = b"") -> web.StreamResponse:
        """End the stream: `last` and the end of the body are one write. The headers are sent even without content."""
        if self._is_over:
            return self._response
        if last and not self._has_content:
            self._has_content = True
            self._context.first_byte()
        if not self.begun:
            await self._begin()
        self._is_over = self._writing = True
        await self._response.end(last)
        self._writing = False
        return self._response

    async def _send(self, data: bytes) -> None:
        if self._is_over:
            return
        # _begin() does not suspend, and a second call returns at once: the timer's comment and the content cannot get
        # between headers and data.
        if not self.begun:
            await self._begin()
        self._writing = True
        await self._response.send(data, UNDRAINED)
        self._writing = False

    async def _begin(self) -> None:
        """Make the headers, which wait for the first data."""
        self.begun = True
        await self._response.begin(self._request, self._headers(), self._context)
        del self._headers  # they are made, and a stream may live for an hour
        limit_buffers(self._request)
